/* SPDX-License-Identifier: MIT */
/*
 * The scaling workload: N blocks of one size are allocated, written, and freed
 * in order. What does the heap need beyond the payload, and what is left of it
 * afterwards? One source for Linux and bare metal.
 *
 *	scaling			100000, 500000 and 1000000 blocks of 16 bytes
 *	scaling N [SIZE]	N blocks of SIZE bytes, as many as there is memory for
 *
 * `make demo` runs it, and README.md shows what it prints (tests/bench/demo.sh compares
 * the two). The array of pointers is not the heap's. "Resident" is what the provider says is
 * backed by memory, descriptors included (on Linux, mincore). Without arguments the least
 * possible is required, see check_row().
 */
#include "../test.h"

#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

#define BLOCK 16 /* bytes, unless another size is asked for */

struct row {
	const char *name;
	size_t n, size;
	size_t failed;
	uint64_t process_peak; /* bytes that the process has gained */
	struct hak_stats before, peak, freed, flushed, trimmed;
};

static struct row rows[3];
static struct row *row;

static void allocate_all(void **blocks)
{
	for (size_t i = 0; i < row->n; i++) {
		blocks[i] = hak_malloc(row->size);
		if (blocks[i])
			__builtin_memset(blocks[i], (int)i, row->size);
		else
			row->failed++;
	}
}

static void free_all(void **blocks)
{
	for (size_t i = 0; i < row->n; i++)
		hak_free(blocks[i]);
}

static bool run(const char *name, size_t n, size_t size)
{
	size_t array = (n * sizeof(void *) + HAK_SUPERSLAB_SIZE - 1) & ~(HAK_SUPERSLAB_SIZE - 1);
	void **blocks = port_map(array);
	uint64_t before;

	if (!blocks) {
		test_print("no memory for an array of %zu pointers\n", n);
		return false;
	}
	*row = (struct row){ .name = name, .n = n, .size = size };
	__builtin_memset(blocks, 0xff, array); /* all of it resident from here on */
	hak_trim(HAK_TRIM_ALL);
	hak_stats_read(&row->before, sizeof(row->before));
	before = port_resident();
	allocate_all(blocks);
	row->process_peak = port_resident() - before;
	hak_stats_read(&row->peak, sizeof(row->peak));
	free_all(blocks);
	hak_stats_read(&row->freed, sizeof(row->freed));
	hak_flush();
	hak_stats_read(&row->flushed, sizeof(row->flushed));
	hak_trim(HAK_TRIM_ALL);
	hak_stats_read(&row->trimmed, sizeof(row->trimmed));
	port_unmap(blocks, array);
	return true;
}

/* @part of @whole in hundredths of a percent. */
static uint64_t share(uint64_t part, uint64_t whole)
{
	return whole ? part * 10000 / whole : 0;
}

static uint64_t payload(void)
{
	return (uint64_t)(row->n - row->failed) * row->size;
}

static uint64_t overhead(uint64_t resident)
{
	return resident > payload() ? share(resident - payload(), payload()) : 0;
}

/* Memory gained since the row began; the empty heap's own is not its doing. */
static uint64_t gained(const struct hak_stats *now)
{
	uint64_t before = row->before.resident_bytes;

	return now->resident_bytes > before ? now->resident_bytes - before : 0;
}

static uint64_t magazine_share(void)
{
	uint64_t frees = row->flushed.total.frees - row->before.total.frees;
	uint64_t uncached = row->flushed.total.uncached_frees - row->before.total.uncached_frees;

	return share(frees - uncached, frees);
}

static void print_percent(uint64_t hundredths)
{
	test_print(" %5lu.%02lu%%", (unsigned long)(hundredths / 100),
		   (unsigned long)(hundredths % 100));
}

static void print_header(size_t size)
{
	test_print("\nscaling on %s: blocks of %zu bytes; memory in KiB\n\n", port_name(), size);
	test_print("%9s %9s %9s %9s %10s %9s %7s %7s\n", "blocks", "payload", "resident",
		   "overhead", "SuperSlabs", "cached", "failed", "left");
}

