/* SPDX-License-Identifier: MIT */
/*
 * Caches: the magazines of one thread or one CPU, from the owner's first miss
 * to its end, and what is done to all of them: counting, and taking the blocks
 * out of those that lie idle.
 *
 * Caches are never unmade: one whose owner has ended waits for the next, and goes
 * on counting where it was. So the sums over all of them are right without a
 * place for what those counted that are gone, and the list may be walked with
 * the lock dropped. It waits with some small blocks in it, up to 25 KiB, which go
 * like those of an owner that is idle, unless the next one comes before that. (A
 * thread that allocates 100 blocks of up to 1 KiB and frees them, one of many that
 * succeed each other: 40000 instructions, its creation included, instead of 102000,
 * and 25 locks instead of 125.)
 *
 *	on the list of unused ones  =>  owner == NOBODY
 *	count  =  caches whose owner is neither NOBODY nor GONE; changes under the lock
 *
 * Lock: cache_list.lock, LOCK_META, for the lists of caches; for the magazines
 * see magazine.c.
 *
 * Failure: a caller for whom no cache can be made works without, block by block.
 */
#include "cache/cache.h"

#include <hakmem/host.h>

#include "slab/blocks.h"
#include "base/lock.h"
#include "pages/meta.h"
#include "pages/pagemap.h"
#include "base/policy.h"

/* For platforms whose kernels see no header of the core. */
struct hak_cache *const hak_cache_none = CACHE_NONE;
struct hak_cache *const hak_cache_never = CACHE_NEVER;

/* In place of an owner, as this_owner() is not. */
#define GONE   ((uint64_t)0)
#define NOBODY (~(uint64_t)0)

static struct {
	struct lock lock;
	struct list_node *caches; /* all, newest first */
	struct list_node *unused;
	uint64_t made, count;
} cache_list;

#define for_each_cache(cold, node)                                                                 \
	for (struct list_node *node = cache_list.caches;                                           \
	     node && ((cold) = list_entry(node, struct cache_cold, node)); node = node->next)

static void cache_lock(void)
{
	lock_lock(&cache_list.lock, LOCK_META);
}

static void cache_unlock(void)
{
	lock_unlock(&cache_list.lock, LOCK_META);
}

/* For fork(). */
void cache_fork_lock(void)
{
	lock_fork_lock(&cache_list.lock);
}

void cache_fork_unlock(void)
{
	lock_fork_unlock(&cache_list.lock);
}

/* Every magazine is empty, open, near, and may hold what a first one may. */
static void cache_init(struct cache_cold *cold)
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
}

/* Return the blocks of all magazines to their slabs; were there any? */
bool cache_flush(struct hak_cache *cache)
{
	bool any = false;

	for_each_magazine(class) any |= magazine_flush(cache, class);
	return any;
}

/*
 * So many blocks stay in the magazine of an owner that ends: half of what it may hold
 * then. One that is full lets go of a batch as soon as something is freed.
 */
static unsigned inherited(unsigned class)
{
	return size_class[class].size <= SMALL_MAX ? policy_first_limit(class) / 2 : 0;
}

static bool may_keep_blocks(void)
{
	bool may;

	arena_lock();
	may = policy_keeps_blocks(arena_in_use());
	arena_unlock();
	return may;
}

/**
 * hak_cache_detach() - the owner of a cache ends
 *
 * Called by the platform, which has already seen to it that this_cache() no
 * longer finds it. Most blocks go back to their slabs, the cache serves the next
 * owner.
 */
void hak_cache_detach(struct hak_cache *cache)
{
	struct cache_cold *cold = cache->cold;
	bool keeps = may_keep_blocks();

	for_each_magazine(class) magazine_hand_over(cache, class, keeps ? inherited(class) : 0);
	cache_lock();
	cold->owner = NOBODY;
	list_add(&cache_list.unused, &cold->unused);
	cache_list.count--;
	cache_unlock();
}

/* A cache goes from @owner to @heir; false if another was faster. */
static bool inherit(struct cache_cold *cold, uint64_t owner, uint64_t heir)
{
	bool inherits;

	cache_lock();
	inherits = cold->owner == owner;
	if (inherits) {
		cold->owner = heir;
		cache_list.count += owner == GONE;
	}
	cache_unlock();
	return inherits;
}

