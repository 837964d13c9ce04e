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
 * Lock: one, LOCK_SUPERSLAB, for this file, superslab.c and look.c; the provider
 * and meta_alloc() are called with it dropped. A SuperSlab that is to go is first
 * taken off every list and out of the page map, then unmapped; if the provider
 * refuses, it is put back and stays in the reserve until heap_release_reserve()
 * asks again.
 *
 * Failure: heap_map_and_lock() returns 0, and nothing has changed.
 */
#include "heap.h"

#include "meta.h"
#include "pagemap.h"
#include "pages.h"
#include "release.h"
#include "runs.h"
#include "sizeclass.h"

struct heap hak_heap;

void heap_lock(void)
{
	lock_acquire(&hak_heap.lock, LOCK_SUPERSLAB);
}

void heap_unlock(void)
{
	lock_release(&hak_heap.lock, LOCK_SUPERSLAB);
}

/* For fork(). */
void heap_fork_lock(void)
{
	lock_fork_acquire(&hak_heap.lock);
}

void heap_fork_unlock(void)
{
	lock_fork_release(&hak_heap.lock);
}

static void count_unused(struct superslab *superslab)
{
	if (superslab->unused == ALL_SLABS) {
		list_add(&hak_heap.empty, &superslab->node);
		hak_heap.counters.reserve++;
	}
}

static void discount_unused(struct superslab *superslab)
{
	if (superslab->unused == ALL_SLABS) {
		list_del(&superslab->node);
		hak_heap.counters.reserve--;
	}
}

/* Which slabs of a SuperSlab are unused from now on. */
void heap_set_unused(struct superslab *superslab, uint32_t unused)
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

size_t heap_in_use(void)
{
	return hak_heap.counters.active - hak_heap.counters.reserve;
}

/*
 * So many SuperSlabs were needed at once since the last look. Those that were
 * mapped, and did not get the memory of others, count on top of what was in use
 * then, whatever became empty meanwhile: it did not serve, for want of
 * neighbours, and will be wanted as soon as more of it has come together.
 */
void heap_note_needed(size_t superslabs)
{
	if (superslabs > hak_heap.peak[0])
		hak_heap.peak[0] = superslabs;
}

/* The most that were needed at once in the last intervals. */
size_t heap_lately(void)
{
	size_t peak = 0;

	for (unsigned i = 0; i < NR_PEAKS; i++)
		if (hak_heap.peak[i] > peak)
			peak = hak_heap.peak[i];
	return peak;
}

/* @flags: the HAK_PAGES_* of its mapping. */
static void superslab_init(struct superslab *superslab, uintptr_t base, unsigned flags)
{
	superslab->base = base;
	superslab->clean = ALL_SLABS;
	superslab->zero = flags & HAK_PAGES_ZERO;
	superslab->purgeable = flags & HAK_PAGES_PURGE;
	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++) {
		struct slab *slab = &superslab->slab[i];

		slab->index = (uint8_t)i;
		/* what cannot be given back need not be kept account of */
		slab->purged = superslab->purgeable ? ALL_PAGES : 0;
		slab->fresh = slab->purged;
	}
}

/* Enter a SuperSlab, new or refused by the provider, into lists and page map. */
static void register_locked(struct superslab *superslab)
{
	hak_assert(!pagemap_superslab(superslab->base)); /* the provider gave it to two */
	pagemap_set_superslab(superslab->base, superslab);
	list_add(&hak_heap.all, &superslab->all);
	heap_set_unused(superslab, ALL_SLABS);
	if (++hak_heap.counters.active > hak_heap.counters.peak)
		hak_heap.counters.peak = hak_heap.counters.active;
}

static void unregister_locked(struct superslab *superslab)
{
	if (hak_heap.look == superslab)
		hak_heap.look = heap_next(superslab);
	heap_set_unused(superslab, 0);
	list_del(&superslab->all);
	pagemap_set_superslab(superslab->base, NULL);
	hak_heap.counters.active--;
}

/* Take an empty SuperSlab out and append it to a chain. */
void heap_collect_locked(struct superslab *superslab, struct list_node ***tail)
{
	unregister_locked(superslab);
	superslab->node.next = NULL;
	**tail = &superslab->node;
	*tail = &superslab->node.next;
}

