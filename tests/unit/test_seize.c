/* SPDX-License-Identifier: MIT */
/*
 * core/cache/seize.c: what a scan takes out of magazines, and what becomes of an
 * operation of the owner that was under way meanwhile. The tests play that operation by
 * hand, as the head of seize.c describes it.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <hakmem/stats.h>
#include <cache/cache.h>
#include <api/fastpath.h>
#include <cache/magazine.h>
#include <slab/class.h>

#define CLASS_64 5
#define CLASS_1K 21

#define NR_LIVE 4u
#define MOST	7u

static struct hak_stats stats;

static struct {
	struct hak_cache *cache;
	void *live[NR_LIVE];
	void *held[MOST + 2]; /* in the order in which they were freed */
	unsigned n;
} own;

/* A heap with @n blocks of 64 bytes in the magazine, and a few live ones. */
static bool prepare(unsigned n)
{
	CHECK_OR(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO), false);
	for (unsigned i = 0; i < NR_LIVE; i++) {
		CHECK_OR((own.live[i] = hak_malloc(64)), false);
		unit_fill(own.live[i], 64, i);
	}
	for (unsigned i = 0; i < n; i++)
		CHECK_OR((own.held[i] = hak_malloc(64)), false);
	hak_flush();
	for (unsigned i = 0; i < n; i++)
		hak_free(own.held[i]);
	own.n = n;
	own.cache = this_cache();
	CHECK_OR(slots_held(own.cache, CLASS_64) == n, false);
	CHECK_OR(class_outstanding(CLASS_64) == NR_LIVE + n, false);
	return true;
}

/* Seize the magazine of 64 bytes and take its @n oldest blocks. */
static bool seize_and_take(unsigned n)
{
	struct magazine_cold *cold = &own.cache->cold->magazine[CLASS_64];
	void *blocks[MOST];

	CHECK_OR(seize_try_claim(own.cache), false);
	CHECK_OR(!seize_try_claim(own.cache), false);
	seize_begin(own.cache, CLASS_64);
	CHECK_OR(seize_confirm(own.cache, CLASS_64), false);
	cold->excess = (uint16_t)n;
	CHECK_OR(seize_collect(own.cache, CLASS_64, blocks, MOST) == n, false);
	seize_leave(own.cache);
	for (unsigned i = 0; i < n; i++)
		CHECK_OR(blocks[i] == own.held[i], false);
	if (n)
		class_free(CLASS_64, blocks, n);
	for (unsigned i = n; i < own.n; i++)
		own.held[i - n] = own.held[i];
	own.n -= n;
	return true;
}

/* malloc gives what the magazine holds, the last first; then all is well. */
static bool comes_out(unsigned live)
{
	CHECK_OR(class_outstanding(CLASS_64) == live + own.n, false);
	CHECK_OR(slots_held(own.cache, CLASS_64) == own.n, false);
	hak_stats_read(&stats, sizeof(stats));
	CHECK_OR(stats.total.live_blocks == live, false);
	for (unsigned i = own.n; i--;)
		CHECK_OR(hak_malloc(64) == own.held[i], false);
	CHECK_OR(!hak_check(), false);
	for (unsigned i = 0; i < own.n; i++)
		hak_free(own.held[i]);
	for (unsigned i = 0; i < live; i++)
		CHECK_OR(unit_is_filled(own.live[i], 64, i), false);
	hak_flush();
	CHECK_OR(class_outstanding(CLASS_64) == live && !hak_check(), false);
	for (unsigned i = 0; i < live; i++)
		hak_free(own.live[i]);
	hak_flush();
	CHECK_OR(class_outstanding(CLASS_64) == 0 && !hak_check(), false);
	return unit_close();
}

/* Nothing was under way. */
static void seize_and_reopen(void)
{
	for (unsigned n = 0; n <= MOST; n++)
		for (unsigned taken = 0; taken <= n; taken++) {
			CHECK(prepare(n) && seize_and_take(taken));
			CHECK(own.cache->magazine[CLASS_64].top == MAGAZINE_SEIZED);
			CHECK(own.cache->magazine[CLASS_64].limit == 0);
			CHECK(comes_out(NR_LIVE));
		}
}

