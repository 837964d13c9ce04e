/* SPDX-License-Identifier: MIT */
/*
 * core/superslab/span.c: lengths, classes of the page map, growing and shrinking where
 * they are, counters. slab(n) is the n-th of the provider's arena.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <pages/pagemap.h>
#include <base/sizeclass.h>
#include <superslab/span.h>
#include <reclaim/scan.h>
#include <superslab/superslab.h>

static char *slab(size_t n)
{
	return unit_fake.arena + n * SLAB_SIZE;
}

static char *alloc(size_t size)
{
	bool backed;

	return span_alloc(size, 1, ALLOC_ANY, &backed);
}

static bool counts(uint64_t allocations, uint64_t frees, uint64_t live_slabs)
{
	struct class_counters counters;
	struct arena_counters superslab;

	stats_read_blocks(CLASS_SPAN, &counters);
	arena_read_counters(&superslab);
	return counters.allocated == allocations && counters.freed == frees &&
	       counters.slabs == live_slabs &&
	       span_outstanding(CLASS_SPAN) == allocations - frees &&
	       superslab.units_used == live_slabs && !check_spans() && !check_arena();
}

static bool is_span(size_t first, size_t slabs)
{
	for (size_t i = 0; i < slabs; i++)
		if (pagemap_class((uintptr_t)slab(first + i)) != (i ? CLASS_SPAN_REST : CLASS_SPAN))
			return false;
	return true;
}

static bool is_unused(size_t first, size_t slabs)
{
	for (size_t i = 0; i < slabs; i++)
		if (pagemap_class((uintptr_t)slab(first + i)) != CLASS_NONE)
			return false;
	return true;
}

static void span_sizes(void)
{
	static const struct {
		size_t size, slabs;
	} sizes[] = {
		{ 0, 1 },
		{ 1, 1 },
		{ SLAB_SIZE, 1 },
		{ SLAB_SIZE + 1, 2 },
		{ 2 * MIB - 1, 32 },
		{ 2 * MIB, 32 },
		{ 2 * MIB + 1, 33 },
		{ 5 * MIB + 7, 81 },
	};

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *block = alloc(sizes[i].size);

		CHECK(block == slab(0));
		CHECK(span_size(block) == ALIGN_UP(sizes[i].size + !sizes[i].size, PAGE_SIZE));
		CHECK(is_span(0, sizes[i].slabs));
		CHECK(is_unused(sizes[i].slabs, 1));
		CHECK(counts(i + 1, i, sizes[i].slabs));
		span_free(block);
		CHECK(is_unused(0, sizes[i].slabs));
		CHECK(counts(i + 1, i + 1, 0));
		scan_all(true);
	}
	CHECK(unit_close());
}

static void span_starts(void)
{
	char *one, *two;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	one = alloc(3 * SLAB_SIZE);
	two = alloc(70 * SLAB_SIZE); /* across SuperSlabs */
	/* at the start, or at the end, of the run before what is new */
	CHECK(one == slab(0) && two == slab(PLATFORM_MOVES ? 3 : 6));
	CHECK(span_start(one) == one && span_start(one + 1) == one);
	CHECK(span_start(one + 3 * SLAB_SIZE - 1) == one);
	CHECK(span_start(two + 70 * SLAB_SIZE - 1) == two);
	CHECK(span_start(two + 31 * SLAB_SIZE) == two);
	CHECK(span_start(two) == two);
	CHECK(unit_close());
}

/* Where scans come by, the block that was freed last waits for the next one of its length. */
static void span_waits(void)
{
	size_t size = 70 * SLAB_SIZE - 3 * PAGE_SIZE;
	char *block, *other;

	if (!SPANS_WAIT)
		return;
	CHECK(unit_open(32 * MIB, 0, FAKE_PURGE_ZERO));
	policy_set_mode(RELEASE_LATER);
	block = hak_malloc(size);
	CHECK(block && hak_owns(block) && hak_owns(block + size - 1));
	unit_fill(block, size, 1);
	hak_free(block);
	CHECK(span_waiting() == 70 && !hak_owns(block) && !hak_owns(block + size - 1));
	CHECK(span_outstanding(CLASS_SPAN) == 0 && !hak_check());
	/* of the same slabs, and one that is a little longer or shorter */
	CHECK(hak_malloc(size + 3 * PAGE_SIZE) == block && !span_waiting());
	CHECK(hak_usable_size(block) == 70 * SLAB_SIZE && !hak_check());
	hak_free(block);
	CHECK(hak_malloc(size + SLAB_SIZE) == block && !hak_check());
	CHECK(hak_usable_size(block) == size + SLAB_SIZE);
	hak_free(block);
	CHECK(hak_malloc(size) == block && hak_usable_size(block) == 71 * SLAB_SIZE);
	CHECK(hak_owns(block + 71 * SLAB_SIZE - 1) && !hak_check());
	hak_free(block);
	/* what does not fit gets its memory, and so does what is to read zero */
	other = hak_malloc(40 * SLAB_SIZE);
	CHECK(other == block && !span_waiting() && !hak_check());
	hak_free(other);
	other = hak_zalloc(40 * SLAB_SIZE);
	CHECK(other && !span_waiting() && unit_is_zero(other, 40 * SLAB_SIZE) && !hak_check());
	/* it goes at the second scan, and with a trim */
	hak_free(other);
	CHECK(hak_idle(SIZE_MAX) && span_waiting() == 40);
	CHECK(hak_idle(SIZE_MAX) && !span_waiting() && !hak_check());
	block = hak_malloc(size);
	hak_free(block);
	CHECK(span_waiting() && hak_trim(HAK_TRIM_OWN) && !span_waiting());
	CHECK(unit_fake.outstanding_heap == 0);
	policy_set_mode(RELEASE_AT_ONCE);
	CHECK(unit_close());
}

