/* SPDX-License-Identifier: MIT */
/*
 * All SuperSlabs: which there are, where they come from, and when the empty ones,
 * the reserve, go.
 *
 *	unused == 0xffffffff  <=>  on the list `empty`  <=>  counted in `reserve`
 *	active		      =	   mapped - released
 *
 * Empty SuperSlabs that are no neighbours can serve a run longer than one all
 * the same, if the provider moves memory: new ones are mapped, and get what the
 * empty ones have, first those that stand alone. Replacing one of 64 blocks of
 * 64 KiB to 8 MiB at random, 105 MiB live, so faults in a page in 18 operations on
 * Linux, with 220 MiB resident; a page in each, and 254 MiB, without.
 *
 * Lock: one, LOCK_ARENA, for this file, superslab.c and look.c; the provider
 * and meta_alloc() are called with it dropped. A SuperSlab that is to go is first
 * taken off every list and out of the page map, then unmapped; if the provider
 * refuses, it is put back and stays in the reserve until arena_release_reserve()
 * asks again.
 *
 * Failure: arena_map_and_lock() returns 0, and nothing has changed.
 */
#include "superslab/arena.h"

#include "pages/meta.h"
#include "pages/pagemap.h"
#include "pages/pages.h"
#include "base/policy.h"
#include "superslab/runs.h"
#include "base/sizeclass.h"

struct arena hak_arena;

void arena_lock(void)
{
	lock_lock(&hak_arena.lock, LOCK_ARENA);
}

void arena_unlock(void)
{
	lock_unlock(&hak_arena.lock, LOCK_ARENA);
}

/* For fork(). */
void arena_fork_lock(void)
{
	lock_fork_lock(&hak_arena.lock);
}

void arena_fork_unlock(void)
{
	lock_fork_unlock(&hak_arena.lock);
}

static void count_unused(struct superslab *superslab)
{
	if (superslab->unused == ALL_SLABS) {
		list_add(&hak_arena.empty, &superslab->node);
		hak_arena.counters.reserve++;
	}
}

static void discount_unused(struct superslab *superslab)
{
	if (superslab->unused == ALL_SLABS) {
		list_del(&superslab->node);
		hak_arena.counters.reserve--;
	}
}

/* Which slabs of a SuperSlab are unused from now on. */
void arena_set_unused(struct superslab *superslab, uint32_t unused)
{
	discount_unused(superslab);
	for (uint32_t left = superslab->unused ^ unused; left;) {
		uint32_t run = left & ~(left + (left & -left)); /* the lowest */
		struct slab *first = &superslab->slab[lowest_bit(run)];

		(run & unused ? runs_add : runs_remove)(first, count_bits(run));
		superslab->unused ^= run;
		left ^= run;
	}
	count_unused(superslab);
}

size_t arena_in_use(void)
{
	return hak_arena.counters.active - hak_arena.counters.reserve;
}

/*
 * So many SuperSlabs were needed at once since the last look. Those that were
 * mapped, and did not get the memory of others, count on top of what was in use
 * then, whatever became empty meanwhile: it did not serve, for want of
 * neighbours, and will be wanted as soon as more of it has come together.
 */
void arena_note_needed(size_t superslabs)
{
	if (superslabs > hak_arena.peak[0])
		hak_arena.peak[0] = superslabs;
}

/* The most that were needed at once in the last intervals. */
size_t arena_recent_peak(void)
{
	size_t peak = 0;

	for (unsigned i = 0; i < NR_PEAKS; i++)
		if (hak_arena.peak[i] > peak)
			peak = hak_arena.peak[i];
	return peak;
}

/* @flags: the HAK_PAGES_* of its mapping. */
static void superslab_init(struct superslab *superslab, uintptr_t base, unsigned flags)
{
	superslab->base = base;
	superslab->unbacked = ALL_SLABS;
	superslab->zero = flags & HAK_PAGES_ZERO;
	superslab->purgeable = flags & HAK_PAGES_PURGE;
	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++) {
		struct slab *slab = &superslab->slab[i];

		slab->index = (uint8_t)i;
		/* what cannot be given back need not be kept account of */
		slab->unbacked = superslab->purgeable ? ALL_PAGES : 0;
		slab->untouched = slab->unbacked;
	}
}

