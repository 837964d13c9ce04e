/* SPDX-License-Identifier: MIT */
/*
 * core/pool/: object caches, and pools of a fixed number of objects.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <hakmem/pool.h>

#include <cache/cache.h>
#include <pool/pool.h>

#define MOST 20000u

static void *objects[MOST];
static struct hak_pool_stats stats;

static struct hak_pool *open_pool(size_t size, size_t align, unsigned flags)
{
	struct hak_pool *pool;

	CHECK_OR(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO), NULL);
	pool = hak_pool_create("objects", size, align, flags);
	CHECK_OR(pool && !hak_pool_check(pool), NULL);
	return pool;
}

/* Nothing is in use, and all goes back. */
static void close_pool(struct hak_pool *pool)
{
	CHECK(!hak_pool_check(pool) && !hak_check());
	CHECK(hak_pool_live(pool, NULL, NULL) == 0);
	CHECK(hak_pool_destroy(pool) == 0);
	CHECK(!hak_pool_stats_read("objects", &stats));
	CHECK(unit_close());
}

static void one_size(size_t size, size_t align)
{
	struct hak_pool *pool = open_pool(size, align, 0);
	unsigned n = (unsigned)(2 * MIB / (size + align + 512));
	size_t apart;

	CHECK(pool && hak_pool_stats_read("objects", &stats));
	apart = stats.object_bytes;
	CHECK(apart >= size && apart % (align ? align : 16) == 0 && apart >= 16);
	for (unsigned i = 0; i < n; i++) {
		CHECK((objects[i] = hak_pool_alloc(pool)));
		CHECK((uintptr_t)objects[i] % (align ? align : 16) == 0);
		unit_fill(objects[i], size, i);
	}
	CHECK(!hak_pool_check(pool));
	CHECK(hak_pool_stats_read("objects", &stats));
	CHECK(stats.live_objects == n && stats.allocations == n && stats.frees == 0);
	CHECK(stats.slab_bytes >= n * apart && stats.slab_bytes <= 2 * (n + 64) * apart + 65536);
	CHECK(hak_pool_live(pool, NULL, NULL) == n);
	for (unsigned i = 0; i < n; i++) {
		CHECK(unit_is_filled(objects[i], size, i));
		hak_pool_free(pool, objects[i]);
	}
	CHECK(hak_pool_stats_read("objects", &stats));
	CHECK(stats.live_objects == 0 && stats.frees == n);
	close_pool(pool);
}

