/* SPDX-License-Identifier: MIT */
/*
 * core/slab: which blocks a refill gets, and in which order; the bitmaps, also those of
 * bitmaps; that slabs come and go when they should.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <base/policy.h>
#include <base/sizeclass.h>
#include <pages/pagemap.h>
#include <slab/class.h>

#define CLASS_16   2
#define CLASS_448  16
#define CLASS_512  17
#define CLASS_1024 21
#define CLASS_32K  CLASS_SLAB_LAST

/* A slab of the smallest blocks has 8192 of them. */
static void *blocks[8192];

/* Allocate @n blocks into blocks[@from] .. in the order in which they are used. */
static unsigned alloc_blocks(unsigned class, unsigned from, unsigned n)
{
	unsigned taken = 0;

	while (taken < n) {
		void *batch[64];
		unsigned want = n - taken < 64 ? n - taken : 64;
		unsigned got = class_alloc(class, batch + 64, want, ALLOC_ANY);

		for (unsigned i = 0; i < got; i++)
			blocks[from + taken++] = batch[63 - i];
		if (!got)
			break;
	}
	return taken;
}

static void free_blocks(unsigned class, unsigned from, unsigned n)
{
	class_free(class, blocks + from, n);
}

static struct class_counters counters(unsigned class)
{
	struct class_counters now;

	stats_read_blocks(class, &now);
	return now;
}

static uint64_t slabs_used(void)
{
	struct arena_counters now;

	arena_read_counters(&now);
	return now.units_used;
}

static struct slab *slab_of(const void *block)
{
	return superslab_slab(pagemap_superslab((uintptr_t)block), (uintptr_t)block);
}

/* Each class: all blocks of a slab, rising, disjoint, and all back again. */
static void class_whole(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; ++class) {
		struct class_counters before = counters(class);
		unsigned n = size_class[class].blocks;
		uintptr_t base;

		CHECK(alloc_blocks(class, 0, n) == n);
		base = (uintptr_t)blocks[0];
		CHECK(base % UNIT_SIZE == 0);
		for (unsigned i = 0; i < n; i++)
			CHECK((uintptr_t)blocks[i] == base + i * (uintptr_t)size_class[class].size);
		CHECK(counters(class).slabs == size_class[class].units &&
		      counters(class).allocated == before.allocated + n);
		CHECK(pagemap_class(base) == class && slab_of(blocks[0])->class == class);
		CHECK(slab_of(blocks[0])->free == 0);
		CHECK(!check_classes() && !check_arena());
		/* the last and the first come back first */
		free_blocks(class, n - 1, 1);
		free_blocks(class, 0, n - 1);
		CHECK(counters(class).slabs == 0 && counters(class).freed == before.freed + n);
		CHECK(slabs_used() == 0 && pagemap_class(base) == CLASS_NONE);
	}
	CHECK(unit_close());
}

/* The order of an array that is filled downwards: end[-1] is used first. */
static void class_batch(void)
{
	void *batch[6] = { 0 };
	uintptr_t base;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(class_alloc(CLASS_1024, batch + 5, 4, ALLOC_ANY) == 4);
	base = (uintptr_t)batch[4];
	CHECK(base % SLAB_SIZE == 0 && (uintptr_t)batch[3] == base + 1024);
	CHECK((uintptr_t)batch[2] == base + 2048 && (uintptr_t)batch[1] == base + 3072);
	CHECK(!batch[0] && !batch[5]);
	class_free(CLASS_1024, batch + 1, 4);
	CHECK(unit_close());
}

static uint64_t retouched_pages(void)
{
	struct arena_counters now;

	arena_read_counters(&now);
	return now.retouched;
}

/* Fill slabs of a class; returns how many bytes were populated for the last of them. */
static size_t populated_by(unsigned class, unsigned slabs)
{
	size_t before = 0;

	for (unsigned i = 0; i < slabs; i++) {
		before = unit_fake.populated;
		if (alloc_blocks(class, 0, size_class[class].blocks) != size_class[class].blocks)
			return SIZE_MAX;
	}
	return unit_fake.populated - before;
}

