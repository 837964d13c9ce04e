/* SPDX-License-Identifier: MIT */
/*
 * The registry of caches. It gives a cache to an owner at its first miss, and takes it back
 * when the owner ends. It counts over all caches, and has the scan return blocks of all of
 * them to their slabs.
 *
 * A cache is never freed. When its owner ends, it waits for another one, with its counters as
 * they are. So sums over all caches are right, and the list of them may be walked with the
 * lock dropped. While it waits it keeps a few small blocks. The next owner begins with these,
 * unless the scan takes them before.
 *
 *	on the list of unused ones  =>  owner == NOBODY
 *	count  ==  caches whose owner is not NOBODY; changes under the lock
 *
 * Whose a cache is. Both fields change together, with the lock held:
 *
 *	owner		thread		who works on the cache, and who changes the fields
 *	this_owner()	this_held()	The owner alone works on it. It is the owner's this_cache(),
 *					or is about to be, or was. The owner makes it NOBODY, or
 *					one who finds that the owner is gone.
 *	NOBODY		any		It waits. The next owner takes it off the list of unused
 *					ones. (The scan takes it off for a moment. A cache that may
 *					be half-way through a change is on no list any more.)
 *
 * A signal handler may fork at any instruction. In the child, the thread that forked goes on where
 * it was, and is the owner of what it was before, while no other owner is there. `thread` tells
 * these apart: the thread has the same one in the child, for a cache that it is getting or giving
 * up as for the one that it uses. It may have forked inside the lock. So the child notes only that
 * it was forked, and the next caller who takes the lock goes through the caches. By then the
 * thread is outside the lock, where the fields and the lists agree. If it had read its number
 * inside, for `owner`, then this was still the number that it had in the parent, but it is stored
 * by now, and so it is replaced. (If an earlier thread had the same `thread` and ended without a
 * word, its cache is this thread's in the child, and is found when this one is gone as well.)
 *
 * Lock: registry.lock, LOCK_META, for the lists and the owners. What is done to the
 * magazines needs the claim of their cache: see seize.c. (The claims of superslab/claim.c are
 * something else: they are on slabs, and a scan has them.)
 *
 * Failure: a caller for whom no cache can be made works without one, block by block.
 */
#include "cache/cache.h"

#include <hakmem/host.h>

#include "base/policy.h"
#include "cache/budget.h"
#include "cache/magazine.h"
#include "cache/quarantine.h"
#include "cache/seize.h"
#include "cache/slots.h"
#include "pages/meta.h"
#include "slab/blocks.h"
#include "superslab/arena.h"

/* For platforms whose kernels see no header of the core. */
struct hak_cache *const hak_cache_none = CACHE_NONE;
struct hak_cache *const hak_cache_never = CACHE_NEVER;

/* The value of `owner` for a cache without one: this_owner() does not return it. */
#define NOBODY (~(uint64_t)0)

static struct {
	struct lock lock;
	struct list_node *caches; /* all of them, the newest first */
	struct list_node *unused; /* those without an owner */
	uint32_t made, count;	  /* those there are; those that have an owner */
	_Atomic uint32_t in_hand; /* blocks that scans have collected, and have not freed yet */
} registry;

/*
 * In the child of a fork(), until the registry knows of it: this_held() and this_owner() of the
 * thread that forked.
 */
static _Atomic(unsigned *) survivor;
static uint64_t survivor_owner;

#define for_each_cache(cold, node)                                                                 \
	for (struct list_node *node = registry.caches;                                             \
	     node && ((cold) = list_entry(node, struct cache_cold, node)); node = node->next)

bool cache_for_each_lock(bool (*visit)(struct lock *lock))
{
	return visit(&registry.lock);
}

/*
 * A cache has no owner any more, and waits for another one. If the owner went in its slow path, the
 * cache may be half-way through a change. Then it leaves the list of all caches, and is never used
 * again. With the lock held. (The list may be walked meanwhile: see list_del().)
 */
static void cache_disown(struct cache_cold *cold)
{
	cold->owner = NOBODY;
	registry.count--;
	if (!seize_try_claim(cold->cache)) {
		list_del(&cold->node);
		return;
	}
	list_add(&registry.unused, &cold->unused);
	cold->quiet = 0; /* its magazines need not be empty yet */
	seize_leave(cold->cache);
}

