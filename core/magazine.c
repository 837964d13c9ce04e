/* SPDX-License-Identifier: MIT */
/*
 * Caches: what makes malloc and free cheap. A cache belongs to one thread or
 * one CPU and has a magazine for each class, an array of blocks that are
 * allocated as far as their slabs know and free as far as the program knows.
 * malloc pops, free pushes; nobody else touches them, so there is nothing to
 * lock. Blocks move to and from the slabs in batches of half a magazine.
 *
 * How many blocks a magazine may hold adapts: see magazine_next_limit(). The
 * arrays are as large as the capacities of the classes ask for, and their pages
 * are touched only as far as they are used.
 *
 *	slot[base] == NULL, base <= top <= limit <= base + capacity
 *	refilled + pushed  =  pops + spilled + (top - base)
 *
 * An intrusive list (block -> next block) would need no array and hold any
 * number, but would read and write every free block, which is a cache miss on
 * each of them in the case that matters, and breaks when a program writes to
 * what it has freed.
 *
 * Lock: none for magazines. The list of caches: cache_list.lock, LOCK_META.
 *
 * Failure: magazine_refill() returns NULL; a caller for whom no cache can be
 * made works without.
 */
#include "magazine.h"

#include <hakmem/host.h>

#include "lock.h"
#include "meta.h"
#include "pagemap.h"
#include "slab.h"

/* With the one slot that the empty magazines share: NULL. */
struct hak_cache hak_cache_none = { .slot = { NULL } };

static struct {
	struct lock lock;
	struct list_node *caches;
	uint64_t count;
	struct cache_counters gone[CLASS_LAST + 1]; /* of caches that were detached */
} cache_list;

static void cache_lock(void)
{
	lock_acquire(&cache_list.lock, LOCK_META);
}

static void cache_unlock(void)
{
	lock_release(&cache_list.lock, LOCK_META);
}

/* For fork(). */
void cache_lock_word(void)
{
	lock_word_acquire(&cache_list.lock);
}

void cache_unlock_word(void)
{
	lock_word_release(&cache_list.lock);
}

/* The index of the NULL below the blocks of a magazine. */
static NO_SANITIZE_THREAD unsigned magazine_base(const struct hak_cache *cache, unsigned class)
{
	return cache->cold->base[class];
}

/* How many blocks it holds; statistics ask this of other owners' magazines. */
static NO_SANITIZE_THREAD unsigned magazine_held(const struct hak_cache *cache, unsigned class)
{
	return (unsigned)cache->magazine[class].top - magazine_base(cache, class);
}

/* The fewest blocks that a magazine is limited to. */
static unsigned least_limit(unsigned capacity)
{
	return capacity / 4 > MAGAZINE_MIN ? capacity / 4 : MAGAZINE_MIN;
}

/**
 * magazine_next_limit() - how many blocks a magazine may hold from now on
 * @limit:    how many it may hold so far
 * @capacity: the most that the class allows
 *
 * Every refill doubles it: larger batches make allocation cheaper, and what
 * they fetch is about to be used. Frees alone take it back, by a quarter for
 * each spill: what such a magazine collects nobody is waiting for. Who frees
 * gets at least a quarter of the capacity, so that spills are batches.
 */
unsigned magazine_next_limit(unsigned limit, unsigned capacity, enum magazine_event event)
{
	unsigned least = least_limit(capacity);

	switch (event) {
	case MAGAZINE_REFILL:
		return limit * 2 < capacity ? limit * 2 : capacity;
	case MAGAZINE_SPILL_AGAIN:
		limit -= limit / 4;
		break;
	case MAGAZINE_SPILL:
		break;
	}
	return limit > least ? limit : least;
}

/* Fill an empty magazine, to half of its limit. Pops will rise in address. */
static void refill(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_batches *batches = &cache->cold->batches[class];
	unsigned base = magazine->top, want, got;
	void **blocks = &cache->slot[base + 1];

	want = (magazine->limit - base) / 2;
	got = slab_take(class, blocks + want, want);
	if (got < want)
		__builtin_memmove(blocks, blocks + want - got, got * sizeof(*blocks));
	magazine->top = (uint16_t)(base + got);
	magazine->limit =
		(uint16_t)(base + magazine_next_limit(magazine->limit - base,
						      size_class[class].capacity, MAGAZINE_REFILL));
	cache->cold->spilled_last[class] = false;
	batches->refills += got > 0;
	batches->refilled += got;
}

