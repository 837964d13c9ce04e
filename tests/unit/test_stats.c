/* SPDX-License-Identifier: MIT */
/*
 * core/diag/stats.c: exact counts after known calls, equations that always hold, a
 * snapshot of any size, text and JSON that can be read and agree with it.
 */
#include "unit.h"

#include <hakmem/stats.h>
#include <slab/blocks.h>
#include <cache/magazine.h>
#include <pages/meta.h>
#include <base/sizeclass.h>

#define CLASS_64 5
#define CLASS_1K 21

/* Too large for the stack of a small machine. */
static struct hak_stats stats;
static void *blocks[300];

static const struct hak_class_stats *of_class(unsigned class)
{
	unsigned row = class - CLASS_FIRST;

	/* those of the bitmaps have none */
	return &stats.classes[class < CLASS_SPAN_FIRST
				      ? row
				      : row - (NR_SLAB_CLASSES - CLASS_BITMAP_512)];
}

static void read_stats(void)
{
	__builtin_memset(&stats, 0xff, sizeof(stats));
	hak_stats_read(&stats, sizeof(stats));
}

static bool row_holds(unsigned class, const struct hak_class_stats *row)
{
	struct class_counters below;

	stats_read_blocks(class, &below);
	return row->block_bytes == size_class[class].size &&
	       row->allocations - row->uncached_allocations == row->magazine_hits + row->refills &&
	       row->allocations - row->frees == row->live_blocks &&
	       row->live_blocks + row->magazine_blocks == blocks_outstanding(class) &&
	       row->live_bytes == row->live_blocks * row->block_bytes &&
	       row->refills <= row->magazine_misses && row->slabs == below.slabs;
}

static void add_up(struct hak_class_stats *sum, const struct hak_class_stats *row)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)row;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

/* Every equation there is between the numbers of one snapshot. */
static bool stats_hold(void)
{
	struct hak_class_stats sum = { 0 };

	read_stats();
	for_each_class(class)
	{
		if (!row_holds(class, of_class(class)))
			return false;
		add_up(&sum, of_class(class));
	}
	add_up(&sum, &stats.spans);
	sum.block_bytes = 0;
	if (__builtin_memcmp(&sum, &stats.total, sizeof(sum)) != 0)
		return false;
	return stats.slabs_used == stats.total.slabs + stats.bitmap_slabs &&
	       stats.superslabs_active == stats.superslabs_mapped - stats.superslabs_released &&
	       stats.superslabs_peak >= stats.superslabs_active &&
	       stats.superslabs_reserve <= stats.superslabs_active &&
	       stats.mapped_bytes == stats.superslabs_active * SUPERSLAB_SIZE + stats.meta_bytes &&
	       stats.mapped_bytes == unit_fake.outstanding &&
	       stats.meta_bytes == unit_fake.outstanding - unit_fake.outstanding_heap &&
	       stats.requested_bytes >= stats.mapped_bytes &&
	       stats.provider_purges <= unit_fake.calls[FAKE_PURGE] &&
	       stats.purged_bytes == unit_fake.purged &&
	       stats.provider_maps + stats.provider_failures == unit_fake.calls[FAKE_MAP];
}

static void stats_empty(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(stats_hold());
	CHECK(stats.version == HAK_STATS_VERSION && stats.version == 6);
	CHECK(stats.size == sizeof(stats));
	CHECK(of_class(CLASS_LAST) == &stats.classes[CLASS_SLAB_LAST - 1 + NR_SPAN_CLASSES]);
	CHECK(stats.total.allocations == 0 && stats.caches == 0 && stats.utilisation_permille == 0);
	CHECK(stats.mapped_bytes == 0 && stats.resident_bytes == 0 && stats.provider_maps == 0);
	CHECK(unit_close());
}

