/* SPDX-License-Identifier: MIT */
/*
 * Object caches: objects of one size, from slabs of their own (slabs.c), through magazines of
 * their own. A pool has a magazine for each cache that has used it, and finds it by the number
 * of the cache. So a thread that ends leaves its magazines to the next owner of its cache.
 *
 * The fast path is that of api/fastpath.h without the ways to the class: its size is known. How
 * objects are taken from the magazines of others is said in magazine.c.
 *
 * Lock: that of the pool. It is dropped while slabs and records are fetched.
 *
 * Failure: without memory an allocation does what malloc does, and then returns NULL. A pool
 * whose magazine cannot be made works without it, object by object.
 */
#include "pool/pool.h"

#include <hakmem/pool.h>

#include <cpu.h>
#include <hakmem/host.h>

#include "base/format.h"
#include "base/policy.h"
#include "cache/cache.h"
#include "pool/magazine.h"
#include "pool/slabs.h"
#include "reclaim/scan.h"
#include "superslab/arena.h"

/* So many objects are moved with the lock held, at most. */
#define PIECE POOL_MAGAZINE_MOST

/* The object cannot be freed: say why, and stop. With nothing held. */
static HAK_COLD _Noreturn void pool_report(const struct hak_pool *pool, const void *object,
					   bool twice)
{
	struct hak_line line = { 0 };
	const char *name = "";
	enum pool_bug bug = twice ? POOL_BUG_TWICE : pool_slabs_inspect(pool, object, &name);

	hak_format(hak_line_append, &line, "hakmem: hak_pool_free(%p): ", object);
	if (bug == POOL_BUG_FOREIGN)
		hak_format(hak_line_append, &line, "not an object of any pool");
	else if (bug == POOL_BUG_OTHER)
		hak_format(hak_line_append, &line, "an object of pool %s", name);
	else if (bug == POOL_BUG_INTERIOR)
		hak_format(hak_line_append, &line, "not the start of an object");
	else
		hak_format(hak_line_append, &line, "double free of an object");
	hak_format(hak_line_append, &line, " (pool %s)", pool->name);
	hak_host_panic(line.text);
}

/**
 * struct visit - a slow path of a pool, with its lock held
 * @magazine: the caller's, open; NULL if it has none
 * @emptied:  slabs to release once the lock is dropped
 * @bad:      an object that cannot be freed
 * @twice:    since it lies on top of the magazine
 */
struct visit {
	struct platform_irq irq;
	struct pool_magazine *magazine;
	struct list_node *emptied;
	const void *bad;
	bool twice;
};

static void lock_and_open(struct hak_pool *pool, struct visit *visit)
{
	pool_lock(pool);
	if (visit->magazine)
		pool_magazine_open(pool, visit->magazine);
}

static void pool_begin(struct hak_pool *pool, struct visit *visit)
{
	struct hak_cache *cache;

	*visit = (struct visit){ .irq = cache_irq_save() };
	cache = cache_get();
	if (cache)
		visit->magazine = pool_magazine_of(pool, cache->number);
	if (visit->magazine == POOL_NO_MAGAZINE)
		visit->magazine = NULL;
	lock_and_open(pool, visit);
}

static void pool_end(struct hak_pool *pool, struct visit *visit)
{
	pool_unlock(pool);
	cache_irq_restore(visit->irq);
	if (unlikely(visit->bad))
		pool_report(pool, visit->bad, visit->twice);
	if (visit->emptied) {
		pool_slabs_release(visit->emptied);
		scan_note(HAK_REAP_FREE);
	}
}

/* Another slab, with the lock dropped meanwhile. */
static bool grow(struct hak_pool *pool, struct visit *visit)
{
	bool grown;

	pool_unlock(pool);
	grown = pool_slabs_grow(pool);
	lock_and_open(pool, visit);
	return grown;
}

/* Let others have the lock. */
static void pause(struct hak_pool *pool, struct visit *visit)
{
	pool_unlock(pool);
	lock_and_open(pool, visit);
}

static NO_SANITIZE_THREAD void pool_refill(struct hak_pool *pool, struct pool_magazine *magazine,
					   unsigned n)
{
	void **first = &magazine->slot[magazine->top + 1];
	unsigned got = pool_slabs_alloc(pool, first + n, n);

	if (got < n)
		__builtin_memmove(first, first + n - got, got * sizeof(*first));
	magazine->top = (uint16_t)(magazine->top + got);
}

/* Free the oldest @n objects of a magazine, which holds @held. Up to a bad one, if there is one. */
static NO_SANITIZE_THREAD void pool_spill(struct hak_pool *pool, struct visit *visit,
					  struct pool_magazine *magazine, unsigned n, unsigned held)
{
	void **first = &magazine->slot[POOL_BASE + 1];
	unsigned done = pool_slabs_free(pool, first, n, &visit->emptied);

	if (done < n)
		visit->bad = first[done];
	__builtin_memmove(first, first + n, (held - n) * sizeof(*first));
}