static void print_row(void)
{
	test_print("%9zu %9lu %9lu", row->n, (unsigned long)(payload() >> 10),
		   (unsigned long)(gained(&row->peak) >> 10));
	print_percent(overhead(gained(&row->peak)));
	test_print(" %10lu", (unsigned long)row->peak.superslabs_active);
	print_percent(magazine_share());
	test_print(" %7zu %7lu\n", row->failed, (unsigned long)(gained(&row->trimmed) >> 10));
}

static void explain(const char *column, const char *sentence)
{
	test_print("%-11s %s\n", column, sentence);
}

static void print_legend(void)
{
	bool pages = port_counts_pages();

	test_print("\n");
	explain("resident",
		pages ? "Pages of 4 KiB that are in memory, the heap's records included."
		      : "Frames of 2 MiB in use, which hold SuperSlabs, and the records of these.");
	explain("overhead",
		pages ? "By how much they exceed the payload: all that the heap costs."
		      : "By how much they exceed the payload; later blocks can use it.");
	explain("SuperSlabs", "Pieces of 2 MiB in use: as few as can hold the payload.");
	explain("cached", "Frees that put the block into a magazine: these take no lock.");
	explain("failed", "Calls that got no memory.");
	explain("left", "Resident when all is freed and given back.");
	test_print("\n");
}

/*
 * The least possible number of SuperSlabs, whatever the blocks' number; nothing
 * failed, no call uncached, nothing left but the reserve. At a million blocks,
 * where pages are counted one by one, 1.3 % for all bitmaps, descriptors, the
 * page map and the magazines together.
 */
static void check_row(void)
{
	uint64_t least = (payload() + HAK_SUPERSLAB_SIZE - 1) / HAK_SUPERSLAB_SIZE;

	CHECK(row->failed == 0);
	CHECK(magazine_share() == 10000);
	CHECK(row->peak.superslabs_active == least);
	CHECK(row->peak.total.live_blocks == row->n);
	/* magazines keep nothing alive, even before they are flushed */
	CHECK(row->freed.superslabs_active == row->freed.superslabs_reserve);
	CHECK(row->flushed.total.live_blocks == 0);
	CHECK(row->flushed.total.magazine_blocks == 0);
	CHECK(row->flushed.superslabs_active == row->flushed.superslabs_reserve);
	CHECK(row->flushed.superslabs_active <= 1);
	CHECK(row->trimmed.superslabs_active == 0);
	CHECK(hak_check() == NULL);
	if (port_counts_pages() && row->n == 1000000) {
		CHECK(overhead(gained(&row->peak)) <= 130);
		CHECK(overhead(row->process_peak) <= 130);
	}
}

static bool parse(const char *text, size_t *value)
{
	*value = 0;
	for (; *text >= '0' && *text <= '9'; text++)
		*value = *value * 10 + (size_t)(*text - '0');
	return !*text && *value && *value < (size_t)1 << 32;
}

/* Whatever was asked for: it could be had, and nothing is left of it. */
static void check_given(void)
{
	CHECK(row->failed == 0);
	CHECK(row->flushed.total.live_blocks == 0);
	CHECK(row->flushed.superslabs_active == row->flushed.superslabs_reserve);
	CHECK(hak_check() == NULL);
}

static int run_given(int argc, char **argv)
{
	size_t n, size = BLOCK;

	if (argc > 3 || !parse(argv[1], &n) || (argc > 2 && !parse(argv[2], &size))) {
		test_print("usage: scaling [N [SIZE]]\n");
		return 2;
	}
	print_header(size);
	if (!run("scaling_as_given", n, size))
		return 1;
	print_row();
	print_legend();
	test_run(row->name, check_given);
	return test_finish();
}

int main(int argc, char **argv)
{
	static const struct row asked[] = {
		{ .name = "scaling_100000", .n = 100000 },
		{ .name = "scaling_500000", .n = 500000 },
		{ .name = "scaling_1000000", .n = 1000000 },
	};

	hak_init(port_provider());
	row = rows;
	if (argc > 1)
		return run_given(argc, argv);
	print_header(BLOCK);
	for (size_t i = 0; i < 3; i++) {
		row = &rows[i];
		if (!run(asked[i].name, asked[i].n, BLOCK))
			return 1;
		print_row();
	}
	print_legend();
	for (row = rows; row < rows + 3; row++)
		test_run(row->name, check_row);
	return test_finish();
}
