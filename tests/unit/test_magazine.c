/* SPDX-License-Identifier: MIT */
/*
 * core/cache: how limits move, what refills fetch and spills give back, in
 * which order blocks come out; caches that come, go, or cannot be had.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <base/usage.h>
#include <slab/blocks.h>
#include <cache/budget.h>
#include <cache/cache.h>
#include <cache/magazine.h>
#include <pages/meta.h>
#include <pages/pagemap.h>
#include <pages/pages.h>
#include <superslab/superslab.h>

#define CLASS_64  5
#define CLASS_128 9
#define CLASS_1K  21
#define CLASS_16K class_of(16384)
#define CLASS_32K CLASS_SLAB_LAST

/* What the class of 64 bytes may hold, and at least when it only frees. */
#define CAPACITY ((unsigned)size_class[CLASS_64].capacity)
#define BATCH	 512u
#define LEAST	 (USUAL / 2)

/* How far refills alone let it grow. */
#define USUAL (CAPACITY / 2 < BATCH ? CAPACITY : 2 * BATCH)

static void *blocks[4200];

/* Blocks that a refill fetches at this limit, */
static unsigned refill_batch(unsigned limit)
{
	return (limit + 1) / 2 < BATCH ? (limit + 1) / 2 : BATCH;
}

/* those that the first spill gives back, */
static unsigned first_batch(unsigned limit)
{
	return limit - limit / 2 < BATCH / 2 ? limit - limit / 2 : BATCH / 2;
}

/* and those that another does. */
static unsigned spilled_blocks(unsigned held, unsigned limit)
{
	unsigned batch = held < BATCH ? held : BATCH;

	return batch > held - limit ? batch : held - limit + 1;
}

static struct cache_counters counters(unsigned class)
{
	struct cache_counters sum;

	stats_read_caches(class, &sum);
	return sum;
}

static uint64_t outstanding(unsigned class)
{
	struct class_counters now;

	stats_read_blocks(class, &now);
	return now.allocated - now.freed;
}

/* What the platform does when the owner of a cache ends. */
static void detach(struct hak_cache *cache)
{
	this_cache_set(CACHE_NONE);
	hak_cache_detach(cache);
}

static unsigned held(const struct hak_cache *cache, unsigned class)
{
	unsigned n = 0;

	while (cache->slot[cache->magazine[class].top - n])
		n++;
	return n;
}

/* How many it may hold: from the NULL below the blocks to the limit. */
static unsigned limit(const struct hak_cache *cache, unsigned class)
{
	const struct magazine *magazine = &cache->magazine[class];

	return magazine->limit - (magazine->top - held(cache, class));
}

/* What a spill makes of a limit below @least: all of that, or twice as much where caches share. */
static unsigned grown(unsigned limit, unsigned least)
{
	return HAK_CACHES_BYTES ? MIN(limit * 2, least) : least;
}

/* A heap that was so large that no batch is limited by that. */
static bool open_large(void)
{
	CHECK_OR(unit_open(8 * MIB, 0, FAKE_PURGE_NONE), false);
	usage_add(64 * MIB);
	return true;
}

static void magazine_limits(void)
{
	CHECK(policy_next_limit(8, 112, BATCH, MAGAZINE_REFILL) == 16);
	CHECK(policy_next_limit(16, 112, BATCH, MAGAZINE_REFILL) == 32);
	CHECK(policy_next_limit(32, 112, BATCH, MAGAZINE_REFILL) == 64);
	CHECK(policy_next_limit(64, 112, BATCH, MAGAZINE_REFILL) == 112);
	CHECK(policy_next_limit(112, 112, BATCH, MAGAZINE_REFILL) == 112);
	CHECK(policy_next_limit(8, 8, BATCH, MAGAZINE_REFILL) == 8);
	CHECK(policy_next_limit(112, 112, BATCH, MAGAZINE_SPILL) == 112);
	CHECK(policy_next_limit(8, 112, BATCH, MAGAZINE_SPILL) == grown(8, 56));
	CHECK(policy_next_limit(60, 112, BATCH, MAGAZINE_SPILL) == 60);
	CHECK(policy_next_limit(8, 8, BATCH, MAGAZINE_SPILL) == 8);
	CHECK(policy_next_limit(8, 112, BATCH, MAGAZINE_SPILL_AGAIN) == grown(8, 56));
	CHECK(policy_next_limit(112, 112, BATCH, MAGAZINE_SPILL_AGAIN) == 84);
	CHECK(policy_next_limit(84, 112, BATCH, MAGAZINE_SPILL_AGAIN) == 63);
	CHECK(policy_next_limit(60, 112, BATCH, MAGAZINE_SPILL_AGAIN) == 56);
	CHECK(policy_next_limit(56, 112, BATCH, MAGAZINE_SPILL_AGAIN) == 56);
	CHECK(policy_next_limit(8, 8, BATCH, MAGAZINE_SPILL_AGAIN) == 8);
	CHECK(policy_next_limit(12, 12, BATCH, MAGAZINE_SPILL_AGAIN) == 9);
	CHECK(policy_next_limit(1, 1, BATCH, MAGAZINE_REFILL) == 1);
	CHECK(policy_next_limit(1, 1, BATCH, MAGAZINE_SPILL_AGAIN) == 1);
	CHECK(policy_next_limit(1, 4, BATCH, MAGAZINE_REFILL) == 2);
	CHECK(policy_next_limit(1000, 1024, BATCH, MAGAZINE_SPILL_AGAIN) == 750);
	CHECK(policy_next_limit(8, 4096, BATCH, MAGAZINE_SPILL) == grown(8, 512));
	CHECK(policy_next_limit(8, 4096, 32, MAGAZINE_SPILL) == grown(8, 32));
	CHECK(policy_next_limit(1, 16, 1, MAGAZINE_SPILL) == grown(1, 2));
	CHECK(policy_next_limit(1, 128, 4, MAGAZINE_SPILL) == grown(1, 8));
	CHECK(policy_next_limit(40, 1000, 32, MAGAZINE_REFILL) == 64);
	CHECK(policy_next_limit(64, 1000, 32, MAGAZINE_REFILL) == 64);
	CHECK(policy_next_limit(900, 1000, 32, MAGAZINE_REFILL) == 900);
	CHECK(policy_next_limit(40, 1000, 32, MAGAZINE_REFILL_STEADY) == 64);
	CHECK(policy_next_limit(900, 1000, 32, MAGAZINE_REFILL_STEADY) == 675);
	CHECK(policy_next_limit(80, 1000, 32, MAGAZINE_REFILL_STEADY) == 64);
	CHECK(policy_next_limit(64, 1000, 32, MAGAZINE_REFILL_STEADY) == 64);
	CHECK(policy_next_limit(40, 1000, 32, MAGAZINE_REFILL_MISSED) == 80);
	CHECK(policy_next_limit(900, 1000, 32, MAGAZINE_REFILL_MISSED) == 1000);
	for_each_magazine(class)
	{
		unsigned capacity = size_class[class].capacity;

		for (unsigned n = policy_first_limit(class); n <= capacity; n++) {
			unsigned more = policy_next_limit(n, capacity, BATCH, MAGAZINE_REFILL);
			unsigned less = policy_next_limit(n, capacity, BATCH, MAGAZINE_SPILL_AGAIN);

			CHECK(more >= n && more <= capacity && less <= (n > BATCH ? n : BATCH));
			CHECK(less >= policy_first_limit(class) && less <= capacity);
		}
	}
}