/* Enter a SuperSlab, new or refused by the provider, into lists and page map. */
static void register_locked(struct superslab *superslab)
{
	hak_assert(!pagemap_superslab(superslab->base)); /* the provider gave it to two */
	pagemap_set_superslab(superslab->base, superslab);
	list_add(&hak_arena.all, &superslab->all);
	arena_set_unused(superslab, ALL_SLABS);
	if (++hak_arena.counters.active > hak_arena.counters.peak)
		hak_arena.counters.peak = hak_arena.counters.active;
}

static void unregister_locked(struct superslab *superslab)
{
	if (hak_arena.next_scanned == superslab)
		hak_arena.next_scanned = arena_next(superslab);
	arena_set_unused(superslab, 0);
	list_del(&superslab->all);
	pagemap_set_superslab(superslab->base, NULL);
	hak_arena.counters.active--;
}

/* Take an empty SuperSlab out and append it to a chain. */
void arena_collect_locked(struct superslab *superslab, struct list_node ***end)
{
	unregister_locked(superslab);
	superslab->node.next = NULL;
	**end = &superslab->node;
	*end = &superslab->node.next;
}

/* The provider would not have it: it is ours, and dirty, until the next trim. */
static void keep_refused(struct list_node *chain)
{
	arena_lock();
	for (struct list_node *next; chain; chain = next) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);

		next = chain->next;
		superslab->refused = true;
		superslab->unbacked = 0;
		for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++)
			superslab->slab[i].unbacked = superslab->slab[i].untouched = 0;
		register_locked(superslab);
		hak_arena.counters.refused++;
	}
	arena_unlock();
}

/* Unmap a chain of collected SuperSlabs, neighbours of one mapping together. */
size_t arena_release(struct list_node *chain)
{
	size_t released = 0;

	if (!chain)
		return 0;
	while (chain) {
		struct superslab *first = list_entry(chain, struct superslab, node);
		struct superslab *last = first;
		struct list_node *rest;
		size_t size = SUPERSLAB_SIZE;

		for (rest = chain->next; rest; rest = rest->next, size += SUPERSLAB_SIZE) {
			struct superslab *next = list_entry(rest, struct superslab, node);

			if (next->base != last->base + SUPERSLAB_SIZE ||
			    next->map_id != first->map_id)
				break;
			last = next;
		}
		last->node.next = NULL;
		if (pages_unmap((void *)first->base, size)) {
			released += size;
			descriptor_free(chain);
		} else {
			keep_refused(chain);
		}
		chain = rest;
	}
	arena_lock();
	hak_arena.counters.released += released / SUPERSLAB_SIZE;
	arena_unlock();
	return released;
}

/* How many neighbours of an empty SuperSlab are empty? With them it is part of a longer run. */
static unsigned count_empty_neighbours(const struct superslab *superslab)
{
	return runs_have(superslab->base - SUPERSLAB_SIZE, SLABS_PER_SUPERSLAB) +
	       runs_have(superslab->base + SUPERSLAB_SIZE, SLABS_PER_SUPERSLAB);
}

/* So many of the reserve are compared. */
#define CANDIDATES 64u

/* An empty SuperSlab of the reserve that has memory, with few neighbours, taken out; NULL: none. */
static struct superslab *remap_withdraw(void)
{
	struct superslab *best = NULL;
	unsigned fewest = 3, left = CANDIDATES;
	struct list_node *node;

	arena_lock();
	for (node = hak_arena.empty; node && left-- && fewest; node = node->next) {
		struct superslab *superslab = list_entry(node, struct superslab, node);
		unsigned neighbours = count_empty_neighbours(superslab);

		if (superslab->unbacked == ALL_SLABS || superslab->refused || neighbours >= fewest)
			continue;
		fewest = neighbours;
		best = superslab;
	}
	if (best)
		unregister_locked(best);
	arena_unlock();
	return best;
}