/*
 * Owners that ended without a word, in a fork() or where the platform was not
 * told. They are looked for when the caches are about to be twice as many as the
 * last time, so that it costs little and not many can come together.
 */
static void detach_gone(uint64_t caller)
{
	struct list_node *node;
	bool look;

	cache_lock();
	node = cache_list.caches;
	look = is_power_of_two(cache_list.made);
	cache_unlock();
	for (; look && node; node = node->next) {
		struct cache_cold *cold = list_entry(node, struct cache_cold, node);
		uint64_t owner = cold->owner;

		if (owner != NOBODY && (owner == GONE || owner_is_gone(owner)) &&
		    inherit(cold, owner, caller))
			hak_cache_detach(cold->cache);
	}
}

/* A cache that waits for an owner; NULL if there is none. */
static struct cache_cold *take_unused(uint64_t owner)
{
	struct cache_cold *cold = NULL;

	cache_lock();
	if (cache_list.unused) {
		cold = list_entry(cache_list.unused, struct cache_cold, unused);
		list_del(&cold->unused);
		cold->owner = owner;
		cache_list.count++;
	}
	cache_unlock();
	return cold;
}

static struct cache_cold *make(uint64_t owner)
{
	struct cache_cold *cold = meta_alloc(META_CACHE, CACHE_SIZE);

	if (!cold)
		return NULL;
	cache_init(cold);
	cold->owner = owner;
	cache_lock();
	list_add(&cache_list.caches, &cold->node);
	cache_list.made++;
	cache_list.count++;
	cache_unlock();
	return cold;
}

/**
 * cache_attach() - give the caller a cache of its own
 *
 * Returns it, or NULL: the caller then works without, block by block.
 */
struct hak_cache *cache_attach(void)
{
	struct cache_cold *cold;
	uint64_t owner;

	if (this_cache() != CACHE_NONE)
		return NULL;
	owner = this_owner();
	cold = take_unused(owner);
	if (!cold && PLATFORM_OWNERS_END) {
		detach_gone(owner);
		cold = take_unused(owner);
	}
	if (!cold)
		cold = make(owner);
	if (!cold)
		return NULL;
	if (this_cache_set(cold->cache))
		return cold->cache;
	hak_cache_detach(cold->cache);
	return NULL;
}

/* The same of the caller's, if it has one. */
bool cache_flush_own(void)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	bool any = cache->cold && cache_flush(cache);

	cache_irq_restore(irq);
	return any;
}

/* Are there spans in the caller's magazines? Every refill asks. */
bool cache_has_own_spans(void)
{
	struct hak_cache *cache = this_cache();

	if (!cache->cold)
		return false;
	for_each_span_class(class)
	{
		if (cache->magazine[class].top != cache->cold->magazine[class].base &&
		    magazine_held(cache, class))
			return true;
	}
	return false;
}

void cache_flush_own_spans(void)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();

	if (cache->cold)
		for_each_span_class(class) magazine_flush(cache, class);
	cache_irq_restore(irq);
}

/* Does @block lie in the caller's magazine, free already? For debug builds. */
bool cache_has_own(unsigned class, const void *block)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	bool has = cache->cold && magazine_has(cache, class, block);

	cache_irq_restore(irq);
	return has;
}

static NO_SANITIZE_THREAD void add_counters(struct cache_counters *sum,
					    const struct hak_cache *cache, unsigned class)
{
	const struct magazine_batches *batches = &cache->cold->magazine[class].batches;

	sum->pops += magazine_pops(cache, class);
	sum->pushes += cache->pushes[class];
	sum->blocks += magazine_held(cache, class);
	sum->batches.misses += batches->misses;
	sum->batches.refills += batches->refills;
	sum->batches.refilled += batches->refilled;
	sum->batches.spills += batches->spills;
	sum->batches.spilled += batches->spilled;
}

/*
 * In the child of a fork(): the owners of all other caches are not there. A cache
 * whose owner was in its slow path may be half-way through a change, and is left
 * alone for ever.
 */
