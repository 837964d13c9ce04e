/* SPDX-License-Identifier: MIT */
/*
 * Runs of slabs: allocated, freed, and made longer or shorter where they are.
 *
 * A request for n slabs gets a place in the shortest run that suffices (runs.c), so that long
 * runs stay, and SuperSlabs have a chance to become empty. Of the first few places it gets the
 * one whose pages fit best. Slabs for bitmaps come from SuperSlabs for metadata, and nothing
 * else does, where the platform has HAK_METADATA_APART.
 *
 *	unbacked and idle  ==	parts of unused
 *	slab in unused	  ==>	its class byte is 0
 *
 * Lock: that of the arena.
 *
 * Failure: superslab_alloc() returns 0: no unused run suffices, and there is no new memory.
 */
#include "superslab/superslab.h"

#include "base/policy.h"
#include "base/sizeclass.h"
#include "pages/pagemap.h"
#include "pages/pages.h"
#include "superslab/arena.h"
#include "superslab/remap.h"
#include "superslab/runs.h"

/* These slabs are in use from now on. */
void superslab_alloc_part(struct superslab *superslab, uint32_t part)
{
	hak_assert(!(part & ~superslab->unused));
	hak_arena.counters.slabs_used += count_bits(part);
	superslab->unbacked &= ~part;
	superslab->idle &= ~part;
	arena_set_unused(superslab, superslab->unused & ~part);
	arena_note_needed(arena_in_use());
}

/*
 * From now on the owner of a slab may write to the pages @used, and does not say to which. So
 * these pages count as backed. @slack of them are behind the end of a span.
 */
static void set_slack(struct slab *slab, unsigned used, unsigned slack)
{
	unsigned unbacked = slab->unbacked & used;

	if (unbacked) {
		hak_arena.counters.retouched += count_bits(unbacked & ~slab->untouched);
		slab->unbacked &= (uint16_t)~used;
		slab->untouched &= (uint16_t)~used;
	}
	slab->slack = (uint16_t)slack;
	hak_assert(!(slab->untouched & ~slab->unbacked));
}

/**
 * struct request - what is asked for, and what is found
 * @slabs:  how many
 * @align:  of the first one
 * @slack:  pages at the end of the last slab that are not wanted
 * @more:   how many more slabs are welcome, anywhere in the same SuperSlab
 * @counts: the owner is a class, which says of each page when it is backed; a span does not
 * @which:  which memory may be taken
 * @candidates: how many more places may be compared
 * @misfit: misfit() of the best place so far
 * @base:   the address of the best place so far
 * @unbacked: how many of the allocated slabs are unbacked
 * @part:   what was allocated in the last SuperSlab
 */
struct request {
	size_t slabs, align;
	unsigned slack;
	unsigned more;
	bool counts;
	enum alloc_which which;

	unsigned candidates;
	unsigned misfit;
	uintptr_t base;

	size_t unbacked;
	uint32_t part;
};

/* Is this asked for? @possible: on this platform it may be. */
static inline bool asks_for(const struct request *request, enum alloc_which which, bool possible)
{
	return possible && request->which == which;
}

/* Up to @n more unused slabs of a SuperSlab, backed if @part is, else unbacked. */
static uint32_t more_like(const struct superslab *superslab, uint32_t part, unsigned n)
{
	uint32_t alike = part & superslab->unbacked ? superslab->unbacked : ~superslab->unbacked;
	uint32_t left = superslab->unused & alike & ~part, more = left;

	while (n-- && left)
		left &= left - 1;
	return more & ~left;
}

/*
 * Slabs of a SuperSlab get an owner. If that is a class (@counts), unbacked pages stay so until
 * it says otherwise. A span may use all pages but the @slack of its last slab.
 */
static void own_slabs(struct superslab *superslab, uint32_t slabs, bool counts, unsigned slack)
{
	unsigned used = counts ? 0 : ALL_PAGES, last = highest_bit(slabs);

	set_slack(&superslab->slab[last], used & ~slack, slack);
	for (slabs ^= (uint32_t)1 << last; slabs; slabs &= slabs - 1)
		set_slack(&superslab->slab[lowest_bit(slabs)], used, 0);
}

