/* SPDX-License-Identifier: MIT */
/*
 * core/superslab: which run of slabs a request gets, what goes back to the
 * provider and when, what is known of the contents, and the counters. The
 * provider hands out 2 MiB after 2 MiB with rising addresses, so that exact
 * addresses can be expected: slab(0) is the first of the arena, slab(32) the
 * first of the second SuperSlab.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <pages/meta.h>
#include <pages/pagemap.h>
#include <pages/pages.h>
#include <base/sizeclass.h>
#include <reclaim/scan.h>
#include <base/policy.h>
#include <superslab/runs.h>
#include <superslab/span.h>
#include <superslab/superslab.h>

static uintptr_t slab(size_t n)
{
	return (uintptr_t)unit_fake.arena + n * SLAB_SIZE;
}

/* The number of the slab that was taken; -1 for none. */
static long take_aligned(size_t slabs, size_t align)
{
	bool backed;
	uintptr_t base = superslab_alloc(slabs, 0, align, ALLOC_ANY, &backed);

	return base ? (long)((base - slab(0)) / SLAB_SIZE) : -1;
}

static long take(size_t slabs)
{
	return take_aligned(slabs, SLAB_SIZE);
}

/* How long is the run that starts or ends with this slab? */
static size_t run_of(size_t n)
{
	return address_to_slab(slab(n))->run;
}

static void put(size_t first, size_t slabs)
{
	superslab_free(slab(first), slabs);
}

/* Do the counters say this? */
static bool counts(uint64_t mapped, uint64_t released, uint64_t reserve, uint64_t slabs_used)
{
	struct arena_counters counters;

	arena_read_counters(&counters);
	return counters.mapped == mapped && counters.released == released &&
	       counters.active == mapped - released && counters.reserve == reserve &&
	       counters.units_used == slabs_used &&
	       unit_fake.outstanding_heap == counters.active * SUPERSLAB_SIZE && !check_arena();
}

static struct arena_counters counters(void)
{
	struct arena_counters now;

	arena_read_counters(&now);
	return now;
}

static void superslab_first_take(void)
{
	bool backed;
	struct superslab *superslab;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(counts(0, 0, 0, 0));
	CHECK(superslab_alloc(1, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(0));
	CHECK(!unit_reads_zero(slab(0), 1)); /* the provider did not say so */
	CHECK(counts(1, 0, 0, 1) && counters().peak == 1);
	superslab = pagemap_superslab(slab(0));
	CHECK(superslab && superslab->base == slab(0));
	CHECK(superslab->window->unused == 0xfffffffeu && run_of(1) == 31);
	CHECK(!pagemap_superslab(slab(32)));
	for (unsigned i = 0; i < UNITS_PER_SUPERSLAB; i++) {
		CHECK(slab_base(&superslab->slab[i]) == slab(i));
		CHECK(superslab_slab(superslab, slab(i) + 5) == &superslab->slab[i]);
		CHECK(slab_superslab(&superslab->slab[i]) == superslab);
	}
	for (long i = 1; i < 32; i++)
		CHECK(take(1) == i);
	CHECK(superslab->unused == 0 && superslab->window->unused == 0 && !hak_runs.lists);
	CHECK(counts(1, 0, 0, 32));
	CHECK(take(1) == 32);
	CHECK(counts(2, 0, 0, 33) && counters().peak == 2);
	CHECK(arena_first()->base == slab(32)); /* the newest first */
	CHECK(arena_next(arena_first()) == superslab);
	CHECK(!arena_next(superslab));
	CHECK(unit_close());
}

/* The shortest run that suffices, wherever it is. */
static void superslab_best_fit(void)
{
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(32) == 0 && take(32) == 32 && take(32) == 64);
	put(0, 5); /* the first has runs of 5 and 2 */
	put(20, 2);
	put(32, 10); /* the second one of 10 */
	CHECK(counts(3, 0, 0, 96 - 17));
	CHECK(take(3) == 0);  /* 5 fits better than 10; 2 remain there, twice */
	CHECK(take(6) == 32); /* 4 remain */
	CHECK(take(2) == 3);  /* exactly, and the last one that came about */
	CHECK(take(3) == 38); /* 1 remains */
	CHECK(take(2) == 20);
	CHECK(take(1) == 41);
	CHECK(counts(3, 0, 0, 96));
	CHECK(take(1) == 96); /* all are full */
	CHECK(counts(4, 0, 0, 97));
	CHECK(unit_close());
}

/* A run is found wherever it lies in a SuperSlab, and only real runs. */
static void superslab_runs(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(32) == 0);
	for (unsigned i = 0; i < 32; i += 2)
		put(i, 1);
	CHECK(run_of(0) == 1 && run_of(30) == 1);
	CHECK(take(2) == 32); /* 16 are unused, no two of them neighbours */
	put(32, 2);
	put(17, 1); /* 16, 17, 18 */
	CHECK(run_of(16) == 3 && run_of(18) == 3);
	CHECK(take(3) == 16);
	CHECK(counts(2, 0, 1, 18));
	put(31, 1); /* 30, 31: the end counts too */
	CHECK(take(2) == 30);
	for (unsigned n = 1; n <= 32; n++) {
		CHECK(take(32) == 32);
		put(64 - n, n);
		CHECK(run_of(64 - n) == n && run_of(63) == n);
		CHECK(take(n) == (long)(n == 32 ? 32 : 64 - n));
		put(32, 32);
	}
	CHECK(!check_arena());
	CHECK(unit_close());
}