/* The memory of one empty SuperSlab, or some of it, is now that of another. */
static void inherit(struct superslab *superslab, const struct superslab *from)
{
	superslab->unbacked = from->unbacked;
	superslab->zero &= from->zero;
	superslab->purgeable &= from->purgeable;
	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++) {
		superslab->slab[i].unbacked = from->slab[i].unbacked;
		superslab->slab[i].untouched = from->slab[i].untouched;
	}
}

/*
 * A chain of SuperSlabs that nobody knows yet: they get the memory of empty ones
 * that did not serve for want of neighbours, so that it need not be got again
 * page by page. Returns how many do.
 */
static size_t remap_reserve(struct list_node *chain)
{
	struct superslab *empty;
	size_t remapped = 0;

	if (!PLATFORM_MOVES || !pages_moves())
		return 0;
	for (; chain && (empty = remap_withdraw()); chain = chain->next, remapped++) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);
		unsigned flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;
		size_t moved = pages_move((void *)empty->base, (void *)superslab->base,
					  SUPERSLAB_SIZE, &flags);

		if (moved)
			inherit(superslab, empty);
		if (moved < SUPERSLAB_SIZE) {
			arena_lock();
			empty->zero &= (bool)(flags & HAK_PAGES_ZERO);
			empty->purgeable &= (bool)(flags & HAK_PAGES_PURGE);
			register_locked(empty);
			arena_unlock();
			break;
		}
		empty->node.next = NULL;
		arena_release(&empty->node);
	}
	return remapped;
}

/*
 * Map @count SuperSlabs, aligned to @align, and enter them. Returns the address
 * of the first, with the lock held, so that they are the caller's to take; or
 * 0, without it.
 */
uintptr_t arena_map_and_lock(size_t count, size_t align)
{
	struct hak_mapping mapping;
	struct list_node *chain = descriptor_map(count, align, &mapping);
	uintptr_t base, end;
	size_t moved;

	if (!chain)
		return 0;
	base = end = (uintptr_t)mapping.base;
	for (struct list_node *node = chain; node; node = node->next, end += SUPERSLAB_SIZE)
		superslab_init(list_entry(node, struct superslab, node), end, mapping.flags);
	moved = remap_reserve(chain);
	arena_lock();
	hak_arena.maps++;
	for (struct list_node *next; chain; chain = next) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);

		next = chain->next;
		superslab->map_id = hak_arena.maps;
		register_locked(superslab);
	}
	hak_arena.counters.mapped += count;
	hak_arena.needed += count - moved;
	arena_note_needed(hak_arena.needed);
	return base;
}

/* Release empty SuperSlabs until @keep are left; bytes. */
static size_t release_down_to(size_t keep)
{
	struct list_node *chain = NULL, **end = &chain, *node, *next;

	arena_lock();
	for (node = hak_arena.empty; node && hak_arena.counters.reserve > keep; node = next) {
		struct superslab *superslab = list_entry(node, struct superslab, node);

		next = node->next;
		if (!superslab->refused)
			arena_collect_locked(superslab, &end);
	}
	arena_unlock();
	return arena_release(chain);
}

/**
 * arena_release_reserve() - release empty SuperSlabs, also those refused before
 *
 * Returns bytes.
 */
size_t arena_release_reserve(void)
{
	arena_lock();
	for (struct list_node *node = hak_arena.empty; node; node = node->next)
		list_entry(node, struct superslab, node)->refused = false;
	arena_unlock();
	return release_down_to(0);
}

/**
 * arena_age_reserve() - an interval is over
 *
 * Releases the empty SuperSlabs that were not needed in the last ones. Returns
 * whether some stay that were.
 */
bool arena_age_reserve(void)
{
	bool ageing;
	size_t keep;

	arena_lock();
	keep = policy_reserve(arena_in_use(), arena_recent_peak());
	ageing = keep && hak_arena.counters.reserve;
	for (unsigned i = NR_PEAKS - 1; i; i--)
		hak_arena.peak[i] = hak_arena.peak[i - 1];
	hak_arena.peak[0] = hak_arena.needed = arena_in_use();
	arena_unlock();
	release_down_to(keep);
	return ageing;
}