/* A class that has grown gets all pages of new slabs at once, if their memory is not there. */
static void class_populates(void)
{
	size_t whole = PLATFORM_POPULATES ? SLAB_SIZE : 0;
	uint64_t retouched;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(populated_by(CLASS_1024, POLICY_GROWING_SLABS) == 0 && unit_fake.populated == 0);
	CHECK(populated_by(CLASS_1024, 1) == whole);
	CHECK(slab_of(blocks[0])->unbacked == 0 && slab_of(blocks[0])->untouched == 0);
	CHECK(populated_by(CLASS_1024, POLICY_GROWING_SLABS - 1) == whole);
	CHECK(slabs_used() == 2 * UNITS_PER_SUPERSLAB); /* no slab is unused */
	CHECK(!check_classes() && !check_arena());

	/* memory that is there is not asked for, memory that went back is, and is counted */
	free_blocks(CLASS_1024, 0, size_class[CLASS_1024].blocks);
	CHECK(populated_by(CLASS_1024, 1) == 0);
	free_blocks(CLASS_1024, 0, size_class[CLASS_1024].blocks);
	CHECK(hak_trim(HAK_TRIM_ALL) >= SLAB_SIZE);
	retouched = retouched_pages();
	CHECK(populated_by(CLASS_1024, 1) == whole);
	CHECK(retouched_pages() == retouched + whole / PAGE_SIZE);

	/* blocks of which parts may stay unused */
	CHECK(populated_by(CLASS_32K, POLICY_GROWING_SLABS + 1) == 0);
	CHECK(!check_classes() && !check_arena());
	CHECK(unit_close());
}