/* Allocate slabs that runs_have(). */
static void alloc_at(struct request *request, uintptr_t base)
{
	size_t slabs = request->slabs;

	while (slabs) {
		struct superslab *superslab = pagemap_superslab(base);
		uint32_t part = superslab_part(base, slabs), unbacked;

		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
		if (request->more)
			part |= more_like(superslab, part, request->more);
		unbacked = part & superslab->unbacked;
		superslab->zeros = (superslab->zeros & ~part) | (superslab->zero ? unbacked : 0);
		request->unbacked += count_bits(unbacked);
		request->part = part;
		superslab_alloc_part(superslab, part);
		own_slabs(superslab, part,
			  request->counts &&
				  !asks_for(request, ALLOC_POPULATED, PLATFORM_POPULATES),
			  slabs ? 0 : request->slack);
	}
}

/*
 * Is one of these slabs unbacked? Then returns the first backed slab behind the last such one,
 * where the search goes on. Else returns @base.
 */
static uintptr_t skip_unbacked(uintptr_t base, size_t slabs)
{
	uintptr_t next = base;

	while (slabs) {
		const struct superslab *superslab = pagemap_superslab(base);
		uint32_t part = superslab_part(base, slabs);

		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
		part &= superslab->unbacked;
		if (part) {
			uint32_t behind =
				~(superslab->unbacked | bit_run(0, highest_bit(part) + 1));

			next = superslab->base +
			       (behind ? lowest_bit(behind) : SLABS_PER_SUPERSLAB) * SLAB_SIZE;
		}
	}
	return next;
}

#define UNBACKED_MISFIT (PAGES_PER_SLAB + 1) /* worse than any that is backed */

/*
 * How badly does a place suit whose last slab is @last? This counts the pages that would have
 * to be backed, and the backed pages that would be slack.
 */
static unsigned misfit(const struct request *request, const struct slab *last)
{
	const struct superslab *superslab = slab_superslab(last);

	if (superslab->unbacked >> last->index & 1)
		return UNBACKED_MISFIT;
	if (!superslab->purgeable)
		return 0;
	return count_bits((last->unbacked ^ request->slack) & ALL_PAGES);
}

/* The first place in a run, and the first that is backed. */
static HAK_COLD void search_run(struct request *request, const struct slab *first)
{
	size_t size = request->slabs * SLAB_SIZE;
	uintptr_t next = slab_base(first), end = next + first->run * SLAB_SIZE, base;

	do {
		unsigned pages = UNBACKED_MISFIT;

		base = ALIGN_UP(next, request->align);
		if (base + size > end)
			return;
		next = skip_unbacked(base, request->slabs);
		if (next == base)
			pages = misfit(request, address_to_slab(base + size - SLAB_SIZE));
		request->candidates--;
		if (pages < request->misfit) {
			request->misfit = pages;
			request->base = base;
		}
	} while (next > base && request->candidates);
}

/*
 * Find a place in a run that suffices. A span gets one in the shortest runs: a caller who
 * prefers backed slabs asks twice. A class gets a backed one, in the shortest runs that have
 * such a place. If none has, it gets one in the shortest runs. A large block that grows gets
 * one in the longest runs, so that it need not move again soon.
 */
static uintptr_t find_unused(struct request *request)
{
	bool metadata = asks_for(request, ALLOC_METADATA, HAK_METADATA_APART);
	unsigned list = runs_list(metadata, request->slabs);
	uint64_t lists = hak_runs.lists >> list << list;

	request->candidates = POLICY_RUN_CANDIDATES;
	request->misfit = UNBACKED_MISFIT + !asks_for(request, ALLOC_BACKED, NR_SPAN_CLASSES);
	request->base = 0;
	if (metadata)
		lists &= (uint64_t)1 << list;
	else if (request->which == ALLOC_TO_GROW && lists)
		lists = (uint64_t)1 << highest_bit(lists);
	for (; lists; lists &= lists - 1) {
		struct list_node *node = hak_runs.list[lowest_bit(lists)];

		if (request->base && (!request->counts || request->misfit < UNBACKED_MISFIT))
			break;
		for (; node && request->candidates && request->misfit; node = node->next)
			search_run(request, list_entry(node, struct slab, node));
	}
	return request->base;
}