static void stats_of_a_class(void)
{
	unsigned batch = size_class[CLASS_1K].batch, refilled = 4 + MIN(8, batch);

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned i = 0; i < 10; i++)
		blocks[i] = hak_malloc(1000); /* batches of 4 and 8, if they may be so large */
	for (unsigned i = 0; i < 3; i++)
		hak_free(blocks[i]);
	CHECK(stats_hold());
	CHECK(of_class(CLASS_1K)->allocations == 10 && of_class(CLASS_1K)->frees == 3);
	CHECK(of_class(CLASS_1K)->magazine_misses == 2 && of_class(CLASS_1K)->magazine_hits == 8);
	CHECK(of_class(CLASS_1K)->refills == 2 && of_class(CLASS_1K)->refilled_blocks == refilled);
	CHECK(of_class(CLASS_1K)->live_blocks == 7 &&
	      of_class(CLASS_1K)->magazine_blocks == refilled - 7);
	CHECK(of_class(CLASS_1K)->live_bytes == 7 * 1024 &&
	      of_class(CLASS_1K)->slabs == UNITS_PER_SLAB);
	CHECK(of_class(CLASS_1K)->spills == 0 && of_class(CLASS_1K)->uncached_frees == 0);
	CHECK(stats.caches == 1 && stats.bitmap_slabs == 0 && stats.slabs_used == UNITS_PER_SLAB);
	CHECK(stats.utilisation_permille == 7 * 1024 * 1000 / SUPERSLAB_SIZE);
	hak_flush();
	CHECK(stats_hold());
	CHECK(of_class(CLASS_1K)->spills == 1 &&
	      of_class(CLASS_1K)->spilled_blocks == refilled - 7);
	CHECK(of_class(CLASS_1K)->live_blocks == 7 && of_class(CLASS_1K)->magazine_blocks == 0);
	CHECK(of_class(CLASS_1K)->allocations == 10 && of_class(CLASS_1K)->frees == 3);
	for (unsigned i = 3; i < 10; i++)
		hak_free(blocks[i]);
	CHECK(stats_hold() && of_class(CLASS_1K)->frees == 10);
	CHECK(of_class(CLASS_1K)->live_blocks == 0);
	CHECK(unit_close());
}

/* Read while an owner is half-way through a change: is it all no more than there can be? */
static bool stats_are_sane(void)
{
	const struct hak_class_stats *row = of_class(CLASS_1K);

	read_stats();
	return row->frees == 3 && row->allocations >= 3 && row->allocations <= 15 &&
	       row->magazine_hits <= row->allocations && row->live_blocks <= 12 &&
	       row->magazine_blocks <= size_class[CLASS_1K].capacity &&
	       stats.total.allocations == row->allocations && stats.total.frees == row->frees;
}

static void stats_of_a_magazine_on_the_move(void)
{
	struct magazine *magazine;
	struct magazine_cold *cold;
	uint16_t top, elsewhere[] = { 0, 1, 2, UINT16_MAX };
	bool sane = true;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned i = 0; i < 10; i++)
		blocks[i] = hak_malloc(1000);
	for (unsigned i = 0; i < 3; i++)
		hak_free(blocks[i]);
	magazine = &this_cache()->magazine[CLASS_1K];
	cold = &this_cache()->cold->magazine[CLASS_1K];
	top = magazine->top;
	for (unsigned i = 0; i < ARRAY_SIZE(elsewhere);
	     i++) { /* among other slots already, or still */
		magazine->top = elsewhere[i];
		sane &= stats_are_sane();
	}
	magazine->top = top;
	cold->batches.refilled -= 12; /* there, and not yet counted */
	sane &= stats_are_sane();
	cold->batches.refilled += 12;
	CHECK(sane && stats_hold());
	CHECK(unit_close());
}