static void superslab_alignment(void)
{
	CHECK(unit_open_aligned(32 * MIB, 8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(1) == 0);
	CHECK(take_aligned(1, 128 * KIB) == 2);
	CHECK(take_aligned(3, 256 * KIB) == 4);
	CHECK(take_aligned(1, 1 * MIB) == 16);
	CHECK(take(1) == 3); /* what the alignments left over */
	CHECK(take(1) == 1);
	CHECK(counts(1, 0, 0, 8));
	CHECK(take_aligned(2, 1 * MIB) == 32); /* both halves are taken */
	CHECK(take_aligned(1, 2 * MIB) == 64);
	CHECK(counts(3, 0, 0, 11));
	CHECK(take_aligned(1, 4 * MIB) == 128); /* slab 64 is at 4 MiB, and taken */
	CHECK(take_aligned(40, 8 * MIB) == 256);
	CHECK(counts(3 + 1 + 2, 0, 0, 52));
	/* unused slabs at a 4 MiB boundary serve as well as new memory */
	put(64, 1); /* empties that SuperSlab */
	CHECK(counts(6, 0, 1, 51));
	CHECK(take_aligned(5, 4 * MIB) == 64);
	CHECK(counts(6, 0, 0, 56));
	CHECK(!check_arena());
	CHECK(unit_close());
}

/* A run longer than a SuperSlab; what it leaves of the last one is usable. */
static void superslab_long_run(void)
{
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(40) == 0);
	CHECK(counts(2, 0, 0, 40));
	CHECK(unit_fake.calls[FAKE_MAP_HEAP] == 1); /* one mapping */
	CHECK(pagemap_superslab(slab(0))->map_id == pagemap_superslab(slab(32))->map_id);
	CHECK(take(24) == 40);
	CHECK(counts(2, 0, 0, 64));
	CHECK(take(33) == 64 && take(31) == 97);
	CHECK(counts(4, 0, 0, 128));
	put(0, 40);
	CHECK(counts(4, 0, 1, 88));
	put(64, 33);
	CHECK(counts(4, 1, 1, 55)); /* one is in reserve already */
	CHECK(unit_close());
}

/*
 * What is left of a SuperSlab serves the next request together with a new one. What takes whole
 * SuperSlabs begins where one does.
 */
static void superslab_new_goes_on(void)
{
	CHECK(unit_open(32 * MIB, 0, FAKE_PURGE_NONE));
	for (long i = 0; i < 4; i++)
		CHECK(take(17) == i * 17);
	CHECK(counts(3, 0, 0, 68));
	CHECK(take(33) == 68 && take(64) == 128 && take(33) == 192);
	CHECK(counts(9, 0, 1, 198));
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* In the lowest of several SuperSlabs, a large span leaves the start of the run to the next one. */
static void superslab_lowest(void)
{
	bool backed;

	if (!NR_SPAN_CLASSES)
		return;
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	policy_set_mode(RELEASE_NEVER);
	CHECK(take(20) == 0); /* nothing is mapped above it */
	CHECK(take(20) == 20 && take(24) == 40);
	put(0, 20);
	put(20, 20);
	CHECK(take(16) == 0); /* two of these fit */
	put(0, 16);
	CHECK(superslab_alloc(17, 0, SLAB_SIZE, ALLOC_TO_GROW, &backed) == slab(0));
	put(0, 17);
	CHECK(take(17) == 40 - 17 && take(17) == 40 - 2 * 17);
	CHECK(superslab_alloc(17, 0, 4 * SLAB_SIZE, ALLOC_ANY, &backed) == slab(64));
	put(6, 17);
	put(23, 17);
	CHECK(superslab_alloc(17, 0, 4 * SLAB_SIZE, ALLOC_ANY, &backed) == slab(20));
	policy_set_mode(RELEASE_AT_ONCE);
	CHECK(!hak_check() && unit_close());
}

/* Runs that continue from the used SuperSlab into unused neighbours. */
static void superslab_run_across(void)
{
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(10) == 0 && take(32) == 32);
	put(32, 32); /* stays in reserve */
	CHECK(counts(2, 0, 1, 10));
	CHECK(take(33) == 10); /* 22 + 11, nothing is mapped for it */
	CHECK(counts(2, 0, 0, 43));
	CHECK(take(21) == 43);
	CHECK(counts(2, 0, 0, 64));
	put(10, 33);
	CHECK(counts(2, 0, 0, 31));
	CHECK(take(34) == 64); /* 33 fit in between, not 34 */
	put(64, 34);
	CHECK(take(33) == 10);
	CHECK(!check_arena());
	CHECK(unit_close());
}

/* Short runs across an edge are as good as others. */
static void superslab_short_run_across(void)
{
	bool backed;

	/* descriptors come out of the last 2 MiB */
	CHECK(unit_open(6 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(32) == 0 && take(32) == 32);
	put(29, 3);
	put(32, 2);
	CHECK(run_of(29) == 5 && run_of(33) == 5);
	CHECK(take(6) == -1);
	CHECK(superslab_alloc(6, 0, SLAB_SIZE, ALLOC_ANY, &backed) == 0);
	CHECK(counts(2, 0, 0, 59));
	CHECK(take(5) == 29);
	CHECK(counts(2, 0, 0, 64));
	CHECK(take(1) == -1);
	CHECK(counts(2, 0, 0, 64));
	put(29, 5);
	CHECK(counts(2, 0, 0, 59));
	CHECK(take_aligned(4, 128 * KIB) == 30); /* 30, 31, 32, 33 */
	CHECK(take_aligned(1, 128 * KIB) == -1);
	CHECK(take(1) == 29);
	CHECK(unit_close());

	/* also while there is more memory */
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(32) == 0 && take(32) == 32);
	put(29, 3);
	put(32, 2);
	CHECK(take(5) == 29);
	CHECK(counts(2, 0, 0, 64));
	CHECK(unit_close());
}

#define ARENA_SLABS 256u

static bool is_unused(size_t n)
{
	const struct slab *it = n < ARENA_SLABS ? address_to_slab(slab(n)) : NULL;

	return it && superslab_is_unused(slab_superslab(it), it->index);
}

/*
 * Slab by slab, without the lists: the length of the shortest run in which @slabs fit,
 * or 0; of the one that has slab @of, if that is not -1.
 */
static size_t shortest_run(size_t slabs, size_t align, long of)
{
	size_t shortest = 0, end;

	for (size_t n = 0; n < ARENA_SLABS; n = end + 1) {
		size_t first = ALIGN_UP(slab(n), align) / SLAB_SIZE - slab(0) / SLAB_SIZE;

		for (end = n; is_unused(end);)
			end++;
		if (first + slabs > end || (of >= 0 && ((size_t)of < n || (size_t)of >= end)))
			continue;
		if (!shortest || end - n < shortest)
			shortest = end - n;
	}
	return shortest;
}