void cache_after_fork(void)
{
	struct list_node *next;

	for (struct list_node *node = cache_list.caches; node; node = next) {
		struct cache_cold *cold = list_entry(node, struct cache_cold, node);

		next = node->next;
		if (cold->cache == this_cache()) {
			cold->owner = this_owner(); /* it has another number here */
			continue;
		}
		if (cold->owner == NOBODY || cold->owner == GONE)
			continue;
		if (seize_try_claim(cold->cache)) {
			seize_unclaim(cold->cache);
			cold->owner = GONE;
		} else {
			list_del(node);
		}
		cache_list.count--;
	}
}

/*
 * Is there anything that the owner did not use since the last look? Then close
 * the magazine, and note how much of it.
 */
static NO_SANITIZE_THREAD void look_at(struct hak_cache *cache, unsigned class,
				       enum cache_scan what)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];
	uint64_t gone = magazine_pops(cache, class) + cold->batches.spilled;
	uint64_t pushes = cache->pushes[class];
	unsigned held = magazine_held(cache, class);
	unsigned excess = policy_excess(cold->scan_held, gone - cold->scan_gone);
	bool idle = gone == cold->scan_gone && pushes == cold->scan_pushes;

	if (what == CACHE_SCAN_ALL || cold->seized || idle)
		excess = held;
	cold->scan_held = (uint16_t)held;
	cold->scan_gone = gone;
	cold->scan_pushes = pushes;
	cold->excess = (uint16_t)excess;
	if (!cold->seized && (excess || idle))
		seize_begin(cache, class);
}

/*
 * The barrier has passed, if @sure: which magazines are closed, and is it all of them?
 * Sets @surplus of the classes of which there is something to take.
 */
static void look_again(struct hak_cache *cache, bool *excess, bool sure)
{
	bool quiet = sure;

	for_each_magazine(class)
	{
		struct magazine_cold *cold = &cache->cold->magazine[class];

		if (!sure || !seize_confirm(cache, class))
			cold->excess = 0;
		else if (cold->excess > cold->kept)
			cold->excess = cold->kept;
		quiet &= cold->seized && cold->excess == cold->kept;
		excess[class] |= cold->excess > 0;
	}
	cache->cold->quiet = quiet;
}

/*
 * Close what is idle, in all caches with one barrier; if the host has none, only
 * in the caller's own and in those of nobody. Sets @surplus of the classes of which
 * there is something to take; returns whether there are magazines that are not idle.
 */
static bool close_idle(enum cache_scan what, bool *excess)
{
	struct list_node *claimed = NULL;
	bool all = hak_host_barrier(), sure, busy = false;
	struct cache_cold *cold;

	cache_lock();
	for_each_cache(cold, node)
	{
		if (!all && cold->cache != this_cache() && cold->owner != NOBODY)
			continue;
		if (!seize_try_claim(cold->cache)) {
			busy = true;
			continue;
		}
		if (cold->quiet) {
			seize_unclaim(cold->cache);
			continue;
		}
		for_each_magazine(class) look_at(cold->cache, class, what);
		list_add(&claimed, &cold->claimed);
	}
	sure = !all || !claimed || hak_host_barrier();
	while (claimed) {
		cold = list_entry(claimed, struct cache_cold, claimed);
		list_del(claimed);
		look_again(cold->cache, excess, sure);
		busy |= !cold->quiet;
		seize_unclaim(cold->cache);
	}
	cache_unlock();
	return busy;
}

/* Take up to @n blocks out of the closed magazines of a class. */
static unsigned take_surplus(unsigned class, void **blocks, unsigned n)
{
	struct cache_cold *cold;
	unsigned taken = 0;

	cache_lock();
	for_each_cache(cold, node)
	{
		if (taken == n || !seize_try_claim(cold->cache))
			continue;
		if (cold->magazine[class].seized)
			taken += seize_take(cold->cache, class, blocks + taken, n - taken);
		seize_unclaim(cold->cache);
	}
	cache_unlock();
	return taken;
}

