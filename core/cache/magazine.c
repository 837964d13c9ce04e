/* SPDX-License-Identifier: MIT */
/*
 * The slow path of a magazine's owner. malloc pops and free pushes blocks without a
 * lock (api/fastpath.h); when a magazine is empty, full or seized, they come here.
 * Blocks move to and from the slabs in batches: a refill fills an empty magazine to
 * half of its limit, a spill frees the oldest blocks of a full one.
 *
 * How many blocks a magazine may hold adapts with each batch: base/policy.c decides what
 * it should be, and budget.c what the cache can afford.
 *
 * Lock: the claim of the cache; see seize.c. It is kept while slabs and the provider
 * are called, since nobody waits for an owner.
 *
 * Failure: without memory a refill brings nothing, and magazine_pop() returns NULL.
 */
#include "cache/magazine.h"

#include "base/policy.h"
#include "base/usage.h"
#include "cache/budget.h"
#include "cache/seize.h"
#include "cache/slots.h"
#include "slab/blocks.h"

/* Where all caches share a budget, the limit of a magazine may be 0. */
static bool is_zero(unsigned n)
{
	return HAK_CACHES_BYTES && !n;
}

/*
 * The most blocks that move at once. Where all caches share a budget, it is less in small heaps,
 * but at least @least.
 */
static unsigned batch_of(unsigned class, unsigned least)
{
	unsigned batch = size_class[class].batch, size = size_class[class].size;

	if (HAK_CACHES_BYTES)
		batch = MIN(batch, MAX(least, policy_batch(size, hak_usage.peak)));
	return batch;
}

/*
 * Of what kind is this refill? If the magazine fetches many blocks back that it has spilled,
 * and few were freed since the last batch, that is a burst. Where allocations and frees keep
 * pace, only small magazines come near that by chance.
 */
static enum magazine_event refill_event(struct hak_cache *cache, unsigned class)
{
	const struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned half = budget_limit(cache, class) / 2;

	if (HAK_CACHE_BURST_BYTES == 0)
		return MAGAZINE_REFILL;
	if (cache->pushes[class] - cold->batch_pushes > half)
		return MAGAZINE_REFILL_STEADY;
	return cold->missed > half ? MAGAZINE_REFILL_MISSED : MAGAZINE_REFILL;
}

static void note_batch(struct hak_cache *cache, unsigned class, bool spill)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];

	cold->batch_pushes = cache->pushes[class];
	cold->batch_held = (uint16_t)(cache->magazine[class].top - cold->base);
	cold->spilled_last = spill;
}

/* Since the last spill, has at least half of what was freed stayed in the magazine? */
static bool only_frees(const struct hak_cache *cache, unsigned class)
{
	const struct magazine_cold *cold = &cache->cold->magazine[class];
	uint64_t pushes = cache->pushes[class] - cold->batch_pushes;
	unsigned held = cache->magazine[class].top - cold->base;

	return cold->spilled_last && cold->batch_held + pushes / 2 <= held;
}

/* Fill an empty magazine, at most to half of its limit. The lowest address is popped first. */
static void refill(struct hak_cache *cache, unsigned class, enum alloc_which which)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned base = cold->base, limit = budget_limit(cache, class), got;
	unsigned capacity = size_class[class].capacity;
	/* of what it spilled a moment ago, more at once; of others no more than are wanted */
	unsigned batch = batch_of(class, (unsigned)MIN(limit / 4, cold->missed));
	unsigned want = is_zero(limit) ? 1 : MIN((limit + 1) / 2, batch);
	void **blocks = &cache->slot[base + 1];

	hak_assert(magazine->top == base && !cache->slot[base]);
	got = unlikely(cache->cold->prefill)
		      ? cache->cold->prefill->alloc(cache, class, blocks + want, want)
		      : blocks_alloc(class, blocks + want, want, which);
	if (!got)
		return;
	if (got < want)
		__builtin_memmove(blocks, blocks + want - got, got * sizeof(*blocks));
	magazine->top = (uint16_t)(base + got);
	budget_grow(cache, class,
		    policy_next_limit(limit, capacity, batch, refill_event(cache, class)));
	cold->missed -= got < cold->missed ? got : cold->missed;
	note_batch(cache, class, false);
	cold->batches.refills++;
	cold->batches.refilled += got;
}

/*
 * Make a slot free in a full magazine: either its limit grows, or the oldest blocks go.
 *
 * If a program only frees, this function watches for the last free. It counts the blocks of the
 * class that are outstanding, without those in the magazine and the one that is about to be pushed.
 * If they are few, the limit is set so that the free of the last of them comes here, or is the one
 * that is about to be pushed. Then magazine_push() lets all blocks go, and no unused block keeps a
 * slab: a program that frees everything and does not call again gives its memory back.
 */
