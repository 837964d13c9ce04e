/* SPDX-License-Identifier: MIT */
/*
 * Many blocks that come and go, for images that ask whether a heap works in a kernel like theirs.
 */
#ifndef HAKMEM_TESTS_BLOCKS_H
#define HAKMEM_TESTS_BLOCKS_H

#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>

#include "../test.h"

#define NR_BLOCKS 20000u

static void *blocks[NR_BLOCKS];

/* Replace all blocks, four times, by others of less than @limit bytes. False if one is NULL. */
static inline bool blocks_come_and_go(size_t limit)
{
	uint64_t seed = 1;

	for (unsigned turn = 0; turn < 4; turn++) {
		for (unsigned i = 0; i < NR_BLOCKS; i++) {
			hak_free(blocks[i]);
			blocks[i] = hak_malloc(test_random(&seed) % limit);
			if (!blocks[i])
				return false;
		}
		while (hak_idle(8) && test_random(&seed) % 8)
			;
	}
	return true;
}

/* Free them, and see that the heap is sound and gives all but a frame back. */
static inline bool blocks_go(void)
{
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		hak_free(blocks[i]);
	hak_trim(HAK_TRIM_ALL);
	return !hak_check() && hak_frames_total() - hak_frames_free() <= 1;
}

/* Ticks of a pair, which are instructions with --icount: those of the loop among them. */
static inline void blocks_print_pair(void)
{
	const unsigned pairs = 100000;
	uint64_t start = cpu_read_tsc();

	for (unsigned i = 0; i < pairs; i++) {
		void *block = hak_malloc(64);

		__asm__ volatile("" : "+r"(block));
		hak_free(block);
	}
	test_print("a pair: %lu ticks\n", (unsigned long)((cpu_read_tsc() - start) / pairs));
}

#endif