/* Give the oldest @n blocks of a magazine back to their slabs. */
static void give_back(struct hak_cache *cache, unsigned class, unsigned n)
{
	struct magazine *magazine = &cache->magazine[class];
	unsigned base = magazine_base(cache, class), held = magazine_held(cache, class);
	void **blocks = &cache->slot[base + 1];

	slab_put(class, blocks, n);
	__builtin_memmove(blocks, blocks + n, (held - n) * sizeof(*blocks));
	magazine->top = (uint16_t)(magazine->top - n);
	cache->cold->batches[class].spills++;
	cache->cold->batches[class].spilled += n;
}

/*
 * Make room in a full magazine for a block: it is allowed more, or the older
 * half goes.
 *
 * Where nothing but frees is seen, the end of them is watched for. With `others`
 * blocks of the class left besides those in the magazine and the one that is
 * coming, the limit is set so that the free of the last one ends here again.
 * Then all of them go, and no slab is kept by blocks that nobody has a use for.
 */
static void spill(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	bool again = cache->cold->spilled_last[class];
	unsigned base = magazine_base(cache, class), held = magazine_held(cache, class);
	unsigned limit = magazine_next_limit(magazine->limit - base, size_class[class].capacity,
					     again ? MAGAZINE_SPILL_AGAIN : MAGAZINE_SPILL);
	uint64_t others = again ? slab_outstanding(class) - held - 1 : UINT64_MAX;

	if (others == 0)
		give_back(cache, class, held);
	else if (held >= limit)
		give_back(cache, class, held - limit / 2);
	held = magazine_held(cache, class);
	if (others < limit - held)
		limit = held + (unsigned)others;
	magazine->limit = (uint16_t)(base + limit);
	cache->cold->spilled_last[class] = true;
}

/**
 * magazine_pop() - take a block out of a magazine, which is refilled if empty
 *
 * Returns NULL if there is no memory.
 */
void *magazine_pop(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	void *block = cache->slot[magazine->top];

	if (!block) {
		cache->cold->batches[class].misses++;
		refill(cache, class);
		block = cache->slot[magazine->top];
		if (!block)
			return NULL;
	}
	magazine->top--;
	cache->pops[class]++;
	return block;
}

/**
 * magazine_push() - put a block into a magazine, which is spilled if full
 */
void magazine_push(struct hak_cache *cache, unsigned class, void *block)
{
	struct magazine *magazine = &cache->magazine[class];

	if (magazine->top >= magazine->limit)
		spill(cache, class);
	cache->slot[++magazine->top] = block;
	if (unlikely(magazine->top > magazine->limit)) {
		/* no others: see spill() */
		give_back(cache, class, 1);
		magazine->limit = (uint16_t)(magazine->top + MAGAZINE_MIN);
	}
}

/* Does @block lie in the caller's magazine, free already? For debug builds. */
bool magazine_has(const struct hak_cache *cache, unsigned class, const void *block)
{
	for (unsigned i = cache->magazine[class].top; cache->slot[i]; i--)
		if (cache->slot[i] == block)
			return true;
	return false;
}

static void cache_init(struct hak_cache *cache)
{
	unsigned base = 1;

	cache->cold = (struct cache_cold *)&cache->slot[1 + MAGAZINE_SLOTS];
	cache->cold->cache = cache;
	for (unsigned class = CLASS_FIRST; class <= CLASS_LAST; ++class) {
		cache->cold->base[class] = (uint16_t)base;
		cache->magazine[class].top = (uint16_t)base;
		cache->magazine[class].limit = (uint16_t)(base + MAGAZINE_MIN);
		base += 1u + size_class[class].capacity;
	}
}

/**
 * cache_attach() - give the caller a cache of its own
 *
 * Returns it, or NULL: the caller then works without, block by block.
 */
