/* SPDX-License-Identifier: MIT */
/*
 * A long uptime in a small machine: how many requests fail that would not if no byte was lost
 * to fragmentation? The program's traffic changes all the time: five kinds of it, one after
 * another, while the blocks of the last kind are still dying out. The live bytes rise from 3/4
 * of a limit to the limit, again and again. The limit is a share of the machine's memory.
 *
 *	soak.elf PERCENT MILLIONS MOST [SEED]
 *
 * PERCENT of the memory are the limit; MILLIONS of operations are done, in cycles of ten; of
 * the requests of a cycle, MOST may fail. The idea, to change the distribution of sizes under
 * a heap that is kept nearly full, is that of the simulations in P. R. Wilson et al., "Dynamic
 * Storage Allocation: A Survey and Critical Review" (1995). hak_check() looks after every
 * million. Every block is marked at both ends, and must be so when it is freed.
 */
#include <frames.h>

#include "../test.h"

#include <hakmem/hakmem.h>

#define MOST_LIVE     800000u
#define OPS_PER_KIND  2000000u
#define OPS_PER_RISE  400000u /* the live bytes rise in four steps */
#define OPS_PER_IDLE  20000u
#define OPS_PER_CHECK 1000000u
#define NR_KINDS      5u

struct block {
	unsigned char *at;
	uint32_t size;
};

static struct block blocks[MOST_LIVE];
static unsigned live;
static size_t live_bytes, limit;
static uint64_t random_state;

static struct {
	unsigned long failed, large; /* requests of this cycle; above 4 KiB */
} cycle;

static uint32_t draw_between(uint64_t number, uint32_t least, uint32_t most)
{
	return least + (uint32_t)((number >> 32) % (most - least + 1));
}

static uint32_t draw_size(unsigned kind)
{
	uint64_t number = test_random(&random_state);
	uint32_t low;

	switch (kind) {
	case 0: /* nodes of lists and trees */
		return draw_between(number, 16, 128);
	case 1: /* packets */
		return draw_between(number, 200, 2000);
	case 2: /* anything, equally much of each doubling */
		low = 16u << number % 12;
		return draw_between(number, low, 2 * low - 1);
	case 3: /* buffers */
		return draw_between(number, 1000, 8000);
	default: /* small ones, and now and then an image */
		return number % 50 ? draw_between(number, 24, 324)
				   : draw_between(number, 20000, 300000);
	}
}

static unsigned char mark_of(const struct block *block)
{
	return (unsigned char)(((uintptr_t)block->at >> 4) + block->size);
}

static void free_one(unsigned i)
{
	struct block *block = &blocks[i];

	if (block->at[0] != mark_of(block) || block->at[block->size - 1] != mark_of(block))
		test_fail(__FILE__, __LINE__, "a block is what its owner wrote");
	hak_free(block->at);
	live_bytes -= block->size;
	*block = blocks[--live];
}

static void free_any(void)
{
	if (live)
		free_one((unsigned)(test_random(&random_state) % live));
}

static void allocate(unsigned kind)
{
	struct block *block = &blocks[live];

	block->size = draw_size(kind);
	if (live_bytes + block->size > limit)
		block->size = 16;
	block->at = hak_malloc(block->size);
	if (!block->at) {
		cycle.failed++;
		cycle.large += block->size > 4096;
		free_any();
		return;
	}
	block->at[0] = block->at[block->size - 1] = mark_of(block);
	live_bytes += block->size;
	live++;
}

/* 3/4 of the limit, then more and more, and from the start. */
static size_t wanted_bytes(unsigned op)
{
	return limit - limit / 4 * (3 - op % OPS_PER_RISE / (OPS_PER_RISE / 4)) / 3;
}

static void operate(unsigned kind, unsigned op)
{
	if (live_bytes < wanted_bytes(op) && live < MOST_LIVE)
		allocate(kind);
	else
		free_any();
	if (op % 2)
		free_any();
	if (op % OPS_PER_IDLE == 0)
		hak_idle(8);
	if (op % OPS_PER_CHECK == 0 && hak_check())
		test_fail(__FILE__, __LINE__, hak_check());
}

/* Is there a block of nearly all the memory, when everything was freed? */
static bool is_whole(size_t memory)
{
	void *block = hak_malloc(memory - memory / 20);

	hak_free(block);
	return block;
}

static unsigned long arguments[3];

static void soak(void)
{
	size_t memory = hak_frames_free() * HAK_SUPERSLAB_SIZE;
	unsigned long cycles = (arguments[1] + 9) / 10, most = arguments[2];

	CHECK(hak_init(port_provider()));
	limit = memory / 100 * arguments[0];
	test_print("%zu MiB, of which %lu %% are live\n", memory >> 20, arguments[0]);
	for (unsigned long i = 0; i < cycles; i++) {
		cycle.failed = cycle.large = 0;
		for (unsigned kind = 0; kind < NR_KINDS; kind++)
			for (unsigned op = 0; op < OPS_PER_KIND; op++)
				operate(kind, op);
		test_print("10 M operations: %lu requests failed, %lu of them above 4 KiB\n",
			   cycle.failed, cycle.large);
		CHECK(!test_has_failed());
		CHECK(cycle.failed <= most);
	}
	while (live)
		free_one(live - 1);
	hak_trim(HAK_TRIM_ALL);
	CHECK(!hak_check());
	CHECK(is_whole(memory));
	hak_fini();
	CHECK(hak_frames_free() == hak_frames_total());
}

int main(int argc, char **argv)
{
	unsigned long seed;

	for (int i = 0; i < 3; i++) {
		const char *text = i + 1 < argc ? argv[i + 1] : "";

		arguments[i] = test_number(&text);
	}
	if (!arguments[0] || arguments[0] > 100 || !arguments[1]) {
		test_print("soak: PERCENT MILLIONS MOST [SEED]\n");
		return 2;
	}
	random_state = 99;
	if (argc > 4) {
		const char *text = argv[4];

		seed = test_number(&text);
		random_state = seed ? seed : 1;
	}
	TEST_RUN(soak);
	return test_finish();
}