/* The owner moved the top after it was read: the magazine is not seized at all. */
static void seize_too_late(void)
{
	struct magazine *magazine;
	struct magazine before;

	CHECK(prepare(5));
	magazine = &own.cache->magazine[CLASS_64];
	before = *magazine;
	CHECK(seize_try_claim(own.cache));
	seize_begin(own.cache, CLASS_64);
	CHECK(magazine->top == MAGAZINE_SEIZED && magazine->limit == 0);
	magazine->top = (uint16_t)(before.top - 1); /* a malloc */
	CHECK(!seize_confirm(own.cache, CLASS_64));
	CHECK(magazine->limit == before.limit);
	seize_leave(own.cache);
	own.n--;
	hak_free(own.held[own.n++]);
	CHECK(comes_out(NR_LIVE));
}

/* The same, and no barrier told of it: the owner finds out in its slow path. */
static void seize_half_done(void)
{
	struct magazine *magazine;
	uint16_t top;

	CHECK(prepare(5));
	magazine = &own.cache->magazine[CLASS_64];
	top = magazine->top;
	CHECK(seize_try_claim(own.cache));
	seize_begin(own.cache, CLASS_64);
	magazine->top = (uint16_t)(top - 1);
	seize_leave(own.cache);
	own.n--;
	hak_free(own.held[own.n++]);
	CHECK(magazine->top == top && magazine->limit > top);
	CHECK(comes_out(NR_LIVE));
}

/*
 * malloc had read the top and the block, and counts down. Before it is in its slow
 * path, another thread may use the cache (CONFIG_HAK_IRQSAVE): it finds nothing to pop
 * nor a place to push, and nothing behind the cache.
 */
static void seize_during_malloc(void)
{
	for (unsigned n = 1; n <= MOST; n++)
		for (unsigned taken = 0; taken <= n; taken++) {
			void *block;

			CHECK(prepare(n) && seize_and_take(taken));
			CHECK(cpu_decrement_to_zero(&own.cache->magazine[CLASS_64].top));
			CHECK(!pop_fast(CLASS_64) && !push_fast(CLASS_64, own.live[0]));
			CHECK(own.cache->magazine[CLASS_64].top == 0);
			CHECK(seize_confirm(own.cache, CLASS_64));
			CHECK(slots_held(own.cache, CLASS_64) == own.n);
			block = malloc_slow(64); /* where it goes then */
			CHECK(block && (!own.n || block == own.held[own.n - 1]));
			hak_free(block);
			if (!own.n)
				hak_flush(); /* it was refilled */
			CHECK(comes_out(NR_LIVE));
		}
}

/* How the owner comes back. */
enum way { BY_MALLOC, BY_FREE, BY_FLUSH, BY_CHECK, BY_DETACH, BY_SCAN, NR_WAYS };

/* The block that was freed meanwhile was the last of the live ones. */
static bool come_back(enum way way)
{
	unsigned first = policy_first_limit(CLASS_64), left;

	own.held[own.n++] = own.live[NR_LIVE - 1];
	switch (way) {
	case BY_MALLOC:
		return comes_out(NR_LIVE - 1);
	case BY_FREE:
		own.held[own.n++] = own.live[NR_LIVE - 2];
		hak_free(own.live[NR_LIVE - 2]);
		return comes_out(NR_LIVE - 2);
	case BY_FLUSH:
		hak_flush();
		own.n = 0;
		return comes_out(NR_LIVE - 1);
	case BY_CHECK:
		CHECK_OR(!check_cache() && !hak_check(), false);
		return comes_out(NR_LIVE - 1);
	case BY_DETACH:
		this_cache_set(CACHE_NONE);
		hak_cache_detach(own.cache);
		left = own.n < first / 2 ? own.n : first / 2;
		CHECK_OR(class_outstanding(CLASS_64) == NR_LIVE - 1 + left && !hak_check(), false);
		return unit_close();
	default:
		/* others take the rest, never the one that may still be written */
		CHECK_OR(!cache_scan(CACHE_SCAN_ALL), false); /* nothing keeps the next scan busy */
		CHECK_OR(class_outstanding(CLASS_64) == NR_LIVE, false);
		own.held[0] = own.live[NR_LIVE - 1];
		own.n = 1;
		return comes_out(NR_LIVE - 1);
	}
}

