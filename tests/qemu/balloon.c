/* SPDX-License-Identifier: MIT */
/*
 * The guest's side of tests/qemu/check-balloon.sh, which watches what QEMU
 * occupies meanwhile:
 *
 *	balloon.elf spike	400 MiB, freed; then the host takes 256 MiB and
 *				returns them; then 400 MiB again
 *	balloon.elf scattered	400 MiB of small blocks, of which one in a hundred
 *				stays
 *	balloon.elf oom		the host takes 256 MiB, and allows that they are taken
 *				back when memory is out; 400 MiB then, on all CPUs
 *	balloon.elf cost	prints what it costs to report, and to touch again
 *
 * Each line that begins with "now:" is a state that the host checks; the host
 * answers by what it asks of the balloon.
 */
#include <balloon.h>
#include <boot.h>
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>

#include "../smp/cpus.h"
#include "../test.h"

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
	CHECK(allocate(SPIKE) < SPIKE - TAKEN / 2);
	CHECK(!hak_balloon_deflate(1) && hak_balloon_held() == TAKEN);
	CHECK(free_all());
	CHECK(!hak_check());
	test_print("now: inflated\n");
	/* what the host does not want any more is there before the idle loop takes it back */
	while (hak_balloon_wanted())
		cpu_relax();
	CHECK(hak_balloon_held() == TAKEN && allocate(SPIKE) >= SPIKE);
	CHECK(free_all());
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

/* A chain of blocks, each as fill() leaves it but for its first word. */
static size_t *chain_up(size_t bytes, unsigned id)
{
	size_t *chain = NULL;

	for (size_t i = 0, sum = 0; sum < bytes; sum += size_of(i++)) {
		size_t *block = hak_malloc(size_of(i));

		CHECK_OR(block, chain);
		fill(block, size_of(i));
		block[0] = (size_t)chain;
		chain = block;
		/* the idle loop of another CPU, all the time */
		if (!id || i % 64 == 0)
			hak_balloon_poll();
	}
	return chain;
}

static _Atomic bool broken;

static void spike_here(void *unused)
{
	size_t bytes = SPIKE / smp_count();
	size_t *chain = chain_up(bytes, this_cpu()->id), *next;

	(void)unused;
	cpus_meet(); /* all have theirs */
	for (; chain; chain = next) {
		next = (size_t *)chain[0];
		if (chain[1] != (uintptr_t)&chain[1] || chain[3] != (uintptr_t)&chain[3])
			broken = true;
		hak_free(chain);
	}
}

/* Allocations, scans and polls on all CPUs at once, which all speak to the device. */
static void churn(void *unused)
{
	static const size_t size = 4 * PAGE;
	void *block[64];

	(void)unused;
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned j = 0; j < 64; j++)
			block[j] = hak_malloc(size);
		for (unsigned j = 0; j < 64; j++) {
			if (!block[j])
				broken = true;
			else
				fill(block[j], size);
		}
		for (unsigned j = 0; j < 64; j++) {
			broken |= block[j] && !is_filled(block[j], size);
			hak_free(block[j]);
		}
		hak_trim(HAK_TRIM_OWN);
		for (unsigned j = 0; j < 64; j++)
			hak_balloon_poll();
	}
}

/* The rounds of an idle loop in which the host must not be given anything. */
static bool is_held(size_t held)
{
	for (unsigned i = 0; i < 1000; i++) {
		hak_idle(8);
		hak_balloon_poll();
	}
	return hak_balloon_held() == held;
}

static void oom(void)
{
	size_t held;
	void *block;

	test_print("now: ready\n");
	idle_until_held(FRAME);
	test_print("now: freed\n");
	idle_until_held(TAKEN);
	test_print("now: inflated\n");
	/* nobody has as much, so nothing is taken back for it */
	CHECK(!hak_malloc(MEMORY) && hak_balloon_held() == TAKEN);
	CHECK(!hak_malloc((size_t)1 << 50) && hak_balloon_held() == TAKEN);
	/* what is missing to one block is taken back, and what lies between that and records */
	hak_trim(HAK_TRIM_ALL);
	held = (hak_frames_free() + 8) * FRAME;
	block = hak_malloc(held);
	CHECK(block && hak_balloon_held() >= TAKEN - 32 * FRAME);
	fill(block, held);
	CHECK(is_filled(block, held) && hak_balloon_held() <= TAKEN - 8 * FRAME);
	/* and what is free again is not given to the host at once */
	held = hak_balloon_held();
	hak_free(block);
	CHECK(is_held(held));
	smp_run(spike_here, NULL);
	held = hak_balloon_held();
	CHECK(!broken && held && held < TAKEN / 2 && !hak_check());
	CHECK(is_held(held));
	smp_run(churn, NULL);
	CHECK(!broken && is_held(held));
	test_print("now: short, %zu MiB held\n", held >> 20);
	/* until the host asks for another amount */
	idle_until_held(TAKEN + FRAME);
	test_print("now: inflated again\n");
	idle_until_held(0);
	test_print("now: deflated\n");
	smp_run(spike_here, NULL);
	CHECK(!broken && hak_balloon_held() == 0 && !hak_check());
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
		test_print(error ? "no balloon: %d\n" : "spike, scattered, oom or cost?\n", error);
		return 1;
	}
	hak_init(port_provider());
	switch (argv[1][0]) {
	case 's':
		if (argv[1][1] == 'p')
			TEST_RUN(spike);
		else
			TEST_RUN(scattered);
		break;
	case 'o':
		TEST_RUN(oom);
		break;
	default:
		TEST_RUN(cost);
	}
	return test_finish();
}
