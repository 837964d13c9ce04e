/* SPDX-License-Identifier: MIT */
/*
 * The arena: which SuperSlabs there are, and when the empty ones (the reserve) are released.
 *
 *	all units unused  <=>  on the list `empty`
 *	reserve		  ==   those on the list that are not for metadata
 *
 * Where the platform has HAK_METADATA_APART, bitmaps lie in SuperSlabs of their own, which are
 * not counted. An empty one of these goes at once if another one has room. Else it stays, and
 * the scan purges it, until the last of the reserve goes.
 *
 * A SuperSlab that is to go is first taken off every list and out of the page map, and then
 * unmapped with the lock dropped. If the provider refuses, it is entered again and stays in
 * the reserve until arena_release_reserve() asks once more. If another thread forks in
 * between, the SuperSlab is lost to the child.
 *
 * Lock: LOCK_ARENA, for this file and the ones above it in this folder. It is dropped
 * while the provider and meta_alloc() are called.
 */
#include "superslab/arena.h"

#include "pages/pagemap.h"
#include "pages/pages.h"
#include "superslab/runs.h"

struct arena hak_arena;
struct arena_parts arena_parts;

void arena_lock(void)
{
	lock_lock(&hak_arena.lock, LOCK_ARENA);
}

void arena_unlock(void)
{
	lock_unlock(&hak_arena.lock, LOCK_ARENA);
}

bool arena_for_each_lock(bool (*visit)(struct lock *lock))
{
	return visit(&hak_arena.lock);
}

static void leave_empty(struct superslab *superslab)
{
	list_del(&superslab->node);
	hak_arena.counters.reserve -= !superslab_is_metadata(superslab);
	hak_arena.least.now = MIN(hak_arena.least.now, hak_arena.counters.reserve);
}

static void become_empty(struct superslab *superslab)
{
	list_add(&hak_arena.empty, &superslab->node);
	hak_arena.counters.reserve += !superslab_is_metadata(superslab);
}

/* @n units of a window are in use from now on. The caller has taken them out of the runs. */
void arena_use(struct superslab *superslab, struct window *window, unit_mask part, unsigned n)
{
	hak_assert(!(part & ~window->unused) && count_bits(part) == n);
	hak_arena.counters.units_used += n;
	if (superslab_is_empty(superslab))
		leave_empty(superslab);
	window->unused &= ~part;
	superslab->unused -= (uint16_t)n;
}

/* The opposite. The caller makes a run of them, before one that is empty may be collected. */
void arena_unuse(struct superslab *superslab, struct window *window, unit_mask part, unsigned n)
{
	hak_assert(!(part & window->unused) && count_bits(part) == n);
	hak_arena.counters.units_used -= n;
	window->unused |= part;
	superslab->unused += (uint16_t)n;
	if (superslab_is_empty(superslab))
		become_empty(superslab);
}

size_t arena_in_use(void)
{
	hak_assert(hak_arena.counters.reserve <= hak_arena.counters.active);
	return hak_arena.counters.active - hak_arena.counters.reserve;
}

/* May the owner of a cache that ends leave blocks in it? */
bool arena_keeps_blocks(void)
{
	bool keeps;

	arena_lock();
	keeps = policy_keeps_blocks(arena_in_use());
	arena_unlock();
	return keeps;
}

/* Are units to be kept for what needs whole ones? Read without the lock, so only a hint. */
NO_SANITIZE_THREAD bool arena_is_scarce(void)
{
	uint64_t active = READ_ONCE(hak_arena.counters.active) * UNITS_PER_SUPERSLAB;
	uint64_t all = active + pages_left / UNIT_SIZE;

	return policy_is_scarce(all - READ_ONCE(hak_arena.counters.units_used), all);
}

/*
 * Enter a SuperSlab, new or refused by the provider, into the lists and the page map. All of its
 * units are in use; the caller counts them. With the lock held.
 */