/* Map enough SuperSlabs, and allocate from the start of them. */
static uintptr_t alloc_new(struct request *request)
{
	size_t count = DIV_ROUND_UP(request->slabs, SLABS_PER_SUPERSLAB);
	bool metadata = asks_for(request, ALLOC_METADATA, HAK_METADATA_APART);
	struct list_node *chain = descriptor_map(count, request->align, metadata);
	uintptr_t base;

	if (!chain)
		return 0;
	base = list_entry(chain, struct superslab, node)->base + metadata * HAK_GUARD;
	arena_enter_and_lock(chain, metadata ? 0 : remap_reserve(chain));
	alloc_at(request, base);
	arena_unlock();
	return base;
}

static uintptr_t alloc_run(struct request *request)
{
	uintptr_t base;

	arena_lock();
	base = find_unused(request);
	if (base)
		alloc_at(request, base);
	arena_unlock();
	if (base || asks_for(request, ALLOC_BACKED, NR_SPAN_CLASSES))
		return base;
	return alloc_new(request);
}

/**
 * superslab_alloc() - allocate a run of slabs for a span
 * @slabs:  how many
 * @slack:  which pages of the last one will not be used
 * @align:  of the first one, a power of two >= SLAB_SIZE
 * @which:  which memory may be taken
 * @backed: set if memory stands behind most of the run already
 *
 * Unused slabs come before new SuperSlabs. Returns the address of the first slab, or 0.
 */
uintptr_t superslab_alloc(size_t slabs, unsigned slack, size_t align, enum alloc_which which,
			  bool *backed)
{
	struct request request = { .slabs = slabs, .slack = slack, .align = align, .which = which };
	uintptr_t base = alloc_run(&request);

	*backed = request.unbacked <= slabs / 2;
	return base;
}

/**
 * superslab_clear() - make a run read zero that has just been allocated for a span
 * @size: in bytes
 *
 * Slabs that are known to read zero are not touched. A long run is purged.
 */
NO_SANITIZE_THREAD void superslab_clear(uintptr_t base, size_t size)
{
	size_t unit = size > POLICY_CLEAR_MOST ? SUPERSLAB_SIZE : SLAB_SIZE;

	for (size_t part; size; base += part, size -= part) {
		/* racy: alloc_at() changes only bits of others meanwhile */
		uint32_t zeros = READ_ONCE(pagemap_superslab(base)->zeros);
		int flags;

		part = unit - base % unit < size ? unit - base % unit : size;
		if (!(superslab_part(base, DIV_ROUND_UP(part, SLAB_SIZE)) & ~zeros))
			continue;
		flags = unit == SLAB_SIZE ? -1
					  : pages_purge((void *)base, ALIGN_UP(part, PAGE_SIZE));
		if (flags < 0 || !(flags & HAK_PAGES_ZERO))
			__builtin_memset((void *)base, 0, part);
	}
}

/**
 * superslab_alloc_slabs() - allocate slabs for the blocks of a class
 * @n:     how many would be welcome, at least 1
 * @which: which memory may be taken
 *
 * Returns a chain of slabs of one SuperSlab through node.next, or NULL. Their `unbacked` and
 * `untouched` are right, and are the caller's to keep so.
 */
struct list_node *superslab_alloc_slabs(unsigned n, enum alloc_which which)
{
	struct request request = {
		.slabs = 1, .align = SLAB_SIZE, .more = n - 1, .counts = true, .which = which
	};
	uintptr_t base = alloc_run(&request);
	struct list_node *chain = NULL;
	struct superslab *superslab;

	if (!base)
		return NULL;
	superslab = pagemap_superslab(base);
	for (uint32_t part = request.part; part; part &= ~((uint32_t)1 << highest_bit(part))) {
		struct slab *slab = &superslab->slab[highest_bit(part)];

		slab->node.next = chain;
		chain = &slab->node;
		if (asks_for(&request, ALLOC_POPULATED, PLATFORM_POPULATES) && request.unbacked)
			pages_populate((void *)slab_base(slab), SLAB_SIZE);
	}
	return chain;
}