static void span_alignment(void)
{
	bool backed;

	CHECK(unit_open_aligned(64 * MIB, 16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(alloc(1) == slab(0));
	for (size_t align = 1; align <= 16 * MIB; align *= 2) {
		char *block = span_alloc(3 * SLAB_SIZE, align, ALLOC_ANY, &backed);

		CHECK(block && (uintptr_t)block % align == 0);
		CHECK((uintptr_t)block % SLAB_SIZE == 0);
		CHECK(span_size(block) == 3 * SLAB_SIZE);
		CHECK(!check_spans());
		span_free(block);
	}
	CHECK(counts(26, 25, 1));
	CHECK(unit_close());
}

static void span_shrinking(void)
{
	char *block;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	block = alloc(100 * SLAB_SIZE);
	CHECK(block == slab(0) && counts(1, 0, 100));
	unit_fill(block, 40 * SLAB_SIZE, 3);
	CHECK(span_resize(block, 100 * SLAB_SIZE - 5)); /* the same slabs */
	CHECK(counts(1, 0, 100));
	CHECK(span_resize(block, 40 * SLAB_SIZE));
	CHECK(counts(1, 0, 40) && span_size(block) == 40 * SLAB_SIZE);
	CHECK(is_span(0, 40) && is_unused(40, 24));
	CHECK(unit_is_filled(block, 40 * SLAB_SIZE, 3));
	/* slabs 64 .. 127: one SuperSlab stayed as the reserve */
	CHECK(unit_fake.outstanding_heap == 3 * SUPERSLAB_SIZE);
	CHECK(alloc(24 * SLAB_SIZE) == slab(40));
	CHECK(span_resize(block, 1));
	CHECK(counts(2, 0, 25) && is_span(0, 1) && is_unused(1, 39));
	span_free(block);
	CHECK(counts(2, 1, 24));
	CHECK(unit_close());
}

static void span_growing(void)
{
	char *block, *behind;

	CHECK(unit_open(6 * MIB, 0, FAKE_PURGE_NONE));
	block = alloc(SLAB_SIZE);
	unit_fill(block, SLAB_SIZE, 9);
	CHECK(span_resize(block, 31 * SLAB_SIZE + 1));
	CHECK(counts(1, 0, 32) && is_span(0, 32));
	CHECK(!span_resize(block, 33 * SLAB_SIZE)); /* nothing is mapped there */
	CHECK(counts(1, 0, 32) && span_size(block) == 31 * SLAB_SIZE + PAGE_SIZE);
	behind = alloc(32 * SLAB_SIZE);
	CHECK(behind == slab(32));
	CHECK(!span_resize(block, 33 * SLAB_SIZE));
	CHECK(span_resize(behind, SLAB_SIZE));
	CHECK(!span_resize(block, 33 * SLAB_SIZE));
	span_free(behind); /* stays in reserve */
	CHECK(span_resize(block, 33 * SLAB_SIZE));
	CHECK(is_span(0, 33) && is_unused(33, 31) && counts(2, 1, 33));
	CHECK(span_resize(block, 64 * SLAB_SIZE) && !span_resize(block, 65 * SLAB_SIZE));
	CHECK(is_span(0, 64) && counts(2, 1, 64));
	CHECK(unit_is_filled(block, SLAB_SIZE, 9));
	span_free(block);
	CHECK(counts(2, 2, 0));
	CHECK(unit_close());
}

static void span_zero(void)
{
	bool backed;
	void *block;

	CHECK(unit_open(8 * MIB, FAKE_ZERO, FAKE_PURGE_NONE));
	block = span_alloc(3 * MIB, 1, ALLOC_ANY, &backed);
	CHECK(block && unit_reads_zero(at(block), 48) && unit_is_zero(block, 3 * MIB));
	unit_fill(block, 3 * MIB, 1);
	CHECK(span_resize(block, MIB));
	block = span_alloc(SLAB_SIZE, 1, ALLOC_ANY, &backed); /* what it gave up */
	CHECK(block && !unit_reads_zero(at(block), 1));
	CHECK(unit_close());
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	block = span_alloc(SLAB_SIZE, 1, ALLOC_ANY, &backed);
	CHECK(block && !unit_reads_zero(at(block), 1));
	CHECK(unit_close());
}

static void span_failures(void)
{
	bool backed;

	CHECK(unit_open(6 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(!alloc(7 * MIB) && !alloc((size_t)1 << 40) && !alloc(PTRDIFF_MAX));
	CHECK(!span_alloc(1, (size_t)1 << 40, ALLOC_ANY, &backed));
	CHECK(!span_alloc(1, (size_t)1 << 62, ALLOC_ANY, &backed));
	CHECK(counts(0, 0, 0));
	CHECK(alloc(4 * MIB) == slab(0));
	CHECK(!alloc(1));
	CHECK(counts(1, 0, 64));
	CHECK(!span_resize(slab(0), PTRDIFF_MAX));
	CHECK(counts(1, 0, 64));
	CHECK(unit_close());
}

static uint64_t units_of_class(unsigned class)
{
	struct class_counters counters;

	stats_read_blocks(class, &counters);
	return counters.slabs;
}

/* Two groups and a span of each class: where they are, and what the page map knows of them. */
static bool group_fills(unsigned class, void **spans, unsigned n)
{
	unsigned units = size_class[class].units;
	size_t size = size_class[class].size;

	for (unsigned i = 0; i < n; i++) {
		size_t detail;
		char *span = spans[i], *before = i % size_class[class].blocks ? spans[i - 1] : NULL;

		CHECK_OR(span && (!before || at(span) == at(before) + size), false);
		CHECK_OR(span_begins(class, at(span)) && !span_begins(class, at(span) + 16), false);
		CHECK_OR(at(span_start(span + size - 1)) == at(span), false);
		CHECK_OR(span_inspect(class, span, &detail) == HAK_BUG_NONE, false);
		CHECK_OR(span_inspect(class, span + PAGE_SIZE, &detail) == HAK_BUG_INTERIOR &&
				 detail == PAGE_SIZE,
			 false);
		CHECK_OR(hak_usable_size(span) == size && hak_owns(span + size - 1), false);
		unit_fill(span, size, i);
	}
	CHECK_OR(units_of_class(class) == 3 * units && span_outstanding(class) == n, false);
	return true;
}

static void span_groups(void)
{
	for_each_span_class(class)
	{
		unsigned n = 2 * size_class[class].blocks + 1;
		void *spans[2 * 64 + 1];
		size_t size = size_class[class].size, detail;

		if (!class_has_groups(class))
			continue;
		CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
		for (unsigned i = 0; i < n; i++)
			CHECK(span_alloc_batch(class, &spans[i] + 1, 1, ALLOC_ANY) == 1);
		CHECK(group_fills(class, spans, n) && !hak_check());
		/* every second one, and the same places again */
		for (unsigned i = 0; i < n; i += 2) {
			span_free_batch(class, &spans[i], 1);
			CHECK(span_outstanding(class) == n - 1 - i / 2);
			CHECK(i == n - 1 ||
			      span_inspect(class, spans[i], &detail) == HAK_BUG_DOUBLE_FREE);
			CHECK(!hak_check());
		}
		CHECK(units_of_class(class) == 2 * size_class[class].units);
		for (unsigned i = 0; i < n - 1; i += 2) {
			CHECK(span_alloc_batch(class, &spans[i] + 1, 1, ALLOC_BACKED) == 1);
			unit_fill(spans[i], size, i);
		}
		CHECK(units_of_class(class) == 2 * size_class[class].units && !hak_check());
		for (unsigned i = 1; i < n; i += 2)
			CHECK(unit_is_filled(spans[i], size, i));
		span_free_batch(class, spans, n - 1);
		CHECK(span_outstanding(class) == 0 && !hak_check());
		CHECK(units_of_class(class) == 0 && hak_trim(HAK_TRIM_ALL) == 2 * MIB);
		CHECK(unit_close());
	}
}

/* Without room for a group, a span lies alone. It is none of a group, however often it moves. */
static void span_alone(void)
{
	char *slabs[32], *span;

	if (!HAS_GROUPS)
		return;
	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned i = 0; i < 32; i++)
		CHECK((slabs[i] = unit_span_alloc(SLAB_SIZE)));
	CHECK(!hak_malloc(40000));
	span_free(slabs[7]);
	span_free(slabs[20]);
	span = hak_malloc(40000);
	CHECK(span && hak_usable_size(span) == 40960 && !hak_check());
	unit_fill(span, 40000, 1);
	span = hak_realloc(span, 36000);
	CHECK(span && unit_is_filled(span, 36000, 1) && !hak_check());
	hak_free(span);
	span = hak_aligned_alloc(16 * KIB, 40000);
	CHECK(span && at(span) % (16 * KIB) == 0 && !hak_malloc(70000) && !hak_check());
	CHECK(unit_close());
}

void unit_span(void)
{
	TEST_RUN(span_groups);
	TEST_RUN(span_alone);
	TEST_RUN_SLABS(span_sizes);
	TEST_RUN(span_starts);
	TEST_RUN(span_waits);
	TEST_RUN_SLABS(span_alignment);
	TEST_RUN_SLABS(span_shrinking);
	TEST_RUN_SLABS(span_growing);
	TEST_RUN(span_zero);
	TEST_RUN_SLABS(span_failures);
}
