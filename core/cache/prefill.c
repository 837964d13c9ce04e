/* SPDX-License-Identifier: MIT */
/*
 * hak_prefill(): blocks that are there before they are asked for, and nobody else gets.
 *
 * As many as the magazine may hold lie in it, and the others in the owner's stash for this class: a
 * chain of records. The magazine is not seized before the promised number has been popped. What
 * leaves it, by a spill or when the owner has no more memory for another size, goes to the stash,
 * as far as the promise goes. A refill takes from the stash first. After either, the scan visits
 * the cache again.
 *
 *	promised - pops		     ==  allocations that are promised, if it is above 0
 *	held + stashed		     >=  those
 *	stashed			     <=  places in all records
 *
 * Blocks in a stash count as outstanding, like those in a magazine.
 *
 * Lock: the claim of the cache.
 *
 * Failure: hak_prefill() returns false, and nothing has changed.
 */
#include "base/layered.h"

#include <hakmem/hakmem.h>

#include <hakmem/host.h>

#include "base/policy.h"
#include "cache/budget.h"
#include "cache/cache.h"
#include "cache/seize.h"
#include "cache/slots.h"
#include "pages/meta.h"
#include "slab/blocks.h"
#include "superslab/arena.h"

#define STASH_BLOCKS 62u

struct stash {
	struct stash *next;
	size_t n;
	void *block[STASH_BLOCKS];
};

/**
 * struct promise - to one owner, for one class
 * @full:    records with blocks; only the first may have a free place [claim]
 * @empty:   records without blocks [claim]
 * @stashed: how many blocks there are [claim]
 * @records: how many records [claim]
 */
struct promise {
	struct stash *full, *empty;
	size_t stashed, records;
};

struct promises {
	struct prefill prefill; /* what the rest of cache/ calls */
	struct promise of[CLASS_LAST + 1];
};

static struct promise *promise_of(const struct hak_cache *cache, unsigned class)
{
	return &((struct promises *)cache->cold->prefill)->of[class];
}

static void stash_move(struct stash **from, struct stash **to)
{
	struct stash *stash = *from;

	*from = stash->next;
	stash->next = *to;
	*to = stash;
}

static void stash_push(struct promise *promise, void *block)
{
	if (!promise->full || promise->full->n == STASH_BLOCKS)
		stash_move(&promise->empty, &promise->full);
	promise->full->block[promise->full->n++] = block;
	promise->stashed++;
}

static void *stash_pop(struct promise *promise)
{
	void *block = promise->full->block[--promise->full->n];

	if (!promise->full->n)
		stash_move(&promise->full, &promise->empty);
	promise->stashed--;
	return block;
}

static unsigned prefill_alloc(struct hak_cache *cache, unsigned class, void **end, unsigned n)
{
	struct promise *promise = promise_of(cache, class);
	unsigned done = 0;

	cache->cold->quiet = 0;
	while (done < n && promise->stashed)
		end[-(ptrdiff_t)++done] = stash_pop(promise);
	return done ? done : blocks_alloc(class, end, n, ALLOC_ANY);
}

/* The blocks have not left the magazine yet. */
static void prefill_free(struct hak_cache *cache, unsigned class, void *const *blocks, unsigned n)
{
	struct promise *promise = promise_of(cache, class);
	uint64_t left = cache->cold->magazine[class].promised, pops = slots_pops(cache, class);
	uint64_t there = slots_held(cache, class) - n + promise->stashed;
	unsigned kept;

	cache->cold->quiet = 0;
	left = left > pops ? left - pops : 0;
	kept = left > there ? (unsigned)MIN(left - there, n) : 0;
	for (unsigned i = 0; i < kept; i++)
		stash_push(promise, blocks[i]);
	if (kept < n)
		blocks_free(class, blocks + kept, n - kept);
}

/* Give back what the stash of a class has beyond so many blocks and so many records. */
static void stash_shrink(struct promise *promise, unsigned class, size_t blocks, size_t records)
{
	while (promise->stashed > blocks) {
		void *block = stash_pop(promise);

		blocks_free(class, &block, 1);
	}
	while (promise->records > records) {
		struct stash *stash = promise->empty;

		promise->empty = stash->next;
		promise->records--;
		meta_free(META_STASH, stash);
	}
}

static void prefill_drop(struct hak_cache *cache)
{
	struct prefill *prefill;

	seize_enter(cache, CLASS_FIRST);
	for_each_magazine(class)
	{
		cache->cold->magazine[class].promised = 0;
		stash_shrink(promise_of(cache, class), class, 0, 0);
	}
	prefill = cache->cold->prefill;
	cache->cold->prefill = NULL;
	seize_leave(cache);
	meta_free(META_PREFILL, prefill);
}