/* The provider would not have it: it is ours, and dirty, until the next trim. */
static void keep_refused(struct list_node *chain)
{
	heap_lock();
	for (struct list_node *next; chain; chain = next) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);

		next = chain->next;
		superslab->refused = true;
		superslab->clean = 0;
		for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++)
			superslab->slab[i].purged = superslab->slab[i].fresh = 0;
		register_locked(superslab);
		hak_heap.counters.refused++;
	}
	heap_unlock();
}

/* Unmap a chain of collected SuperSlabs, neighbours of one mapping together. */
size_t heap_release(struct list_node *chain)
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
	heap_lock();
	hak_heap.counters.released += released / SUPERSLAB_SIZE;
	heap_unlock();
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
static struct superslab *withdraw_reserve(void)
{
	struct superslab *best = NULL;
	unsigned fewest = 3, left = CANDIDATES;
	struct list_node *node;

	heap_lock();
	for (node = hak_heap.empty; node && left-- && fewest; node = node->next) {
		struct superslab *superslab = list_entry(node, struct superslab, node);
		unsigned neighbours = count_empty_neighbours(superslab);

		if (superslab->clean == ALL_SLABS || superslab->refused || neighbours >= fewest)
			continue;
		fewest = neighbours;
		best = superslab;
	}
	if (best)
		unregister_locked(best);
	heap_unlock();
	return best;
}

/* The memory of one empty SuperSlab, or some of it, is now that of another. */
static void inherit(struct superslab *superslab, const struct superslab *from)
{
	superslab->clean = from->clean;
	superslab->zero &= from->zero;
	superslab->purgeable &= from->purgeable;
	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++) {
		superslab->slab[i].purged = from->slab[i].purged;
		superslab->slab[i].fresh = from->slab[i].fresh;
	}
}

/*
 * A chain of SuperSlabs that nobody knows yet: they get the memory of empty ones
 * that did not serve for want of neighbours, so that it need not be got again
 * page by page. Returns how many do.
 */
static size_t furnish(struct list_node *chain)
{
	struct superslab *empty;
	size_t furnished = 0;

	if (!PLATFORM_MOVES || !pages_moves())
		return 0;
	for (; chain && (empty = withdraw_reserve()); chain = chain->next, furnished++) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);
		unsigned flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;
		size_t moved = pages_move((void *)empty->base, (void *)superslab->base,
					  SUPERSLAB_SIZE, &flags);

		if (moved)
			inherit(superslab, empty);
		if (moved < SUPERSLAB_SIZE) {
			heap_lock();
			empty->zero &= (bool)(flags & HAK_PAGES_ZERO);
			empty->purgeable &= (bool)(flags & HAK_PAGES_PURGE);
			register_locked(empty);
			heap_unlock();
			break;
		}
		empty->node.next = NULL;
		heap_release(&empty->node);
	}
	return furnished;
}

/*
 * Map @count SuperSlabs, aligned to @align, and enter them. Returns the address
 * of the first, with the lock held, so that they are the caller's to take; or
 * 0, without it.
 */
uintptr_t heap_map_and_lock(size_t count, size_t align)
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
	moved = furnish(chain);
	heap_lock();
	hak_heap.maps++;
	for (struct list_node *next; chain; chain = next) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);

		next = chain->next;
		superslab->map_id = hak_heap.maps;
		register_locked(superslab);
	}
	hak_heap.counters.mapped += count;
	hak_heap.needed += count - moved;
	heap_note_needed(hak_heap.needed);
	return base;
}

/* Release empty SuperSlabs until @keep are left; bytes. */
static size_t release_down_to(size_t keep)
{
	struct list_node *chain = NULL, **tail = &chain, *node, *next;

	heap_lock();
	for (node = hak_heap.empty; node && hak_heap.counters.reserve > keep; node = next) {
		struct superslab *superslab = list_entry(node, struct superslab, node);

		next = node->next;
		if (!superslab->refused)
			heap_collect_locked(superslab, &tail);
	}
	heap_unlock();
	return heap_release(chain);
}

/**
 * heap_release_reserve() - release empty SuperSlabs, also those refused before
 *
 * Returns bytes.
 */