/* In a large heap it gets all pages of a new SuperSlab. What is not used of them goes back. */
static void class_populates_whole(void)
{
	size_t large = POLICY_WHOLE_LEAST * SUPERSLAB_SIZE;

	if (!PLATFORM_POPULATES)
		return;
	CHECK(unit_open(large + 16 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(unit_span_alloc(large - SUPERSLAB_SIZE));
	CHECK(populated_by(CLASS_1024, POLICY_GROWING_SLABS) == 0);
	CHECK(populated_by(CLASS_1024, 1) == SUPERSLAB_SIZE);
	CHECK(slab_of(blocks[0])->unbacked == 0 && slab_of(blocks[0])->untouched == 0);
	CHECK(populated_by(CLASS_1024, 1) == 0);
	CHECK(populated_by(CLASS_32K, 1) == 0 && slab_of(blocks[0])->unbacked == 0);
	CHECK(!check_classes() && !check_arena());
	CHECK(hak_trim(HAK_TRIM_ALL) >= (UNITS_PER_SUPERSLAB - 3) * SLAB_SIZE);
	CHECK(populated_by(CLASS_1024, 1) == SLAB_SIZE);
	CHECK(!check_classes() && !check_arena());
	CHECK(unit_close());
}

/* A partial slab before an unused one before a new SuperSlab. */
static void class_refill_order(void)
{
	unsigned n = size_class[CLASS_1024].blocks;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(alloc_blocks(CLASS_1024, 0, n) == n);
	CHECK(slabs_used() == UNITS_PER_SLAB);
	free_blocks(CLASS_1024, 10, 3);
	/* what is partial is all that a request for more gets ... */
	CHECK(class_alloc(CLASS_1024, blocks + n + 20, 20, ALLOC_ANY) == 3);
	CHECK(slabs_used() == UNITS_PER_SLAB);
	for (unsigned i = 0; i < 3; i++)
		CHECK(blocks[n + 19 - i] == blocks[10 + i]);
	/* ... and only when there is nothing, an unused slab is taken */
	CHECK(alloc_blocks(CLASS_1024, n, 1) == 1);
	CHECK(slabs_used() == 2 * UNITS_PER_SLAB && unit_fake.calls[FAKE_MAP_HEAP] == 1);
	CHECK((uintptr_t)blocks[n] == (uintptr_t)blocks[0] + SLAB_SIZE);
	while (slabs_used() < UNITS_PER_SUPERSLAB)
		CHECK(alloc_blocks(CLASS_512, 2 * n, 128) == 128);
	CHECK(unit_fake.calls[FAKE_MAP_HEAP] == 1);
	CHECK(alloc_blocks(CLASS_32K, 4 * n, 1) == 1);
	CHECK(unit_fake.calls[FAKE_MAP_HEAP] == 2 &&
	      slabs_used() == UNITS_PER_SUPERSLAB + size_class[CLASS_32K].units);
	CHECK(!check_classes());
	CHECK(unit_close());
}

/* Of the partial slabs the fullest, by quarters. */
static void class_fullest_first(void)
{
	unsigned n = size_class[CLASS_1024].blocks; /* 64 */
	const struct slab *slab[4];

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(alloc_blocks(CLASS_1024, 0, 4 * n) == 4 * n);
	for (unsigned i = 0; i < 4; i++)
		slab[i] = slab_of(blocks[i * n]);
	free_blocks(CLASS_1024, 3 * n, 15); /* less than a quarter free */
	free_blocks(CLASS_1024, 1 * n, 16);
	free_blocks(CLASS_1024, 0 * n, 33);
	free_blocks(CLASS_1024, 2 * n, 63);
	CHECK(slab[3]->bucket == 0 && slab[1]->bucket == 1);
	CHECK(slab[0]->bucket == 2 && slab[2]->bucket == 3);
	CHECK(!check_classes());
	/* they are used up in this order: a batch takes from one after the other */
	CHECK(class_alloc(CLASS_1024, blocks + 5 * n, 15 + 16 + 1, ALLOC_ANY) == 32);
	for (unsigned i = 0; i < 32; i++)
		CHECK(slab_of(blocks[5 * n - 1 - i]) == (i < 15	  ? slab[3]
							 : i < 31 ? slab[1]
								  : slab[0]));
	CHECK(slab[3]->free == 0 && slab[1]->free == 0 && slab[0]->free == 32);
	CHECK(slab[0]->bucket == 2);
	CHECK(class_alloc(CLASS_1024, blocks + 5 * n, 1, ALLOC_ANY) == 1);
	CHECK(slab[0]->free == 31 && slab[0]->bucket == 1);
	CHECK(slab[2]->free == 63);
	CHECK(!check_classes());
	CHECK(unit_close());
}

/* The lowest block that is free, also after lower ones were freed. */
static void class_lowest_first(void)
{
	unsigned n = size_class[CLASS_16].blocks;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(alloc_blocks(CLASS_16, 0, n) == n);
	free_blocks(CLASS_16, 3000, 2);
	CHECK(alloc_blocks(CLASS_16, 3000, 1) == 1);
	CHECK(blocks[3000] == (char *)blocks[0] + 3000 * 16);
	free_blocks(CLASS_16, 70, 1); /* below where the last one was found */
	CHECK(slab_of(blocks[0])->hint <= 1);
	CHECK(alloc_blocks(CLASS_16, 70, 1) == 1);
	CHECK(blocks[70] == (char *)blocks[0] + 70 * 16);
	CHECK(alloc_blocks(CLASS_16, 3001, 1) == 1);
	CHECK(blocks[3001] == (char *)blocks[0] + 3001 * 16);
	CHECK(slab_of(blocks[0])->free == 0);
	CHECK(!check_classes());
	CHECK(unit_close());
}

/*
 * Above 128 blocks the bitmap is a block of a class of its own. Where there are gap blocks it
 * is so above 64: there are two bitmaps then, but for the smallest classes.
 */
static void class_bitmaps(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned class = CLASS_FIRST; class <= CLASS_SLAB_LAST; ++class) {
		unsigned n = size_class[class].blocks;
		bool inline_bits = n <= (HAK_GAPS ? 64 : 128);
		unsigned small = !inline_bits && n <= 4096, large = n > 4096;
		uint64_t taken = counters(CLASS_BITMAP_512).allocated;
		const struct slab *slab;

		CHECK(alloc_blocks(class, 0, 1) == 1);
		slab = slab_of(blocks[0]);
		CHECK((slab->bitmap == slab->inline_bits) == inline_bits);
		CHECK(slab->free == n - 1);
		CHECK(slabs_used() == (inline_bits ? 1 : 2));
		CHECK(counters(CLASS_BITMAP_512).slabs == small);
		CHECK(counters(CLASS_BITMAP_512).allocated == taken + small);
		CHECK(counters(CLASS_BITMAP_1024).slabs == large);
		if (!inline_bits) {
			const struct slab *bitmaps = slab_of(slab->bitmap);

			CHECK(bitmaps->class == (small ? CLASS_BITMAP_512 : CLASS_BITMAP_1024));
			CHECK(bitmaps->bitmap == bitmaps->inline_bits);
		}
		CHECK(!check_classes());
		free_blocks(class, 0, 1);
		CHECK(slabs_used() == 0);
		CHECK(counters(CLASS_BITMAP_512).slabs == 0);
		CHECK(counters(CLASS_BITMAP_1024).slabs == 0);
	}
	CHECK(unit_close());
}

/* Many slabs share one slab of bitmaps. */
static void class_bitmaps_shared(void)
{
	unsigned n = size_class[CLASS_448].blocks;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(n == 146);
	for (unsigned i = 0; i < 40; i++)
		CHECK(alloc_blocks(CLASS_448, i * n, n) == n);
	CHECK(counters(CLASS_448).slabs == 40);
	CHECK(counters(CLASS_BITMAP_512).slabs == 1);
	CHECK(counters(CLASS_BITMAP_512).allocated == 40);
	CHECK(slabs_used() == 41);
	free_blocks(CLASS_448, 0, 40 * n);
	CHECK(counters(CLASS_BITMAP_512).freed == 40 && slabs_used() == 0);
	CHECK(!check_classes() && !check_arena());
	CHECK(unit_close());
}

static void swap(unsigned i, unsigned j)
{
	void *block = blocks[i];

	blocks[i] = blocks[j];
	blocks[j] = block;
}

/* Whatever the order in which blocks are freed, each bit is set, and lists are right. */
static void class_free_orders(void)
{
	unsigned n = size_class[CLASS_448].blocks, total = 3 * n;
	uint64_t random = 1;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned order = 0; order < 5; order++) {
		unsigned step = order == 4 ? 7 : total;

		CHECK(alloc_blocks(CLASS_448, 0, total) == total &&
		      counters(CLASS_448).slabs == 3 * UNITS_PER_SLAB);
		for (unsigned i = 0; i < total / 2 && order == 1; i++)
			swap(i, total - 1 - i); /* falling */
		for (unsigned i = 0; i + 1 < total && order == 2; i += 2)
			swap(i, i + 1); /* by pairs */
		for (unsigned i = total - 1; i && order == 3; i--) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			swap(i, (unsigned)(random >> 33) % (i + 1));
		}
		for (unsigned i = 0; i < total; i += step) {
			free_blocks(CLASS_448, i, total - i < step ? total - i : step);
			CHECK(!check_classes());
		}
		CHECK(slabs_used() == 0 && !check_arena());
	}
	CHECK(unit_close());
}