static void spill(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned held = magazine->top - cold->base, limit = budget_limit(cache, class);
	unsigned capacity = size_class[class].capacity, batch = batch_of(class, limit / 4), n = 0;
	bool again = only_frees(cache, class), full = held == (HAS_FAR_SLOTS ? limit : capacity);
	uint64_t others = again ? blocks_outstanding(class) - held - 1 : UINT64_MAX;
	unsigned next = policy_next_limit(limit, capacity, batch,
					  again ? MAGAZINE_SPILL_AGAIN : MAGAZINE_SPILL);

	if (next > limit) {
		budget_grow(cache, class, next);
		next = budget_limit(cache, class);
	}
	next = policy_last_limit(next, held, others, batch);
	if ((others || full) && held >= next && !is_zero(held)) {
		n = slots_free_some(cache, class, 1, policy_spill(held, next, batch, again));
		held -= n;
		next = policy_last_limit(next, held, others, batch);
	}
	if (HAK_STEPS_MOST && others)
		next = MAX(next, held + 1);
	cold->missed = again ? cold->missed + n : n;
	budget_set_limit(cache, class, next);
	note_batch(cache, class, true);
}

/**
 * magazine_pop() - take a block out of a magazine, which is refilled if it is empty
 * @which: which memory a refill may take: see enum alloc_which
 *
 * Returns NULL if there is none.
 */
void *magazine_pop(struct hak_cache *cache, unsigned class, enum alloc_which which)
{
	struct magazine *magazine = &cache->magazine[class];
	void *block;

	seize_enter(cache, class);
	block = cache->slot[magazine->top];
	if (!block) {
		refill(cache, class, which);
		block = cache->slot[magazine->top];
		cache->cold->magazine[class].batches.misses += block || which == ALLOC_ANY;
	}
	if (block)
		magazine->top--;
	seize_leave(cache);
	return block;
}

/* The same, but a refill brings at most @n blocks, so that the next one comes soon. For samples. */
void *magazine_pop_few(struct hak_cache *cache, unsigned class, unsigned n)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	void **blocks, *block;
	unsigned got;

	seize_enter(cache, class);
	block = cache->slot[magazine->top];
	if (!block) {
		blocks = &cache->slot[cold->base + 1];
		n = MIN(n, (budget_limit(cache, class) + 1) / 2);
		got = blocks_alloc(class, blocks + n, n, ALLOC_ANY);
		__builtin_memmove(blocks, blocks + n - got, got * sizeof(*blocks));
		magazine->top = (uint16_t)(cold->base + got);
		block = cache->slot[magazine->top];
		cold->batches.misses++;
		cold->batches.refills += got > 0;
		cold->batches.refilled += got;
	}
	if (block)
		magazine->top--;
	seize_leave(cache);
	return block;
}

/**
 * magazine_push() - put a block into a magazine, which is spilled if it is full
 *
 * Returns false, and does nothing, if the block lies on top of the magazine: then it has just
 * been freed. push_fast() suspects that, and here it is certain: see seize.c.
 */
bool magazine_push(struct hak_cache *cache, unsigned class, void *block)
{
	struct magazine *magazine = &cache->magazine[class];
	bool twice;

	seize_enter(cache, class);
	twice = cache->slot[magazine->top] == block;
	if (unlikely(twice))
		goto leave;
	if (magazine->top >= magazine->limit)
		spill(cache, class);
	cache->slot[++magazine->top] = block;
	cache->pushes[class]++;
	if (unlikely(magazine->top > magazine->limit)) {
		/* the last block of its class, see spill(); or the magazine has no budget */
		slots_free(cache, class, magazine->top - cache->cold->magazine[class].base);
		budget_set_limit(cache, class, policy_first_limit(class));
	}
	hak_assert(magazine->top <= magazine->limit);
leave:
	seize_leave(cache);
	return !twice;
}

/* Return blocks to their slabs: all, or as many as take no long time. Were there any? */
NO_SANITIZE_THREAD bool magazine_flush(struct hak_cache *cache, unsigned class)
{
	unsigned held;

	if (READ_ONCE(cache->magazine[class].top) == cache->cold->magazine[class].base)
		return false; /* open and empty, as most are: there is nothing to seize either */
	seize_enter(cache, class);
	held = slots_held(cache, class);
	if (held)
		slots_free_some(cache, class, HAK_STEPS_MOST ? 1 : held, held);
	seize_leave(cache);
	return held;
}

/**
 * magazine_hand_over() - the owner of a magazine ends
 *
 * The next owner finds a magazine with the first limit, and with at most @keep blocks, which
 * are no more than that.
 */
NO_SANITIZE_THREAD void magazine_hand_over(struct hak_cache *cache, unsigned class, unsigned keep)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned first = policy_first_limit(class), held;

	if (READ_ONCE(magazine->top) == cold->near &&
	    READ_ONCE(magazine->limit) == cold->near + first)
		return; /* it is empty and has the first limit already, as most do */
	seize_enter(cache, class);
	held = magazine->top - cold->base;
	if (held > keep)
		slots_free(cache, class, held - keep);
	budget_set_limit(cache, class, first);
	if (HAS_FAR_SLOTS && cold->base != cold->near) {
		slots_move(cache, class, cold->near);
		magazine->limit = (uint16_t)(cold->near + first);
	}
	hak_assert(magazine->top <= magazine->limit);
	cold->missed = 0;
	note_batch(cache, class, false);
	seize_leave(cache);
}
