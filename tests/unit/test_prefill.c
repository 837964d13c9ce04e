/* SPDX-License-Identifier: MIT */
/*
 * core/cache/prefill.c: what is promised is there, whatever happens meanwhile.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <hakmem/stats.h>
#include <base/policy.h>
#include <cache/budget.h>
#include <cache/cache.h>
#include <slab/class.h>

#define CLASS_64 5
#define MOST	 20000u

static struct hak_stats stats;
static void *promised[MOST], *others[MOST];

static uint64_t misses(void)
{
	return this_cache()->cold->magazine[CLASS_64].batches.misses;
}

static size_t alloc_some(void **blocks, size_t n, size_t size)
{
	size_t i = 0;

	while (i < n && (blocks[i] = hak_malloc(size)))
		i++;
	return i;
}

static void free_some(void **blocks, size_t n)
{
	while (n)
		hak_free(blocks[--n]);
}

/* All memory goes to blocks of other sizes, the caller's magazines included. */
static size_t take_all(void)
{
	size_t n = alloc_some(others, 200, 200 * KIB);

	n += alloc_some(others + n, 2000, 8000);
	n += alloc_some(others + n, MOST - n - 1000, 1000);
	return n;
}

/* All next allocations take the fast path, as far as the magazine reaches. */
static void prefill_fast(void)
{
	unsigned most = policy_usual(size_class[CLASS_64].capacity, size_class[CLASS_64].batch);
	uint64_t before;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(hak_prefill(64, most) && !hak_check());
	CHECK(slots_held(this_cache(), CLASS_64) == most);
	before = misses();
	CHECK(alloc_some(promised, most, 64) == most && misses() == before);
	for (unsigned i = 0; i < most; i++)
		unit_fill(promised[i], 64, i);
	for (unsigned i = 0; i < most; i++)
		CHECK(unit_is_filled(promised[i], 64, i));
	free_some(promised, most);
	CHECK(hak_prefill(64, 0) && hak_prefill(0, 10) && !hak_check());
	hak_flush();
	CHECK(class_outstanding(CLASS_64) == 0);
	CHECK(unit_close());
}

/* More than the magazine holds, and no memory is left. */
static void promise(size_t n, void (*meanwhile)(void))
{
	size_t taken;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(hak_prefill(64, n) && !hak_check());
	CHECK(class_outstanding(CLASS_64) >= n);
	if (meanwhile)
		meanwhile();
	CHECK(!hak_check());
	taken = take_all();
	CHECK(taken && taken < MOST - 1000);
	CHECK(alloc_some(promised, n, 64) == n && !hak_check());
	for (size_t i = 0; i < n; i++)
		unit_fill(promised[i], 64, (unsigned)i);
	for (size_t i = 0; i < n; i++)
		CHECK(unit_is_filled(promised[i], 64, (unsigned)i));
	free_some(promised, n);
	free_some(others, taken);
	hak_flush();
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.total.live_blocks == 0 && class_outstanding(CLASS_64) == 0 && !hak_check());
	CHECK(unit_close());
}

static void prefill_kept(void)
{
	promise(1, NULL);
	promise(100, NULL);
	promise(10000, NULL);
}

static void scan_all(void)
{
	for (unsigned i = 0; i < 3; i++) {
		while (hak_idle(1000))
			;
		(void)hak_trim(HAK_TRIM_ALL);
	}
}

static void prefill_scanned(void)
{
	promise(20, scan_all);
	promise(3000, scan_all);
}

/* Frees of the same size fill the magazine, which spills. */
static void spill_some(void)
{
	struct hak_cache *own = this_cache();
	size_t n;

	this_cache_set(CACHE_NONE);
	n = alloc_some(others, 3000, 64);
	hak_cache_detach(this_cache());
	this_cache_set(own);
	free_some(others, n);
}

static void prefill_spilled(void)
{
	promise(20, spill_some);
	promise(90, spill_some);
	promise(5000, spill_some);
}

/* Another owner takes all that it can get. */
static void starve_others(void)
{
	struct hak_cache *own = this_cache();
	size_t n;

	this_cache_set(CACHE_NONE);
	n = take_all();
	n += alloc_some(others + n, 900, 64);
	free_some(others, n);
	hak_flush();
	if (this_cache()->cold)
		hak_cache_detach(this_cache());
	this_cache_set(own);
}

static void prefill_of_others(void)
{
	promise(60, starve_others);
	promise(2000, starve_others);
}

/* It says so, and nothing has changed. */
static void prefill_too_much(void)
{
	uint64_t before, units;
	unsigned held, limit;
	size_t taken;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(!hak_prefill(SIZE_MAX / 2, 1) && !hak_prefill(64, SIZE_MAX / 2));
	CHECK(!hak_prefill(16 * MIB, 1));
	CHECK(alloc_some(promised, 10, 64) == 10);
	CHECK(hak_prefill(64, 5));
	hak_stats_read(&stats, sizeof(stats));
	before = class_outstanding(CLASS_64);
	units = class_find(CLASS_64)->units;
	held = slots_held(this_cache(), CLASS_64);
	limit = budget_limit(this_cache(), CLASS_64);
	CHECK(!hak_prefill(64, MIB) && !hak_check());
	CHECK(class_outstanding(CLASS_64) == before && class_find(CLASS_64)->units == units);
	/* but for what was above the promise, which the last resort has taken */
	CHECK(slots_held(this_cache(), CLASS_64) <= held && held >= 5);
	CHECK(budget_limit(this_cache(), CLASS_64) <= limit);
	taken = take_all();
	CHECK(alloc_some(promised + 10, 5, 64) == 5);
	free_some(promised, 15);
	free_some(others, taken);
	CHECK(unit_close());
}

/* An owner that ends gives up what was promised. */
static void prefill_until_the_end(void)
{
	struct hak_cache *own;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	hak_free(hak_malloc(1));
	own = this_cache();
	this_cache_set(CACHE_NONE);
	CHECK(hak_prefill(64, 1000) && hak_prefill(3000, 20) && this_cache() != own);
	hak_cache_detach(this_cache());
	this_cache_set(own);
	CHECK(class_outstanding(CLASS_64) <= MAGAZINE_MIN && !hak_check());
	CHECK(unit_close());
}

void unit_prefill(void)
{
	TEST_RUN(prefill_fast);
	TEST_RUN(prefill_kept);
	TEST_RUN(prefill_scanned);
	TEST_RUN(prefill_spilled);
	TEST_RUN(prefill_of_others);
	TEST_RUN(prefill_too_much);
	if (PLATFORM_OWNERS_END)
		TEST_RUN(prefill_until_the_end);
}