/* free had written its block above the top, and counts up. */
static void seize_during_free(void)
{
	for (unsigned n = 0; n < MOST; n++)
		for (unsigned taken = 0; taken <= n; taken++)
			for (enum way way = 0; way < NR_WAYS; way++) {
				CHECK(prepare(n));
				own.cache->slot[own.cache->magazine[CLASS_64].top + 1] =
					own.live[NR_LIVE - 1];
				CHECK(seize_and_take(taken));
				cpu_increment(&own.cache->magazine[CLASS_64].top);
				CHECK(!pop_fast(CLASS_64) && !push_fast(CLASS_64, own.live[0]));
				own.cache->pushes[CLASS_64]++;
				CHECK(seize_confirm(own.cache, CLASS_64));
				CHECK(come_back(way));
			}
}

/* The fast path does not push a block that lies on top of its magazine, and changes nothing. */
static bool is_suspected(void *block)
{
	struct magazine *magazine = &own.cache->magazine[CLASS_64], before = *magazine;
	uint64_t pushes = own.cache->pushes[CLASS_64];

	CHECK_OR(!push_fast(CLASS_64, block), false);
	CHECK_OR(magazine->top == before.top && magazine->limit == before.limit, false);
	CHECK_OR(own.cache->pushes[CLASS_64] == pushes, false);
	return true;
}

/* A block is freed twice in a row, and a scan comes in between: the slow path knows it. */
static void seize_before_second_free(void)
{
	for (unsigned n = 1; n <= MOST; n++)
		for (unsigned taken = 0; taken < n; taken++) {
			void *last;

			CHECK(prepare(n));
			last = own.held[n - 1];
			CHECK(is_suspected(last) && seize_and_take(taken));
			CHECK(is_suspected(last)); /* it is full now */
			CHECK(!magazine_push(own.cache, CLASS_64, last));
			CHECK(slots_held(own.cache, CLASS_64) == own.n && is_suspected(last));
			CHECK(comes_out(NR_LIVE));
		}
}

/* The same, and the first free came too late. */
static void seize_during_first_free(void)
{
	void *last;

	for (unsigned n = 0; n < MOST; n++)
		for (unsigned taken = 0; taken <= n; taken++) {
			CHECK(prepare(n));
			last = own.live[NR_LIVE - 1];
			own.cache->slot[own.cache->magazine[CLASS_64].top + 1] = last;
			CHECK(seize_and_take(taken));
			cpu_increment(&own.cache->magazine[CLASS_64].top);
			own.cache->pushes[CLASS_64]++;
			CHECK(is_suspected(last));
			CHECK(!magazine_push(own.cache, CLASS_64, last));
			own.held[own.n++] = last;
			CHECK(slots_held(own.cache, CLASS_64) == own.n && is_suspected(last));
			CHECK(comes_out(NR_LIVE - 1));
		}
}

/* Others allocate blocks of a class from its slabs, until they get this one. */
static bool alloc_elsewhere(const void *block)
{
	void *got[MOST];
	unsigned n = 0, i = 0;

	while (n < MOST && (!n || got[n - 1] != block))
		CHECK_OR(class_alloc(CLASS_64, &got[n++] + 1, 1, ALLOC_ANY) == 1, false);
	CHECK_OR(got[n - 1] == block, false);
	while (i < n - 1)
		class_free(CLASS_64, &got[i++], 1);
	return true;
}

/*
 * What the fast path suspected is not so any more when the slow path looks: a scan took the
 * block, and somebody allocated it. Then it is freed.
 */
static void seize_suspect(void)
{
	for (unsigned n = 1; n <= MOST; n++) {
		void *last;

		CHECK(prepare(n));
		last = own.held[n - 1];
		CHECK(is_suspected(last) && seize_and_take(n));
		CHECK(alloc_elsewhere(last));
		free_slow(last, "free");
		own.held[own.n++] = last;
		CHECK(comes_out(NR_LIVE));
	}
}

