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
 *
 * Lock: the claim of the cache, which the caller holds.
 */
#include "cache/budget.h"

#include "base/policy.h"
#include "cache/slots.h"

unsigned budget_limit(const struct hak_cache *cache, unsigned class)
{
	return cache->magazine[class].limit - cache->cold->magazine[class].base;
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
static void budget_for(const struct hak_cache *cache, unsigned class, unsigned limit,
		       ptrdiff_t *more, ptrdiff_t *more_burst)
{
	unsigned now = budget_limit(cache, class);

	*more_burst = burst_of(class, limit) - burst_of(class, now);
	*more = ((ptrdiff_t)limit - now) * (ptrdiff_t)size_class[class].size - *more_burst;
}

/*
 * An open magazine may hold @limit blocks from now on. If that is more than fit near,
 * it gets the far slots of its class, and keeps them as long as its owner lives.
 */
void budget_set_limit(struct hak_cache *cache, unsigned class, unsigned limit)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];
	ptrdiff_t more, more_burst;

	hak_assert(limit <= size_class[class].capacity);
	budget_for(cache, class, limit, &more, &more_burst);
	cache->cold->budget -= more;
	cache->cold->burst_budget -= more_burst;
	hak_assert(cache->cold->burst_budget >= 0);
	if (HAS_FAR_SLOTS && limit > HAK_MAGAZINE_NEAR && cold->base != cold->far) {
		slots_move(cache, class, cold->far);
		cache->cold->far_touched = true;
	}
	hak_assert(limit <= HAK_MAGAZINE_NEAR || cold->base != cold->near || !cold->far);
	cache->magazine[class].limit = (uint16_t)(cold->base + limit);
}

/*
 * Take half of what a magazine may hold beyond its first limit, if it is open and has
 * no more than usual. (A class without a magazine has a limit of 0.)
 */
static void shrink(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned first = policy_first_limit(class), limit = budget_limit(cache, class);
	unsigned held = magazine->top - cold->base;

	if (cold->seized_top || limit <= first || burst_of(class, limit))
		return;
	limit -= (limit - first + 1) / 2;
	if (held > limit)
		slots_free(cache, class, held - limit);
	budget_set_limit(cache, class, limit);
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

	budget_for(cache, class, limit, &more, &more_burst);
	if (more_burst > 0 && more_burst > cold->burst_budget)
		return;
	if (cold->budget < more) {
		cold->victim = (uint8_t)class_after(cold->victim);
		if (cold->victim != class)
			shrink(cache, cold->victim);
	}
	if (more <= 0 || cold->budget >= more)
		budget_set_limit(cache, class, limit);
}