/* In the child of a fork(), of all owners only @thread is there. */
static void forget_owners(unsigned *thread)
{
	struct cache_cold *cold;

	for_each_cache(cold, node)
	{
		if (cold->owner == NOBODY)
			continue;
		if (cold->thread == thread)
			cold->owner = survivor_owner; /* it has another number here */
		else
			cache_disown(cold);
	}
}

static void registry_lock(void)
{
	lock_lock(&registry.lock, LOCK_META);
	/* in one instruction, as this thread may fork, too */
	if (PLATFORM_OWNERS_END && unlikely(survivor))
		forget_owners(atomic_exchange(&survivor, NULL));
}

/* In the child of a fork(), where the caller is the only thread. */
void cache_after_fork(void)
{
	struct cache_cold *cold;

	for_each_cache(cold, node) if (cold->thread == this_held()) seize_after_fork(cold->cache);
	survivor_owner = this_owner();
	survivor = this_held();
}

/**
 * hak_cache_detach() - the owner of a cache ends
 *
 * The platform calls it, after it has seen to it that this_cache() no longer finds the
 * cache. Most blocks go back to their slabs, and the cache serves the next owner.
 */
void hak_cache_detach(struct hak_cache *cache)
{
	struct cache_cold *cold = cache->cold;
	bool keeps = arena_keeps_blocks();

	if (PLATFORM_OWNERS_END)
		cache_drop_prefill(cache);
	if (IS_ENABLED(CONFIG_HAK_HARDENED))
		quarantine_flush(cache);
	for_each_magazine(class)
		magazine_hand_over(cache, class, keeps ? policy_inherited(class) : 0);
	registry_lock();
	hak_assert(cold->owner != NOBODY);
	cache_disown(cold);
	lock_unlock(&registry.lock, LOCK_META);
}

/**
 * cache_detach_gone() - find the caches of owners that ended without hak_cache_detach()
 * @always: if false, only when the number of caches is about to double: so it costs little, and
 *	    at most twice as many caches are made as were in use at once
 *
 * Such a cache waits for another owner with its blocks as they are. The scan returns them.
 */
void cache_detach_gone(bool always)
{
	struct list_node *node;

	registry_lock();
	node = always || is_power_of_two(registry.made) ? registry.caches : NULL;
	lock_unlock(&registry.lock, LOCK_META);
	for (; node; node = node->next) {
		struct cache_cold *cold = list_entry(node, struct cache_cold, node);
		uint64_t owner = cold->owner;

		if (owner == NOBODY || !owner_is_gone(owner))
			continue;
		registry_lock();
		if (cold->owner == owner) /* nobody else was faster */
			cache_disown(cold);
		lock_unlock(&registry.lock, LOCK_META);
	}
}

/* The caller gets a cache that waits for an owner. NULL if there is none. */
static struct cache_cold *cache_reuse(void)
{
	struct cache_cold *cold = NULL;

	registry_lock();
	if (registry.unused) {
		cold = list_entry(registry.unused, struct cache_cold, unused);
		hak_assert(cold->owner == NOBODY);
		list_del(&cold->unused);
		cold->owner = this_owner();
		cold->thread = this_held();
		registry.count++;
	}
	lock_unlock(&registry.lock, LOCK_META);
	return cold;
}

/* A new cache waits for an owner like any other. False if there is no memory for it. */
static bool cache_make(void)
{
	struct cache_cold *cold = meta_alloc(META_CACHE, CACHE_SIZE);

	if (!cold)
		return false;
	slots_init(cold);
	cold->owner = NOBODY;
	registry_lock();
	list_add(&registry.caches, &cold->node);
	list_add(&registry.unused, &cold->unused);
	if (++registry.made < CACHE_NUMBERS)
		cold->cache->number = registry.made;
	lock_unlock(&registry.lock, LOCK_META);
	return true;
}

/**
 * cache_attach() - give the caller a cache of its own
 *
 * Returns it, or NULL: then the caller works without one, block by block.
 */
struct hak_cache *cache_attach(void)
{
	struct cache_cold *cold;

	if (this_cache() != CACHE_NONE)
		return NULL;
	cold = cache_reuse();
	if (!cold && PLATFORM_OWNERS_END) {
		cache_detach_gone(false);
		cold = cache_reuse();
	}
	while (!cold && cache_make())
		cold = cache_reuse();
	if (!cold)
		return NULL;
	if (this_cache_set(cold->cache))
		return cold->cache;
	hak_cache_detach(cold->cache);
	return NULL;
}