/* Nor if the thread goes on with another cache, and the block was allocated from the first. */
static void seize_suspect_elsewhere(void)
{
	struct hak_cache *first;
	void *last;

	CHECK(prepare(3));
	first = own.cache;
	last = own.held[2];
	CHECK(is_suspected(last) && at(hak_malloc(64)) == at(last));
	this_cache_set(CACHE_NONE);
	free_slow(last, "free");
	own.cache = this_cache();
	CHECK(own.cache != first && slots_held(own.cache, CLASS_64) == 1 && is_suspected(last));
	CHECK(at(hak_malloc(64)) == at(last));
	this_cache_set(first);
	hak_cache_detach(own.cache);
	own.cache = first;
	hak_free(last);
	CHECK(comes_out(NR_LIVE));
}

/* What was not used between two scans goes with the second. */
static void seize_when_idle(void)
{
	CHECK(prepare(6));
	CHECK(cache_scan(CACHE_SCAN_IDLE)); /* it was used before */
	CHECK(class_outstanding(CLASS_64) == NR_LIVE + 6);
	CHECK(!cache_scan(CACHE_SCAN_IDLE));
	CHECK(class_outstanding(CLASS_64) == NR_LIVE);
	CHECK(slots_held(own.cache, CLASS_64) == 0 && own.cache->cold->quiet);
	CHECK(!cache_scan(CACHE_SCAN_IDLE));
	own.n = 0;
	/* only what is used again is scanned again */
	hak_free(own.live[NR_LIVE - 1]);
	CHECK(!own.cache->cold->quiet);
	cache_scan(CACHE_SCAN_IDLE);
	CHECK(!cache_scan(CACHE_SCAN_IDLE) && class_outstanding(CLASS_64) == NR_LIVE - 1);
	CHECK(comes_out(NR_LIVE - 1));
}

/* The magazine is empty; the next scan does not take what is freed into it now. */
static bool later_one_stays(void)
{
	hak_free(own.live[NR_LIVE - 1]);
	own.held[0] = own.live[NR_LIVE - 1];
	own.n = 1;
	cache_scan(CACHE_SCAN_IDLE);
	CHECK_OR(class_outstanding(CLASS_64) == NR_LIVE, false);
	return comes_out(NR_LIVE - 1);
}

/* What a scan took is gone, and is no excess at the next one. */
static void seize_and_forget(void)
{
	CHECK(prepare(6));
	cache_scan(CACHE_SCAN_IDLE);
	cache_scan(CACHE_SCAN_IDLE);
	CHECK(class_outstanding(CLASS_64) == NR_LIVE);
	CHECK(later_one_stays());
	/* nor is what the owner gave back itself */
	CHECK(prepare(6));
	cache_scan(CACHE_SCAN_IDLE);
	hak_flush();
	CHECK(later_one_stays());
	/* half of them goes, then the other half is used */
	CHECK(prepare(6));
	cache_scan(CACHE_SCAN_IDLE);
	for (unsigned i = 0; i < 3; i++) {
		CHECK(hak_malloc(64) == own.held[5]);
		hak_free(own.held[5]);
	}
	cache_scan(CACHE_SCAN_IDLE);
	CHECK(class_outstanding(CLASS_64) == NR_LIVE + 3);
	for (unsigned i = 0; i < 4; i++) {
		CHECK(hak_malloc(64) == own.held[5]);
		hak_free(own.held[5]);
	}
	cache_scan(CACHE_SCAN_IDLE);
	CHECK(class_outstanding(CLASS_64) == NR_LIVE + 3);
	CHECK(unit_close());
}

static void seize_at_once(void)
{
	CHECK(prepare(6));
	CHECK(!cache_scan(CACHE_SCAN_ALL));
	CHECK(class_outstanding(CLASS_64) == NR_LIVE);
	own.n = 0;
	CHECK(comes_out(NR_LIVE));
	/* through the API: the caller's own as well as all */
	for (unsigned level = HAK_TRIM_OWN; level <= HAK_TRIM_ALL; level++) {
		CHECK(prepare(6));
		hak_trim((enum hak_trim_level)level);
		CHECK(class_outstanding(CLASS_64) == NR_LIVE && !hak_check());
		own.n = 0;
		CHECK(comes_out(NR_LIVE));
	}
}