static void stats_of_spans(void)
{
	void *one, *two;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	one = hak_malloc(MIB + 1);
	two = hak_malloc(3 * MIB);
	CHECK(one && two && stats_hold());
	CHECK(stats.spans.allocations == 2 && stats.spans.frees == 0);
	CHECK(stats.spans.live_blocks == 2 &&
	      stats.spans.slabs == (UNITS_PER_SLAB > 1 ? 257 + 768 : 17 + 48));
	CHECK(stats.spans.live_bytes == MIB + PAGE_SIZE + 3 * MIB);
	CHECK(stats.total.live_bytes == stats.spans.live_bytes);
	hak_free(one);
	CHECK(!hak_malloc(1u << 30));
	CHECK(stats_hold());
	CHECK(stats.spans.frees == 1 && stats.spans.live_blocks == 1 && stats.spans.failures == 1);
	hak_free(two);
	CHECK(stats_hold() && stats.superslabs_emptied == 3 && stats.superslabs_peak == 3);
	CHECK(stats.superslabs_reserve == 1 && stats.superslabs_released == 2);
	hak_trim(HAK_TRIM_ALL);
	CHECK(stats_hold() && stats.superslabs_active == 0);
	CHECK(unit_close());
}

/* Without a cache every call counts as uncached. */
static void stats_of_uncached(void)
{
	void *block;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(class_alloc(CLASS_64, blocks + 1, 1, ALLOC_ANY) == 1);
	fake_fail(&unit_fake, FAKE_MAP_META, 1, true, FAKE_FAILS);
	while (meta_alloc(META_LEAF, META_ALIGN))
		;
	block = hak_malloc(64);
	CHECK(block);
	hak_free(block);
	block = hak_malloc(64);
	CHECK(block);
	read_stats();
	CHECK(of_class(CLASS_64)->uncached_allocations == 2 &&
	      of_class(CLASS_64)->uncached_frees == 1);
	CHECK(of_class(CLASS_64)->allocations == 2 && of_class(CLASS_64)->magazine_hits == 0);
	CHECK(stats.caches == 0);
	CHECK(unit_close());
}

static void stats_of_failures(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	fake_fail(&unit_fake, FAKE_MAP, 1, true, FAKE_FAILS);
	CHECK(!hak_malloc(64) && !hak_malloc(64) && !hak_calloc(1000, 1));
	CHECK(!hak_malloc(2 * MIB));
	CHECK(stats_hold());
	CHECK(of_class(CLASS_64)->failures == 2 && of_class(CLASS_1K)->failures == 1);
	CHECK(stats.spans.failures == 1 && stats.total.failures == 4);
	CHECK(stats.provider_failures == unit_fake.faults && stats.provider_maps == 0);
	CHECK(stats.total.allocations == 0);
	CHECK(unit_close());
}

/* Slabs of bitmaps of both kinds are used, and hold no block of the program. */
static void stats_of_bitmaps(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(class_alloc(CLASS_64, blocks + 1, 1, ALLOC_ANY) == 1);
	hak_stats_read(&stats, sizeof(stats)); /* the equations are for calls of the API */
	CHECK(stats.bitmap_slabs == 1 && stats.slabs_used == 2);
	CHECK(class_alloc(CLASS_FIRST, blocks + 2, 1, ALLOC_ANY) == 1);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.bitmap_slabs == 2 && stats.slabs_used == 4);
	class_free(CLASS_64, blocks, 1);
	class_free(CLASS_FIRST, blocks + 1, 1);
	CHECK(stats_hold() && stats.bitmap_slabs == 0 && stats.slabs_used == 0);
	CHECK(unit_close());
}

/*
 * A miss that no refill followed is neither a hit nor a refill. Each is tried again when all
 * magazines are empty, and the first one before, when that of the other class is.
 */
static void stats_of_misses(void)
{
	CHECK(unit_open((4 + 2 * HAK_METADATA_APART) * MIB, 0, FAKE_PURGE_NONE));
	/* one slab is for a bitmap, if bitmaps are not apart */
	CHECK(hak_malloc(1) && hak_malloc((30 + HAK_METADATA_APART) * SLAB_SIZE));
	for (unsigned i = 0; i < 3; i++)
		CHECK(!hak_malloc(2000));
	CHECK(stats_hold());
	CHECK(stats.total.failures == 3 && stats.total.magazine_misses == 8);
	CHECK(stats.total.refills == 1 && stats.total.magazine_hits == 0);
	CHECK(stats.total.allocations == 2);
	CHECK(unit_close());
}