/* The stand-in: empty and full at once in every class, without an owner. */
static void magazine_stand_in(void)
{
	CHECK(this_cache() == CACHE_NONE);
	CHECK(!CACHE_NONE->cold && !CACHE_NONE->slot[0]);
	for (unsigned class = 0; class < NR_CLASSES; ++class) {
		CHECK(CACHE_NONE->magazine[class].top == 0);
		CHECK(CACHE_NONE->magazine[class].limit == 0);
		CHECK(CACHE_NONE->pushes[class] == 0);
	}
}

static void magazine_attach(void)
{
	unsigned base = MAGAZINE_FIRST_BASE;
	struct hak_cache *cache;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(cache_count() == 0);
	cache = cache_attach();
	CHECK(cache && cache == this_cache() && cache != CACHE_NONE);
	CHECK(cache_count() == 1 && !cache_attach());
	CHECK(cache_count() == 1 && cache == this_cache());
	for (unsigned class = 0; class < NR_CLASSES; ++class) {
		bool has = class < CLASS_SPAN && size_class[class].capacity;

		CHECK(held(cache, class) == 0);
		CHECK(limit(cache, class) == (has ? policy_first_limit(class) : 0));
	}
	CHECK(!check_cache());
	/* a magazine's blocks do not reach into the next one's */
	for (unsigned far = 0; far < 2; far++) {
		for_each_magazine(class)
		{
			const struct magazine_cold *cold = &cache->cold->magazine[class];
			unsigned capacity = size_class[class].capacity;

			if (far && capacity <= HAK_MAGAZINE_NEAR) {
				CHECK(!cold->far);
				continue;
			}
			CHECK((far ? cold->far : cold->base) == base);
			base += 1 + (!far && capacity > HAK_MAGAZINE_NEAR ? HAK_MAGAZINE_NEAR
									  : capacity);
		}
	}
	CHECK(base == CACHE_SLOTS);
	detach(cache);
	CHECK(cache_count() == 0 && this_cache() == CACHE_NONE);
	CHECK(cache_attach() == cache); /* the memory is used again */
	CHECK(cache_count() == 1);
	CHECK(unit_close());
	CHECK(cache_count() == 0);
}

/* Of these all blocks are in the first slab. */
#define ROUNDS 8u

/* Where batches are small, and there are no bursts: all of the capacity is usual. */
static void magazine_small_limits(void)
{
	if (HAK_CACHE_BURST_BYTES)
		return;
	CHECK(policy_usual(96, 6) == 96 && policy_usual(8, 6) == 8);
	CHECK(policy_next_limit(8, 96, 6, MAGAZINE_REFILL) == 16);
	CHECK(policy_next_limit(64, 96, 6, MAGAZINE_REFILL_STEADY) == 96);
	CHECK(policy_next_limit(96, 96, 6, MAGAZINE_SPILL_AGAIN) == 93);
	CHECK(policy_next_limit(49, 96, 6, MAGAZINE_SPILL_AGAIN) == 48);
	CHECK(policy_next_limit(8, 8, 2, MAGAZINE_SPILL_AGAIN) == 8);
	CHECK(policy_next_limit(1, 8, 2, MAGAZINE_SPILL_AGAIN) == 8);
	CHECK(policy_next_limit(8, 96, 6, MAGAZINE_SPILL) == 48);
	CHECK(policy_spill(96, 96, 6, false) == 6 && policy_spill(96, 93, 6, true) == 6);
	CHECK(policy_spill(3, 3, 6, true) == 3 && policy_spill(20, 10, 6, true) == 11);
}