/*
 * These slabs are unused from now on. Those whose slack a scan has claimed do not become
 * unused: they belong to the scan, which frees them. If the SuperSlab is to be unmapped, it is
 * put in front of a chain.
 */
void superslab_free_part(struct superslab *superslab, uint32_t part, struct list_node **chain)
{
	size_t reserve = hak_arena.counters.reserve;
	uint32_t claimed = part & superslab->claimed;

	hak_assert(!(part & superslab->unused));
	hak_arena.counters.emptied += (superslab->unused | part) == ALL_SLABS;
	superslab->claimed &= ~claimed;
	part &= ~claimed;
	superslab->unbacked |= superslab_unbacked_slabs(superslab, part);
	hak_arena.counters.slabs_used -= count_bits(part);
	arena_set_unused(superslab, superslab->unused | part);
	if (superslab_is_metadata(superslab)) /* is this the only run? */
		reserve = hak_runs.list[RUNS_METADATA]->next ? SIZE_MAX : 0;
	if (superslab->unused == superslab_slabs(superslab) && !superslab->refused &&
	    !policy_keeps(reserve, arena_in_use(), arena_recent_peak()))
		arena_collect(superslab, chain);
}

/**
 * superslab_free() - free a run of slabs
 *
 * Their class bytes become 0 here, before anybody else can allocate them. SuperSlabs that
 * become empty are released, but for the reserve.
 */
void superslab_free(uintptr_t base, size_t slabs)
{
	struct list_node *chain = NULL;

	pagemap_set_class(base, slabs, CLASS_NONE);
	arena_lock();
	while (slabs) {
		uint32_t part = superslab_part(base, slabs);

		superslab_free_part(pagemap_superslab(base), part, &chain);
		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
	}
	arena_unlock();
	arena_release(chain);
}

/* Free a chain of single slabs likewise. Those in a row that share a SuperSlab go at once. */
void superslab_free_slabs(struct list_node *slabs)
{
	struct list_node *chain = NULL;

	for (struct list_node *node = slabs; node; node = node->next)
		pagemap_set_class(slab_base(list_entry(node, struct slab, node)), 1, CLASS_NONE);
	arena_lock();
	while (slabs) {
		struct superslab *superslab = slab_superslab(list_entry(slabs, struct slab, node));
		uint32_t part = 0;

		do {
			part |= (uint32_t)1 << list_entry(slabs, struct slab, node)->index;
			slabs = slabs->next;
		} while (slabs &&
			 slab_superslab(list_entry(slabs, struct slab, node)) == superslab);
		superslab_free_part(superslab, part, &chain);
	}
	arena_unlock();
	arena_release(chain);
}

/**
 * superslab_resize() - change the length of a run where it is
 * @base:  the first slab of a run that superslab_alloc() returned
 * @old:   how many slabs it has
 * @slabs: how many it is to have
 * @slack: which pages of the last one will not be used
 *
 * False if the slabs or pages that it would need are in use, or claimed by a scan. Then
 * nothing has changed.
 */
bool superslab_resize(uintptr_t base, size_t old, size_t slabs, unsigned slack)
{
	struct request more = { .slabs = slabs > old ? slabs - old : 0, .slack = slack };
	uintptr_t end = base + (slabs < old ? slabs : old) * SLAB_SIZE;
	unsigned left = more.slabs ? 0 : slack; /* of what is the last slab now */
	struct superslab *superslab;
	struct slab *last;
	bool possible;

	if (slabs < old)
		superslab_free(end, old - slabs);
	arena_lock();
	last = address_to_slab(end - SLAB_SIZE);
	superslab = slab_superslab(last);
	possible = runs_have(end, more.slabs);
	if (superslab->claimed >> last->index & 1)
		possible &= !(last->slack & ~left); /* the scan purges these pages */
	if (possible) {
		set_slack(last, ALL_PAGES & ~left, left);
		alloc_at(&more, end);
	}
	arena_unlock();
	return possible;
}
