/* SPDX-License-Identifier: MIT */
/*
 * The slots of a cache: one array for all magazines, as large as the capacities of
 * the classes ask for. Its pages are touched only as far as they are used.
 *
 *	slot[base] == NULL, base <= top <= limit <= base + capacity, or seized
 *	refilled + pushes  ==  pops + spilled + held
 *
 * Each class has near slots, which lie close together, so that small magazines share
 * pages. A magazine that may hold more than HAK_MAGAZINE_NEAR blocks moves to the
 * far slots of its class.
 *
 * A list threaded through the blocks would need no array and hold any number of them. But it
 * would read and write every free block, which is mostly a miss of the processor's caches, and
 * it breaks when a program writes to a block that it has freed.
 *
 * Lock: the claim of the cache, which the caller holds; see seize.c.
 */
#include "cache/slots.h"

#include "base/policy.h"
#include "slab/blocks.h"

/* Every magazine is empty, open, near, and has the limit of a first one. */
void slots_init(struct cache_cold *cold)
{
	struct hak_cache *cache = (struct hak_cache *)(cold + 1);
	unsigned near = MAGAZINE_FIRST_BASE, far = near + MAGAZINE_NEAR_SLOTS;

	cold->cache = cache;
	cold->budget = HAK_CACHE_BYTES;
	cold->burst_budget = HAK_CACHE_BURST_BYTES;
	cache->cold = cold;
	for_each_magazine(class)
	{
		struct magazine_cold *magazine = &cold->magazine[class];
		unsigned capacity = size_class[class].capacity;

		magazine->base = magazine->near = (uint16_t)near;
		magazine->far = capacity > HAK_MAGAZINE_NEAR ? (uint16_t)far : 0;
		cache->magazine[class].top = (uint16_t)near;
		cache->magazine[class].limit = (uint16_t)(near + policy_first_limit(class));
		near += NEAR_SLOTS(capacity);
		far += FAR_SLOTS(capacity);
	}
	hak_assert(near == MAGAZINE_FIRST_BASE + MAGAZINE_NEAR_SLOTS && far == CACHE_SLOTS);
}

/* The blocks of a magazine move to other slots of its class. The caller sets the limit. */
void slots_move(struct hak_cache *cache, unsigned class, unsigned base)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned held = magazine->top - cold->base;

	hak_assert(!cold->seized_top && (base == cold->near || base == cold->far));
	cache->slot[base] = NULL; /* an earlier owner may have left anything there */
	__builtin_memcpy(&cache->slot[base + 1], &cache->slot[cold->base + 1],
			 held * sizeof(void *));
	magazine->top = (uint16_t)(base + held);
	cold->base = (uint16_t)base;
}

/*
 * Free the oldest blocks of an open magazine to where they came from: at least @least, at most @n.
 * Returns how many.
 */
unsigned slots_free_some(struct hak_cache *cache, unsigned class, unsigned least, unsigned n)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned held = magazine->top - cold->base;
	void **blocks = &cache->slot[cold->base + 1];

	hak_assert(!cold->seized_top && n <= held);
	if (unlikely(cache->cold->prefill))
		cache->cold->prefill->free(cache, class, blocks, n);
	else
		n = blocks_free_some(class, blocks, least, n);
	__builtin_memmove(blocks, blocks + n, (held - n) * sizeof(*blocks));
	magazine->top = (uint16_t)(magazine->top - n);
	cold->batches.spills++;
	cold->batches.spilled += n;
	return n;
}

NO_SANITIZE_THREAD unsigned slots_held(const struct hak_cache *cache, unsigned class)
{
	const struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned top = READ_ONCE(cache->magazine[class].top), most = size_class[class].capacity;
	unsigned late = top == MAGAZINE_SEIZED + 1; /* the block of a free that came too late */
	unsigned held = cold->seized_top ? cold->kept + late : top - cold->base;

	return MIN(held, most);
}

/* How many blocks were popped. No counter is needed: the equation above gives the number. */
NO_SANITIZE_THREAD uint64_t slots_pops(const struct hak_cache *cache, unsigned class)
{
	const struct magazine_batches *batches = &cache->cold->magazine[class].batches;

	return batches->refilled + READ_ONCE(cache->pushes[class]) - batches->spilled -
	       slots_held(cache, class);
}