static void pool_sizes(void)
{
	static const size_t sizes[] = { 1,   16,   24,	 40,   48,   128,   136,
					200, 1000, 4096, 5000, 9000, 20000, 32768 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		one_size(sizes[i], 0);
	for (size_t align = 8; align <= 4096; align *= 2) {
		one_size(24, align);
		one_size(align * 3 + 8, align);
	}
}

static void pool_wrong_arguments(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(!hak_pool_create("objects", 0, 0, 0));
	CHECK(!hak_pool_create("objects", 32769, 0, 0));
	CHECK(!hak_pool_create("objects", 16, 24, 0));
	CHECK(!hak_pool_create("objects", 16, 8192, 0));
	CHECK(!hak_pool_create("objects", 16, 0, 2));
	CHECK(!hak_pool_stats_read("objects", &stats));
	CHECK(unit_close());
}

/* No memory for slabs, for the pool itself, and for its magazine. */
static void pool_without_memory(void)
{
	struct hak_pool *pool = open_pool(48, 0, 0);
	unsigned n = 0;

	CHECK(pool);
	hak_pool_free(pool, hak_pool_alloc(pool));
	fake_fail(&unit_fake, FAKE_MAP, 1, true, FAKE_FAILS);
	while (n < MOST && (objects[n] = hak_pool_alloc(pool)))
		n++;
	fake_heal(&unit_fake);
	CHECK(!hak_pool_check(pool) && hak_pool_stats_read("objects", &stats));
	CHECK(n == MOST || stats.failures == 1);
	hak_pool_free_bulk(pool, n, objects);
	close_pool(pool);
}

/* All or nothing: what there is in slabs, in the own magazine, and in those of others. */
static void pool_bulk(void)
{
	struct hak_pool *pool = open_pool(3000, 0, 0);
	size_t n = 4, most;

	CHECK(pool);
	while (hak_pool_alloc_bulk(pool, n, objects)) {
		CHECK(hak_pool_stats_read("objects", &stats) && stats.live_objects == n);
		for (size_t i = 0; i < n; i++)
			unit_fill(objects[i], 3000, (unsigned)i);
		for (size_t i = 0; i < n; i++)
			CHECK(unit_is_filled(objects[i], 3000, (unsigned)i));
		hak_pool_free_bulk(pool, n, objects);
		n *= 2;
	}
	CHECK(hak_pool_stats_read("objects", &stats));
	CHECK(stats.live_objects == 0 && stats.failures == 1 && !hak_pool_check(pool));
	for (most = 0; most < MOST && (objects[most] = hak_pool_alloc(pool)); most++)
		;
	CHECK(most >= n / 2 && most < n);
	for (size_t i = 0; i < most; i++)
		hak_pool_free(pool, objects[i]); /* the last few are in the magazine */
	CHECK(hak_pool_alloc_bulk(pool, most, objects));
	CHECK(!hak_pool_alloc_bulk(pool, 1, objects + most) && !hak_pool_check(pool));
	hak_pool_free_bulk(pool, most, objects);
	CHECK(hak_pool_alloc_bulk(pool, 0, NULL));
	hak_pool_free_bulk(pool, 0, NULL);
	close_pool(pool);
}

static void pool_prefill(void)
{
	static struct hak_pool_stats before;
	struct hak_pool *pool = open_pool(48, 0, 0);

	CHECK(pool);
	hak_pool_free(pool, hak_pool_alloc(pool));
	CHECK(hak_pool_shrink(pool) > 0);
	CHECK(hak_pool_prefill(pool, 5000));
	CHECK(!hak_pool_check(pool) && hak_pool_stats_read("objects", &stats));
	CHECK(stats.magazine_objects >= 64 && stats.magazine_objects + stats.free_objects >= 5000);
	fake_fail(&unit_fake, FAKE_MAP, 1, true, FAKE_FAILS);
	for (unsigned i = 0; i < 5000; i++)
		CHECK((objects[i] = hak_pool_alloc(pool)));
	for (unsigned i = 0; i < 5000; i++)
		hak_pool_free(pool, objects[i]);
	CHECK(hak_pool_stats_read("objects", &before) && before.free_objects >= 5000 - 64);
	CHECK(!hak_pool_prefill(pool, MIB) && !hak_pool_prefill(pool, SIZE_MAX / 2));
	fake_heal(&unit_fake);
	CHECK(!hak_pool_check(pool) && hak_pool_stats_read("objects", &stats));
	CHECK(stats.slab_bytes == before.slab_bytes && stats.failures == 2);
	CHECK(hak_pool_shrink(pool) >= 5000 * 48);
	CHECK(hak_pool_stats_read("objects", &stats) && stats.slab_bytes == 0);
	close_pool(pool);
}

static size_t visited;
static void note_visit(void *ctx, void *object)
{
	visited += object == ctx;
}

static void pool_destroy_while_in_use(void)
{
	struct hak_pool *pool = open_pool(48, 0, 0);
	void *object;

	CHECK(pool && (object = hak_pool_alloc(pool)));
	hak_pool_free(pool, hak_pool_alloc(pool));
	CHECK(hak_pool_destroy(pool) == 1 && !hak_pool_check(pool));
	visited = 0;
	CHECK(hak_pool_live(pool, note_visit, object) == 1 && visited == 1);
	hak_pool_free(pool, object);
	CHECK(hak_pool_live(pool, note_visit, object) == 0);
	close_pool(pool);
}

/* Another owner comes, with a cache of its own. */
static struct hak_cache *change_owner(struct hak_cache *next)
{
	struct hak_cache *own = this_cache();

	this_cache_set(next);
	return own;
}

static void end_owner(struct hak_cache *own)
{
	struct hak_cache *other = change_owner(own);

	if (other->cold)
		hak_cache_detach(other);
}

/* What others have in their magazines is taken before an allocation fails. */
static void pool_of_others(void)
{
	struct hak_pool *pool = open_pool(3000, 0, 0);
	struct hak_cache *own;
	size_t n;

	CHECK(pool);
	for (n = 0; n < MOST && (objects[n] = hak_pool_alloc(pool)); n++)
		;
	CHECK(n > 100);
	own = change_owner(CACHE_NONE);
	hak_pool_free(pool, objects[--n]); /* it gets no cache: there is no memory */
	hak_pool_free(pool, objects[--n]);
	end_owner(own);
	CHECK(hak_pool_stats_read("objects", &stats));
	if (stats.magazine_objects && !hak_host_barrier())
		goto end;
	CHECK((objects[n++] = hak_pool_alloc(pool)) && (objects[n++] = hak_pool_alloc(pool)));
	CHECK(!hak_pool_alloc(pool) && !hak_pool_check(pool));
end:
	hak_pool_free_bulk(pool, n, objects);
	close_pool(pool);
}

/* The same without a lack of memory; and one of the owner's operations comes too late. */
static void pool_seized_meanwhile(void)
{
	struct hak_pool *pool = open_pool(48, 0, 0);
	struct pool_magazine *magazine;
	struct hak_cache *own, *other;

	CHECK(pool && hak_pool_alloc_bulk(pool, 20, objects));
	own = change_owner(CACHE_NONE);
	for (unsigned i = 0; i < 10; i++)
		hak_pool_free(pool, objects[i]);
	magazine = pool->magazine[this_cache()->number];
	CHECK(magazine->top == POOL_BASE + 10);
	other = change_owner(own);
	hak_pool_shrink(pool);
	CHECK(!hak_host_barrier() || (magazine->seized_top && !magazine->kept));
	if (magazine->seized_top) {
		/* as free does: it had read the top before it was seized */
		magazine->slot[magazine->seized_top + 1] = objects[10];
		cpu_increment(&magazine->top);
		CHECK(hak_pool_stats_read("objects", &stats) && stats.live_objects == 9);
		change_owner(other);
		CHECK(hak_pool_alloc(pool) == objects[10] && !hak_pool_check(pool));
		change_owner(own);
	} else {
		hak_pool_free_bulk(pool, 0, NULL);
	}
	change_owner(other);
	hak_pool_free_bulk(pool, 10, objects + 10);
	CHECK(!hak_pool_check(pool));
	end_owner(own);
	close_pool(pool);
}

/* An interrupt handler, and a thread at its end, have no magazines. */
static void pool_without_cache(void)
{
	struct hak_pool *pool = open_pool(48, 0, 0);
	struct hak_cache *own = change_owner(CACHE_NEVER);

	CHECK(pool);
	for (unsigned i = 0; i < 1000; i++)
		CHECK((objects[i] = hak_pool_alloc(pool)));
	for (unsigned i = 0; i < 1000; i++)
		hak_pool_free(pool, objects[i]);
	change_owner(own);
	CHECK(hak_pool_stats_read("objects", &stats));
	CHECK(stats.frees == 1000 && !stats.magazine_objects && !stats.slab_bytes);
	hak_pool_free(pool, NULL);
	close_pool(pool);
}

/* Random calls, by several owners, beside what is known to be in use. */
static void pool_random(unsigned flags, unsigned seed)
{
	struct hak_pool *pool = open_pool(40 + seed * 72, 0, flags);
	struct hak_cache *owners[3] = { this_cache(), CACHE_NONE, CACHE_NONE };
	uint64_t random = 7 + seed;
	unsigned n = 0;

	CHECK(pool);
	for (unsigned ops = 0; ops < 20000; ops++) {
		unsigned r = (unsigned)(test_random(&random) >> 33), who = r % 3, burst = r % 200;

		this_cache_set(owners[who]);
		switch (r >> 8 & 63) {
		case 0:
			hak_pool_shrink(pool);
			break;
		case 1:
			CHECK(hak_pool_prefill(pool, burst));
			break;
		case 2:
			if (n + burst > 3000)
				break;
			CHECK(hak_pool_alloc_bulk(pool, burst, objects + n));
			for (unsigned i = n; i < n + burst; i++)
				unit_fill(objects[i], 40, (unsigned)(uintptr_t)objects[i]);
			n += burst;
			break;
		case 3:
			burst = MIN(burst, n);
			n -= burst;
			for (unsigned i = n; i < n + burst; i++)
				CHECK(unit_is_filled(objects[i], 40,
						     (unsigned)(uintptr_t)objects[i]));
			hak_pool_free_bulk(pool, burst, objects + n);
			break;
		case 4 ... 33:
			CHECK((objects[n] = hak_pool_alloc(pool)));
			unit_fill(objects[n], 40, (unsigned)(uintptr_t)objects[n]);
			n++;
			break;
		default:
			if (!n)
				break;
			r = (r >> 14) % n;
			CHECK(unit_is_filled(objects[r], 40, (unsigned)(uintptr_t)objects[r]));
			hak_pool_free(pool, objects[r]);
			objects[r] = objects[--n];
		}
		owners[who] = this_cache();
		if (ops % 500 == 0)
			CHECK(!hak_pool_check(pool));
		CHECK(!(ops % 100 == 0) ||
		      (hak_pool_stats_read("objects", &stats) && stats.live_objects == n));
	}
	for (unsigned i = 0; i < n; i++)
		hak_pool_free(pool, objects[i]);
	this_cache_set(owners[0]);
	for (unsigned i = 1; i < 3; i++)
		if (owners[i]->cold)
			hak_cache_detach(owners[i]);
	close_pool(pool);
}

static void pool_random_calls(void)
{
	for (unsigned seed = 0; seed < 5; seed++)
		pool_random(0, seed);
	pool_random(HAK_POOL_CHECKED, 1);
}

static void pool_text(void)
{
	struct hak_pool *pool = open_pool(48, 0, 0), *long_name;

	CHECK(pool && hak_pool_alloc_bulk(pool, 3, objects));
	long_name = hak_pool_create("a name of more characters than there are", 100, 64, 0);
	CHECK(long_name);
	unit_text.length = 0;
	hak_pool_text(unit_sink, &unit_text);
	CHECK(unit_text_find("\nobjects                             48          3        0"));
	CHECK(unit_text_find("\na name of more characters than     128          0        0"));
	CHECK(hak_pool_destroy(long_name) == 0);
	hak_pool_free_bulk(pool, 3, objects);
	close_pool(pool);
}

struct three {
	char bytes[24];
};

HAK_POOL_FIXED(unit_fixed, struct three, 100);

static void pool_fixed(void)
{
	uint64_t random = 1;
	unsigned n = 0;

	for (unsigned ops = 0; ops < 10000; ops++) {
		if (test_random(&random) >> 33 & 1) {
			void *object = hak_pool_fixed_alloc(&unit_fixed);

			CHECK(!object == (n == 100));
			if (!object)
				continue;
			objects[n++] = object;
			unit_fill(object, 24, (unsigned)(uintptr_t)object);
		} else if (n) {
			unsigned i = (unsigned)(test_random(&random) >> 33) % n;

			CHECK(unit_is_filled(objects[i], 24, (unsigned)(uintptr_t)objects[i]));
			hak_pool_fixed_free(&unit_fixed, objects[i]);
			objects[i] = objects[--n];
		}
		CHECK(hak_pool_fixed_live(&unit_fixed) == n);
	}
	while (n < 100)
		CHECK((objects[n++] = hak_pool_fixed_alloc(&unit_fixed)));
	CHECK(!hak_pool_fixed_alloc(&unit_fixed) && !hak_pool_fixed_alloc(&unit_fixed));
	while (n)
		hak_pool_fixed_free(&unit_fixed, objects[--n]);
	hak_pool_fixed_free(&unit_fixed, NULL);
	CHECK(hak_pool_fixed_live(&unit_fixed) == 0);
}

void unit_pool(void)
{
	TEST_RUN(pool_sizes);
	TEST_RUN(pool_wrong_arguments);
	TEST_RUN(pool_without_memory);
	TEST_RUN(pool_bulk);
	TEST_RUN(pool_prefill);
	TEST_RUN(pool_destroy_while_in_use);
	TEST_RUN(pool_of_others);
	TEST_RUN(pool_seized_meanwhile);
	TEST_RUN(pool_without_cache);
	TEST_RUN(pool_random_calls);
	TEST_RUN(pool_text);
	TEST_RUN(pool_fixed);
}