/* Whatever is taken and put: the equations hold, and a short run is taken. */
static void superslab_runs_at_random(void)
{
	size_t taken[ARENA_SLABS] = { 0 }, nr_new = 0, nr_none = 0; /* so many from this one on */
	uint64_t random = 1;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned step = 0; step < 20000; step++) {
		size_t slabs = 1 + test_random(&random) % (step % 2 ? 8 : 50);
		size_t align = SLAB_SIZE << test_random(&random) % 4;
		size_t n = test_random(&random) % ARENA_SLABS;
		size_t shortest = shortest_run(slabs, align, -1);
		uint64_t mapped = counters().mapped;
		size_t run[ARENA_SLABS];
		long base;

		if (taken[n]) {
			put(n, taken[n]);
			taken[n] = 0;
		} else {
			for (size_t i = 0; i < ARENA_SLABS; i++)
				run[i] = is_unused(i) ? shortest_run(1, SLAB_SIZE, (long)i) : 0;
			base = take_aligned(slabs, align);
			nr_new += base >= 0 && !shortest;
			nr_none += base < 0;
			CHECK(!shortest || base >= 0);
			CHECK(!shortest || counters().mapped == mapped);
			CHECK(!shortest ||
			      runs_list(false, run[base]) == runs_list(false, shortest));
			if (base >= 0)
				taken[base] = slabs;
		}
		CHECK(unit_same(check_arena(), NULL));
	}
	CHECK(nr_new && nr_none);
	CHECK(unit_close());
}

static void superslab_resize_in_place(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(4) == 0 && take_aligned(40, SUPERSLAB_SIZE) == 32);
	CHECK(superslab_resize(slab(32), 40, 1, 0)); /* shrinks */
	CHECK(counts(3, 0, 1, 5));
	CHECK(superslab_resize(slab(0), 4, 4, 0));
	CHECK(superslab_resize(slab(0), 4, 6, 0));
	CHECK(counts(3, 0, 1, 7));
	CHECK(!superslab_resize(slab(0), 6, 33, 0)); /* 32 is used */
	CHECK(counts(3, 0, 1, 7));
	CHECK(superslab_resize(slab(0), 6, 32, 0));
	CHECK(superslab_resize(slab(32), 1, 41, 0)); /* into the next SuperSlab */
	CHECK(counts(3, 0, 0, 73));
	CHECK(!superslab_resize(slab(32), 41, 65, 0)); /* nothing is mapped behind it */
	CHECK(superslab_resize(slab(32), 41, 64, 0));
	CHECK(counts(3, 0, 0, 96));
	CHECK(unit_close());
}

/* One empty SuperSlab stays, the others go back at once, a trim takes all. */
static void superslab_release(void)
{
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(32) == 0 && take(32) == 32 && take(32) == 64);
	put(0, 31);
	CHECK(counts(3, 0, 0, 65) && counters().emptied == 0);
	put(31, 1);
	CHECK(counts(3, 0, 1, 64) && counters().emptied == 1);
	put(32, 32);
	CHECK(counts(3, 1, 1, 32) && counters().emptied == 2);
	CHECK(!pagemap_superslab(slab(32)) && !fake_is_mapped(&unit_fake, (void *)slab(32), 1));
	put(64, 32);
	CHECK(counts(3, 2, 1, 0) && counters().emptied == 3);
	CHECK(counters().peak == 3 && counters().refused == 0);
	CHECK(pagemap_superslab(slab(0))); /* this one stayed */
	CHECK(take(32) == 0);
	CHECK(counts(3, 2, 0, 32));
	put(0, 32);
	CHECK(scan_all(true) == SUPERSLAB_SIZE);
	CHECK(counts(3, 3, 0, 0));
	CHECK(scan_all(true) == 0);
	CHECK(!pagemap_superslab(slab(0)));
	CHECK(take(1) == 0);
	CHECK(counts(4, 3, 0, 1));
	CHECK(unit_close());
}

/* Unused slabs have no class, whatever they had. */
static void superslab_put_clears_classes(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(40) == 0 && take(1) == 40);
	pagemap_set_class(slab(0), 41, CLASS_SPAN_REST);
	CHECK(unit_same(check_arena(), NULL));
	put(2, 37);
	for (unsigned i = 0; i < 64; i++) {
		unsigned class = i < 2 || i == 39 || i == 40 ? CLASS_SPAN_REST : CLASS_NONE;

		CHECK(pagemap_class(slab(i)) == class);
	}
	CHECK(unit_close());
}

/* What the provider refuses to take stays ours, dirty, and is used again. */
static void superslab_refused(void)
{
	bool backed;

	CHECK(unit_open(16 * MIB, FAKE_ZERO, FAKE_PURGE_NONE));
	CHECK(take(32) == 0 && take(32) == 32);
	put(0, 32);
	fake_fail(&unit_fake, FAKE_UNMAP, 1, true, FAKE_FAILS);
	put(32, 32);
	CHECK(unit_fake.calls[FAKE_UNMAP] == 1);
	CHECK(counts(2, 0, 2, 0) && counters().refused == 1);
	CHECK(pagemap_superslab(slab(32))->refused && !pagemap_superslab(slab(0))->refused);
	/* it serves, and the provider is not asked again each time */
	CHECK(take(32) == 0);
	CHECK(superslab_alloc(32, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(32) &&
	      !unit_reads_zero(slab(32), 32));
	put(0, 32);
	put(32, 32);
	CHECK(counts(2, 0, 2, 0) && unit_fake.calls[FAKE_UNMAP] == 1);
	/* but a trim asks once more */
	CHECK(scan_all(true) == 0);
	CHECK(unit_fake.calls[FAKE_UNMAP] == 3);
	CHECK(counts(2, 0, 2, 0) && counters().refused == 3);
	fake_heal(&unit_fake);
	CHECK(scan_all(true) == 2 * SUPERSLAB_SIZE);
	CHECK(counts(2, 2, 0, 0));
	CHECK(unit_close());
}

/* A provider that never takes anything back. */
static void superslab_never_unmapped(void)
{
	static const unsigned flags[] = { FAKE_NO_UNMAP, FAKE_KEEPS, FAKE_KEEPS, FAKE_NO_UNMAP };

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		CHECK(unit_open(8 * MIB, flags[i], FAKE_PURGE_NONE));
		for (unsigned n = 0; n < 3; n++) {
			CHECK(take(64) >= 0 && take(32) >= 0);
			CHECK(counts(3, 0, 0, 96));
			put(0, 96);
			CHECK(counts(3, 0, 3, 0));
			CHECK(scan_all(true) == 0);
			CHECK(counts(3, 0, 3, 0));
		}
		CHECK(unit_fake.calls[FAKE_MAP_HEAP] == 2);
		CHECK(unit_close());
	}
}

