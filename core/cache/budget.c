/* SPDX-License-Identifier: MIT */
/*
 * The budget of a cache: how much its magazines may hold, all together.
 *
 * base/policy.c says how many blocks a single magazine should hold. This file keeps the limits
 * of all magazines within two sums. The usual part of a limit is what is not above two
 * batches. These parts may grow by HAK_CACHE_BYTES, all together. If that is spent, a magazine
 * that wants more gets it from another one. Beyond two batches a magazine grows only if its
 * owner frees much and allocates it again, by turns. These parts of all limits together are at
 * most HAK_CACHE_BURST_BYTES.
 *
 *	budget	      ==  HAK_CACHE_BYTES - sum of (usual part of limit - first limit) * size
 *	burst_budget  ==  HAK_CACHE_BURST_BYTES - sum of (limit - usual part of limit) * size
 *	spent	      ==  what all caches have of both
 *
 * Where HAK_CACHES_BYTES is not 0, it is what all caches together may have of both, or an eighth
 * of what is live, if that is more. When the scan seizes a magazine, it lowers the limit to what
 * stays there. So the budget of those who pause is there for those who work.
 *
 * Lock: the claim of the cache, which the caller holds. `spent` is atomic, and racy: who asks may
 * get a little too much.
 */
#include "cache/budget.h"

#include "base/policy.h"
#include "base/usage.h"
#include "cache/slots.h"

_Atomic ptrdiff_t budget_spent;

/* Where the limit of a magazine is, be it open or seized. */
static uint16_t *limit_of(struct hak_cache *cache, unsigned class)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];

	return HAK_CACHES_BYTES && cold->seized_top ? &cold->seized_limit
						    : &cache->magazine[class].limit;
}

unsigned budget_limit(struct hak_cache *cache, unsigned class)
{
	return *limit_of(cache, class) - cache->cold->magazine[class].base;
}

/* Bytes of a limit that only bursts have a use for. */
static ptrdiff_t burst_of(unsigned class, unsigned limit)
{
	unsigned usual = 2u * size_class[class].batch;

	return HAK_CACHE_BURST_BYTES > 0 && limit > usual
		       ? (ptrdiff_t)(limit - usual) * size_class[class].size
		       : 0;
}

/* How much of both budgets does a magazine take, or give, if it may hold @limit blocks? */
static void budget_for(struct hak_cache *cache, unsigned class, unsigned limit, ptrdiff_t *more,
		       ptrdiff_t *more_burst)
{
	unsigned now = budget_limit(cache, class);

	*more_burst = burst_of(class, limit) - burst_of(class, now);
	*more = ((ptrdiff_t)limit - now) * (ptrdiff_t)size_class[class].size - *more_burst;
}

/* Do all caches together have @more bytes left? */
static bool caches_may_have(ptrdiff_t more)
{
	return !HAK_CACHES_BYTES || more <= 0 ||
	       budget_spent + more <= (ptrdiff_t)policy_caches(HAK_CACHES_BYTES, hak_usage.bytes);
}

/*
 * A magazine may hold @limit blocks from now on. If that is more than fit near, it gets the far
 * slots of its class, and keeps them as long as its owner lives. The limit of a seized one is only
 * lowered.
 */
void budget_set_limit(struct hak_cache *cache, unsigned class, unsigned limit)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];
	ptrdiff_t more, more_burst;

	hak_assert(limit <= size_class[class].capacity);
	budget_for(cache, class, limit, &more, &more_burst);
	cache->cold->budget -= more;
	cache->cold->burst_budget -= more_burst;
	if (HAK_CACHES_BYTES && (more | more_burst))
		atomic_fetch_add_explicit(&budget_spent, more + more_burst, memory_order_relaxed);
	hak_assert(cache->cold->burst_budget >= 0);
	if (HAS_FAR_SLOTS && limit > HAK_MAGAZINE_NEAR && cold->base != cold->far) {
		slots_move(cache, class, cold->far);
		cache->cold->far_touched = true;
	}
	hak_assert(limit <= HAK_MAGAZINE_NEAR || cold->base != cold->near || !cold->far);
	*limit_of(cache, class) = (uint16_t)(cold->base + limit);
}

/*
 * Take half of what a magazine may hold beyond its first limit, or a batch where batches are
 * small, if it is open and has no more than usual. (A class without a magazine has a limit of 0.)
 */
static void shrink(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned first = policy_first_limit(class), limit = budget_limit(cache, class);
	unsigned held = magazine->top - cold->base;

	if (cold->seized_top || limit <= first || burst_of(class, limit))
		return;
	limit -= HAK_CACHE_BURST_BYTES ? (limit - first + 1) / 2
				       : MIN(limit - first, size_class[class].batch);
	if (held > limit)
		held -= slots_free_some(cache, class, 1, held - limit);
	budget_set_limit(cache, class, MAX(limit, held));
}

/*
 * A magazine wants to hold @limit blocks. If the budget is spent, another magazine gives up
 * some of its limit; each has its turn. If that does not suffice, the limit stays as it is,
 * and what was given up is left for the next magazine that asks. (To ask several others makes
 * programs slower in which all classes want more than there is, and in the end none of them
 * gets more.)
 */
void budget_grow(struct hak_cache *cache, unsigned class, unsigned limit)
{
	struct cache_cold *cold = cache->cold;
	ptrdiff_t more, more_burst;

	if (limit == budget_limit(cache, class))
		return;
	budget_for(cache, class, limit, &more, &more_burst);
	if (more_burst > 0 && more_burst > cold->burst_budget)
		return;
	if (cold->budget < more || !caches_may_have(more + more_burst)) {
		cold->victim = (uint8_t)class_after(cold->victim);
		if (cold->victim != class)
			shrink(cache, cold->victim);
	}
	if ((more <= 0 || cold->budget >= more) && caches_may_have(more + more_burst))
		budget_set_limit(cache, class, limit);
}
