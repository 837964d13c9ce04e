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
 * calloc: replace, with zeroed blocks, of which the user reads the first and the
 * last byte, and then writes as ever.
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

#include <cpu.h>

#include "speed.h"

#define PAIRS	    1000u
#define BATCH	    1000u
#define REPLACES    1000u
#define CALLOCS	    100u
#define LARGE_LIVE  64u
#define NUMBERS	    64u
#define DIGITS_MOST 48u
#define TREE_DEPTH  14u

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

/* The i-th to be freed is blocks[order[i]]. */
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

static uint64_t replace(unsigned n)
{
	uint32_t live = (uint32_t)parameters.live;
	uint64_t random = randomness;

	for (unsigned i = 0; i < n; i++) {
		void **place = &blocks[random_below(&random, live)];

		free(*place);
		*place = allocate_touched(mix_size(mix, &random));
	}
	randomness = random;
	return n;
}

static uint64_t replace_step(void)
{
	return replace(REPLACES);
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
	return replace(LARGE_LIVE);
}

/* As replace, but who gets a block counts on its zeros, and then uses it. */
static uint64_t calloc_step(void)
{
	uint32_t live = (uint32_t)parameters.live;
	uint64_t random = randomness;

	for (unsigned i = 0; i < CALLOCS; i++) {
		unsigned char **place = (void *)&blocks[random_below(&random, live)];
		size_t size = mix_size(mix, &random);

		free(*place);
		*place = calloc(1, size);
		if (!*place)
			fail("bench: no memory for %zu bytes\n", size);
		if ((*place)[0] || (*place)[size - 1])
			fail("bench: calloc() has returned what is not zero\n");
		touch(*place, size);
	}
	randomness = random;
	return CALLOCS;
}

/* A number of @n digits, the lowest first. */
struct number {
	uint32_t n;
	uint32_t digits[];
};

static struct number *number_new(uint32_t n)
{
	struct number *number = allocate(sizeof(*number) + n * sizeof(number->digits[0]));

	number->n = n;
	return number;
}

static void bignum_prepare(void)
{
	randomness = random_seed(0);
	blocks = map_resident(NUMBERS * sizeof(*blocks));
	for (unsigned i = 0; i < NUMBERS; i++) {
		struct number *number = number_new(1);

		number->digits[0] = (uint32_t)random_next(&randomness);
		blocks[i] = number;
	}
}

/* All numbers are taken modulo 2^32 to the power of DIGITS_MOST. */
static struct number *number_times(const struct number *a, uint32_t factor)
{
	struct number *product = number_new(a->n < DIGITS_MOST ? a->n + 1 : DIGITS_MOST);
	uint64_t carry = 0;

	for (uint32_t i = 0; i < product->n; i++) {
		carry += i < a->n ? (uint64_t)a->digits[i] * factor : 0;
		product->digits[i] = (uint32_t)carry;
		carry >>= 32;
	}
	return product;
}

static struct number *number_plus(const struct number *a, const struct number *b)
{
	struct number *sum = number_new(a->n > b->n ? a->n : b->n);
	uint64_t carry = 0;

	for (uint32_t i = 0; i < sum->n; i++) {
		carry += i < a->n ? a->digits[i] : 0;
		carry += i < b->n ? b->digits[i] : 0;
		sum->digits[i] = (uint32_t)carry;
		carry >>= 32;
	}
	return sum;
}

/* c = a * f + b, and now and then c is small again: one of them lives, one does not. */
static uint64_t bignum_step(void)
{
	uint64_t state = randomness;

	for (unsigned i = 0; i < REPLACES; i++) {
		uint64_t random = random_next(&state);
		struct number *a = blocks[random % NUMBERS];
		struct number *b = blocks[random / NUMBERS % NUMBERS];
		void **c = &blocks[random / NUMBERS / NUMBERS % NUMBERS];
		struct number *product, *sum;

		if (random >> 60 == 0) {
			free(*c);
			*c = number_new(1);
			((struct number *)*c)->digits[0] = (uint32_t)random;
			continue;
		}
		product = number_times(a, (uint32_t)(random >> 32));
		sum = number_plus(product, b);
		free(product);
		free(*c);
		*c = sum;
	}
	randomness = state;
	return REPLACES;
}

struct node {
	struct node *left, *right;
	uint64_t value;
};

static struct node *tree_new(unsigned depth)
{
	struct node *left = depth ? tree_new(depth - 1) : NULL;
	struct node *right = depth ? tree_new(depth - 1) : NULL;
	struct node *node = allocate(sizeof(*node));

	*node = (struct node){ left, right, depth };
	return node;
}

/* How many nodes there were. */
static uint64_t tree_drop(struct node *node)
{
	uint64_t n = 1;

	if (node->left)
		n += tree_drop(node->left) + tree_drop(node->right);
	free(node);
	return n;
}

