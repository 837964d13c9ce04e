/* SPDX-License-Identifier: MIT */
/*
 * How much stack does each function of the library need? It is called on a stack of its own,
 * which is filled with a pattern before. What the headers promise is the limit. The machine has
 * 64 MiB and a balloon.
 */
#include <balloon.h>
#include <base/base.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

#include "../stack_use.h"
#include "../test.h"

#define STACK (16 << 10)

static unsigned char stack[STACK] __attribute__((aligned(16)));

static struct hak_stats stats;
static void *blocks[3000];
static uint64_t random = 1;

static size_t random_size(void)
{
	return ((size_t)1 << test_random(&random) % 22) + test_random(&random) % 1000;
}

static void use_malloc(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++)
		blocks[i] = hak_malloc(random_size());
}

static void use_free(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
		hak_free(blocks[i]);
		blocks[i] = NULL;
	}
}

static void use_realloc(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
		void *block = hak_realloc(blocks[i], random_size());

		blocks[i] = block ? block : blocks[i];
	}
}

static void use_aligned(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i += 3) {
		hak_free(blocks[i]);
		blocks[i] = hak_aligned_alloc((size_t)8 << i % 16, random_size());
		hak_free(blocks[i + 1]);
		blocks[i + 1] = hak_calloc(3, random_size());
		hak_free_sized(hak_zalloc(100), 100);
	}
}

/* The smallest blocks until there is no memory, then larger ones: gaps are looked for. */
static void fill(void)
{
	static void *first;
	void *block;

	for (size_t size = 1 << 20; size >= 1024; size /= 2)
		while ((block = hak_malloc(size))) {
			*(void **)block = first;
			first = block;
		}
	for (unsigned i = 0; first; first = block, i++) {
		block = *(void **)first;
		hak_free(first);
		if (i % 64 == 0)
			hak_free(hak_malloc(40000));
	}
}

static void use_idle(void)
{
	while (hak_idle(8))
		;
}

static void use_flush(void)
{
	hak_flush();
}

static void use_trim(void)
{
	hak_trim(HAK_TRIM_OWN);
	hak_trim(HAK_TRIM_ALL);
}

static void use_check(void)
{
	hak_check();
}

static void sink(void *ctx, const char *text, size_t length)
{
	(void)ctx;
	(void)text;
	(void)length;
}

static void use_read(void)
{
	hak_stats_read(&stats, sizeof(stats));
}

static void use_row(void)
{
	struct hak_class_stats row;

	for (unsigned i = 0; hak_stats_row(i, &row, sizeof(row)); i++)
		stats.total.slabs += row.slabs;
}

static void use_text(void)
{
	hak_stats_text(sink, NULL);
}

static void use_json(void)
{
	hak_stats_json(sink, NULL);
}

static void use_dump(void)
{
	hak_dump(sink, NULL);
}

static void use_dump_json(void)
{
	hak_dump_json(sink, NULL);
}

static void use_top(void)
{
	hak_top(sink, NULL);
}

static void use_regions(void)
{
	struct hak_region_held held;

	hak_region_remove((size_t)24 << 20, (size_t)5 << 20, &held);
	hak_region_remove((size_t)8 << 20, (size_t)60 << 20, &held);
	hak_region_add((size_t)24 << 20, (size_t)5 << 20);
}

static void use_pages(void)
{
	hak_pages_free(hak_pages_alloc(3, 0, 0, 0), 3);
	hak_pages_free(hak_pages_alloc(700, (uint64_t)1 << 32, 1 << 14, 1 << 22), 700);
}

static void use_balloon(void)
{
	hak_balloon_start(HAK_BALLOON_MICROVM, HAK_BALLOON_MICROVM_COUNT);
}

static void use_poll(void)
{
	while (hak_balloon_poll())
		;
}

static void use_init(void)
{
	hak_init(&hak_frames_provider);
}

static void use_fini(void)
{
	hak_fini();
}

static void stack_is_as_promised(void)
{
	static const struct {
		void (*function)(void);
		const char *name;
		size_t most;
	} calls[] = {
		{ use_balloon, "hak_balloon_start", 1536 },
		{ use_init, "hak_init", 1536 },
		{ use_malloc, "hak_malloc", 1536 },
		{ use_free, "hak_free", 1536 },
		{ use_malloc, "hak_malloc", 1536 },
		{ use_realloc, "hak_realloc", 1536 },
		{ use_aligned, "hak_aligned_alloc", 1536 },
		{ use_read, "hak_stats_read", 2048 },
		{ use_row, "hak_stats_row", 2048 },
		{ use_text, "hak_stats_text", 2048 },
		{ use_json, "hak_stats_json", 2048 },
		{ use_dump, "hak_dump", 2048 },
		{ use_top, "hak_top", 2048 },
		{ use_dump_json, "hak_dump_json", 2048 },
		{ use_check, "hak_check", 1536 },
		{ use_regions, "hak_region_remove", 1536 },
		{ use_flush, "hak_flush", 1536 },
		{ use_idle, "hak_idle", 1536 },
		{ use_free, "hak_free", 1536 },
		{ use_trim, "hak_trim", 1536 },
		{ fill, "hak_malloc, in full memory", 1536 },
		{ use_pages, "hak_pages_alloc", 1536 },
		{ use_poll, "hak_balloon_poll", 1536 },
		{ use_fini, "hak_fini", 1536 },
	};
	bool is_kept = true;

	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		size_t used = stack_use(stack, STACK, calls[i].function);

		test_print("%s: %zu bytes of stack\n", calls[i].name, used);
		is_kept = is_kept && used <= calls[i].most;
	}
	CHECK(is_kept);
}

int main(void)
{
	TEST_RUN(stack_is_as_promised);
	return test_finish();
}