/* With parts, the neighbours in one chain go in one call, if of one mapping. */
static void superslab_parts_together(void)
{
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(128) == 0);
	put(0, 128); /* 0 stays, 1 to 3 go */
	CHECK(counts(4, 3, 1, 0) && unit_fake.calls[FAKE_UNMAP] == 1);
	CHECK(scan_all(true) == SUPERSLAB_SIZE);
	CHECK(take(32) == 0 && take(32) == 32 && take(33) == 64);
	CHECK(unit_fake.calls[FAKE_UNMAP] == 2);
	put(0, 32);
	put(32, 65); /* of two mappings: two calls */
	CHECK(counts(8, 7, 1, 0) && unit_fake.calls[FAKE_UNMAP] == 4);
	CHECK(unit_close());
}

/*
 * A mapping whose start went back, and a new one in that place: they have the
 * same start, and are not the same mapping.
 */
static void superslab_new_mapping_in_old_place(void)
{
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(128) == 0);
	put(64, 32); /* reserve */
	put(0, 32);  /* goes */
	CHECK(counts(4, 1, 1, 64));
	CHECK(take(32) == 64); /* the reserve */
	CHECK(take(32) == 0);  /* a new mapping where the old one began */
	CHECK(counts(5, 1, 0, 128));
	put(96, 32);
	CHECK(counts(5, 1, 1, 96));
	put(0, 64); /* neighbours of two mappings, in one chain */
	CHECK(unit_fake.broken == 0);
	CHECK(counts(5, 3, 1, 32));
	CHECK(unit_close());
}