/* The caller's cache, which is made if there is none yet; NULL if there is to be none. */
struct hak_cache *cache_get(void)
{
	struct hak_cache *cache = this_cache();

	if (likely(cache->cold))
		return cache;
	cache = cache_attach();
	if (IS_ENABLED(CONFIG_HAK_DEBUG) && cache)
		cache->cold->in_use = true; /* cache_irq_save() had none to note it in */
	return cache;
}

/*
 * For debug builds: the caller begins to use its cache, if it has one, or ends. A handler finds a
 * cache in use only if it has not called hak_interrupt_enter(). It would take the block that the
 * interrupted call is about to take, or wait for ever for the claim.
 */
void cache_note_use(bool begins)
{
	struct cache_cold *cold = this_cache()->cold;

	if (!cold)
		return;
	if (begins && cold->in_use)
		hak_host_panic("hakmem: an interrupt handler allocates or frees, but did not call "
			       "hak_interrupt_enter()");
	cold->in_use = begins;
}

/* Return blocks of a class in the caller's magazine to their slabs. Were there any? */
static bool flush_own(unsigned class)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	bool any = cache->cold && magazine_flush(cache, class);

	cache_irq_restore(irq);
	return any;
}

/*
 * Return the blocks in the caller's magazines to their slabs, those of classes from @first on.
 * Were there any?
 */
bool cache_flush_own(unsigned first)
{
	bool any = false;

	for_each_magazine(class)
	{
		while (class >= first && flush_own(class))
			any = true;
	}
	return any;
}

/* Are there spans in the caller's magazines? */
bool cache_has_own_spans(void)
{
	struct hak_cache *cache = this_cache();

	if (!cache->cold)
		return false;
	for_each_span_class(class)
	{
		if (cache->magazine[class].top != cache->cold->magazine[class].base &&
		    slots_held(cache, class))
			return true;
	}
	return false;
}

/*
 * The magazines of so many classes are seized at once. For each, and each cache, that takes some
 * 200 instructions, with interrupts off.
 */
#define SEIZE_CLASSES (PLATFORM_HAS_IRQ ? 12u : CLASS_LAST)
_Static_assert(DIV_ROUND_UP(CLASS_LAST, SEIZE_CLASSES) <= 8, "each part has a bit in `quiet`");

#define for_each_magazine_of(class, first, last)                                                   \
	for (unsigned class = (first); class <= (last); class ++)                                  \
		if (size_class[class].capacity)

/*
 * Seize those magazines in which something is idle, of classes from @first on, of all caches and
 * with one barrier for all. @part is their bit in `quiet`. If the host has no barrier, do so only
 * in the caller's own cache and in those without an owner; if there are no others, the host is not
 * asked. Sets @excess of the classes of which there are blocks to take. Returns whether a later
 * scan may find more: in some cache the part is not quiet, or its owner has the claim.
 */
static bool seize_caches(unsigned first, unsigned part, bool all, bool *excess)
{
	bool everybody, sure, busy = false;
	struct list_node *claimed = NULL;
	unsigned last = MIN(first + SEIZE_CLASSES - 1, CLASS_LAST);
	struct cache_cold *cold;

	registry_lock();
	everybody = registry.count > (this_cache()->cold ? 1 : 0) && hak_host_barrier();
	for_each_cache(cold, node)
	{
		if (!everybody && cold->cache != this_cache() && cold->owner != NOBODY)
			continue;
		if (!seize_try_claim(cold->cache)) {
			busy = true;
			continue;
		}
		if (cold->quiet & part && !all) {
			seize_leave(cold->cache);
			continue;
		}
		for_each_magazine_of(class, first, last) seize_idle(cold->cache, class, all);
		list_add(&claimed, &cold->claimed);
	}
	sure = !everybody || !claimed || hak_host_barrier();
	while (claimed) {
		cold = list_entry(claimed, struct cache_cold, claimed);
		list_del(claimed);
		cold->quiet |= (uint8_t)part;
		for_each_magazine_of(class, first, last)
		{
			if (!seize_settle(cold->cache, class, sure))
				cold->quiet &= (uint8_t)~part;
			excess[class] |= cold->magazine[class].excess > 0;
		}
		busy |= !(cold->quiet & part);
		seize_leave(cold->cache);
	}
	lock_unlock(&registry.lock, LOCK_META);
	return busy;
}