/* One tree stays for all the time, as in the original. */
static void trees_prepare(void)
{
	(void)tree_new(TREE_DEPTH);
}

/* Many small trees, and few large ones, of as many nodes in all. */
static uint64_t trees_step(void)
{
	uint64_t nodes = 0;

	for (unsigned depth = 4; depth <= TREE_DEPTH; depth += 2)
		for (unsigned i = 0; i < 1u << (TREE_DEPTH - depth); i++)
			nodes += tree_drop(tree_new(depth));
	return nodes;
}

/* Ticks, at most 3 % too few: 32 buckets for each doubling. */
struct histogram {
	uint64_t counts[64 * 32], n, most;
};

static struct histogram *times[2]; /* of malloc, of free */
static uint64_t stamp_ticks, first_tick, first_ns;

static unsigned bucket_of(uint64_t ticks)
{
	unsigned octave = 63 - (unsigned)__builtin_clzll(ticks | 32);

	return (octave - 5) * 32 + (unsigned)(ticks >> (octave - 5));
}

static uint64_t ticks_of(unsigned bucket)
{
	return bucket < 64 ? bucket : (uint64_t)(bucket % 32 + 32) << (bucket / 32 - 1);
}

static void histogram_add(struct histogram *histogram, uint64_t ticks)
{
	if (!warm)
		return;
	ticks -= ticks < stamp_ticks ? ticks : stamp_ticks;
	histogram->counts[bucket_of(ticks)]++;
	histogram->n++;
	if (histogram->most < ticks)
		histogram->most = ticks;
}

static uint64_t percentile(const struct histogram *histogram, double share)
{
	uint64_t rank = (uint64_t)((double)histogram->n * share), seen = 0;
	unsigned bucket = 0;

	while (bucket < ARRAY_SIZE(histogram->counts) - 1 &&
	       (seen += histogram->counts[bucket]) <= rank)
		bucket++;
	return ticks_of(bucket);
}

/* Nothing before it is still under way, and nothing after it has begun. */
static uint64_t stamp(void)
{
	uint64_t ticks;

	__builtin_ia32_lfence();
	ticks = cpu_read_tsc();
	__builtin_ia32_lfence();
	return ticks;
}

/* What two stamps cost by themselves is taken off each time. */
static void latency_prepare(void)
{
	replace_prepare();
	times[0] = map_resident(sizeof(*times[0]));
	times[1] = map_resident(sizeof(*times[1]));
	stamp_ticks = UINT64_MAX;
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t ticks = stamp();

		ticks = stamp() - ticks;
		if (ticks < stamp_ticks)
			stamp_ticks = ticks;
	}
	first_ns = now_ns();
	first_tick = stamp();
}

static uint64_t latency_step(void)
{
	for (unsigned i = 0; i < REPLACES; i++) {
		void **place = &blocks[random_below(&randomness, (uint32_t)parameters.live)];
		size_t size = mix_size(mix, &randomness);
		uint64_t start = stamp(), freed, allocated;

		free(*place);
		freed = stamp();
		*place = malloc(size);
		allocated = stamp();
		histogram_add(times[1], freed - start);
		histogram_add(times[0], allocated - freed);
		if (!*place)
			fail("bench: no memory for %zu bytes\n", size);
		touch(*place, size);
	}
	return REPLACES;
}

static void latency_print(uint64_t ops)
{
	static const char *const calls[] = { "malloc", "free" };
	static const struct {
		const char *name;
		double share;
	} shares[] = { { "p50", .5 }, { "p99", .99 }, { "p99.9", .999 }, { "p99.99", .9999 } };
	double ns_per_tick = (double)(now_ns() - first_ns) / (double)(stamp() - first_tick);

	(void)ops;
	for (unsigned call = 0; call < 2; call++) {
		for (unsigned i = 0; i < ARRAY_SIZE(shares); i++)
			print(" %s_%s=%.0f", calls[call], shares[i].name,
			      (double)percentile(times[call], shares[i].share) * ns_per_tick);
		print(" %s_max=%.0f", calls[call], (double)times[call]->most * ns_per_tick);
	}
}

const struct workload steady_workloads[] = {
	{ "pair", nothing, pair_step, STEADY, NULL },
	{ "batch-fifo", batch_prepare, batch_step, STEADY, NULL },
	{ "batch-lifo", batch_prepare_lifo, batch_step, STEADY, NULL },
	{ "batch-random", batch_prepare_random, batch_step, STEADY, NULL },
	{ "replace", replace_prepare, replace_step, STEADY, NULL },
	{ "calloc", replace_prepare, calloc_step, STEADY, NULL },
	{ "bignum", bignum_prepare, bignum_step, STEADY, NULL },
	{ "trees", trees_prepare, trees_step, STEADY, NULL },
	{ "latency", latency_prepare, latency_step, STEADY, latency_print },
	{ "large", large_prepare, large_step, STEADY, NULL },
	{ NULL, NULL, NULL, STEADY, NULL },
};