void arena_enter_used(struct superslab *superslab)
{
	uintptr_t base = superslab->base & ~(SUPERSLAB_SIZE - 1);

	/* a provider that gives the same memory twice is broken */
	hak_assert(!pagemap_superslab(base) && !superslab->unused);
	pagemap_set_superslab(base, superslab);
	list_add(&hak_arena.all, &superslab->all);
	if (superslab_is_metadata(superslab))
		return;
	hak_arena.counters.active++;
	hak_arena.counters.peak = MAX(hak_arena.counters.peak, hak_arena.counters.active);
}

/* The same, but all of its units are unused. */
static void arena_enter(struct superslab *superslab)
{
	arena_enter_used(superslab);
	for (unsigned i = 0; i < NR_WINDOWS; i++)
		superslab->window[i].unused = superslab_units(superslab);
	superslab->unused = superslab->units;
	become_empty(superslab);
	runs_add(superslab, superslab_is_metadata(superslab), superslab->units);
}

static void arena_remove(struct superslab *superslab)
{
	if (hak_arena.next_scanned == superslab) {
		hak_arena.next_scanned = arena_next(superslab);
		hak_arena.next_window = 0;
	}
	runs_remove(superslab, superslab_is_metadata(superslab), superslab->units);
	leave_empty(superslab);
	superslab->unused = 0;
	for (unsigned i = 0; i < NR_WINDOWS; i++)
		superslab->window[i].unused = 0;
	list_del(&superslab->all);
	pagemap_set_superslab(superslab->base, NULL);
	hak_arena.counters.active -= !superslab_is_metadata(superslab);
}

/*
 * Enter the SuperSlabs of a new mapping. The lock is held on return, so that the caller is the
 * first to allocate from them.
 */
void arena_enter_and_lock(struct list_node *chain)
{
	size_t count = 0;

	arena_lock();
	hak_arena.maps++;
	for (struct list_node *next; chain; chain = next) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);

		next = chain->next;
		count += !superslab_is_metadata(superslab);
		superslab->map_id = hak_arena.maps;
		arena_enter(superslab);
	}
	hak_arena.counters.mapped += count;
}

/* Take an empty SuperSlab out, and put it in front of a chain. */
void arena_collect(struct superslab *superslab, struct list_node **chain)
{
	arena_remove(superslab);
	superslab->node.next = *chain;
	*chain = &superslab->node;
}

/* What is in them is unknown. In the hardened build, free memory is zero. */
static void clear_refused(struct list_node *chain)
{
	for (; chain; chain = chain->next) {
		const struct superslab *superslab = list_entry(chain, struct superslab, node);

		if (!superslab_is_metadata(superslab))
			__builtin_memset((void *)superslab->base, 0, SUPERSLAB_SIZE);
	}
}

/* The provider refused to unmap these. They stay in the reserve, and count as backed. */
static void keep_refused(struct list_node *chain)
{
	if (IS_ENABLED(CONFIG_HAK_HARDENED))
		clear_refused(chain);
	arena_lock();
	for (struct list_node *next; chain; chain = next) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);

		next = chain->next;
		superslab->refused = true;
		superslab_note_backed(superslab);
		arena_enter(superslab);
		hak_arena.counters.refused++;
	}
	arena_unlock();
}

/*
 * Unmap a chain of SuperSlabs from arena_collect(), neighbours of one mapping with one call.
 * Returns bytes.
 */
size_t arena_release(struct list_node *chain)
{
	size_t released = 0;

	while (chain) {
		struct superslab *lowest = list_entry(chain, struct superslab, node), *next;
		struct list_node *rest;
		size_t size = SUPERSLAB_SIZE;

		for (; (rest = lowest->node.next); lowest = next, size += SUPERSLAB_SIZE) {
			next = list_entry(rest, struct superslab, node);
			if (next->base + SUPERSLAB_SIZE != lowest->base ||
			    next->map_id != lowest->map_id)
				break;
		}
		lowest->node.next = NULL;
		if (pages_unmap((void *)lowest->base, size)) {
			released += size;
			descriptor_free(chain);
		} else {
			keep_refused(chain);
		}
		chain = rest;
	}
	return released;
}

/* Is all of a SuperSlab unbacked? */
static bool is_unbacked(const struct superslab *superslab)
{
	unsigned i = 0;

	while (i < NR_WINDOWS && superslab->window[i].unbacked == ALL_UNITS)
		i++;
	return i == NR_WINDOWS;
}