/* A magazine that was used a little loses what it did not need, the oldest first. */
static void seize_in_part(void)
{
	for (unsigned n = 1; n <= MOST; n++)
		for (unsigned pops = 0; pops <= n + 1; pops++) {
			unsigned lost = policy_excess(n, pops), most = pops < n ? pops : n;

			CHECK(prepare(n));
			CHECK(cache_scan(CACHE_SCAN_IDLE));
			/* the last one to and fro, and then it is as it was */
			for (unsigned i = 0; i < pops; i++) {
				CHECK(hak_malloc(64) == own.held[n - 1]);
				hak_free(own.held[n - 1]);
			}
			CHECK(cache_scan(CACHE_SCAN_IDLE) == (pops > 0));
			CHECK(lost == n - most);
			CHECK(class_outstanding(CLASS_64) == NR_LIVE + n - lost);
			CHECK(slots_held(own.cache, CLASS_64) == n - lost);
			for (unsigned i = lost; i < n; i++)
				own.held[i - lost] = own.held[i];
			own.n = n - lost;
			CHECK(comes_out(NR_LIVE));
		}
}

/* An owner that ended and one that works: their magazines are apart. */
static void seize_of_others(void)
{
	struct hak_cache *other;
	void *block;

	CHECK(prepare(6));
	other = own.cache;
	this_cache_set(CACHE_NONE);
	CHECK((block = hak_malloc(1024)) && this_cache() != other);
	CHECK(cache_count() == 2);
	cache_scan(CACHE_SCAN_IDLE);
	cache_scan(CACHE_SCAN_IDLE);
	if (hak_host_barrier())
		CHECK(class_outstanding(CLASS_64) == NR_LIVE);
	CHECK(class_outstanding(CLASS_1K) == 1);
	/* in its slow path it is left alone */
	hak_free(block);
	CHECK(seize_try_claim(other));
	CHECK(cache_scan(CACHE_SCAN_ALL));
	seize_leave(other);
	CHECK(class_outstanding(CLASS_1K) == 0);
	CHECK(!cache_scan(CACHE_SCAN_ALL));
	hak_cache_detach(this_cache());
	this_cache_set(other);
	CHECK(class_outstanding(CLASS_64) == NR_LIVE);
	own.n = 0;
	CHECK(comes_out(NR_LIVE));
}

/* SuperSlabs that are kept by nothing but blocks in magazines. */
static void seize_phantoms(void)
{
	void *span;

	CHECK(prepare(5));
	CHECK(stats_count_phantoms() == 0); /* some are live */
	for (unsigned i = 0; i < NR_LIVE; i++)
		hak_free(own.live[i]);
	CHECK(class_outstanding(CLASS_64) == NR_LIVE + 5);
	CHECK(stats_count_phantoms() == 1);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.superslabs_phantom == 1 && stats.total.live_blocks == 0);
	/* a seized magazine counts, too */
	CHECK(seize_try_claim(own.cache));
	seize_begin(own.cache, CLASS_64);
	seize_leave(own.cache);
	CHECK(stats_count_phantoms() == 1);
	span = hak_malloc(100000);
	CHECK(span && stats_count_phantoms() == 0);
	hak_free(span);
	CHECK(stats_count_phantoms() == 1);
	hak_flush();
	CHECK(stats_count_phantoms() == 0 && !hak_check());
	CHECK(unit_close());
}

void unit_seize(void)
{
	TEST_RUN(seize_and_reopen);
	TEST_RUN(seize_too_late);
	TEST_RUN(seize_half_done);
	TEST_RUN(seize_during_malloc);
	TEST_RUN(seize_during_free);
	TEST_RUN(seize_before_second_free);
	TEST_RUN(seize_during_first_free);
	TEST_RUN(seize_suspect);
	TEST_RUN(seize_suspect_elsewhere);
	TEST_RUN(seize_when_idle);
	TEST_RUN(seize_and_forget);
	TEST_RUN(seize_at_once);
	TEST_RUN(seize_in_part);
	TEST_RUN(seize_of_others);
	TEST_RUN(seize_phantoms);
}