/* A slab without live blocks goes at once, also one that was full before. */
static void class_emptied(void)
{
	unsigned n = size_class[CLASS_32K].blocks;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(n == 2);
	CHECK(alloc_blocks(CLASS_32K, 0, 6) == 6);
	CHECK(slabs_used() == 3);
	free_blocks(CLASS_32K, 2, 2); /* the middle one, in one batch */
	CHECK(slabs_used() == 2 && counters(CLASS_32K).slabs == 2);
	CHECK(pagemap_class((uintptr_t)blocks[2]) == CLASS_NONE);
	free_blocks(CLASS_32K, 0, 1);
	CHECK(slabs_used() == 2 && !check_classes());
	free_blocks(CLASS_32K, 1, 1);
	free_blocks(CLASS_32K, 4, 2);
	CHECK(slabs_used() == 0 && counters(CLASS_32K).slabs == 0);
	CHECK(counters(CLASS_32K).allocated == 6 && counters(CLASS_32K).freed == 6);
	CHECK(!check_classes());
	CHECK(unit_close());
}

static void class_inspection(void)
{
	size_t detail = 1;
	char *block, *base;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(alloc_blocks(CLASS_448, 0, 2) == 2);
	base = blocks[0];
	block = blocks[1];
	CHECK(class_inspect(CLASS_448, block, &detail) == HAK_BUG_NONE && detail == 0);
	CHECK(class_inspect(CLASS_448, block + 5, &detail) == HAK_BUG_INTERIOR && detail == 5);
	CHECK(class_inspect(CLASS_448, block + 447, &detail) == HAK_BUG_INTERIOR && detail == 447);
	CHECK(class_inspect(CLASS_448, block + 448, &detail) == HAK_BUG_DOUBLE_FREE);
	/* behind the last block there are 128 bytes of nothing */
	CHECK(class_inspect(CLASS_448, base + 145 * 448, &detail) == HAK_BUG_DOUBLE_FREE);
	CHECK(class_inspect(CLASS_448, base + 146 * 448, &detail) == HAK_BUG_UNUSED);
	CHECK(class_inspect(CLASS_448, base + SLAB_SIZE - 1, &detail) == HAK_BUG_UNUSED);
	CHECK(class_inspect(CLASS_16, block, &detail) == HAK_BUG_UNUSED);
	CHECK(class_inspect(CLASS_448, unit_fake.arena + 8 * MIB, &detail) == HAK_BUG_FOREIGN);
	CHECK(class_inspect(CLASS_448, NULL, &detail) == HAK_BUG_FOREIGN);
	free_blocks(CLASS_448, 1, 1);
	CHECK(class_inspect(CLASS_448, block, &detail) == HAK_BUG_DOUBLE_FREE);
	CHECK(class_inspect(CLASS_448, base, &detail) == HAK_BUG_NONE);
	CHECK(unit_close());
}