/* Take out an empty SuperSlab that is backed, and has few empty neighbours. NULL if none is. */
struct superslab *arena_withdraw_reserve(void)
{
	struct superslab *best = NULL;
	unsigned fewest = 3, left = POLICY_REMAP_CANDIDATES;

	arena_lock();
	for (struct list_node *node = hak_arena.empty; node && left-- && fewest;
	     node = node->next) {
		struct superslab *superslab = list_entry(node, struct superslab, node);
		uintptr_t below = superslab->base - SUPERSLAB_SIZE;
		/* how many are empty, and make a longer run with it? */
		unsigned neighbours = runs_have(below, UNITS_PER_SUPERSLAB) +
				      runs_have(below + 2 * SUPERSLAB_SIZE, UNITS_PER_SUPERSLAB);

		if (is_unbacked(superslab) || superslab->refused ||
		    superslab_is_metadata(superslab) || neighbours >= fewest)
			continue;
		fewest = neighbours;
		best = superslab;
	}
	if (best)
		arena_remove(best);
	arena_unlock();
	return best;
}

/* Enter again what arena_withdraw_reserve() took out. */
void arena_return_reserve(struct superslab *superslab)
{
	arena_lock();
	arena_enter(superslab);
	arena_unlock();
}

/* Release empty SuperSlabs until @keep are left, besides those for metadata. Returns bytes. */
static size_t release_down_to(size_t keep)
{
	struct list_node *chain = NULL, *node, *next;

	arena_lock();
	for (node = hak_arena.empty; node && (!keep || hak_arena.counters.reserve > keep);
	     node = next) {
		struct superslab *superslab = list_entry(node, struct superslab, node);

		next = node->next;
		if (!superslab->refused)
			arena_collect(superslab, &chain);
	}
	arena_unlock();
	return arena_release(chain);
}

/**
 * arena_release_reserve() - release all empty SuperSlabs, also those that were refused before
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

/* An interval is over. Releases the empty SuperSlabs that the last two did not need. */
void arena_age(void)
{
	size_t keep;

	arena_lock();
	keep = hak_arena.counters.reserve;
	if (!arena_is_busy())
		keep -= MIN(hak_arena.least.now, hak_arena.least.before);
	hak_arena.least.before = MIN(hak_arena.least.now, keep);
	hak_arena.least.now = keep;
	if (PLATFORM_SCANS)
		hak_arena.taken = (struct two_intervals){ .before = hak_arena.taken.now };
	arena_unlock();
	release_down_to(keep);
}

struct superslab *arena_first(void)
{
	return hak_arena.all ? list_entry(hak_arena.all, struct superslab, all) : NULL;
}

struct superslab *arena_next(struct superslab *superslab)
{
	return superslab->all.next ? list_entry(superslab->all.next, struct superslab, all) : NULL;
}

/* Does an address lie in the descriptor of a SuperSlab? */
bool arena_describes_at(const void *address)
{
	struct superslab *superslab;

	arena_lock();
	superslab = arena_first();
	while (superslab && (uintptr_t)address - (uintptr_t)superslab >= sizeof(*superslab))
		superslab = arena_next(superslab);
	arena_unlock();
	return superslab;
}

void arena_read_counters(struct arena_counters *counters)
{
	arena_lock();
	*counters = hak_arena.counters;
	counters->released = counters->mapped - counters->active;
	counters->locks = hak_arena.lock.count;
	arena_unlock();
}

/* Unmap all SuperSlabs, used or not. Nobody else may be inside the allocator. */
void arena_fini(void)
{
	for (struct superslab *superslab = arena_first(), *next; superslab; superslab = next) {
		next = arena_next(superslab);
		if (superslab->pages) {
			arena_parts.unmap(superslab);
			continue;
		}
		pages_unmap((void *)superslab->base, SUPERSLAB_SIZE);
		superslab->node.next = NULL;
		descriptor_free(&superslab->node);
	}
	descriptor_trim();
	__builtin_memset(&hak_arena, 0, sizeof(hak_arena));
	runs_fini();
}