/* No call moves more than a batch of a class, and what another gives up for it. */
static void magazine_batches(void)
{
	unsigned batch = size_class[CLASS_64].batch;
	uint64_t random = 5, before;
	unsigned n = 0;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned ops = 0; ops < 20000; ops++) {
		uint64_t r = test_random(&random) >> 33;

		before = class_outstanding(CLASS_64);
		if (n < 4000 && (r % 4 < 2 || !n)) {
			CHECK((blocks[n++] = hak_malloc(64)));
			CHECK(class_outstanding(CLASS_64) - before <= batch);
		} else {
			unsigned i = (unsigned)(r >> 8) % n;

			hak_free(blocks[i]);
			blocks[i] = blocks[--n];
			CHECK(before - class_outstanding(CLASS_64) <= batch);
		}
	}
	while (n > 1)
		hak_free(blocks[--n]);
	hak_free(blocks[0]);
	hak_flush();
	CHECK(class_outstanding(CLASS_64) == 0 && !hak_check());
	CHECK(unit_close());
}

/* Refills fetch half of the limit, which doubles; blocks rise in address. */
static void magazine_refills(void)
{
	struct hak_cache *cache;
	unsigned n = 0, most = MAGAZINE_MIN;

	CHECK(open_large());
	cache = cache_attach();
	CHECK(cache);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned batch = refill_batch(most);
		uint64_t taken = n + batch;

		most = most * 2 < USUAL ? most * 2 : USUAL;
		for (unsigned k = 0; k < batch; k++) {
			blocks[n] = magazine_pop(cache, CLASS_64, ALLOC_ANY);
			CHECK(blocks[n]);
			CHECK(!n || (char *)blocks[n] == (char *)blocks[n - 1] + 64);
			n++;
			CHECK(outstanding(CLASS_64) == taken);
			CHECK(held(cache, CLASS_64) == taken - n);
			CHECK(limit(cache, CLASS_64) == most);
			CHECK(!check_cache());
		}
	}
	CHECK(most == USUAL);
	CHECK(counters(CLASS_64).pops == n && counters(CLASS_64).batches.misses == ROUNDS);
	CHECK(counters(CLASS_64).batches.refills == ROUNDS &&
	      counters(CLASS_64).batches.refilled == n);
	CHECK(counters(CLASS_64).batches.spills == 0 && counters(CLASS_64).blocks == 0);
	CHECK(counters(CLASS_1K).pops == 0);
	CHECK(unit_close());
}