/* A random mixture, after which everything must still add up. */
/* Batches take locks, what goes by magazine does not; reading takes the same number each time. */
static void stats_of_locks(void)
{
	uint64_t class_reads, superslab_reads, class_locks, superslab_locks;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	hak_free(hak_malloc(64));
	read_stats();
	class_locks = stats.class_locks;
	superslab_locks = stats.superslab_locks;
	read_stats();
	class_reads = stats.class_locks - class_locks;
	superslab_reads = stats.superslab_locks - superslab_locks;
	CHECK(class_reads && superslab_reads);
	for (unsigned i = 0; i < 100; i++)
		hak_free(hak_malloc(64));
	read_stats();
	if (!IS_ENABLED(CONFIG_HAK_DEBUG)) /* which inspects each block that is freed */
		CHECK(stats.class_locks == class_locks + 2 * class_reads);
	CHECK(stats.superslab_locks == superslab_locks + 2 * superslab_reads);
	hak_flush(); /* a batch, and its slab goes */
	read_stats();
	CHECK(stats.class_locks > class_locks + 3 * class_reads);
	CHECK(stats.superslab_locks > superslab_locks + 3 * superslab_reads);
	CHECK(unit_close());
}

static void stats_equations(void)
{
	uint64_t random = 12345;

	__builtin_memset(blocks, 0, sizeof(blocks));
	CHECK(unit_open(16 * MIB, FAKE_RESIDENT, FAKE_PURGE_ZERO));
	for (unsigned i = 0; i < 20000; i++) {
		unsigned slot = (unsigned)(test_random(&random) % ARRAY_SIZE(blocks));

		hak_free(blocks[slot]);
		blocks[slot] = hak_malloc(test_random(&random) % 50 ? test_random(&random) % 2000
								    : test_random(&random) % MIB);
		if (i % 1000 == 999) {
			CHECK(stats_hold());
			CHECK(stats.resident_bytes <= stats.mapped_bytes);
		}
		if (i % 4000 == 3999)
			hak_trim(HAK_TRIM_ALL);
	}
	CHECK(stats_hold() && (UNITS_PER_SLAB > 1 || stats.bitmap_slabs > 0) &&
	      stats.utilisation_permille > 0);
	CHECK(stats.utilisation_permille <= 1000);
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
		hak_free(blocks[i]);
		blocks[i] = NULL;
	}
	CHECK(stats_hold() && stats.total.live_blocks == 0 && stats.total.live_bytes == 0);
	hak_trim(HAK_TRIM_ALL);
	CHECK(stats_hold() && stats.slabs_used == 0 && stats.superslabs_active == 0);
	CHECK(stats.resident_bytes && stats.resident_bytes <= stats.meta_bytes);
	CHECK(unit_close());
}

/* Row after row is the same as all at once. */
static void stats_rows(void)
{
	struct hak_class_stats row, sum = { 0 };
	void *small, *span;
	unsigned n = 0;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	small = hak_malloc(100);
	span = hak_malloc(3 * MIB);
	CHECK(small && span);
	hak_stats_read(&stats, sizeof(stats));
	for (; hak_stats_row(n, &row, sizeof(row)); n++) {
		const struct hak_class_stats *same = &stats.classes[n];

		if (row.block_bytes == 0)
			same = &stats.spans;
		CHECK(row.block_bytes == same->block_bytes && row.slabs == same->slabs);
		CHECK(row.allocations == same->allocations && row.live_bytes == same->live_bytes);
		sum.live_bytes += row.live_bytes;
		sum.slabs += row.slabs;
	}
	CHECK(n > 30 && n <= HAK_STATS_CLASSES + 1 && row.block_bytes == 0);
	CHECK(sum.live_bytes == stats.total.live_bytes && sum.slabs == stats.total.slabs);
	/* no more is written than there is room for, and nothing of a row that is none */
	row = (struct hak_class_stats){ .allocations = 77 };
	CHECK(hak_stats_row(3, &row, 8) && row.block_bytes && row.allocations == 77);
	CHECK(!hak_stats_row(n, &row, sizeof(row)) && !hak_stats_row(~0u, &row, sizeof(row)));
	CHECK(row.allocations == 77);
	hak_free(small);
	hak_free(span);
	CHECK(unit_close());
}

