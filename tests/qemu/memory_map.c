/* SPDX-License-Identifier: MIT */
/*
 * The whole memory of a machine, whatever it is like: how long it takes until
 * there is a heap, and that all frames can be used and come back.
 *
 *	memory [SETUP]		the most instructions until the first block is there
 *
 * Set-up is what adding the memory takes (boot.c), hak_init(), and the first
 * block. Under --icount a tick is an instruction. What maps the memory above
 * 4 GiB is told apart: page tables are not the heap's.
 */
#include <boot.h>
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>

#include "../test.h"

#define MIB	 ((size_t)1 << 20)
#define BLOCK	 (64u << 10)
#define FOUR_GIB ((uintptr_t)4 << 30)

extern uint64_t boot_memory_ticks, boot_paging_ticks;

static unsigned long most_setup;
static size_t total, usable;

static uint64_t first_block(void)
{
	uint64_t start = cpu_read_tsc();
	void *block;

	hak_init(&hak_frames_provider);
	block = hak_malloc(100);
	start = cpu_read_tsc() - start;
	hak_free(block);
	return block ? start : 0;
}

static void memory_setup(void)
{
	uint64_t ticks = first_block();

	test_print("%zu frames, %zu MiB: memory %lu, first block %lu, page tables besides %lu\n",
		   total, total * 2, (unsigned long)boot_memory_ticks, (unsigned long)ticks,
		   (unsigned long)boot_paging_ticks);
	CHECK(ticks && (!most_setup || boot_memory_ticks + ticks <= most_setup));
}

/* Blocks of a slab each, in a chain; all of them are different memory. */
static void memory_all_of_it(void)
{
	uintptr_t *first = NULL, *block, highest = 0;
	size_t n = 0;

	while ((block = hak_malloc(BLOCK))) {
		block[0] = (uintptr_t)first;
		block[1] = ~(uintptr_t)block;
		first = block;
		highest = (uintptr_t)block > highest ? (uintptr_t)block : highest;
		n++;
	}
	test_print("%zu MiB in blocks of 64 KiB, up to address 0x%lx\n", n * BLOCK / MIB,
		   (unsigned long)highest);
	for (; first; first = block, n--) {
		CHECK(first[1] == ~(uintptr_t)first);
		block = (uintptr_t *)first[0];
		usable += BLOCK;
		hak_free(first);
	}
	CHECK(n == 0);
	/* but for descriptors, at most 2 % and a frame */
	CHECK(usable + 2 * MIB >= total * 2 * MIB / 100 * 98);
	CHECK(total * 2 * MIB < FOUR_GIB || highest > FOUR_GIB);
	hak_trim(HAK_TRIM_ALL);
	CHECK(!hak_check());
	hak_fini();
	CHECK(hak_frames_free() == total);
}

/* The largest block that there can be. */
static void memory_one_block(void)
{
	char *block = NULL;
	size_t size = total * 2 * MIB;

	CHECK(hak_init(&hak_frames_provider));
	for (; !block && size; size -= 2 * MIB)
		block = hak_malloc(size);
	CHECK(block);
	size = hak_usable_size(block);
	block[0] = block[size - 1] = 1;
	test_print("%zu MiB in one block\n", size / MIB);
	hak_free(block);
	hak_fini();
	CHECK(hak_frames_free() == total);
}

int main(int argc, char **argv)
{
	const char *text = argc > 1 ? argv[1] : "";

	most_setup = test_number(&text);
	total = hak_frames_free();
	TEST_RUN(memory_setup);
	TEST_RUN(memory_all_of_it);
	TEST_RUN(memory_one_block);
	return test_finish();
}
