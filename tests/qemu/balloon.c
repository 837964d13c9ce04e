/* SPDX-License-Identifier: MIT */
/*
 * The guest's side of tests/qemu/check-balloon.sh, which watches what QEMU
 * occupies meanwhile:
 *
 *	balloon.elf spike	400 MiB, freed; then the host takes 256 MiB and
 *				returns them; then 400 MiB again
 *	balloon.elf scattered	400 MiB of small blocks, of which one in a hundred
 *				stays
 *	balloon.elf cost	prints what it costs to report, and to touch again
 *
 * Each line that begins with "now:" is a state that the host checks; the host
 * answers by what it asks of the balloon.
 */
#include <balloon.h>
#include <cpu.h>

#include "../test.h"

#include <hakmem/hakmem.h>

#define MEMORY	  ((size_t)512 << 20) /* of the machine */
#define SPIKE	  ((size_t)400 << 20)
#define TAKEN	  ((size_t)256 << 20)
#define FRAME	  HAK_SUPERSLAB_SIZE
#define PAGE	  HAK_GRANULE
#define SURVIVORS 100u

static void **blocks;
static size_t nr_blocks;

/* What an idle loop does, until the host has just @held bytes. */
static void idle_until_held(size_t held)
{
	do {
		while (hak_idle(8) || hak_balloon_poll())
			;
	} while (hak_balloon_held() != held);
}

/* A block says in each of its words where it is. */
static void fill(size_t *block, size_t size)
{
	for (size_t i = 0; i < size / sizeof(*block); i++)
		block[i] = (uintptr_t)&block[i];
}

static bool is_filled(const size_t *block, size_t size)
{
	for (size_t i = 0; i < size / sizeof(*block); i++)
		if (block[i] != (uintptr_t)&block[i])
			return false;
	return true;
}

/* Sizes that take turns: 32 B to 32 KiB, and one in 64 of 1 MiB. */
static size_t size_of(size_t i)
{
	return i % 64 == 63 ? (size_t)1 << 20 : (size_t)32 << i % 11;
}

/* Allocate until the blocks have @bytes, or until there is no memory. */
static size_t allocate(size_t bytes)
{
	size_t sum = 0;

	for (nr_blocks = 0; sum < bytes; nr_blocks++) {
		size_t size = size_of(nr_blocks);

		blocks[nr_blocks] = hak_malloc(size);
		if (!blocks[nr_blocks])
			break;
		fill(blocks[nr_blocks], size);
		sum += size;
	}
	return sum;
}

static bool free_all(void)
{
	bool intact = true;

	for (size_t i = 0; i < nr_blocks; i++) {
		intact &= is_filled(blocks[i], size_of(i));
		hak_free(blocks[i]);
	}
	return intact;
}

static void spike(void)
{
	blocks = port_map(FRAME);
	CHECK(blocks);
	test_print("now: ready\n");
	idle_until_held(FRAME);
	CHECK(allocate(SPIKE) >= SPIKE);
	CHECK(free_all());
	test_print("now: freed\n");
	idle_until_held(TAKEN);
	test_print("now: inflated\n");
	CHECK(allocate(SPIKE) < SPIKE - TAKEN / 2);
	CHECK(free_all());
	CHECK(!hak_check());
	idle_until_held(0);
	test_print("now: deflated\n");
	CHECK(allocate(SPIKE) >= SPIKE);
	CHECK(free_all());
	CHECK(!hak_check());
}

/* One in SURVIVORS blocks lives, at random. Returns the number of pages they lie in. */
static size_t free_most(size_t size)
{
	static uint64_t seen[MEMORY / PAGE / 64];
	size_t pages = 0, survivors = 0;
	uint64_t random = 1;

	for (size_t i = 0; i < nr_blocks; i++) {
		uintptr_t start = (uintptr_t)blocks[i];

		if ((test_random(&random) >> 32) % SURVIVORS) {
			hak_free(blocks[i]);
			continue;
		}
		blocks[survivors++] = blocks[i];
		for (size_t page = start / PAGE; page <= (start + size - 1) / PAGE; page++) {
			pages += !(seen[page / 64] >> page % 64 & 1);
			seen[page / 64] |= (uint64_t)1 << page % 64;
		}
	}
	nr_blocks = survivors;
	return pages;
}

static void scattered(void)
{
	size_t size = 256, most = (SPIKE - FRAME * 8) / size, pages;

	blocks = port_map(most * sizeof(*blocks) + FRAME - most * sizeof(*blocks) % FRAME);
	CHECK(blocks);
	test_print("now: ready\n");
	idle_until_held(FRAME);
	for (nr_blocks = 0; nr_blocks < most; nr_blocks++) {
		blocks[nr_blocks] = hak_malloc(size);
		CHECK(blocks[nr_blocks]);
		fill(blocks[nr_blocks], size);
	}
	pages = free_most(size);
	test_print("now: freed, %zu KiB of pages hold %zu blocks\n", pages * PAGE / 1024,
		   nr_blocks);
	idle_until_held(0);
	for (size_t i = 0; i < nr_blocks; i++) {
		CHECK(is_filled(blocks[i], size));
		hak_free(blocks[i]);
	}
	CHECK(!hak_check());
}

static void touch(char *memory, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE)
		*(volatile char *)&memory[i] = 1;
}

/* Figures for a decision (balloon_frames.c); nothing to require. */
static void cost(void)
{
	static const size_t ranges[] = { PAGE, 16 * PAGE, FRAME, 8 * FRAME };
	size_t size = 128 * FRAME, pages = size / PAGE;
	char *memory = port_map(size);

	CHECK(memory);
	test_print("%10s %20s %20s\n", "KiB", "cycles a report", "to touch 4 KiB");
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		uint64_t start, reported, touched;

		touch(memory, size);
		start = cpu_read_tsc();
		for (size_t at = 0; at < size; at += ranges[i])
			CHECK(!hak_balloon_report(memory + at, ranges[i]));
		reported = cpu_read_tsc();
		touch(memory, size);
		touched = cpu_read_tsc();
		test_print("%10zu %20lu %20lu\n", ranges[i] / 1024,
			   (unsigned long)(reported - start) / (size / ranges[i]),
			   (unsigned long)(touched - reported) / pages);
	}
}

int main(int argc, char **argv)
{
	int error = hak_balloon_start(HAK_BALLOON_MICROVM, HAK_BALLOON_MICROVM_COUNT);

	if (error || argc != 2) {
		test_print(error ? "no balloon: %d\n" : "usage: spike, scattered or cost\n", error);
		return 1;
	}
	hak_init(port_provider());
	switch (argv[1][1]) {
	case 'p':
		TEST_RUN(spike);
		break;
	case 'c':
		TEST_RUN(scattered);
		break;
	default:
		TEST_RUN(cost);
	}
	return test_finish();
}