/*
 * Take what lies in the magazines of other caches, if the host has a barrier, and in the caller's
 * own. An interrupt handler does not: that would take longer than it may. Was there anything?
 */
static bool drain(struct hak_pool *pool)
{
	struct visit visit = { .bad = NULL };
	bool all, sure, any = false;
	unsigned own;

	if (this_cache() == CACHE_NEVER)
		return false;
	visit.irq = cache_irq_save();
	own = this_cache()->number;
	pool_lock(pool);
	all = hak_host_barrier();
	for (unsigned i = 0; i < CACHE_NUMBERS; i++)
		if ((all || i == own) && pool->magazine[i] != POOL_NO_MAGAZINE &&
		    !pool->magazine[i]->seized_top)
			pool_magazine_seize(pool->magazine[i]);
	sure = !all || hak_host_barrier();
	SANITIZER_ACQUIRE(pool);
	for (unsigned i = 0; i < CACHE_NUMBERS && sure && !visit.bad; i++) {
		struct pool_magazine *magazine = pool->magazine[i];

		if (!(all || i == own) || magazine == POOL_NO_MAGAZINE ||
		    !pool_magazine_confirm(pool, magazine))
			continue;
		any |= magazine->kept > 0;
		pool_spill(pool, &visit, magazine, magazine->kept, magazine->kept);
		magazine->kept = 0;
	}
	pool_end(pool, &visit);
	return any;
}

/* What malloc does before it returns NULL, one thing after another. May there be more now? */
static bool pool_find_memory(struct hak_pool *pool, unsigned step)
{
	bool flushed;

	switch (step) {
	case 0:
		return drain(pool);
	case 1:
		flushed = cache_flush_own(CLASS_FIRST);
		return arena_release_reserve() > 0 || flushed;
	case 2:
		if (this_cache() == CACHE_NEVER)
			return false;
		cache_scan(CACHE_SCAN_ALL);
		return true;
	default:
		return platform_ask(pool->units * UNIT_SIZE);
	}
}

#define STEPS (3 + POLICY_TRIES)

/* Fill objects[] from its end. Returns how many are missing. */
static size_t pool_try_alloc(struct hak_pool *pool, void **objects, size_t left)
{
	bool refills = left == 1, more = true;
	struct visit visit;

	pool_begin(pool, &visit);
	while (left && more) {
		struct pool_magazine *magazine = visit.magazine;

		if (magazine && refills && !magazine->slot[magazine->top])
			pool_refill(pool, magazine, (pool->capacity + 1) / 2);
		while (magazine && left && magazine->slot[magazine->top])
			objects[--left] = magazine->slot[magazine->top--];
		left -= pool_slabs_alloc(pool, objects + left, (unsigned)MIN(left, PIECE));
		if (left && pool->free)
			pause(pool, &visit);
		else if (left)
			more = grow(pool, &visit);
	}
	pool_end(pool, &visit);
	return left;
}

static void note_failure(struct hak_pool *pool)
{
	pool_lock(pool);
	pool->failures++;
	pool_unlock(pool);
	hak_host_set_error(HAK_ENOMEM);
}

bool hak_pool_alloc_bulk(struct hak_pool *pool, size_t n, void **objects)
{
	size_t left = pool_try_alloc(pool, objects, n);

	for (unsigned step = 0; left && step < STEPS; step++) {
		if (pool_find_memory(pool, step))
			left = pool_try_alloc(pool, objects, left);
		else if (step > 2)
			break;
	}
	if (!left)
		return true;
	hak_pool_free_bulk(pool, n - left, objects + left);
	note_failure(pool);
	return false;
}

static HAK_COLD NOINLINE void *pool_alloc_slow(struct hak_pool *pool)
{
	void *object;

	return hak_pool_alloc_bulk(pool, 1, &object) ? object : NULL;
}

/* See api/fastpath.h, which says what each of these accesses may meet. */
NO_SANITIZE_THREAD void *hak_pool_alloc(struct hak_pool *pool)
{
	struct platform_irq irq = cache_irq_save();
	struct pool_magazine *magazine = pool->magazine[this_cache()->number];
	void *object = magazine->slot[READ_ONCE(magazine->top)];

	if (unlikely(!object) || unlikely(cpu_decrement_to_zero(&magazine->top)))
		object = NULL;
	cache_irq_restore(irq);
	return likely(object) ? object : pool_alloc_slow(pool);
}

/* Debug builds: is @object in use? It may lie in the caller's magazine, too. */
static void pool_debug_check(struct hak_pool *pool, const void *object)
{
	struct visit visit;
	const char *name;

	pool_begin(pool, &visit);
	if (pool_slabs_inspect(pool, object, &name))
		visit.bad = object;
	for (unsigned i = POOL_BASE + 1; visit.magazine && i <= visit.magazine->top; i++)
		visit.twice |= visit.magazine->slot[i] == object;
	if (visit.twice)
		visit.bad = object;
	pool_end(pool, &visit);
}