static void class_failures(void)
{
	bool backed;

	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(superslab_alloc(31, 0, SLAB_SIZE, ALLOC_ANY, &backed));
	/* one slab is left, and two are needed: one for its bitmap */
	CHECK(alloc_blocks(CLASS_16, 0, 1) == 0);
	CHECK(slabs_used() == 31 && counters(CLASS_16).slabs == 0);
	CHECK(counters(CLASS_BITMAP_512).slabs == 0);
	CHECK(!check_classes() && !check_arena());
	CHECK(alloc_blocks(CLASS_1024, 0, 65) == 64);
	CHECK(slabs_used() == 32 && counters(CLASS_1024).allocated == 64);
	CHECK(alloc_blocks(CLASS_1024, 0, 1) == 0);
	free_blocks(CLASS_1024, 17, 1);
	CHECK(alloc_blocks(CLASS_1024, 70, 5) == 1 && blocks[70] == blocks[17]);
	CHECK(!check_classes());
	CHECK(unit_close());
}

void unit_class(void)
{
	TEST_RUN(class_whole);
	TEST_RUN(class_batch);
	TEST_RUN(class_refill_order);
	TEST_RUN(class_fullest_first);
	TEST_RUN(class_lowest_first);
	TEST_RUN_SLABS(class_bitmaps);
	TEST_RUN_SLABS(class_bitmaps_shared);
	TEST_RUN(class_populates);
	TEST_RUN(class_populates_whole);
	TEST_RUN(class_free_orders);
	TEST_RUN_SLABS(class_emptied);
	TEST_RUN(class_inspection);
	TEST_RUN_SLABS(class_failures);
}
