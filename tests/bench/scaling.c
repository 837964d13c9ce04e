/* SPDX-License-Identifier: MIT */
/*
 * The scaling workload: N blocks of one size are allocated, written, and freed
 * in order. What does the heap need beyond the payload, and what is left of it
 * afterwards? One source for Linux and bare metal.
 *
 *	scaling			100000, 500000 and 1000000 blocks of 16 bytes
 *	scaling N [SIZE]	N blocks of SIZE bytes, as many as there is memory for
 *
 * The array of pointers is not the heap's. "Resident" is what the provider
 * says is backed by memory, descriptors included (on Linux, mincore); where the
 * kernel keeps a figure for the process, that is shown too. Without arguments
 * the least possible is required, see check_row().
 */
#include "../test.h"

#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

struct row {
	const char *name;
	size_t n, size;
	size_t failed;
	uint64_t process_peak; /* bytes that the process has gained */
	struct hak_stats before, peak, freed, flushed;
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
	return now->resident_bytes - row->before.resident_bytes;
}

static uint64_t magazine_share(void)
{
	uint64_t frees = row->flushed.total.frees - row->before.total.frees;
	uint64_t uncached = row->flushed.total.uncached_frees - row->before.total.uncached_frees;

	return share(frees - uncached, frees);
}

static void print_percent(uint64_t hundredths)
{
	test_print(" %4lu.%02lu%%", (unsigned long)(hundredths / 100),
		   (unsigned long)(hundredths % 100));
}

static void print_header(const char *platform)
{
	test_print("\nscaling on %s, bytes in KiB\n\n", platform);
	test_print("%9s %5s | %8s %8s %8s %8s | %6s %8s | %6s %8s | %7s %8s | %13s | %13s\n", "",
		   "", "", "resident", "", "of the", "Super-", "their", "failed", "frees by",
		   "found", "", "after frees", "after flush");
	test_print("%9s %5s | %8s %8s %8s %8s | %6s %8s | %6s %8s | %7s %8s | %6s %6s | %6s %6s\n",
		   "blocks", "size", "payload", "at peak", "overhead", "process", "slabs", "use",
		   "", "magazine", "empty", "released", "active", "KiB", "active", "KiB");
}

static void print_row(void)
{
	uint64_t superslabs = row->peak.superslabs_active;

	test_print("%9zu %5zu | %8lu %8lu", row->n, row->size, (unsigned long)(payload() >> 10),
		   (unsigned long)(gained(&row->peak) >> 10));
	print_percent(overhead(gained(&row->peak)));
	print_percent(overhead(row->process_peak));
	test_print(" | %6lu", (unsigned long)superslabs);
	print_percent(share(payload(), superslabs * HAK_SUPERSLAB_SIZE));
	test_print(" | %6zu", row->failed);
	print_percent(magazine_share());
	test_print(
		" | %7lu %8lu",
		(unsigned long)(row->flushed.superslabs_emptied - row->before.superslabs_emptied),
		(unsigned long)(row->flushed.superslabs_released -
				row->before.superslabs_released));
	test_print(" | %6lu %6lu", (unsigned long)row->freed.superslabs_active,
		   (unsigned long)(gained(&row->freed) >> 10));
	test_print(" | %6lu %6lu\n", (unsigned long)row->flushed.superslabs_active,
		   (unsigned long)(gained(&row->flushed) >> 10));
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
	size_t n, size = 16;

	if (argc > 3 || !parse(argv[1], &n) || (argc > 2 && !parse(argv[2], &size))) {
		test_print("usage: scaling [N [SIZE]]\n");
		return 2;
	}
	print_header(port_name());
	if (!run("scaling_as_given", n, size))
		return 1;
	print_row();
	test_print("\n");
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
	print_header(port_name());
	for (size_t i = 0; i < 3; i++) {
		row = &rows[i];
		if (!run(asked[i].name, asked[i].n, 16))
			return 1;
		print_row();
	}
	test_print("\n");
	for (row = rows; row < rows + 3; row++)
		test_run(row->name, check_row);
	return test_finish();
}