/* A caller that was compiled with less of the struct, or with more. */
static void stats_sizes(void)
{
	static uint8_t memory[sizeof(struct hak_stats) + 64];
	static const size_t sizes[] = { 0,
					8,
					100,
					sizeof(struct hak_stats) - 8,
					sizeof(struct hak_stats),
					sizeof(struct hak_stats) + 32 };
	const size_t same = offsetof(struct hak_stats, class_locks); /* reading changes the rest */

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	blocks[0] = hak_malloc(10);
	read_stats();
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t written = sizes[i] < sizeof(stats) ? sizes[i] : sizeof(stats);

		__builtin_memset(memory, 0xa5, sizeof(memory));
		hak_stats_read((struct hak_stats *)(void *)memory, sizes[i]);
		CHECK(!__builtin_memcmp(memory, &stats, written < same ? written : same));
		for (size_t k = written; k < sizeof(memory); k++)
			CHECK(memory[k] == 0xa5);
	}
	blocks[0] = NULL;
	CHECK(unit_close());
}

/*
 * JSON, as far as it is needed: objects, arrays, whole numbers, names without
 * escapes. Returns what follows the value, or NULL if it is none.
 */
static const char *skip_name(const char *text)
{
	if (*text++ != '"')
		return NULL;
	while ((*text >= 'a' && *text <= 'z') || *text == '_')
		text++;
	return *text == '"' ? text + 1 : NULL;
}

static const char *skip_json(const char *text, unsigned depth)
{
	char open = *text, close = open == '{' ? '}' : ']';

	if (!depth)
		return NULL;
	if (open >= '0' && open <= '9') {
		while (*text >= '0' && *text <= '9')
			text++;
		return text;
	}
	if (open != '{' && open != '[')
		return NULL;
	if (text[1] == close)
		return text + 2;
	do {
		text++;
		if (open == '{') {
			text = skip_name(text);
			if (!text || *text++ != ':')
				return NULL;
		}
		text = skip_json(text, depth - 1);
	} while (text && *text == ',');
	return text && *text == close ? text + 1 : NULL;
}