/* Walking all SuperSlabs, under arena_lock(). */
struct superslab *arena_first(void)
{
	return hak_arena.all ? list_entry(hak_arena.all, struct superslab, all) : NULL;
}

struct superslab *arena_next(struct superslab *superslab)
{
	return superslab->all.next ? list_entry(superslab->all.next, struct superslab, all) : NULL;
}

void arena_read_counters(struct arena_counters *counters)
{
	arena_lock();
	*counters = hak_arena.counters;
	counters->locks = hak_arena.lock.count;
	arena_unlock();
}

/*
 * Bytes of the heap that are backed by memory. The provider is asked with the
 * lock dropped, a batch at a time; what comes or goes meanwhile may be missed.
 */
uint64_t arena_resident(void)
{
	uintptr_t batch[32];
	size_t done = 0, skip, n, bytes;
	uint64_t sum = 0;

	do {
		n = 0;
		skip = done;
		arena_lock();
		for (struct list_node *node = hak_arena.all; node && n < ARRAY_SIZE(batch);
		     node = node->next)
			if (!skip)
				batch[n++] = list_entry(node, struct superslab, all)->base;
			else
				skip--;
		arena_unlock();
		done += n;
		for (size_t i = 0; i < n; i++)
			sum += pages_resident((void *)batch[i], SUPERSLAB_SIZE, &bytes) ==
					       PAGES_UNKNOWN
				       ? SUPERSLAB_SIZE
				       : bytes;
	} while (n);
	return sum;
}

static const char *check_one(const struct superslab *superslab)
{
	if (pagemap_superslab(superslab->base) != superslab)
		return "page map: entry of a SuperSlab";
	if (superslab->unbacked & ~superslab->unused)
		return "SuperSlab: clean slabs that are in use";
	if (superslab->claimed)
		return "SuperSlab: slabs that a look did not give back";
	if (superslab->idle & ~superslab->unused)
		return "SuperSlab: ripe slabs without anything to purge";
	if (superslab->purgeable &&
	    superslab_unbacked_slabs(superslab, superslab->unused) != superslab->unbacked)
		return "SuperSlab: clean slabs and slabs without memory";
	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++)
		if (superslab->unused >> i & 1 &&
		    pagemap_class(superslab->base + i * SLAB_SIZE) != CLASS_NONE)
			return "page map: class of an unused slab";
	return NULL;
}

/* The equations at the head of this file; NULL, or the one that fails. */
const char *arena_check(void)
{
	uint64_t active = 0, used = 0, reserve = 0;
	const char *failed = NULL;
	struct superslab *superslab;

	arena_lock();
	for (superslab = arena_first(); superslab && !failed; superslab = arena_next(superslab)) {
		failed = check_one(superslab);
		active++;
		used += count_bits(~superslab->unused);
		reserve += superslab->unused == ALL_SLABS;
	}
	if (!failed)
		failed = runs_check(active * SLABS_PER_SUPERSLAB - used);
	if (!failed &&
	    (active != hak_arena.counters.active || reserve != hak_arena.counters.reserve ||
	     active != hak_arena.counters.mapped - hak_arena.counters.released))
		failed = "SuperSlab counters: active or reserve";
	if (!failed && used != hak_arena.counters.slabs_used)
		failed = "SuperSlab counters: slabs used";
	arena_unlock();
	return failed;
}

/* Everything goes, used or not. */
void arena_fini(void)
{
	struct list_node *chain = NULL, **end = &chain;

	arena_lock();
	while (hak_arena.all)
		arena_collect_locked(arena_first(), &end);
	arena_unlock();
	arena_release(chain);
	__builtin_memset(&hak_arena, 0, sizeof(hak_arena));
	__builtin_memset(&hak_runs, 0, sizeof(hak_runs)); /* of what could not go */
}
