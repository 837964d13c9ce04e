/* SPDX-License-Identifier: MIT */
/*
 * core/superslab and core/slab where units are smaller than slabs: joined units, short slabs,
 * bitmaps in descriptors, and windows. With units of 64 KiB little is left of that.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <diag/check.h>
#include <pages/pagemap.h>
#include <slab/class.h>
#include <superslab/arena.h>
#include <superslab/superslab.h>

#define CLASS_64 5

static struct slab *slab_of(const void *block)
{
	return address_to_slab((uintptr_t)block);
}

/* Units in a row at the start of the arena, each a span: @n of them. */
static bool take_units(void **unit, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unit[i] = unit_span_alloc(UNIT_SIZE);
		if (!unit[i])
			return false;
	}
	return true;
}

/* All units of a slab lead to it, and have its class. */
static bool is_joined(const struct slab *slab, unsigned units)
{
	struct superslab *superslab = slab_superslab(slab);

	CHECK_OR(slab_units(slab) == units, false);
	for (unsigned i = 0; i < units; i++) {
		uintptr_t address = slab_base(slab) + i * UNIT_SIZE;

		CHECK_OR(superslab_slab(superslab, address) == slab, false);
		CHECK_OR(superslab_back(superslab, slab->index + i) == i, false);
		CHECK_OR(pagemap_class(address + UNIT_SIZE - 1) == slab->class, false);
	}
	return true;
}

/* There is a gap of so many units and no other memory: a slab of them serves, and goes again. */
static void units_short_slab(void)
{
	static void *unit[2 * UNITS_PER_SUPERSLAB];
	void *block;

	if (UNITS_PER_SLAB == 1)
		return;
	for (unsigned n = 1; n <= UNITS_PER_SLAB; n++) {
		unsigned all = UNITS_PER_SUPERSLAB, first = all / NR_WINDOWS - 1;

		CHECK(unit_open(3 * MIB, 0, FAKE_PURGE_NONE));
		CHECK(take_units(unit, all) && !unit_span_alloc(UNIT_SIZE));
		for (unsigned i = 0; i < n && first + i < all; i++)
			hak_free(unit[first + i]); /* across the edge of a window */
		block = hak_malloc(64);
		CHECK(block && is_joined(slab_of(block), n));
		CHECK(slab_of(block)->blocks == n * UNIT_SIZE / 64);
		CHECK(!hak_check());
		hak_free(block);
		hak_flush();
		CHECK(!hak_check());
		/* the units are units again */
		CHECK(unit_span_alloc(n * UNIT_SIZE));
		CHECK(!unit_span_alloc(UNIT_SIZE) && !hak_check());
		CHECK(unit_close());
	}
}

/* A slab lies in one SuperSlab, also where the only run goes across an edge. */
static void units_at_an_edge(void)
{
	static void *unit[2 * UNITS_PER_SUPERSLAB];
	unsigned all = 2 * UNITS_PER_SUPERSLAB, half = UNITS_PER_SUPERSLAB;
	void *block;

	if (UNITS_PER_SLAB == 1)
		return;
	CHECK(unit_open(5 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take_units(unit, all) && !unit_span_alloc(UNIT_SIZE));
	for (unsigned i = half - 3; i < half + 5; i++)
		hak_free(unit[i]);
	block = hak_malloc(64);
	CHECK(block && slab_units(slab_of(block)) == 5);
	CHECK(slab_base(slab_of(block)) % SUPERSLAB_SIZE == 0 && !hak_check());
	CHECK(unit_close());
}

/* What a slab knows of its pages is what its units know before and after. */
static void units_keep_pages(void)
{
	unsigned blocks = (unsigned)(SLAB_SIZE / 64);
	static void *batch[SLAB_SIZE / 64];
	struct slab *slab;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(unit_span_alloc(UNIT_SIZE)); /* keeps the SuperSlab */
	CHECK(class_alloc(CLASS_64, batch + blocks, blocks, ALLOC_ANY) == blocks);
	slab = slab_of(batch[0]);
	CHECK(slab->unbacked == 0 && slab->untouched == 0);
	/* all but the first page are free, and are purged */
	class_free(CLASS_64, batch, blocks - 64);
	CHECK(hak_trim(HAK_TRIM_ALL) >= 15 * PAGE_SIZE);
	CHECK(slab->unbacked == 0xfffe && slab->untouched == 0 && !hak_check());
	class_free(CLASS_64, batch + blocks - 64, 64);
	CHECK(!hak_check());
	for (unsigned i = 0; i < UNITS_PER_SLAB; i++)
		CHECK(slab[i].unbacked == (UNITS_PER_SLAB == 1 ? 0xfffeu : (unsigned)(i > 0)));
	CHECK(unit_close());
}

/* Everything at random, and the walk finds nothing. */
static void units_at_random(void)
{
	static void *block[600];
	uint64_t random = 3;

	CHECK(unit_open(5 * MIB, 0, FAKE_PURGE_DIRTY));
	for (unsigned step = 0; step < 30000; step++) {
		void **slot = &block[test_random(&random) % ARRAY_SIZE(block)];
		unsigned octave = test_random(&random) % 14;

		hak_free(*slot);
		*slot = hak_malloc((16u << octave) + test_random(&random) % (16u << octave));
		if (step % 1000 == 0)
			hak_idle(3);
		if (step % 500 == 0)
			CHECK(!hak_check());
	}
	for (unsigned i = 0; i < ARRAY_SIZE(block); i++)
		hak_free(block[i]);
	hak_trim(HAK_TRIM_ALL);
	CHECK(!hak_check() && unit_fake.outstanding_heap == 0);
	CHECK(unit_close());
}

void unit_units(void)
{
	UNLESS_HARDENED(units_short_slab);
	TEST_RUN(units_at_an_edge);
	TEST_RUN(units_keep_pages);
	TEST_RUN(units_at_random);
}