size_t heap_release_reserve(void)
{
	heap_lock();
	for (struct list_node *node = hak_heap.empty; node; node = node->next)
		list_entry(node, struct superslab, node)->refused = false;
	heap_unlock();
	return release_down_to(0);
}

/**
 * heap_age_reserve() - an interval is over
 *
 * Releases the empty SuperSlabs that were not needed in the last ones. Returns
 * whether some stay that were.
 */
bool heap_age_reserve(void)
{
	bool ageing;
	size_t keep;

	heap_lock();
	keep = release_reserve(heap_in_use(), heap_lately());
	ageing = keep && hak_heap.counters.reserve;
	for (unsigned i = NR_PEAKS - 1; i; i--)
		hak_heap.peak[i] = hak_heap.peak[i - 1];
	hak_heap.peak[0] = hak_heap.needed = heap_in_use();
	heap_unlock();
	release_down_to(keep);
	return ageing;
}

/* Walking all SuperSlabs, under heap_lock(). */
struct superslab *heap_first(void)
{
	return hak_heap.all ? list_entry(hak_heap.all, struct superslab, all) : NULL;
}

struct superslab *heap_next(struct superslab *superslab)
{
	return superslab->all.next ? list_entry(superslab->all.next, struct superslab, all) : NULL;
}

void heap_read_counters(struct heap_counters *counters)
{
	heap_lock();
	*counters = hak_heap.counters;
	counters->locks = hak_heap.lock.taken;
	heap_unlock();
}

/*
 * Bytes of the heap that are backed by memory. The provider is asked with the
 * lock dropped, a batch at a time; what comes or goes meanwhile may be missed.
 */
uint64_t heap_resident(void)
{
	uintptr_t batch[32];
	size_t done = 0, skip, n, bytes;
	uint64_t sum = 0;

	do {
		n = 0;
		skip = done;
		heap_lock();
		for (struct list_node *node = hak_heap.all; node && n < ARRAY_SIZE(batch);
		     node = node->next)
			if (!skip)
				batch[n++] = list_entry(node, struct superslab, all)->base;
			else
				skip--;
		heap_unlock();
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
	if (superslab->clean & ~superslab->unused)
		return "SuperSlab: clean slabs that are in use";
	if (superslab->claimed)
		return "SuperSlab: slabs that a look did not give back";
	if (superslab->ripe & ~superslab->unused)
		return "SuperSlab: ripe slabs without anything to purge";
	if (superslab->purgeable &&
	    superslab_clean_slabs(superslab, superslab->unused) != superslab->clean)
		return "SuperSlab: clean slabs and slabs without memory";
	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++)
		if (superslab->unused >> i & 1 &&
		    pagemap_class(superslab->base + i * SLAB_SIZE) != CLASS_NONE)
			return "page map: class of an unused slab";
	return NULL;
}

/* The equations at the head of this file; NULL, or the one that fails. */
const char *heap_check(void)
{
	uint64_t active = 0, used = 0, reserve = 0;
	const char *failed = NULL;
	struct superslab *superslab;

	heap_lock();
	for (superslab = heap_first(); superslab && !failed; superslab = heap_next(superslab)) {
		failed = check_one(superslab);
		active++;
		used += count_bits(~superslab->unused);
		reserve += superslab->unused == ALL_SLABS;
	}
	if (!failed)
		failed = runs_check(active * SLABS_PER_SUPERSLAB - used);
	if (!failed &&
	    (active != hak_heap.counters.active || reserve != hak_heap.counters.reserve ||
	     active != hak_heap.counters.mapped - hak_heap.counters.released))
		failed = "SuperSlab counters: active or reserve";
	if (!failed && used != hak_heap.counters.slabs_used)
		failed = "SuperSlab counters: slabs used";
	heap_unlock();
	return failed;
}

/* Everything goes, used or not. */
void heap_fini(void)
{
	struct list_node *chain = NULL, **tail = &chain;

	heap_lock();
	while (hak_heap.all)
		heap_collect_locked(heap_first(), &tail);
	heap_unlock();
	heap_release(chain);
	__builtin_memset(&hak_heap, 0, sizeof(hak_heap));
	__builtin_memset(&hak_runs, 0, sizeof(hak_runs)); /* of what could not go */
}
