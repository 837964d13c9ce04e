/* SPDX-License-Identifier: MIT */
/*
 * How much stack the functions need: each is called on a stack of its own, which is filled
 * with a pattern before. Prints the most of each.
 *
 *	stack NAME	NAME is for the names of the tests
 *
 * What the C library needs counts as well. So this is linked with -z now, as the dynamic
 * linker needs more than we do, and runs without a thread of the library.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <hakmem/stats.h>

#include "../stack_use.h"
#include "check.h"

#define STACK (256 << 10)

static unsigned char *stack;

static void *block[2000];
static unsigned long seed = 1;

static size_t random_size(void)
{
	seed = seed * 6364136223846793005ul + 1442695040888963407ul;
	return ((size_t)1 << (seed >> 33) % 23) + (seed >> 40) % 1000;
}

static void nothing(void)
{
}

static void first_malloc(void)
{
	block[0] = malloc(100);
}

static void many_mallocs(void)
{
	for (unsigned i = 1; i < 2000; i++)
		block[i] = malloc(random_size());
}

static void many_frees(void)
{
	for (unsigned i = 0; i < 2000; i++) {
		unsigned j = i * 1009 % 2000;

		free(block[j]);
		block[j] = NULL;
	}
}

static void large_blocks(void)
{
	for (unsigned i = 0; i < 30; i++)
		block[i] = malloc((size_t)16 << 20);
	for (unsigned i = 0; i < 30; i++) {
		free(block[i]);
		block[i] = NULL;
	}
}

static void many_reallocs(void)
{
	void *volatile one = NULL;

	for (size_t size = 1; size < (size_t)64 << 20; size = size * 3 / 2 + 1)
		one = realloc(one, size);
	for (size_t size = (size_t)64 << 20; size; size = size / 3)
		one = realloc(one, size);
	for (unsigned i = 0; i < 2000; i++)
		block[i % 100] = realloc(block[i % 100], random_size());
	free(one);
	for (unsigned i = 0; i < 100; i++) {
		free(block[i]);
		block[i] = NULL;
	}
}

static void many_callocs(void)
{
	for (unsigned i = 0; i < 1000; i++)
		block[i] = calloc(i, 700);
}

static void many_memaligns(void)
{
	for (unsigned i = 1000; i < 2000; i++)
		block[i] = memalign((size_t)1 << i % 22, random_size());
}

static void usable_sizes(void)
{
	for (unsigned i = 0; i < 2000; i++)
		malloc_usable_size(block[i]);
}

static void trim(void)
{
	malloc_trim(0);
}

static void info(void)
{
	mallinfo2();
}

static FILE *sink;

static void write_info(void)
{
	malloc_info(0, sink);
}

__attribute__((weak)) void hak_stats_read(struct hak_stats *stats, size_t size);
__attribute__((weak)) void hak_stats_text(hak_sink *to, void *ctx);
__attribute__((weak)) void hak_stats_json(hak_sink *to, void *ctx);
__attribute__((weak)) void hak_dump(hak_sink *to, void *ctx);
__attribute__((weak)) void hak_top(hak_sink *to, void *ctx);
__attribute__((weak)) void hak_dump_json(hak_sink *to, void *ctx);

static void drop(void *ctx, const char *text, size_t length)
{
	(void)ctx, (void)text, (void)length;
}

static void read_stats(void)
{
	static struct hak_stats stats;

	if (hak_stats_read)
		hak_stats_read(&stats, sizeof(stats));
}

static void text(void)
{
	if (hak_stats_text)
		hak_stats_text(drop, NULL);
}

static void json(void)
{
	if (hak_stats_json)
		hak_stats_json(drop, NULL);
}

static void dump(void)
{
	if (hak_dump)
		hak_dump(drop, NULL);
}

static void dump_json(void)
{
	if (hak_dump_json)
		hak_dump_json(drop, NULL);
}

static void top(void)
{
	if (hak_top)
		hak_top(drop, NULL);
}

static const struct row {
	const char *name;
	void (*function)(void);
	size_t most;
} rows[] = {
	{ "first malloc", first_malloc, 2048 },
	{ "malloc", many_mallocs, 2048 },
	{ "free", many_frees, 2048 },
	{ "large blocks", large_blocks, 2048 },
	{ "realloc", many_reallocs, 2048 },
	{ "calloc", many_callocs, 2048 },
	{ "memalign", many_memaligns, 2048 },
	{ "malloc_usable_size", usable_sizes, 2048 },
	{ "mallinfo2", info, 2048 },
	{ "malloc_stats", malloc_stats, 6144 },
	{ "malloc_info", write_info, 6144 },
	{ "hak_stats_read", read_stats, 6144 },
	{ "hak_stats_text", text, 6144 },
	{ "hak_stats_json", json, 6144 },
	{ "hak_dump", dump, 6144 },
	{ "hak_dump_json", dump_json, 6144 },
	{ "hak_top", top, 6144 },
	{ "free", many_frees, 2048 },
	{ "malloc_trim", trim, 2048 },
};

static void little_stack_suffices(void)
{
	size_t base = stack_use(stack, STACK, nothing);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t bytes = stack_use(stack, STACK, rows[i].function) - base;

		fprintf(stdout, "%s: %zu bytes of stack\n", rows[i].name, bytes);
		if (bytes > rows[i].most)
			fail(__FILE__, __LINE__, rows[i].name);
	}
}

static const struct api_test tests[] = {
	TEST(little_stack_suffices),
};

int main(int argc, char **argv)
{
	static char room[1 << 16];

	stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sink = fmemopen(room, sizeof(room), "w");
	if (stack == MAP_FAILED || !sink || !freopen("/dev/null", "w", stderr))
		return 2;
	return run_tests(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