struct hak_cache *cache_attach(void)
{
	struct hak_cache *cache;

	if (this_cache() != &hak_cache_none)
		return NULL;
	cache = meta_alloc(META_CACHE, CACHE_SIZE);
	if (!cache)
		return NULL;
	cache_init(cache);
	cache_lock();
	list_add(&cache_list.caches, &cache->cold->node);
	cache_list.count++;
	cache_unlock();
	if (hak_host_set_cache(cache))
		return cache;
	hak_cache_detach(cache);
	return NULL;
}

/* Return the blocks of all magazines to their slabs; were there any? */
bool cache_flush(struct hak_cache *cache)
{
	bool any = false;

	for (unsigned class = CLASS_FIRST; class <= CLASS_LAST; ++class) {
		unsigned held = magazine_held(cache, class);

		if (held)
			give_back(cache, class, held);
		any |= held > 0;
	}
	return any;
}

static NO_SANITIZE_THREAD void add_counters(struct cache_counters *sum,
					    const struct hak_cache *cache, unsigned class)
{
	const struct magazine_batches *batches = &cache->cold->batches[class];

	sum->pops += cache->pops[class];
	sum->blocks += magazine_held(cache, class);
	sum->batches.misses += batches->misses;
	sum->batches.refills += batches->refills;
	sum->batches.refilled += batches->refilled;
	sum->batches.spills += batches->spills;
	sum->batches.spilled += batches->spilled;
}

/**
 * hak_cache_detach() - the owner of a cache ends
 *
 * Called by the platform, which has already seen to it that this_cache() no
 * longer finds it. The blocks go back to their slabs, the memory serves the
 * next cache.
 */
void hak_cache_detach(struct hak_cache *cache)
{
	cache_flush(cache);
	cache_lock();
	list_del(&cache->cold->node);
	cache_list.count--;
	for (unsigned class = CLASS_FIRST; class <= CLASS_LAST; ++class)
		add_counters(&cache_list.gone[class], cache, class);
	cache_unlock();
	meta_free(META_CACHE, cache);
}

uint64_t cache_count(void)
{
	uint64_t count;

	cache_lock();
	count = cache_list.count;
	cache_unlock();
	return count;
}

/*
 * The sums over all caches. What other owners write meanwhile is read as it
 * comes: these words are not atomic, so that counting costs the fast path one
 * plain instruction. They are aligned words, so none is torn.
 */
NO_SANITIZE_THREAD void cache_read_counters(unsigned class, struct cache_counters *sum)
{
	cache_lock();
	*sum = cache_list.gone[class];
	for (struct list_node *node = cache_list.caches; node; node = node->next) {
		struct cache_cold *cold = list_entry(node, struct cache_cold, node);

		add_counters(sum, cold->cache, class);
	}
	cache_unlock();
}

static const char *check_magazine(const struct hak_cache *cache, unsigned class)
{
	const struct magazine *magazine = &cache->magazine[class];
	unsigned base = magazine_base(cache, class);

	if (cache->slot[base])
		return "magazine: a block below the first";
	if (magazine->top < base || magazine->top > magazine->limit ||
	    magazine->limit > base + size_class[class].capacity)
		return "magazine: its top or limit";
	for (unsigned i = base + 1; i <= magazine->top; i++) {
		size_t detail;

		if (pagemap_class((uintptr_t)cache->slot[i]) != class ||
		    slab_inspect(class, cache->slot[i], &detail))
			return "magazine: a block that is not one, or is free in its slab";
	}
	return NULL;
}

/* NULL, or what is wrong with the caller's own cache. */
const char *cache_check(void)
{
	const struct hak_cache *cache = this_cache();
	const char *failed = NULL;

	for (unsigned class = CLASS_FIRST; cache->cold && class <= CLASS_LAST && !failed; ++class)
		failed = check_magazine(cache, class);
	return failed;
}

/* The caches themselves go with meta_fini(). */
void cache_fini(void)
{
	__builtin_memset(&cache_list, 0, sizeof(cache_list));
}