/* The number behind the first "name": in the text; UINT64_MAX if it is not there. */
static uint64_t json_number(const char *name)
{
	const char *text = unit_text_find(name);
	uint64_t value = 0;

	if (!text)
		return UINT64_MAX;
	while (*text != ':')
		text++;
	for (text++; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (uint64_t)(*text - '0');
	return value;
}

/* All there is to know, by name. */
static const char *const json_names[] = {
	"\"version\"",
	"\"caches\"",
	"\"bitmap_slabs\"",
	"\"slabs_used\"",
	"\"superslabs_mapped\"",
	"\"superslabs_released\"",
	"\"superslabs_active\"",
	"\"superslabs_peak\"",
	"\"superslabs_reserve\"",
	"\"superslabs_emptied\"",
	"\"superslabs_refused\"",
	"\"utilisation_permille\"",
	"\"provider_maps\"",
	"\"provider_unmaps\"",
	"\"provider_purges\"",
	"\"provider_failures\"",
	"\"requested_bytes\"",
	"\"mapped_bytes\"",
	"\"purged_bytes\"",
	"\"meta_bytes\"",
	"\"resident_bytes\"",
	"\"provider_purges_refused\"",
	"\"retouched_bytes\"",
	"\"superslabs_phantom\"",
	"\"class_locks\"",
	"\"superslab_locks\"",
	"\"gap_blocks\"",
	"\"gaps_made\"",
	"\"gaps_failed\"",
	"\"available_bytes\"",
	"\"largest_bytes\"",
	"\"peak_bytes\"",
	"\"total\"",
	"\"spans\"",
	"\"classes\"",
	"\"allocations\"",
	"\"frees\"",
	"\"failures\"",
	"\"magazine_hits\"",
	"\"magazine_misses\"",
	"\"refills\"",
	"\"refilled_blocks\"",
	"\"spills\"",
	"\"spilled_blocks\"",
	"\"uncached_allocations\"",
	"\"uncached_frees\"",
	"\"live_blocks\"",
	"\"magazine_blocks\"",
	"\"live_bytes\"",
	"\"slabs\"",
	"\"block_bytes\"",
};

static void stats_json(void)
{
	const char *end;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	unit_text.length = 0;
	hak_stats_json(unit_sink, &unit_text);
	end = skip_json(unit_text.text, 4);
	CHECK(end && *end == '\n' && !end[1]); /* of an empty heap: no class at all */
	CHECK(unit_text_find("\"classes\":[]"));
	CHECK(hak_malloc(64) && hak_malloc(1000) && hak_malloc(100000));
	read_stats();
	unit_text.length = 0;
	hak_stats_json(unit_sink, &unit_text);
	CHECK(unit_text.length < sizeof(unit_text.text));
	end = skip_json(unit_text.text, 4);
	CHECK(end && *end == '\n' && !end[1]);
	for (unsigned i = 0; i < ARRAY_SIZE(json_names); i++)
		CHECK(unit_text_find(json_names[i]));
	CHECK(json_number("\"version\"") == HAK_STATS_VERSION);
	CHECK(json_number("\"slabs_used\"") == stats.slabs_used);
	CHECK(json_number("\"mapped_bytes\"") == stats.mapped_bytes);
	CHECK(json_number("\"allocations\"") == 3); /* the total comes first */
	CHECK(unit_text_find("\"classes\":[{\"block_bytes\":64,\"allocations\":1,\"frees\":0,"));
	CHECK(unit_text_find("},{\"block_bytes\":1024,\"allocations\":1,"));
	CHECK(unit_close());
}

static void stats_text(void)
{
	unsigned lines = 0, columns = 0;
	const char *text;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(hak_malloc(64) && hak_malloc(1000) && hak_malloc(MIB + 1));
	unit_text.length = 0;
	hak_stats_text(unit_sink, &unit_text);
	CHECK(unit_text.length < sizeof(unit_text.text));
	for (text = unit_text.text; *text; text++)
		lines += *text == '\n';
	/* the head, two classes, spans, total, and six lines on the rest */
	CHECK(lines == 16 + HAK_GAPS && text[-1] == '\n');
	for (text = unit_text.text; *text != '\n'; text++)
		columns++;
	/* head and rows are equally long */
	for (unsigned row = 1; row < 5; row++) {
		unsigned length = 0;

		for (text++; *text != '\n'; text++)
			length++;
		CHECK(length == columns);
	}
	CHECK(unit_text_find("      64            1            0        0"));
	CHECK(unit_text_find("   spans            1            0        0"));
	CHECK(unit_text_find("   total            3            0        0"));
	CHECK(unit_text_find("(size: of a block in bytes"));
	CHECK(unit_text_find(
		"SuperSlabs: 1 active (0 in reserve, 0 phantoms), peak 1, mapped 1, "));
	CHECK(unit_text_find("caches: 1\n"));
	CHECK(unit_text_find("4096 KiB") == NULL && unit_text_find("KiB resident"));
	CHECK(unit_close());
}

void unit_stats(void)
{
	TEST_RUN(stats_empty);
	TEST_RUN(stats_of_a_class);
	TEST_RUN(stats_of_a_magazine_on_the_move);
	TEST_RUN(stats_of_spans);
	TEST_RUN(stats_of_uncached);
	TEST_RUN(stats_of_failures);
	TEST_RUN_SLABS(stats_of_bitmaps);
	TEST_RUN_SLABS(stats_of_misses);
	TEST_RUN(stats_of_locks);
	TEST_RUN(stats_equations);
	TEST_RUN(stats_rows);
	TEST_RUN(stats_sizes);
	TEST_RUN(stats_json);
	TEST_RUN(stats_text);
}