/* The magazine is open. Nothing is promised yet, if there was no record. */
static bool make_promises(struct hak_cache *cache)
{
	struct promises *promises;

	if (cache->cold->prefill)
		return true;
	promises = meta_alloc(META_PREFILL, sizeof(*promises));
	if (!promises)
		return false;
	promises->prefill = (struct prefill){ prefill_alloc, prefill_free, prefill_drop };
	cache->cold->prefill = &promises->prefill;
	return true;
}

/* Can the stash have so many blocks? If there is no memory for that, there are fewer records. */
static bool stash_grow(struct promise *promise, size_t blocks)
{
	while (promise->records * STASH_BLOCKS < blocks) {
		struct stash *stash = meta_alloc(META_STASH, sizeof(*stash));

		if (!stash)
			return false;
		stash->next = promise->empty;
		promise->empty = stash;
		promise->records++;
	}
	return true;
}

/* More blocks on top of those in the magazine. */
static bool fill_magazine(struct hak_cache *cache, unsigned class, unsigned n)
{
	struct magazine *magazine = &cache->magazine[class];

	while (n) {
		void **first = &cache->slot[magazine->top + 1];
		unsigned got = blocks_alloc(class, first + n, n, ALLOC_ANY);

		if (!got)
			return false;
		__builtin_memmove(first, first + n - got, got * sizeof(*first));
		magazine->top = (uint16_t)(magazine->top + got);
		cache->cold->magazine[class].batches.refilled += got;
		n -= got;
	}
	return true;
}

static bool fill_stash(struct promise *promise, unsigned class, size_t n)
{
	void *blocks[32];

	while (promise->stashed < n) {
		unsigned want = (unsigned)MIN(n - promise->stashed, ARRAY_SIZE(blocks));
		unsigned got = blocks_alloc(class, blocks + want, want, ALLOC_ANY);

		for (unsigned i = want - got; i < want; i++)
			stash_push(promise, blocks[i]);
		if (!got)
			return false;
	}
	return true;
}

/* Take the blocks above the first @held out of the magazine again. */
static void unfill_magazine(struct hak_cache *cache, unsigned class, unsigned held)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned more = magazine->top - cold->base - held;

	if (more)
		blocks_free(class, &cache->slot[cold->base + held + 1], more);
	magazine->top = (uint16_t)(magazine->top - more);
	cold->batches.refilled -= more;
}

/* The same class has an open magazine. False if there is no memory; then all is as before. */
static bool prefill_class(struct hak_cache *cache, unsigned class, size_t n)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned usual = policy_usual(size_class[class].capacity, size_class[class].batch);
	unsigned held = slots_held(cache, class), limit = budget_limit(cache, class);
	unsigned want = MAX((unsigned)MIN(n, MAX(usual, limit)), held);
	struct promise *promise = promise_of(cache, class);
	size_t stashed = promise->stashed, records = promise->records;

	if (want > limit)
		budget_set_limit(cache, class, want);
	if (!stash_grow(promise, n) || !fill_magazine(cache, class, want - held) ||
	    !fill_stash(promise, class, n > want ? n - want : 0)) {
		unfill_magazine(cache, class, held);
		stash_shrink(promise, class, stashed, records);
		budget_set_limit(cache, class, limit);
		return false;
	}
	cold->promised = MAX(cold->promised, slots_pops(cache, class) + n);
	return true;
}

static bool prefill_try(unsigned class, size_t n)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = cache_get();
	bool done = false;

	if (cache) {
		seize_enter(cache, class);
		done = make_promises(cache) && prefill_class(cache, class, n);
		seize_leave(cache);
	}
	cache_irq_restore(irq);
	return done;
}

/* What malloc does before it returns NULL. May there be more memory now? */
static bool prefill_find_memory(unsigned step, size_t bytes)
{
	bool flushed;

	switch (step) {
	case 0:
		flushed = cache_flush_own(CLASS_FIRST);
		return arena_release_reserve() > 0 || flushed;
	case 1:
		cache_scan(CACHE_SCAN_ALL);
		return true;
	default:
		return platform_ask(bytes);
	}
}

bool hak_prefill(size_t size, size_t n)
{
	unsigned class = class_of(size);
	bool possible = class != CLASS_SPAN && n <= SIZE_MAX / 2 / size_class[class].size &&
			this_cache() != CACHE_NEVER;
	bool done = possible && prefill_try(class, n);

	for (unsigned step = 0; possible && !done && step < 2 + POLICY_TRIES; step++) {
		if (prefill_find_memory(step, n * size))
			done = prefill_try(class, n);
		else if (step > 1)
			break;
	}
	if (!done)
		hak_host_set_error(HAK_ENOMEM);
	return done;
}
