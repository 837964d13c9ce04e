/* SPDX-License-Identifier: MIT */
/*
 * One thread, a heap that neither grows nor shrinks.
 *
 * pair: malloc and free of one size, again and again: what every paper on
 * allocators begins with, and what a function does that needs a buffer for a
 * moment.
 *
 * batch-fifo, -lifo, -random: a thousand blocks of one size, freed in the order
 * of allocation, in reverse, or at random: requests that are collected and then
 * worked off. After the batches of the kernel's slab benchmark
 * (Christoph Lameter's and Jesper Brouer's slab_bulk_test).
 *
 * replace: a block at random is freed and another takes its place: a cache that
 * is full. The inner loop of Larson and Krishnan, "Memory Allocation for
 * Long-Running Server Applications", 1998, without its threads. An operation is
 * one free and one malloc. Sizes are uniform up to 1 KiB, and of equal share for
 * each doubling beyond, as sizes are found to be in programs.
 *
 * latency: the same with a time stamp around every call. Not a mean, but what
 * one call in a thousand, or in ten thousand, makes its caller wait.
 *
 * calloc: replace, with zeroed blocks, of which the user reads the first and
 * writes the last word.
 *
 * large: replace, with 64 blocks of 64 KiB to 8 MiB: images, buffers, tables.
 *
 * bignum: numbers that are computed from others, each in memory of its own,
 * soon dropped: after cfrac (Dave Barrett's factoring by continued fractions, in
 * Zorn's and Grunwald's collection of 1992), where nearly all blocks have less
 * than 100 bytes and live for a few operations.
 *
 * trees: binary trees built and dropped, bottom up: the garbage collectors'
 * benchmark of Ellis, Kovac and Boehm, which others know as binary-trees. Here
 * blocks come in the order in which they go.
 */
#include <string.h>
#include <sys/mman.h>

#include "speed.h"

#define PAIRS	   1000u
#define BATCH	   1000u
#define REPLACES   1000u
#define LARGE_LIVE 64u
#define NUMBERS	   64u
#define LIMBS_MOST 24u
#define TREE_DEPTH 14u

static void **blocks;
static uint32_t *order;
static uint64_t randomness;
static struct mix *mix;

static void nothing(void)
{
}

static uint64_t pair_step(void)
{
	size_t size = parameters.size;

	for (unsigned i = PAIRS; i; i--) {
		unsigned char *block = malloc(size);

		*block = 1;
		__asm__ volatile("" : "+r"(block) : : "memory");
		free(block);
	}
	return PAIRS;
}

/* Who frees the i-th block as the order[i]-th. */
static void batch_prepare(void)
{
	blocks = map_resident(BATCH * sizeof(*blocks));
	order = map_resident(BATCH * sizeof(*order));
	for (uint32_t i = 0; i < BATCH; i++)
		order[i] = i;
}

static void batch_prepare_lifo(void)
{
	batch_prepare();
	for (uint32_t i = 0; i < BATCH; i++)
		order[i] = BATCH - 1 - i;
}

static void batch_prepare_random(void)
{
	batch_prepare();
	randomness = random_seed(0);
	for (uint32_t n = BATCH; n > 1; n--) {
		uint32_t other = random_below(&randomness, n), last = order[n - 1];

		order[n - 1] = order[other];
		order[other] = last;
	}
}

static uint64_t batch_step(void)
{
	size_t size = parameters.size;

	for (unsigned i = 0; i < BATCH; i++) {
		unsigned char *block = allocate(size);

		*block = 1;
		blocks[i] = block;
	}
	for (unsigned i = 0; i < BATCH; i++)
		free(blocks[order[i]]);
	return BATCH;
}

static void prepare_sizes(void)
{
	mix = map_resident(sizeof(*mix));
	if (parameters.most <= 1024)
		mix_uniform(mix, (uint32_t)parameters.least, (uint32_t)parameters.most);
	else
		mix_log_uniform(mix, (uint32_t)parameters.least, (uint32_t)parameters.most);
	randomness = random_seed(0);
}

static void replace_prepare(void)
{
	prepare_sizes();
	blocks = map_resident(parameters.live * sizeof(*blocks));
	for (uint64_t i = 0; i < parameters.live; i++)
		blocks[i] = allocate_touched(mix_size(mix, &randomness));
}

static uint64_t replace_step(void)
{
	for (unsigned i = 0; i < REPLACES; i++) {
		void **place = &blocks[random_below(&randomness, (uint32_t)parameters.live)];

		free(*place);
		*place = allocate_touched(mix_size(mix, &randomness));
	}
	return REPLACES;
}

static void large_prepare(void)
{
	parameters.least = 64 * KIB;
	parameters.most = 8 * MIB;
	parameters.live = LARGE_LIVE;
	replace_prepare();
}

static uint64_t large_step(void)
{
	for (unsigned i = 0; i < LARGE_LIVE; i++) {
		void **place = &blocks[random_below(&randomness, LARGE_LIVE)];

		free(*place);
		*place = allocate_touched(mix_size(mix, &randomness));
	}
	return LARGE_LIVE;
}

const struct workload steady_workloads[] = {
	{ "pair", nothing, pair_step, STEADY, NULL },
	{ "batch-fifo", batch_prepare, batch_step, STEADY, NULL },
	{ "batch-lifo", batch_prepare_lifo, batch_step, STEADY, NULL },
	{ "batch-random", batch_prepare_random, batch_step, STEADY, NULL },
	{ "replace", replace_prepare, replace_step, STEADY, NULL },
	{ "large", large_prepare, large_step, STEADY, NULL },
	{ NULL, NULL, NULL, STEADY, NULL },
};