/* Is the memory known to be zero? Only if nothing can have been written to it. */
static void superslab_zero(void)
{
	bool backed;

	CHECK(unit_open(16 * MIB, FAKE_ZERO, FAKE_PURGE_ZERO));
	CHECK(superslab_alloc(4, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(0) &&
	      unit_reads_zero(slab(0), 4));
	CHECK(superslab_alloc(4, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(4) &&
	      unit_reads_zero(slab(4), 4));
	put(2, 2);
	CHECK(superslab_alloc(2, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(2) &&
	      !unit_reads_zero(slab(2), 2));
	put(7, 1); /* one dirty slab before many clean ones */
	CHECK(superslab_alloc(3, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(7) &&
	      !unit_reads_zero(slab(7), 3));
	CHECK(superslab_alloc(3, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(10) &&
	      unit_reads_zero(slab(10), 3));
	put(10, 3);
	CHECK(scan_all(true) == 3 * SLAB_SIZE);
	CHECK(superslab_alloc(3, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(10) &&
	      unit_reads_zero(slab(10), 3));
	CHECK(unit_is_zero((void *)slab(10), 3 * SLAB_SIZE));
	CHECK(superslab_alloc(64, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(32) &&
	      unit_reads_zero(slab(32), 64));
	CHECK(unit_close());

	/* a provider that refuses to take memory back may have destroyed it */
	CHECK(unit_open(16 * MIB, FAKE_ZERO, FAKE_PURGE_ZERO));
	CHECK(take(32) == 0 && take(4) == 32);
	put(0, 32);
	fake_fail(&unit_fake, FAKE_UNMAP, 1, true, FAKE_FAILS);
	put(32, 4);
	CHECK(counts(2, 0, 2, 0));
	CHECK(take(32) == 0);
	CHECK(superslab_alloc(4, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(32));
	CHECK(!unit_reads_zero(slab(32), 4) && !unit_is_zero((void *)slab(32), SLAB_SIZE));
	CHECK(unit_close());
}

/* Only what is not known to read zero is cleared: a byte written in secret stays elsewhere. */
static void superslab_clears(void)
{
	bool backed;
	char *half;

	CHECK(unit_open(16 * MIB, FAKE_ZERO, FAKE_PURGE_ZERO));
	CHECK(take(1) == 0 && take(3) == 1);
	unit_fill((void *)slab(1), 3 * SLAB_SIZE, 1);
	*(char *)slab(5) = 1;
	put(1, 3);
	CHECK(superslab_alloc(20, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(1));
	CHECK(!unit_reads_zero(slab(1), 20));
	span_clear(slab(1), 20 * SLAB_SIZE - 5);
	CHECK(unit_is_zero((void *)slab(1), 3 * SLAB_SIZE));
	CHECK(*(char *)slab(5) == 1 && unit_fake.calls[FAKE_PURGE] == 0);
	/* what the owner wrote to is not known; and no more is cleared than is asked for */
	unit_fill((void *)slab(1), SLAB_SIZE, 1);
	put(1, 20);
	half = (char *)slab(1) + SLAB_SIZE / 2;
	half[0] = half[1] = 1;
	CHECK(take(1) == 1);
	span_clear(slab(1), SLAB_SIZE / 2 + 1);
	CHECK(unit_is_zero((void *)slab(1), SLAB_SIZE / 2) && !half[0] && half[1]);
	CHECK(unit_close());
}

/* A long run is purged instead, one SuperSlab by the other; as far as that makes it zero. */
static void superslab_clears_by_purging(void)
{
	static const struct {
		enum fake_purge purge;
		unsigned long purges;
	} cases[] = {
		{ FAKE_PURGE_ZERO, 17 },
		{ FAKE_PURGE_DIRTY, 17 },
		{ FAKE_PURGE_REFUSE, 17 },
		{ FAKE_PURGE_NONE, 0 },
	};
	size_t slabs = POLICY_CLEAR_MOST / SLAB_SIZE + 1;
	bool backed;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK(unit_open(40 * MIB, FAKE_ZERO, cases[i].purge));
		policy_set_mode(RELEASE_NEVER);
		CHECK(superslab_alloc(slabs, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(0));
		CHECK(unit_reads_zero(slab(0), slabs));
		unit_fill((void *)slab(20), 34 * SLAB_SIZE, 1);
		put(0, slabs);
		CHECK(superslab_alloc(slabs, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(0));
		CHECK(!unit_reads_zero(slab(0), slabs));
		span_clear(slab(0), slabs * SLAB_SIZE);
		CHECK(unit_is_zero((void *)slab(0), slabs * SLAB_SIZE));
		CHECK(unit_fake.calls[FAKE_PURGE] == cases[i].purges);
		policy_set_mode(RELEASE_AT_ONCE);
		CHECK(unit_close());
	}
}

/* A trim purges unused slabs that are dirty, each run once. */
static void superslab_purges(void)
{
	bool backed;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_DIRTY));
	CHECK(take(32) == 0);
	put(3, 5);
	put(20, 12);
	CHECK(scan_all(true) == 17 * SLAB_SIZE);
	CHECK(unit_fake.calls[FAKE_PURGE] == 2 && unit_fake.purged == 17 * SLAB_SIZE);
	CHECK(counts(1, 0, 0, 15));
	CHECK(scan_all(true) == 0 && unit_fake.calls[FAKE_PURGE] == 2);
	put(8, 1); /* next to what is purged already */
	CHECK(scan_all(true) == SLAB_SIZE && unit_fake.calls[FAKE_PURGE] == 3);
	/* purged, but not to zeros */
	CHECK(superslab_alloc(6, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(3) &&
	      !unit_reads_zero(slab(3), 6));
	CHECK(unit_close());
}

static void superslab_purge_refused(void)
{
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_REFUSE));
	CHECK(take(33) == 0);
	put(3, 5);
	put(20, 2);
	CHECK(scan_all(true) == 0);
	CHECK(unit_fake.calls[FAKE_PURGE] >= 1);
	CHECK(counts(2, 0, 0, 26));
	/* it does not ask again by itself, */
	unit_fake.calls[FAKE_PURGE] = 0;
	put(1, 1);
	while (hak_idle(1))
		;
	CHECK(unit_fake.calls[FAKE_PURGE] == 0);
	/* but when it is told to */
	CHECK(scan_all(true) == 0 && unit_fake.calls[FAKE_PURGE] == 1);
	CHECK(check_arena() == NULL && take(1) == 1);
	CHECK(take(5) == 3 && take(2) == 20);
	CHECK(unit_close());

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(32) == 0);
	put(3, 5);
	CHECK(scan_all(true) == 0);
	CHECK(counts(1, 0, 0, 27));
	CHECK(unit_close());
}

static void superslab_failures(void)
{
	size_t balance;

	CHECK(unit_open(6 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(97) == -1 && take(PTRDIFF_MAX / SLAB_SIZE) == -1);
	CHECK(counts(0, 0, 0, 0) && unit_fake.outstanding_heap == 0);
	CHECK(take(64) == 0);
	balance = unit_balance();
	CHECK(take(1) == -1 && take(32) == -1 && take(33) == -1);
	CHECK(take_aligned(1, (size_t)1 << 62) == -1);
	CHECK(counts(2, 0, 0, 64) && unit_balance() == balance);
	put(1, 1);
	CHECK(take(2) == -1);
	CHECK(take(1) == 1);
	CHECK(unit_close());

	/* no memory for descriptors: nothing stays mapped for blocks */
	CHECK(unit_open(6 * MIB, 0, FAKE_PURGE_NONE));
	fake_fail(&unit_fake, FAKE_MAP_META, 1, true, FAKE_FAILS);
	CHECK(take(1) == -1 && take(64) == -1);
	CHECK(counts(0, 0, 0, 0) && unit_balance() == 0);
	fake_heal(&unit_fake);
	CHECK(take(1) == 0);
	CHECK(unit_close());
}

/* Blocks could be mapped, but no leaf of the page map: they go back. */
static void superslab_no_leaf(void)
{
	struct superslab *superslab;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	superslab = meta_alloc(META_SUPERSLAB, sizeof(*superslab));
	CHECK(superslab);
	fake_fail(&unit_fake, FAKE_MAP_META, 1, true, FAKE_FAILS);
	while (meta_alloc(META_CACHE, META_ALIGN))
		;
	meta_free(META_SUPERSLAB, superslab);
	CHECK(take(1) == -1);
	CHECK(unit_fake.calls[FAKE_MAP_HEAP] == 1 && unit_fake.calls[FAKE_UNMAP] == 1);
	CHECK(counts(0, 0, 0, 0));
	fake_heal(&unit_fake);
	CHECK(take(1) == 0);
	CHECK(counts(1, 0, 0, 1));
	CHECK(unit_close());
}

static void superslab_residence(void)
{
	CHECK(unit_open(80 * MIB, FAKE_RESIDENT, FAKE_PURGE_ZERO));
	CHECK(stats_resident() == 0);
	/* more than are asked about at once */
	CHECK(take(34 * 32) == 0);
	CHECK(stats_resident() == 34 * SUPERSLAB_SIZE);
	put(5, 3);
	CHECK(stats_resident() == 34 * SUPERSLAB_SIZE);
	CHECK(scan_all(true) == 3 * SLAB_SIZE);
	CHECK(stats_resident() == 34 * SUPERSLAB_SIZE - 3 * SLAB_SIZE);
	CHECK(unit_close());

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(33) == 0);
	CHECK(stats_resident() == 2 * SUPERSLAB_SIZE); /* unknown: all of it */
	CHECK(unit_close());
}

/* Of places for a run, the one that has just the pages that are wanted. */
static void superslab_best_pages(void)
{
	static const unsigned slack[] = { 0xf000, 0xff00, 0xfff0 };
	bool backed;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(take(6) == 0);
	put(4, 1);
	put(2, 1);
	put(0, 1);
	for (unsigned i = 0; i < 3; i++)
		CHECK(superslab_alloc(1, slack[i], SLAB_SIZE, ALLOC_ANY, &backed) == slab(2 * i));
	CHECK(scan_all(true) == (4 + 8 + 12) * PAGE_SIZE);
	put(0, 1);
	put(2, 1);
	put(4, 1);
	CHECK(superslab_alloc(1, 0xfff0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(4) &&
	      !unit_reads_zero(slab(4), 1));
	CHECK(superslab_alloc(1, 0xfe00, SLAB_SIZE, ALLOC_ANY, &backed) == slab(2) &&
	      !unit_reads_zero(slab(2), 1));
	CHECK(counters().retouched == 1);
	CHECK(superslab_alloc(1, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(0) &&
	      !unit_reads_zero(slab(0), 1));
	CHECK(counters().retouched == 5);
	/* more than is wanted is better than none */
	put(1, 1);
	CHECK(superslab_alloc(1, 0xfff0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(1) &&
	      !unit_reads_zero(slab(1), 1));
	CHECK(scan_all(true) == 12 * PAGE_SIZE && !check_arena());
	CHECK(unit_close());
}

/* Only backed slabs; only platforms whose magazines hold spans ask for that. */
static void superslab_backed_only(void)
{
	bool backed;

	if (!NR_SPAN_CLASSES)
		return;
	CHECK(unit_open(32 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(superslab_alloc(1, 0, SLAB_SIZE, ALLOC_BACKED, &backed) == 0 && counts(0, 0, 0, 0));
	CHECK(take(5) == 0 && take(1) == 5);
	put(1, 3);
	CHECK(superslab_alloc(4, 0, SLAB_SIZE, ALLOC_BACKED, &backed) == 0);
	CHECK(superslab_alloc(2, 0, SLAB_SIZE, ALLOC_BACKED, &backed) == slab(1));
	CHECK(superslab_alloc(1, 0, SLAB_SIZE, ALLOC_BACKED, &backed) == slab(3));
	put(1, 3);
	CHECK(scan_all(true) == 3 * SLAB_SIZE);
	CHECK(superslab_alloc(40, 0, SLAB_SIZE, ALLOC_BACKED, &backed) == 0 && counts(1, 0, 0, 3));
	CHECK(unit_close());
}

/* A slab for a class, all but the last @unbacked pages of which are then touched; its number. */
static long take_for_class(unsigned unbacked, enum alloc_which which)
{
	struct list_node *chain = superslab_alloc_slabs(1, 1, 1, which);
	struct slab *taken = chain ? list_entry(chain, struct slab, node) : NULL;

	if (!chain || chain->next)
		return -1;
	taken->unbacked &= (uint16_t)(UNIT_PAGES << (PAGES_PER_SLAB - unbacked));
	taken->untouched &= taken->unbacked;
	return (long)((slab_base(taken) - slab(0)) / SLAB_SIZE);
}

/* A class gets a backed slab, one of the fullest, before an unbacked one. */
static void superslab_for_class(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	if (NR_SPAN_CLASSES)
		CHECK(take_for_class(0, ALLOC_BACKED) == -1 && counts(0, 0, 0, 0));
	CHECK(take(1) == 0);
	for (unsigned i = 1; i <= 4; i++)
		CHECK(take_for_class(15 - i, ALLOC_ANY) == i);
	put(1, 1);
	put(3, 1);
	CHECK(take_for_class(0, ALLOC_ANY) == 3 && take_for_class(0, ALLOC_ANY) == 1);
	/* the shortest run that has memory: an empty SuperSlab is left alone */
	CHECK(take(27) == 5 && take(32) == 32);
	put(32, 32);
	put(5, 27);
	put(2, 1);
	CHECK(take_for_class(0, ALLOC_ANY) == 2 && take_for_class(0, ALLOC_ANY) == 5);
	/* unless only that has memory */
	put(5, 1);
	policy_set_mode(RELEASE_NEVER);
	CHECK(scan_all(true) > 0 && take(32) == 32);
	put(32, 32);
	CHECK(take_for_class(0, ALLOC_ANY) == 32 && !check_arena());
	policy_set_mode(RELEASE_AT_ONCE);
	CHECK(unit_close());
}

/* A run across SuperSlabs gets what empty ones have that are no neighbours; or not. */
static void superslab_remaps(void)
{
	if (!PLATFORM_MOVES)
		return;
	for (unsigned fails = 0; fails < 3; fails++) {
		uint64_t moved = 2 - fails;
		bool backed;

		CHECK(unit_open(16 * MIB, FAKE_ZERO | FAKE_MOVES, FAKE_PURGE_ZERO));
		policy_set_mode(RELEASE_NEVER);
		for (long i = 0; i < 4; i++)
			CHECK(take(32) == i * 32);
		unit_fill((void *)slab(0), SUPERSLAB_SIZE, 1);
		unit_fill((void *)slab(64), SUPERSLAB_SIZE, 2);
		put(0, 32);
		put(64, 32);
		CHECK(counts(4, 0, 2, 64));
		if (fails)
			fake_fail(&unit_fake, FAKE_MOVE, 3 - fails, true, FAKE_FAILS);
		CHECK(superslab_alloc(70, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(4 * 32));
		CHECK(unit_reads_zero(slab(4 * 32), 70) == (moved == 0) && backed == (moved == 2) &&
		      counts(7, moved, 2 - moved, 134));
		for (unsigned i = 0; i < moved; i++)
			CHECK(unit_is_filled((void *)slab((4 + i) * 32), SUPERSLAB_SIZE,
					     i ? 1 : 2));
		CHECK(unit_is_zero((void *)slab((4 + moved) * 32), (3 - moved) * SUPERSLAB_SIZE));
		CHECK(pages_counters.moved == moved * SUPERSLAB_SIZE && !hak_check());
		policy_set_mode(RELEASE_AT_ONCE);
		CHECK(unit_close());
	}
}

/* Only some of its pages go, and those are rubbish from then on: it is not taken for zero. */
static void superslab_remaps_in_part(void)
{
	bool backed;
	char *block;

	if (!PLATFORM_MOVES)
		return;
	CHECK(unit_open(16 * MIB, FAKE_ZERO | FAKE_MOVES, FAKE_PURGE_DIRTY));
	policy_set_mode(RELEASE_NEVER);
	CHECK(take(1) == 0 && take(32) == 32);
	put(0, 1); /* the others of its SuperSlab have never been used */
	unit_fake.seam = (uintptr_t)slab(16);
	fake_fail(&unit_fake, FAKE_MOVE, 3, true, FAKE_FAILS);
	CHECK(superslab_alloc(70, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(2 * 32));
	CHECK(pages_counters.moved > 0 && pages_counters.moved < SUPERSLAB_SIZE);
	CHECK(take(26) == 2 * 32 + 70 && take(1) == 0);
	block = (char *)superslab_alloc(31, 0, SLAB_SIZE, ALLOC_ANY, &backed);
	CHECK(block == (char *)slab(1));
	CHECK(!unit_reads_zero(at(block), 31) || unit_is_zero(block, 31 * SLAB_SIZE));
	CHECK(!hak_check());
	policy_set_mode(RELEASE_AT_ONCE);
	CHECK(unit_close());
}

/* Of the empty ones that which stands alone goes first, and what it lacks stays lacking. */
static void superslab_remaps_from_alone(void)
{
	bool backed;

	if (!PLATFORM_MOVES)
		return;
	CHECK(unit_open(32 * MIB, FAKE_ZERO | FAKE_MOVES, FAKE_PURGE_ZERO));
	policy_set_mode(RELEASE_NEVER);
	for (long i = 0; i < 7; i++)
		CHECK(take(32) == i * 32);
	unit_fill((void *)slab(4 * 32), SUPERSLAB_SIZE, 4);
	unit_fill((void *)slab(2 * 32), SUPERSLAB_SIZE, 2);
	put(4 * 32 + 16, 16);
	for (unsigned i = 0; i < 4; i++) /* in the first ones the heap is busy */
		CHECK(scan_step(100, 1) != SCAN_MORE);
	CHECK(pages_counters.purged == 16 * SLAB_SIZE);
	put(4 * 32, 16); /* it stands alone, the upper half of it without memory */
	put(1 * 32, 64); /* these are two */
	CHECK(counts(7, 0, 3, 4 * 32));
	/* all but two slabs of the first of its SuperSlabs, ... */
	CHECK(superslab_alloc(65, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(7 * 32) &&
	      !unit_reads_zero(slab(7 * 32), 65));
	CHECK(counts(10, 3, 0, 4 * 32 + 65));
	CHECK(!pagemap_superslab(slab(4 * 32)) && !pagemap_superslab(slab(32)));
	CHECK(unit_is_filled((void *)slab(7 * 32), 16 * SLAB_SIZE, 4));
	CHECK(unit_is_zero((void *)slab(7 * 32 + 16), 16 * SLAB_SIZE));
	/* ... and the last one has what is left of it */
	CHECK(pagemap_superslab(slab(9 * 32))->window->unbacked == 0);
	CHECK(superslab_alloc(1, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(9 * 32 + 1) &&
	      !unit_reads_zero(slab(9 * 32 + 1), 1));
	CHECK(pages_counters.moved == 3 * SUPERSLAB_SIZE && !check_arena());
	policy_set_mode(RELEASE_AT_ONCE);
	CHECK(unit_close());
}

/* Runs across SuperSlabs: the shortest that suffices, from where it begins. */
static void superslab_shortest_across(void)
{
	CHECK(unit_open(32 * MIB, 0, FAKE_PURGE_NONE));
	policy_set_mode(RELEASE_NEVER);
	for (long i = 0; i < 10; i++)
		CHECK(take(32) == i * 32);
	put(0 * 32 + 20, 12 + 3 * 32); /* 108 slabs */
	put(5 * 32, 2 * 32);
	put(8 * 32, 32 + 10); /* 42 */
	CHECK(take(50) == 5 * 32);
	CHECK(take(40) == 8 * 32);
	CHECK(take(96) == 20);
	CHECK(take(40) == 10 * 32 && counts(12, 0, 0, 10 * 32 - 214 + 226));
	policy_set_mode(RELEASE_AT_ONCE);
	CHECK(unit_close());
}

/* A slab for bitmaps, NULL if there is none. */
static struct slab *take_metadata(void)
{
	struct list_node *chain = superslab_alloc_slabs(1, 1, 1, ALLOC_METADATA);

	return chain ? list_entry(chain, struct slab, node) : NULL;
}

static void put_metadata(struct slab *taken)
{
	taken->node.next = NULL;
	superslab_free_slabs(&taken->node);
}

/* Only those between the guards are handed out; and then comes another SuperSlab. */
static void superslab_metadata_apart(void)
{
	struct slab *taken[31];

	if (!HAK_METADATA_APART)
		return;
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(1) == 0); /* its SuperSlab has 31 more, which are not for bitmaps */
	for (unsigned i = 0; i < 31; i++) {
		taken[i] = take_metadata();
		CHECK(taken[i] && superslab_is_metadata(slab_superslab(taken[i])));
		CHECK(taken[i]->index == i % 30 + 1);
	}
	CHECK(slab_superslab(taken[29]) == slab_superslab(taken[0]));
	CHECK(slab_superslab(taken[30]) != slab_superslab(taken[0]));
	CHECK(counts(1, 0, 0, 32) && unit_fake.outstanding_heap == 2 * MIB);
	/* nor do blocks get what is for bitmaps */
	for (unsigned i = 0; i < 31; i += 2)
		put_metadata(taken[i]);
	CHECK(take(31) == 1 && take(16) == 32 && take(16) == 48 && take(1) == 64);
	CHECK(counts(3, 0, 0, 65 + 15));
	CHECK(unit_close());
}

/* Side by side in memory, and still no run goes from one into the other. */
static void superslab_kinds_side_by_side(void)
{
	struct slab *taken[4];

	if (!HAK_METADATA_APART)
		return;
	CHECK(unit_open(12 * MIB, 0, FAKE_PURGE_NONE));
	policy_set_mode(RELEASE_NEVER);
	taken[0] = take_metadata(); /* the highest 2 MiB but for records */
	CHECK(taken[0] && take(4 * 32) == 0);
	CHECK(slab_superslab(taken[0])->base == slab(4 * 32));
	put(0, 4 * 32);
	put_metadata(taken[0]);
	CHECK(run_of(0) == 4 * 32 && run_of(4 * 32 + 1) == 30);
	CHECK(take(4 * 32 + 1) == -1 && take(4 * 32) == 0);
	CHECK(!superslab_resize(slab(0), 4 * 32, 4 * 32 + 1, 0));
	for (unsigned i = 0; i < 4; i++) {
		taken[i] = take_metadata();
		CHECK(taken[i] && slab_superslab(taken[i])->base == slab(4 * 32));
	}
	CHECK(counts(4, 0, 0, 4 * 32 + 4));
	policy_set_mode(RELEASE_AT_ONCE);
	CHECK(unit_close());
}

/* An empty one goes if another one has room, and the last one with the reserve. */
static void superslab_metadata_goes(void)
{
	struct slab *taken[60];
	unsigned long maps;

	if (!HAK_METADATA_APART)
		return;
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(take(1) == 0);
	maps = unit_fake.calls[FAKE_MAP_META]; /* for records */
	for (unsigned i = 0; i < 60; i++)
		taken[i] = take_metadata();
	for (unsigned i = 30; i < 60; i++)
		put_metadata(taken[i]);
	CHECK(unit_fake.calls[FAKE_UNMAP] == 0); /* the other one is full */
	put_metadata(taken[0]);
	for (unsigned i = 31; i < 60; i++) /* the one that is empty is used again only then */
		CHECK(slab_superslab(taken[i] = take_metadata()) != NULL);
	CHECK(unit_fake.calls[FAKE_MAP_META] == maps + 2);
	for (unsigned i = 1; i < 60; i++)
		if (i != 30)
			put_metadata(taken[i]);
	CHECK(unit_fake.calls[FAKE_UNMAP] == 1 && counts(1, 0, 0, 1));
	/* a block's SuperSlab stays as reserve as if there was none for bitmaps */
	put(0, 1);
	CHECK(unit_fake.calls[FAKE_UNMAP] == 1 && counts(1, 0, 1, 0));
	scan_all(true);
	CHECK(counts(1, 1, 0, 0) && !arena_first() && unit_fake.calls[FAKE_UNMAP] == 3);
	CHECK(unit_close());
}

/* It is purged like any other; and it stays if the provider refuses to take it back. */
static void superslab_metadata_purged(void)
{
	struct slab *taken[2];

	if (!HAK_METADATA_APART)
		return;
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(take(1) == 0);
	for (unsigned i = 0; i < 2; i++) {
		taken[i] = take_metadata();
		CHECK(taken[i]);
		taken[i]->unbacked = taken[i]->untouched = 0;
	}
	put_metadata(taken[0]);
	scan_step(100, 1);
	CHECK(unit_fake.purged == 0);
	scan_step(100, 1);
	CHECK(unit_fake.purged == SLAB_SIZE && !check_arena());
	put_metadata(taken[1]);
	fake_fail(&unit_fake, FAKE_UNMAP, 1, false, FAKE_FAILS);
	scan_step(100, 1); /* nothing is in reserve, so it is to go */
	CHECK(unit_fake.calls[FAKE_UNMAP] == 1 && counters().refused == 1);
	scan_step(100, 1);
	CHECK(unit_fake.calls[FAKE_UNMAP] == 1 && !check_arena());
	taken[0] = take_metadata();
	CHECK(taken[0] && superslab_is_metadata(slab_superslab(taken[0])) && counts(1, 0, 0, 2));
	put_metadata(taken[0]);
	scan_all(true);
	CHECK(unit_fake.calls[FAKE_UNMAP] == 2 && !arena_next(arena_first()));
	CHECK(unit_close());
}

/* The memory of one for bitmaps is not moved to where blocks need some. */
static void superslab_metadata_stays(void)
{
	struct slab *taken;
	bool backed;

	if (!HAK_METADATA_APART)
		return;
	CHECK(unit_open(16 * MIB, FAKE_ZERO | FAKE_MOVES, FAKE_PURGE_ZERO));
	taken = take_metadata();
	CHECK(taken);
	taken->unbacked = taken->untouched = 0;
	put_metadata(taken);
	CHECK(superslab_alloc(40, 0, SLAB_SIZE, ALLOC_ANY, &backed) == slab(0));
	CHECK(unit_fake.calls[FAKE_MOVE] == 0 && unit_reads_zero(slab(0), 40));
	CHECK(take_metadata() == taken && counts(2, 0, 0, 41));
	CHECK(unit_close());
}

/* No memory for bitmaps: there are none, whatever is unused elsewhere. */
static void superslab_metadata_fails(void)
{
	if (!HAK_METADATA_APART)
		return;
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(take(1) == 0);
	fake_fail(&unit_fake, FAKE_MAP_META, 1, true, FAKE_FAILS);
	CHECK(!take_metadata() && counts(1, 0, 0, 1));
	CHECK(!hak_malloc(16)); /* which needs a bitmap */
	CHECK(take(1) == 1 && counts(1, 0, 0, 2));
	fake_heal(&unit_fake);
	CHECK(take_metadata() && hak_malloc(16) && !hak_check());
	CHECK(unit_close());
}

void unit_superslab(void)
{
	if (UNITS_PER_SLAB > 1)
		return; /* places are told in slabs here; see test_units.c */
	TEST_RUN(superslab_first_take);
	TEST_RUN(superslab_best_fit);
	TEST_RUN(superslab_runs);
	TEST_RUN(superslab_alignment);
	TEST_RUN(superslab_long_run);
	TEST_RUN(superslab_new_goes_on);
	TEST_RUN(superslab_run_across);
	TEST_RUN(superslab_lowest);
	TEST_RUN(superslab_short_run_across);
	TEST_RUN(superslab_runs_at_random);
	TEST_RUN(superslab_resize_in_place);
	TEST_RUN(superslab_release);
	TEST_RUN(superslab_put_clears_classes);
	TEST_RUN(superslab_refused);
	TEST_RUN(superslab_never_unmapped);
	TEST_RUN(superslab_parts_together);
	TEST_RUN(superslab_new_mapping_in_old_place);
	UNLESS_HARDENED(superslab_zero);
	TEST_RUN(superslab_clears);
	TEST_RUN(superslab_clears_by_purging);
	UNLESS_HARDENED(superslab_purges);
	TEST_RUN(superslab_purge_refused);
	TEST_RUN(superslab_failures);
	TEST_RUN(superslab_no_leaf);
	TEST_RUN(superslab_residence);
	TEST_RUN(superslab_best_pages);
	TEST_RUN(superslab_backed_only);
	TEST_RUN(superslab_for_class);
	TEST_RUN(superslab_remaps);
	TEST_RUN(superslab_remaps_in_part);
	TEST_RUN(superslab_remaps_from_alone);
	TEST_RUN(superslab_shortest_across);
	TEST_RUN(superslab_metadata_apart);
	TEST_RUN(superslab_kinds_side_by_side);
	TEST_RUN(superslab_metadata_goes);
	TEST_RUN(superslab_metadata_purged);
	TEST_RUN(superslab_metadata_stays);
	TEST_RUN(superslab_metadata_fails);
}