/* In a small heap a batch is small: a 64th of the most that was live, but 32 blocks at any time. */
static void magazine_small_heap(void)
{
	struct hak_cache *cache;
	unsigned n = 0;

	CHECK(policy_batch(64, 0) == 32 && policy_batch(MIB, MIB) == 32);
	CHECK(policy_batch(64, MIB) == 256 && policy_batch(16, 256 * MIB) > BATCH);
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	cache = cache_attach();
	CHECK(cache);
	for (; n < 2000; n++) {
		blocks[n] = magazine_pop(cache, CLASS_64, ALLOC_ANY);
		CHECK(blocks[n]);
		CHECK(!HAK_CACHES_BYTES || limit(cache, CLASS_64) <= 64);
	}
	while (n > 0)
		magazine_push(cache, CLASS_64, blocks[--n]);
	CHECK(!HAK_CACHES_BYTES || held(cache, CLASS_64) <= 64);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* What is allocated and freed again and again soon goes no more to the slabs, if it fits. */
static void magazine_repeats(void)
{
	struct hak_cache *cache;
	struct cache_counters before, now;

	for (unsigned n = 100; n < CAPACITY - CAPACITY / 32; n += 100) {
		CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
		cache = cache_attach();
		CHECK(cache);
		for (unsigned turn = 0; turn < 8; turn++) {
			before = counters(CLASS_128);
			for (unsigned i = 0; i < n; i++)
				CHECK(blocks[i] = magazine_pop(cache, CLASS_128, ALLOC_ANY));
			for (unsigned i = 0; i < n; i++)
				CHECK(magazine_push(cache, CLASS_128, blocks[i]));
		}
		now = counters(CLASS_128);
		CHECK(now.batches.refills == before.batches.refills);
		CHECK(now.batches.spills == before.batches.spills);
		CHECK(!hak_check());
		CHECK(unit_close());
	}
}

/* The block that was freed last is warm: it goes out first. */
static void magazine_last_in_first_out(void)
{
	struct hak_cache *cache;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	cache = cache_attach();
	CHECK(cache);
	for (unsigned i = 0; i < 8; i++)
		blocks[i] = magazine_pop(cache, CLASS_1K, ALLOC_ANY);
	for (unsigned i = 0; i < 8; i++) {
		CHECK(!check_is_cached(CLASS_1K, blocks[i]));
		magazine_push(cache, CLASS_1K, blocks[i]);
		CHECK(check_is_cached(CLASS_1K, blocks[i]));
		CHECK(!check_is_cached(CLASS_64, blocks[i]));
	}
	for (unsigned i = 8; i--;) {
		CHECK(magazine_pop(cache, CLASS_1K, ALLOC_ANY) == blocks[i]);
		CHECK(!check_is_cached(CLASS_1K, blocks[i]));
	}
	CHECK(!hak_check());
	CHECK(unit_close());
}

/*
 * The block on top is not pushed again, also if the magazine is full: nothing is spilled. A
 * block of every class, spans included.
 */
static void magazine_push_twice(void)
{
	struct hak_cache *cache;

	CHECK(unit_open(64 * MIB, 0, FAKE_PURGE_NONE));
	cache = cache_attach();
	CHECK(cache);
	for_each_magazine(class)
	{
		unsigned n = 0, was;

		while (n < 8 && (blocks[n] = magazine_pop(cache, class, ALLOC_ANY)))
			n++;
		CHECK(n > 2);
		/* the last two stay allocated: with the last of its class, all would be spilled */
		n -= 2;
		for (unsigned i = 0; i < n; i++) {
			CHECK(magazine_push(cache, class, blocks[i]));
			was = limit(cache, class);
			CHECK(!magazine_push(cache, class, blocks[i]));
			CHECK(limit(cache, class) == was && !check_cache());
		}
		was = held(cache, class);
		CHECK(!magazine_push(cache, class, blocks[n - 1]) && held(cache, class) == was);
		CHECK(magazine_pop(cache, class, ALLOC_ANY) == blocks[n - 1]);
		CHECK(magazine_push(cache, class, blocks[n - 1])); /* it was allocated */
		magazine_push(cache, class, blocks[n]);
		magazine_push(cache, class, blocks[n + 1]);
		hak_flush();
		detach(cache); /* what one class may hold, the next one may */
		CHECK(cache_attach() == cache);
	}
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* Blocks that somebody else has, so that the last free of all is far away. */
#define OTHERS 400u

/* Allocate at least @n blocks, until the magazine may be full and is empty; how many. */
static unsigned allocate(struct hak_cache *cache, unsigned n)
{
	unsigned got = 0;

	while ((got < n || held(cache, CLASS_64) || limit(cache, CLASS_64) < USUAL) &&
	       got < ARRAY_SIZE(blocks) - OTHERS)
		blocks[got++] = magazine_pop(cache, CLASS_64, ALLOC_ANY);
	return got;
}

/* A full magazine gives its oldest blocks back; the limit stays the first time. */
static void magazine_spills(void)
{
	unsigned freed = 0, n, first, second, lower = USUAL - USUAL / 4;
	struct hak_cache *cache;

	CHECK(open_large());
	cache = cache_attach();
	CHECK(cache);
	CHECK(class_alloc(CLASS_64, blocks + 4200, OTHERS, ALLOC_ANY) == OTHERS);
	n = allocate(cache, 2 * USUAL);
	CHECK(outstanding(CLASS_64) == OTHERS + n);
	for (; freed < USUAL; freed++)
		magazine_push(cache, CLASS_64, blocks[freed]);
	CHECK(held(cache, CLASS_64) == USUAL && outstanding(CLASS_64) == OTHERS + n);
	magazine_push(cache, CLASS_64, blocks[freed++]);
	first = first_batch(USUAL);
	CHECK(held(cache, CLASS_64) == USUAL - first + 1);
	CHECK(outstanding(CLASS_64) == OTHERS + n - first);
	CHECK(limit(cache, CLASS_64) == USUAL);
	for (unsigned i = 0; i < freed; i++)
		CHECK(check_is_cached(CLASS_64, blocks[i]) == (i >= first));
	/* nothing but frees: the next spill takes it down by a quarter */
	while (held(cache, CLASS_64) < USUAL)
		magazine_push(cache, CLASS_64, blocks[freed++]);
	magazine_push(cache, CLASS_64, blocks[freed++]);
	second = spilled_blocks(USUAL, lower);
	CHECK(limit(cache, CLASS_64) == lower);
	CHECK(held(cache, CLASS_64) == USUAL - second + 1);
	CHECK(outstanding(CLASS_64) == OTHERS + n - first - second);
	CHECK(counters(CLASS_64).batches.spills == 2);
	CHECK(counters(CLASS_64).batches.spilled == first + second);
	CHECK(!hak_check());
	/* in order: what is left are the youngest, the last on top */
	for (unsigned i = 0; i < USUAL - second + 1; i++)
		CHECK(magazine_pop(cache, CLASS_64, ALLOC_ANY) == blocks[freed - 1 - i]);
	CHECK(unit_close());
}

/* The limit of one who only frees falls to the least; a refill ends that. */
static void magazine_adapts(void)
{
	struct hak_cache *cache;
	unsigned last = 0, n;

	CHECK(open_large());
	CHECK(class_alloc(CLASS_64, blocks + 4200, OTHERS, ALLOC_ANY) == OTHERS);
	cache = cache_attach();
	CHECK(cache);
	n = allocate(cache, 3 * USUAL + 200);
	for (unsigned i = 0; i < n; i++) {
		unsigned now;

		magazine_push(cache, CLASS_64, blocks[i]);
		now = limit(cache, CLASS_64);
		CHECK(!last || now == last || now == last - last / 4 || now == LEAST);
		CHECK(held(cache, CLASS_64) <= now);
		last = now;
	}
	CHECK(last == LEAST);
	while (held(cache, CLASS_64))
		CHECK(magazine_pop(cache, CLASS_64, ALLOC_ANY));
	CHECK(limit(cache, CLASS_64) == LEAST);
	CHECK(magazine_pop(cache, CLASS_64, ALLOC_ANY));
	CHECK(held(cache, CLASS_64) == LEAST / 2 - 1 && limit(cache, CLASS_64) == 2 * LEAST);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* All magazines together grow by so much; who grows then takes it from others. */
static void magazine_room(void)
{
	ptrdiff_t bytes = 0;
	struct hak_cache *cache;
	unsigned count;

	CHECK(unit_open(64 * MIB, 0, FAKE_PURGE_NONE));
	cache = cache_attach();
	CHECK(cache && cache->cold->budget == HAK_CACHE_BYTES);
	for (unsigned round = 0; round < 2000; round++) {
		for_each_magazine(class)
		{
			if (size_class[class].size > 16 * KIB || (round & 15) != class % 16)
				continue;
			count = limit(cache, class) / 2 + 2;
			for (unsigned i = 0; i < count; i++)
				blocks[i] = magazine_pop(cache, class, ALLOC_ANY);
			for (unsigned i = 0; i < count; i++)
				magazine_push(cache, class, blocks[i]);
		}
		CHECK(cache->cold->budget >= 0);
	}
	for_each_magazine(class) bytes +=
		((ptrdiff_t)limit(cache, class) - policy_first_limit(class)) *
		(ptrdiff_t)size_class[class].size;
	bytes -= HAK_CACHE_BURST_BYTES - cache->cold->burst_budget;
	CHECK(bytes > 0 && cache->cold->budget == HAK_CACHE_BYTES - bytes);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* Who only ever frees may keep a batch before the first one goes, and then gives all. */
static void magazine_only_frees(void)
{
	unsigned n = 4 * LEAST, most = 8, now = 0, spills = 0, spilled = 0;
	struct hak_cache *cache;

	CHECK(open_large());
	CHECK(class_alloc(CLASS_64, blocks + 4200, OTHERS, ALLOC_ANY) == OTHERS);
	for (unsigned i = 0; i < n; i++)
		CHECK(class_alloc(CLASS_64, blocks + i + 1, 1, ALLOC_ANY) == 1);
	cache = cache_attach();
	CHECK(cache);
	for (unsigned i = 0; i < n; i++) {
		if (now == LEAST) {
			now = 0;
			spilled += LEAST;
			spills++;
		}
		now++;
		magazine_push(cache, CLASS_64, blocks[i]);
		CHECK(held(cache, CLASS_64) == now);
		if (i == most)
			most = grown(most, LEAST);
		CHECK(limit(cache, CLASS_64) == most);
	}
	CHECK(spills == 3 && counters(CLASS_64).batches.spills == spills);
	CHECK(counters(CLASS_64).batches.spilled == spilled);
	CHECK(outstanding(CLASS_64) == OTHERS + n - spilled);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* The free of the last block of all takes the others along: no slab is kept. */
static void magazine_last_free(void)
{
	struct hak_cache *cache;
	struct class_counters slabs;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	cache = cache_attach();
	CHECK(cache);
	for (unsigned n = 3 * USUAL; n <= 3 * USUAL + 150; n++) { /* two spills */
		for (unsigned i = 0; i < n; i++)
			blocks[i] = magazine_pop(cache, CLASS_64, ALLOC_ANY);
		cache_flush_own(CLASS_FIRST); /* what else the last refill brought */
		for (unsigned i = 0; i < n - 1; i++)
			magazine_push(cache, CLASS_64, blocks[i]);
		CHECK(outstanding(CLASS_64) == held(cache, CLASS_64) + 1);
		stats_read_blocks(CLASS_64, &slabs);
		CHECK(slabs.slabs >= 1);
		magazine_push(cache, CLASS_64, blocks[n - 1]);
		stats_read_blocks(CLASS_64, &slabs);
		CHECK(slabs.slabs == 0 && outstanding(CLASS_64) == 0);
		CHECK(held(cache, CLASS_64) == 0 && limit(cache, CLASS_64) == MAGAZINE_MIN);
		CHECK(!hak_check());
	}
	CHECK(unit_close());
}

/* A cache with an empty magazine that may hold as much as refills alone allow. */
static struct hak_cache *open_grown(unsigned *n)
{
	struct hak_cache *cache;

	CHECK_OR(open_large(), NULL);
	cache = cache_attach();
	CHECK_OR(cache, NULL);
	*n = allocate(cache, 2 * USUAL);
	return cache;
}

/* The first spill after a refill is not one of many: who does both needs a larger limit. */
static void magazine_first_spill(void)
{
	unsigned n, more = 0;
	struct hak_cache *cache = open_grown(&n);

	CHECK(cache);
	/* so that a refill finds no less than it asks for */
	while (more < 2 * BATCH)
		more += class_alloc(CLASS_64, blocks + 4200 - more, 2 * BATCH - more, ALLOC_ANY);
	class_free(CLASS_64, blocks + 4200 - more, more - 1);
	for (unsigned round = 1; round <= 3; round++) {
		uint64_t refills = counters(CLASS_64).batches.refills;

		while (counters(CLASS_64).batches.spills < round)
			magazine_push(cache, CLASS_64, blocks[--n]);
		CHECK(limit(cache, CLASS_64) == USUAL);
		CHECK(held(cache, CLASS_64) == USUAL - first_batch(USUAL) + 1);
		while (counters(CLASS_64).batches.refills == refills)
			blocks[n++] = magazine_pop(cache, CLASS_64, ALLOC_ANY);
		CHECK(limit(cache, CLASS_64) == USUAL);
		CHECK(held(cache, CLASS_64) == refill_batch(USUAL) - 1);
	}
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* Nor is one of many where most of what is freed is allocated again. */
static void magazine_slow_spill(void)
{
	unsigned n;
	struct hak_cache *cache = open_grown(&n);

	CHECK(cache);
	while (counters(CLASS_64).batches.spills < 1)
		magazine_push(cache, CLASS_64, blocks[--n]);
	while (counters(CLASS_64).batches.spills < 2) {
		for (unsigned i = 0; i < 3; i++)
			magazine_push(cache, CLASS_64, blocks[--n]);
		for (unsigned i = 0; i < 2; i++)
			blocks[n++] = magazine_pop(cache, CLASS_64, ALLOC_ANY);
	}
	CHECK(limit(cache, CLASS_64) == USUAL);
	CHECK(counters(CLASS_64).batches.spilled == 2 * first_batch(USUAL));
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* One turn: allocate so many, free them. */
static void back_and_forth(struct hak_cache *cache, unsigned class, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		blocks[i] = magazine_pop(cache, class, ALLOC_ANY);
	for (unsigned i = 0; i < n; i++)
		magazine_push(cache, class, blocks[i]);
}

/*
 * What is freed and allocated by turns fits the magazine after some of them. When
 * frees keep pace with allocations again, it becomes smaller.
 */
static void magazine_back_and_forth(void)
{
	unsigned class = CLASS_16K, capacity = size_class[class].capacity, n = capacity / 8 * 7;
	unsigned usual = capacity < 32 ? capacity : 32, least = capacity;
	struct cache_counters before, after;
	struct hak_cache *cache;

	CHECK(unit_open(64 * MIB, 0, FAKE_PURGE_NONE));
	cache = cache_attach();
	CHECK(cache && class_alloc(class, blocks + 4200, OTHERS, ALLOC_ANY) == OTHERS);
	for (unsigned turn = 0; turn < 20; turn++)
		back_and_forth(cache, class, n);
	CHECK(limit(cache, class) == capacity);
	CHECK(cache->cold->burst_budget ==
	      HAK_CACHE_BURST_BYTES - (ptrdiff_t)(capacity - usual) * size_class[class].size);
	before = counters(class);
	back_and_forth(cache, class, n);
	after = counters(class);
	CHECK(after.batches.refills == before.batches.refills);
	CHECK(after.batches.spills == before.batches.spills);
	while (held(cache, class) > 1)
		CHECK(magazine_pop(cache, class, ALLOC_ANY));
	while (least > usual) {
		for (unsigned i = 0; i <= capacity; i++)
			magazine_push(cache, class, magazine_pop(cache, class, ALLOC_ANY));
		while (held(cache, class))
			CHECK(magazine_pop(cache, class, ALLOC_ANY));
		CHECK(magazine_pop(cache, class, ALLOC_ANY));
		least = least - least / 4 > usual ? least - least / 4 : usual;
		CHECK(limit(cache, class) == least);
	}
	CHECK(cache->cold->burst_budget == HAK_CACHE_BURST_BYTES);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/*
 * All caches share a budget. If it is spent, magazines stay as small as at first, and work. What
 * those have who pause is there for others after two scans.
 */
static void magazine_shared_budget(void)
{
	unsigned class = CLASS_16K, capacity = size_class[class].capacity, n = capacity / 8 * 7;
	struct hak_cache *cache[3];
	uint64_t spills;

	if (!HAK_CACHES_BYTES || !NR_SPAN_CLASSES)
		return;
	CHECK(unit_open(128 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(class_alloc(class, blocks + 4200, OTHERS, ALLOC_ANY) == OTHERS);
	for (unsigned i = 0; i < 3; i++) {
		this_cache_set(CACHE_NONE);
		cache[i] = cache_attach();
		CHECK(cache[i]);
		for (unsigned turn = 0; turn < 20; turn++)
			back_and_forth(cache[i], class, n);
		CHECK(i == 2 || limit(cache[i], class) == capacity);
		CHECK(budget_spent <= HAK_CACHES_BYTES && !hak_check());
	}
	CHECK(budget_spent > HAK_CACHES_BYTES - 16384 && limit(cache[2], class) < capacity / 8);
	/* the spans of a class that has nothing go at once */
	spills = counters(class_of(MIB)).batches.spills;
	CHECK(limit(cache[2], class_of(MIB)) == 0);
	magazine_push(cache[2], class_of(MIB), magazine_pop(cache[2], class_of(MIB), ALLOC_ANY));
	CHECK(held(cache[2], class_of(MIB)) == 0 && outstanding(class_of(MIB)) == 0);
	CHECK(counters(class_of(MIB)).batches.spills == spills + 1);
	for (unsigned i = 0; i < 2; i++) {
		back_and_forth(cache[2], class, 1);
		cache_scan(CACHE_SCAN_IDLE);
	}
	CHECK(budget_spent < HAK_CACHES_BYTES / 32 && !hak_check());
	for (unsigned turn = 0; turn < 20; turn++)
		back_and_forth(cache[2], class, n);
	CHECK(limit(cache[2], class) == capacity);
	for (unsigned i = 0; i < 3; i++) {
		this_cache_set(cache[i]);
		detach(cache[i]);
	}
	CHECK(budget_spent == 0 && !hak_check());
	CHECK(unit_close());
}

/*
 * Who comes after an owner whose magazines grew finds them as small as at first, and
 * empty if scans came by before.
 */
static void magazine_next_owner(void)
{
	unsigned class = CLASS_64, n = HAK_MAGAZINE_NEAR + 10;
	struct hak_cache *cache;

	for (unsigned purge = FAKE_PURGE_NONE; purge <= FAKE_PURGE_REFUSE; purge++) {
		struct cache_counters before, after;

		CHECK(unit_open(64 * MIB, 0, purge));
		cache = cache_attach();
		CHECK(cache && class_alloc(class, blocks + 4200, OTHERS, ALLOC_ANY) == OTHERS);
		for (unsigned turn = 0; turn < 20; turn++)
			back_and_forth(cache, class, n);
		CHECK((limit(cache, class) > HAK_MAGAZINE_NEAR) == HAS_FAR_SLOTS);
		before = counters(class);
		detach(cache);
		CHECK(limit(cache, class) == policy_first_limit(class));
		CHECK(held(cache, class) == policy_first_limit(class) / 2);
		CHECK(cache->cold->budget == HAK_CACHE_BYTES);
		CHECK(cache->cold->burst_budget == HAK_CACHE_BURST_BYTES);
		CHECK(pages_counters.purged == 0);
		CHECK(cache_scan(CACHE_SCAN_IDLE) && pages_counters.purged == 0);
		CHECK(!cache_scan(CACHE_SCAN_IDLE) && slots_held(cache, class) == 0);
		CHECK((pages_counters.purged > 0) ==
		      (HAS_FAR_SLOTS && (purge == FAKE_PURGE_ZERO || purge == FAKE_PURGE_DIRTY)));
		CHECK(cache_count() == 0 && cache_attach() == cache && cache_count() == 1);
		CHECK(outstanding(class) == OTHERS);
		after = counters(class);
		CHECK(after.pops == before.pops && after.pushes == before.pushes);
		for (unsigned turn = 0; turn < 20; turn++)
			back_and_forth(cache, class, n);
		CHECK((limit(cache, class) > HAK_MAGAZINE_NEAR) == HAS_FAR_SLOTS);
		CHECK(counters(class).pushes == before.pushes + 20 * n && !hak_check());
		CHECK(unit_close());
	}
}

static void magazine_flush_own(void)
{
	struct hak_cache *cache;
	unsigned before;

	CHECK(unit_open(32 * MIB, 0, FAKE_PURGE_NONE));
	cache = cache_attach();
	CHECK(cache);
	CHECK(!cache_flush_own(CLASS_FIRST));
	for_each_magazine(class) blocks[class] = magazine_pop(cache, class, ALLOC_ANY);
	CHECK(cache_flush_own(CLASS_FIRST));
	CHECK(!cache_flush_own(CLASS_FIRST));
	for_each_magazine(class)
	{
		CHECK(held(cache, class) == 0 && blocks_outstanding(class) >= 1);
		before = limit(cache, class);
		magazine_push(cache, class, blocks[class]);
		CHECK(limit(cache, class) == before);
	}
	CHECK(!hak_check());
	CHECK(cache_flush_own(CLASS_FIRST));
	CHECK(unit_fake.outstanding_heap == SUPERSLAB_SIZE); /* the reserve */
	CHECK(!hak_check());
	CHECK(unit_close());
}

/*
 * The counts of a cache that is gone are not. Of its small blocks the next owner gets
 * those that were freed last, half of what a first magazine may hold, unless no scan
 * comes by and they might keep more than the last SuperSlab.
 */
static void magazine_detach(void)
{
	struct hak_cache *cache;
	struct cache_counters before, after;
	bool backed;
	unsigned left;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned round = 1; round <= 3; round++) {
		cache = cache_attach();
		CHECK(cache);
		for (unsigned i = 0; i < 10; i++)
			blocks[i] = magazine_pop(cache, CLASS_1K, ALLOC_ANY);
		for (unsigned i = 0; i < 10; i++)
			magazine_push(cache, CLASS_1K, blocks[i]);
		before = counters(CLASS_1K);
		CHECK(before.blocks == (round == 1 ? 12 : 16) && before.pops == 10 * round);
		if (round == 3)
			CHECK(superslab_alloc(33, 0, SLAB_SIZE, ALLOC_ANY, &backed));
		left = round == 3 ? 0 : policy_first_limit(CLASS_1K) / 2;
		detach(cache);
		after = counters(CLASS_1K);
		CHECK(after.blocks == left && after.pops == before.pops);
		CHECK(after.batches.refilled == before.batches.refilled);
		CHECK(after.batches.spilled == before.batches.spilled + before.blocks - left);
		CHECK(outstanding(CLASS_1K) == left && !hak_check());
		for (unsigned i = 0; i < left; i++)
			CHECK(cache->slot[cache->magazine[CLASS_1K].top - i] == blocks[9 - i]);
	}
	/* none of larger ones */
	cache = cache_attach();
	CHECK(cache);
	magazine_push(cache, CLASS_32K, magazine_pop(cache, CLASS_32K, ALLOC_ANY));
	CHECK(outstanding(CLASS_32K) > 0);
	detach(cache);
	CHECK(outstanding(CLASS_32K) == 0 && !hak_check());
	CHECK(unit_close());
}

/* Who gets no cache works without, block by block, and gets one later. */
static void magazine_no_cache(void)
{
	void *one, *two, *three;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	/* one block from the slabs, so that all that is missing is a cache */
	CHECK(class_alloc(CLASS_64, blocks + 1, 1, ALLOC_ANY) == 1);
	fake_fail(&unit_fake, FAKE_MAP_META, 1, true, FAKE_FAILS);
	while (meta_alloc(META_LEAF, META_ALIGN))
		;
	CHECK(!cache_attach());
	one = hak_malloc(64);
	two = hak_malloc(64);
	CHECK(one && two && one != two);
	CHECK(this_cache() == CACHE_NONE && cache_count() == 0);
	CHECK(outstanding(CLASS_64) == 3);
	hak_free(one);
	CHECK(outstanding(CLASS_64) == 2);
	three = hak_malloc(60);
	CHECK(at(three) == at(one));
	fake_heal(&unit_fake);
	hak_free(two);
	CHECK(this_cache() != CACHE_NONE && cache_count() == 1);
	CHECK(held(this_cache(), CLASS_64) == 1 && outstanding(CLASS_64) == 3);
	hak_free(three);
	hak_flush();
	class_free(CLASS_64, blocks, 1);
	CHECK(outstanding(CLASS_64) == 0 && !hak_check());
	CHECK(unit_close());
}

/* A refill that finds fewer blocks than it would like. */
static void magazine_partial_refill(void)
{
	struct hak_cache *cache;
	bool backed;

	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	cache = cache_attach();
	CHECK(cache && superslab_alloc(31, 0, SLAB_SIZE, ALLOC_ANY, &backed));
	/* one slab of two blocks: a refill wants 4, and later more */
	budget_set_limit(cache, CLASS_32K, MAGAZINE_MIN);
	blocks[0] = magazine_pop(cache, CLASS_32K, ALLOC_ANY);
	CHECK(blocks[0] && held(cache, CLASS_32K) == 1);
	blocks[1] = magazine_pop(cache, CLASS_32K, ALLOC_ANY);
	CHECK(blocks[1] == (char *)blocks[0] + 32768 && held(cache, CLASS_32K) == 0);
	CHECK(!magazine_pop(cache, CLASS_32K, ALLOC_ANY) &&
	      !magazine_pop(cache, CLASS_32K, ALLOC_ANY));
	CHECK(counters(CLASS_32K).batches.misses == 3);
	CHECK(counters(CLASS_32K).batches.refills == 1);
	CHECK(counters(CLASS_32K).batches.refilled == 2 && counters(CLASS_32K).pops == 2);
	magazine_push(cache, CLASS_32K, blocks[1]);
	CHECK(magazine_pop(cache, CLASS_32K, ALLOC_ANY) == blocks[1]);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* A span that waits in a magazine serves others before they get new memory. */
static void magazine_spans_are_used(void)
{
	char *span, *other;

	if (!NR_SPAN_CLASSES || !PLATFORM_PURGES)
		return; /* there all memory is backed, and unused units are used first */
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(hak_malloc(100)); /* the class has a slab, with room */
	span = hak_malloc(256 * KIB);
	CHECK(span && hak_malloc(64 * KIB)); /* what is behind it is in use */
	hak_free(span);
	CHECK(held(this_cache(), class_of(256 * KIB)) == 1);

	/* not where there are blocks already */
	CHECK(hak_malloc(100) && held(this_cache(), class_of(256 * KIB)) == 1);
	other = hak_malloc(128 * KIB); /* a shorter span */
	CHECK(at(other) == at(span) && held(this_cache(), class_of(256 * KIB)) == 0);
	CHECK(at(hak_malloc(1000)) == at(span) + 2 * SLAB_SIZE); /* a slab */
	CHECK(at(hak_malloc(2000)) == at(span) + 3 * SLAB_SIZE);

	/* one that is too long for a magazine */
	span = hak_malloc(MIB);
	CHECK(span);
	hak_free(span);
	CHECK(held(this_cache(), class_of(MIB)) == 1);
	CHECK(at(hak_malloc(MIB + SLAB_SIZE)) == at(span));
	CHECK(held(this_cache(), class_of(MIB)) == 0);
	CHECK(!hak_check());
	CHECK(unit_close());
}

void unit_magazine(void)
{
	TEST_RUN_BURSTS(magazine_limits);
	TEST_RUN(magazine_stand_in);
	TEST_RUN(magazine_attach);
	TEST_RUN(magazine_small_limits);
	TEST_RUN(magazine_batches);
	TEST_RUN_BURSTS(magazine_refills);
	TEST_RUN(magazine_small_heap);
	TEST_RUN_BURSTS(magazine_repeats);
	TEST_RUN(magazine_last_in_first_out);
	TEST_RUN(magazine_push_twice);
	TEST_RUN_BURSTS(magazine_spills);
	TEST_RUN_BURSTS(magazine_adapts);
	TEST_RUN(magazine_room);
	TEST_RUN_BURSTS(magazine_only_frees);
	TEST_RUN(magazine_last_free);
	TEST_RUN_BURSTS(magazine_first_spill);
	TEST_RUN_BURSTS(magazine_slow_spill);
	TEST_RUN_SLABS(magazine_back_and_forth);
	TEST_RUN(magazine_shared_budget);
	TEST_RUN(magazine_next_owner);
	TEST_RUN(magazine_flush_own);
	TEST_RUN_SLABS(magazine_detach);
	TEST_RUN(magazine_no_cache);
	TEST_RUN_SLABS(magazine_partial_refill);
	TEST_RUN(magazine_spans_are_used);
}
