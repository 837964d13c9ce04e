/* SPDX-License-Identifier: MIT */
/*
 * What a heap costs a process in resident memory, and what comes back when it
 * shrinks: for any malloc, which is preloaded.
 *
 *	memory WORKLOAD VARIANT [OPTION=NUMBER ...]
 *
 * A run is one workload in a fresh process. Of spike and sawtooth "ns" is what one
 * block's allocation and free took, writing included, "peak_kib" the most that was
 * resident, as in bench.c. Each measurement is a line
 * "WORKLOAD VARIANT key=value ...", which memory.sh makes a table of.
 *
 * Resident is what the kernel says (Rss of /proc/self/smaps_rollup), net what
 * the process has gained since the workload began. Tables of pointers and all
 * else that is not the heap's are resident before that, and nothing allocates
 * but the workload. Huge pages are switched off: they would hide which pages
 * were touched. Blocks are written when they are allocated, and those that
 * survive are compared at the end: a malloc that gives back what is in use
 * fails here.
 */
#define _GNU_SOURCE /* MAP_NORESERVE */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "memory.h"

#define PAGE_SHIFT 12
#define TRACE_MOST 4096u
#define ADDRESSES  ((uint64_t)1 << 47)

static const struct workload {
	const char *name;
	const char *variants[5];
	void (*run)(const char *variant);
} workloads[] = {
	{ "small", { "forward", "reverse", "random" }, run_small },
	{ "spike", { "all", "scattered", "neighbour", "neighbour-all" }, run_spike },
	{ "sawtooth", { "stack" }, run_sawtooth },
	{ "replace", { "steady" }, run_replace },
	{ "aging", { "phases" }, run_aging },
	{ "idle", { "all", "scattered" }, run_idle },
};

struct options options = {
	.delay = 500,
	.sample = 10,
	.ops = 20000000,
	.seconds = 10,
	.keep = 1024,
	.mib = 0, /* as much as the workload has by itself */
	.teeth = 20,
	.pause = 50,
	.settle = 2000,
};

static const struct option option_names[] = {
	{ "seed", &random_run },       { "light", &options.light },
	{ "delay", &options.delay },   { "sample", &options.sample },
	{ "ops", &options.ops },       { "seconds", &options.seconds },
	{ "keep", &options.keep },     { "mib", &options.mib },
	{ "teeth", &options.teeth },   { "pause", &options.pause },
	{ "settle", &options.settle }, { "trace", &options.trace },
};

static uint64_t at_first;    /* bytes, resident */
static unsigned char *pages; /* a bit for each page that there can be */
static uint64_t pages_set;

static pthread_t trace_thread;
static atomic_bool trace_stop;
static uint64_t trace_ms[TRACE_MOST], trace_kib[TRACE_MOST];
static unsigned trace_n;

static uint64_t resident(void)
{
	return read_number("/proc/self/smaps_rollup", "\nRss:") * KIB;
}

/* Twice, and with a block: the code of what is used later belongs to the base. */
void net_begin(void)
{
	struct block block = block_new(16);

	block_free(&block);
	sleep_ms(1);
	at_first = resident();
	at_first = resident();
}

uint64_t net(void)
{
	uint64_t now = resident();

	return now > at_first ? now - at_first : 0;
}

static void *trace_main(void *unused)
{
	uint64_t start = now_ns();

	(void)unused;
	while (!trace_stop && trace_n < TRACE_MOST) {
		trace_kib[trace_n] = net() / KIB;
		trace_ms[trace_n++] = (now_ns() - start) / 1000000;
		sleep_ms(options.trace);
	}
	return NULL;
}

void trace_begin(void)
{
	if (options.trace && pthread_create(&trace_thread, NULL, trace_main, NULL))
		fail("memory: cannot start a thread\n");
}

void trace_end(void)
{
	trace_stop = true;
	if (options.trace)
		pthread_join(trace_thread, NULL);
	for (unsigned i = 0; i < trace_n; i++)
		print("trace %llu %llu\n", (unsigned long long)trace_ms[i],
		      (unsigned long long)trace_kib[i]);
}

/* Odd, so that pages which were given back, and read zero, are noticed. */
static unsigned char pattern_of(const struct block *block)
{
	uint64_t hash = ((uintptr_t)block->base ^ block->size) * 0x9e3779b97f4a7c15u;

	return (unsigned char)(hash >> 56 | 1);
}

struct block block_new(uint32_t size)
{
	struct block block = { malloc(size), size };

	if (!block.base)
		fail("memory: no memory for %u bytes\n", size);
	memset(block.base, pattern_of(&block), size);
	return block;
}

void block_free(struct block *block)
{
	free(block->base);
	block->base = NULL;
}

void blocks_check(const struct block *blocks, size_t n)
{
	for (const struct block *block = blocks; block < blocks + n; block++) {
		if (!block->base)
			continue;
		if (block->base[0] != pattern_of(block) ||
		    memcmp(block->base, block->base + 1, block->size - 1))
			fail("memory: the %u bytes at %p are not what was written\n", block->size,
			     (void *)block->base);
	}
}

void floor_begin(void)
{
	pages = map_memory(ADDRESSES >> PAGE_SHIFT >> 3, MAP_NORESERVE);
	pages_set = 0;
}

void floor_add(const struct block *blocks, size_t n)
{
	for (const struct block *block = blocks; block < blocks + n; block++) {
		uint64_t page = (uintptr_t)block->base >> PAGE_SHIFT;
		uint64_t last = ((uintptr_t)block->base + block->size - 1) >> PAGE_SHIFT;

		for (; block->base && page <= last; page++) {
			unsigned char bit = (unsigned char)(1 << page % 8);

			pages_set += !(pages[page / 8] & bit);
			pages[page / 8] |= bit;
		}
	}
}

uint64_t floor_end(void)
{
	munmap(pages, ADDRESSES >> PAGE_SHIFT >> 3);
	return pages_set << PAGE_SHIFT;
}

static const struct workload *find_workload(const char *name, const char *variant)
{
	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++)
		for (const char *const *v = workloads[i].variants; *v; v++)
			if (!strcmp(name, workloads[i].name) && !strcmp(variant, *v))
				return &workloads[i];
	return NULL;
}

static _Noreturn void usage(void)
{
	print("usage: memory WORKLOAD VARIANT [OPTION=NUMBER ...]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++)
		for (const char *const *v = workloads[i].variants; *v; v++)
			print("%10s %s\n", workloads[i].name, *v);
	print("\n");
	options_print(option_names, ARRAY_SIZE(option_names));
	exit(2);
}

int main(int argc, char **argv)
{
	const struct workload *workload = argc < 3 ? NULL : find_workload(argv[1], argv[2]);

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	if (!workload)
		usage();
	for (int i = 3; i < argc; i++)
		if (!options_parse(option_names, ARRAY_SIZE(option_names), argv[i]))
			usage();
	workload->run(argv[2]);
	return 0;
}