/* Take a cache out that nobody wanted since the last look, and whose far slots are to go. */
static struct cache_cold *registry_idle(void)
{
	struct cache_cold *idle = NULL;

	cache_lock();
	for (struct list_node *node = cache_list.unused; node && !idle; node = node->next) {
		struct cache_cold *cold = list_entry(node, struct cache_cold, unused);

		if (cold->far_touched && cold->quiet)
			idle = cold;
	}
	if (idle)
		list_del(&idle->unused);
	cache_unlock();
	return idle;
}

/*
 * The far slots of caches without an owner, a page or more for each class that used
 * them, go back. Not when the owner ends: the next one may come at once, and threads
 * that succeed each other would take a tenth longer.
 */
static void cache_purge_unused(void)
{
	struct cache_cold *cold;

	while (HAS_FAR_SLOTS && (cold = registry_idle())) {
		meta_purge(&cold->cache->slot[MAGAZINE_FIRST_BASE + MAGAZINE_NEAR_SLOTS],
			   &cold->cache->slot[CACHE_SLOTS]);
		cache_lock();
		cold->far_touched = false;
		list_add(&cache_list.unused, &cold->unused);
		cache_unlock();
	}
}

#define TAKE_BATCH 128u

/**
 * cache_scan() - return to their slabs the blocks that no owner has a use for
 *
 * What an owner does not use between two looks is taken: all that a magazine
 * holds if it was not used at all, else what it held and did not need.
 *
 * Returns whether there are magazines that a later look may find idle; if not,
 * the next use of any of them begins in the slow path.
 */
bool cache_scan(enum cache_scan what)
{
	bool excess[CLASS_LAST + 1] = { false }, busy = close_idle(what, excess);
	void *blocks[TAKE_BATCH];
	unsigned n;

	for_each_magazine(class) while (excess[class] &&
					(n = take_surplus(class, blocks, TAKE_BATCH)))
		blocks_free(class, blocks, n);
	cache_purge_unused();
	return busy;
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
	struct cache_cold *cold;

	cache_lock();
	*sum = (struct cache_counters){ 0 };
	for_each_cache(cold, node) add_counters(sum, cold->cache, class);
	cache_unlock();
}

/* Count for each SuperSlab the blocks of it that are in magazines. */
static NO_SANITIZE_THREAD void count_cached(void)
{
	struct cache_cold *cold;

	cache_lock();
	for_each_cache(cold, node) for_each_magazine(class)
	{
		const struct magazine_cold *magazine = &cold->magazine[class];
		unsigned held =
			magazine->seized ? magazine->kept : magazine_held(cold->cache, class);

		/* what an owner writes meanwhile may be no block any more, or not yet */
		for (unsigned i = 1; i <= held; i++) {
			void *block = cold->cache->slot[magazine->base + i];
			struct superslab *superslab = pagemap_superslab((uintptr_t)block);

			if (superslab)
				superslab->in_magazines++;
		}
	}
	cache_unlock();
}

/**
 * cache_count_phantoms() - SuperSlabs in which all that is outstanding lies in magazines
 *
 * Exact when nobody else is inside the allocator. For statistics: reads every
 * slot and every descriptor.
 */
uint64_t cache_count_phantoms(void)
{
	uint64_t phantoms = 0;
	struct superslab *superslab;

	arena_lock();
	for (superslab = arena_first(); superslab; superslab = arena_next(superslab))
		superslab->in_magazines = 0;
	count_cached();
	for (superslab = arena_first(); superslab; superslab = arena_next(superslab))
		phantoms += superslab->in_magazines &&
			    superslab->in_magazines == class_outstanding_in(superslab);
	arena_unlock();
	return phantoms;
}

/* NULL, or what is wrong with the caller's own cache. */
const char *cache_check(void)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	const char *failed = NULL;

	for_each_magazine(class)
	{
		failed = cache->cold ? magazine_check(cache, class) : NULL;
		if (failed)
			break;
	}
	cache_irq_restore(irq);
	return failed;
}

/* The caches themselves go with meta_fini(). */
void cache_fini(void)
{
	__builtin_memset(&cache_list, 0, sizeof(cache_list));
}