/* Collect up to @n blocks of a class from seized magazines. */
static unsigned collect_excess(unsigned class, void **blocks, unsigned n)
{
	struct cache_cold *cold;
	unsigned done = 0;

	registry_lock();
	for_each_cache(cold, node)
	{
		if (done == n || !seize_try_claim(cold->cache))
			continue;
		if (cold->magazine[class].excess)
			done += seize_collect(cold->cache, class, blocks + done, n - done);
		seize_leave(cold->cache);
	}
	registry.in_hand += done;
	lock_unlock(&registry.lock, LOCK_META);
	return done;
}

/*
 * Take a cache that is quiet, and has used far slots, off the list of those without an owner.
 * NULL if there is none.
 */
static struct cache_cold *withdraw_idle(void)
{
	_Static_assert(!HAS_FAR_SLOTS || SEIZE_CLASSES == CLASS_LAST, "one part");
	struct cache_cold *idle = NULL;

	registry_lock();
	for (struct list_node *node = registry.unused; node && !idle; node = node->next) {
		struct cache_cold *cold = list_entry(node, struct cache_cold, unused);

		if (cold->far_touched && cold->quiet) /* with far slots, there is one part */
			idle = cold;
	}
	if (idle)
		list_del(&idle->unused);
	lock_unlock(&registry.lock, LOCK_META);
	return idle;
}

/*
 * Purge the far slots of caches without an owner: a page or more for each class that used
 * them. The scan does that, and not the end of the owner, since the next owner may come at
 * once, and threads that follow each other would pay for it in page faults.
 */
static void purge_far_slots(void)
{
	struct cache_cold *cold;

	while (HAS_FAR_SLOTS && (cold = withdraw_idle())) {
		meta_purge(&cold->cache->slot[MAGAZINE_FIRST_BASE + MAGAZINE_NEAR_SLOTS],
			   &cold->cache->slot[CACHE_SLOTS]);
		registry_lock();
		cold->far_touched = false;
		list_add(&registry.unused, &cold->unused);
		lock_unlock(&registry.lock, LOCK_META);
	}
}

/* So many blocks of a class a scan frees at once: they lie on its stack. */
#define SCAN_BATCH 64u

/**
 * cache_scan() - return to their slabs the blocks that no owner has a use for
 * @what: which blocks these are
 *
 * If an owner did not use a magazine between two scans, all its blocks are taken. If it did,
 * those are taken that the magazine held and did not need.
 *
 * Several may scan at once, and each takes what the others have seized and not yet collected.
 *
 * Returns whether there are magazines that a later scan may find idle, or, if it is to take all,
 * blocks that it did not get and others may be about to free. If there are none, the next use of
 * any magazine begins in the slow path.
 */
bool cache_scan(enum cache_scan what)
{
	bool excess[CLASS_LAST + 1] = { false }, all = what == CACHE_SCAN_ALL;
	void *blocks[SCAN_BATCH];
	unsigned n, part = 1;
	bool busy = false;

	for (unsigned first = CLASS_FIRST; first <= CLASS_LAST; first += SEIZE_CLASSES, part *= 2)
		busy |= seize_caches(first, part, all, excess);
	for_each_magazine(class)
	{
		while (excess[class] && (n = collect_excess(class, blocks, SCAN_BATCH))) {
			blocks_free(class, blocks, n);
			registry.in_hand -= n;
		}
	}
	purge_far_slots();
	return busy || (all && registry.in_hand);
}

NO_SANITIZE_THREAD uint64_t cache_count(void)
{
	registry_lock(); /* a child of a fork() counts its own */
	lock_unlock(&registry.lock, LOCK_META);
	return READ_ONCE(registry.count); /* racy: it may change at any time */
}

/* Call @visit for each cache, with the lock of the registry held. */
void cache_visit(void (*visit)(struct hak_cache *cache, void *ctx), void *ctx)
{
	struct cache_cold *cold;

	registry_lock();
	for_each_cache(cold, node) visit(cold->cache, ctx);
	lock_unlock(&registry.lock, LOCK_META);
}

/* The memory of the caches themselves goes with meta_fini(). */
void cache_fini(void)
{
	if (HAK_CACHES_BYTES)
		budget_spent = 0;
	__builtin_memset(&registry, 0, sizeof(registry));
}