static HAK_COLD NOINLINE void pool_free_slow(struct hak_pool *pool, void *object)
{
	struct pool_magazine *magazine;
	struct visit visit;

	if (!object)
		return;
	if (IS_ENABLED(CONFIG_HAK_DEBUG))
		pool_debug_check(pool, object);
	pool_begin(pool, &visit);
	magazine = visit.magazine;
	if (!magazine) {
		pool->direct++;
		if (!pool_slabs_free(pool, &object, 1, &visit.emptied))
			visit.bad = object;
	} else if (magazine->slot[magazine->top] == object) {
		visit.bad = object;
		visit.twice = true;
	} else {
		unsigned held = magazine->top - POOL_BASE, n = (pool->capacity + 1) / 2;

		if (magazine->top >= magazine->limit) {
			pool_spill(pool, &visit, magazine, n, held);
			magazine->top = (uint16_t)(magazine->top - n);
		}
		magazine->slot[++magazine->top] = object;
		magazine->pushes++;
	}
	pool_end(pool, &visit);
}

NO_SANITIZE_THREAD void hak_pool_free(struct hak_pool *pool, void *object)
{
	struct platform_irq irq = cache_irq_save();
	struct pool_magazine *magazine = pool->magazine[this_cache()->number];
	size_t top = READ_ONCE(magazine->top);
	bool fits;

	COMPILER_BARRIER(); /* the limit is read after the top: see api/fastpath.h */
	fits = top < magazine->limit && likely(magazine->slot[top] != object) && likely(object) &&
	       !IS_ENABLED(CONFIG_HAK_DEBUG);
	if (likely(fits)) {
		SANITIZER_RELEASE(pool);
		magazine->slot[top + 1] = object;
		cpu_increment(&magazine->top);
		magazine->pushes++;
	}
	cache_irq_restore(irq);
	if (unlikely(!fits))
		pool_free_slow(pool, object);
}

void hak_pool_free_bulk(struct hak_pool *pool, size_t n, void *const *objects)
{
	struct visit visit;

	pool_begin(pool, &visit);
	while (n && !visit.bad) {
		unsigned part = (unsigned)MIN(n, PIECE);
		unsigned done = pool_slabs_free(pool, objects, part, &visit.emptied);

		pool->direct += done;
		if (done < part)
			visit.bad = objects[done];
		objects += done;
		n -= done;
		if (n)
			pause(pool, &visit);
	}
	pool_end(pool, &visit);
}

/* Get the slabs that a prefill needs, and fill the magazine. False if there is no memory. */
static bool pool_try_prefill(struct hak_pool *pool, size_t n)
{
	struct visit visit;
	size_t in_magazine, held, need;
	bool more = true;

	pool_begin(pool, &visit);
	for (;;) {
		in_magazine = visit.magazine ? MIN(n, pool->capacity) : 0;
		held = visit.magazine ? visit.magazine->top - POOL_BASE : 0;
		need = in_magazine > held ? in_magazine - held : 0;
		if (!more || pool->free >= need + n - in_magazine)
			break;
		more = grow(pool, &visit);
	}
	if (more) {
		if (need)
			pool_refill(pool, visit.magazine, (unsigned)need);
		pool->keep = MAX(pool->keep, n - in_magazine);
	}
	pool_slabs_collect(pool, &visit.emptied);
	pool_end(pool, &visit);
	return more;
}

bool hak_pool_prefill(struct hak_pool *pool, size_t n)
{
	bool done = n <= SIZE_MAX / 2 / pool->size && pool_try_prefill(pool, n);

	for (unsigned step = 1; !done && n <= SIZE_MAX / 2 / pool->size && step < STEPS; step++) {
		if (pool_find_memory(pool, step))
			done = pool_try_prefill(pool, n);
		else if (step > 2)
			break;
	}
	if (!done)
		note_failure(pool);
	return done;
}

size_t hak_pool_shrink(struct hak_pool *pool)
{
	struct list_node *emptied = NULL;
	size_t slabs;

	pool_lock(pool);
	slabs = pool->slabs;
	pool_unlock(pool);
	drain(pool);
	pool_lock(pool);
	pool->keep = 0;
	pool_slabs_collect(pool, &emptied);
	slabs = slabs > pool->slabs ? slabs - pool->slabs : 0;
	pool_unlock(pool);
	pool_slabs_release(emptied);
	return slabs * UNIT_SIZE;
}

/* Nobody else is in the pool: all objects in magazines go to their slabs. */
void pool_empty(struct hak_pool *pool)
{
	struct visit visit = { .irq = cache_irq_save() };

	pool_lock(pool);
	pool->keep = 0;
	for (unsigned i = 0; i < CACHE_NUMBERS && !visit.bad; i++) {
		struct pool_magazine *magazine = pool->magazine[i];
		unsigned held;

		if (magazine == POOL_NO_MAGAZINE)
			continue;
		pool_magazine_open(pool, magazine);
		held = magazine->top - POOL_BASE;
		pool_spill(pool, &visit, magazine, held, held);
		magazine->top = POOL_BASE;
	}
	pool_slabs_collect(pool, &visit.emptied);
	pool_end(pool, &visit);
}
