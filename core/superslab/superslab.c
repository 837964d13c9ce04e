/* SPDX-License-Identifier: MIT */
/*
 * Runs of units: allocated, freed, and made longer or shorter where they are.
 *
 * A request for n units gets a place in the shortest run that suffices (runs.c), so that long
 * runs stay, and SuperSlabs have a chance to become empty. Of the first few places it gets the
 * one whose pages fit best. Slabs for bitmaps come from SuperSlabs for metadata, and nothing
 * else does, where the platform has HAK_METADATA_APART.
 *
 *	unbacked and idle  ==	parts of unused
 *	unit in unused	  ==>	its class byte is 0
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

/* These units of a window, which are in no run any more, are in use from now on. */
static void use_units(struct superslab *superslab, struct window *window, unit_mask part,
		      unsigned n)
{
	window->unbacked &= ~part;
	window->idle &= ~part;
	arena_use(superslab, window, part, n);
}

/* The same for units of runs. */
void superslab_alloc_part(struct superslab *superslab, struct window *window, unit_mask part)
{
	size_t first = (size_t)(window - superslab->window) * UNITS_PER_WINDOW;

	for (unit_mask run; part; part ^= run) {
		run = lowest_run(part);
		runs_remove(superslab, first + lowest_bit(run), count_bits(run));
		use_units(superslab, window, run, count_bits(run));
	}
}

/*
 * From now on the owner of a unit may write to the pages @used, and does not say to which. So
 * these pages count as backed. @slack of them are behind the end of a span.
 */
void superslab_set_slack(struct slab *unit, unsigned used, unsigned slack)
{
	unsigned unbacked = unit->unbacked & used, again = unbacked & ~unit->untouched;

	if (unbacked) {
		hak_arena.counters.retouched += PAGES_PER_UNIT > 1 ? count_bits(again) : again;
		unit->unbacked &= (uint16_t)~used;
		unit->untouched &= (uint16_t)~used;
	}
	unit->slack = (uint16_t)slack;
	if (PAGES_PER_UNIT > 1)
		unit->idle = 0;
	hak_assert(!(unit->untouched & ~unit->unbacked));
}

/**
 * struct request - what is asked for, and what is found
 * @units:  how many
 * @align:  of the first one
 * @slack:  pages at the end of the last unit that are not wanted
 * @more:   how many more slabs are welcome, anywhere in the same SuperSlab; 0 if these have
 *	    several units each
 * @counts: the owner is a class, which says of each page when it is backed; a span does not
 * @which:  which memory may be taken
 * @candidates: how many more places may be compared
 * @misfit: misfit() of the best place so far
 * @base:   the address of the best place so far
 * @first:  the descriptor of the first unit that was allocated
 * @unbacked: how many of the allocated units are unbacked
 * @part:   what was allocated in the last SuperSlab
 */
struct request {
	size_t units, align;
	unsigned slack;
	unsigned more;
	bool counts;
	enum alloc_which which;

	unsigned candidates;
	unsigned misfit;
	uintptr_t base;

	struct slab *first;
	size_t unbacked;
	unit_mask part;
};

/* Is this asked for? @possible: on this platform it may be. */
static inline bool asks_for(const struct request *request, enum alloc_which which, bool possible)
{
	return possible && request->which == which;
}

/* Up to @n more unused units of a window, backed if @part is, else unbacked. */
static unit_mask more_like(const struct window *window, unit_mask part, unsigned n)
{
	unit_mask alike = part & window->unbacked ? window->unbacked : ~window->unbacked;
	unit_mask left = window->unused & alike & ~part, more = left;

	while (n-- && left)
		left &= left - 1;
	return more & ~left;
}

/*
 * Units of a window get an owner. If that is a class (@counts), unbacked pages stay so until
 * it says otherwise. A span may use all pages but the @slack of its last unit.
 */
static void own_units(struct slab *units, unit_mask part, bool counts, unsigned slack)
{
	for (; part; part &= part - 1) {
		unsigned unused = part & (part - 1) ? 0 : slack;
		unsigned used = counts ? 0 : UNIT_PAGES & ~unused;

		superslab_set_slack(&units[lowest_bit(part)], used, unused);
	}
}

/*
 * Units that were allocated become one slab. The pages of the others are now noted in the first.
 * (With units of 64 KiB there are no others.)
 */
static void join_units(struct slab *slab, unsigned units)
{
	static const uint8_t back[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct superslab *superslab = slab_superslab(slab);

	slab->units = (uint16_t)units;
	__builtin_memcpy(&superslab->back[slab->index], back, units);
	for (unsigned i = 1; i < units && superslab_has_pages(superslab); i++) {
		slab->unbacked |= (uint16_t)(slab[i].unbacked << i * PAGES_PER_UNIT);
		slab->untouched |= (uint16_t)(slab[i].untouched << i * PAGES_PER_UNIT);
	}
}

/* The opposite. Where there was a bitmap, there are descriptors again. */
static void split_units(struct slab *slab)
{
	struct superslab *superslab = slab_superslab(slab);

	__builtin_memset(&superslab->back[slab->index], 0, slab->units);
	for (unsigned i = 1; i < slab->units && superslab_has_pages(superslab); i++)
		slab[i] = (struct slab){
			.index = (uint16_t)(slab->index + i),
			.unbacked = slab->unbacked >> i * PAGES_PER_UNIT & UNIT_PAGES,
			.untouched = slab->untouched >> i * PAGES_PER_UNIT & UNIT_PAGES,
		};
	slab->unbacked &= UNIT_PAGES;
	slab->untouched &= UNIT_PAGES;
}

/* Allocate units that runs_have(). */
static void alloc_at(struct request *request, uintptr_t base)
{
	bool counts = request->counts && !asks_for(request, ALLOC_POPULATED, PLATFORM_POPULATES);
	struct superslab *superslab = pagemap_superslab(base);
	size_t left = request->units;

	if (left)
		request->first = runs_remove(superslab, superslab_index(superslab, base), left);
	for (; left; superslab = left ? pagemap_superslab(base) : NULL) {
		struct window *window = superslab_window(superslab, base);
		unsigned n;
		unit_mask part = superslab_part(base, left, &n), more = 0, unbacked;

		left -= n;
		base += n * UNIT_SIZE;
		if (UNITS_PER_SLAB == 1 && request->more)
			more = more_like(window, part, request->more);
		unbacked = (part | more) & window->unbacked;
		window->zeros = (window->zeros & ~part) | (superslab->zero ? unbacked : 0);
		request->unbacked += unbacked ? count_bits(unbacked) : 0;
		use_units(superslab, window, part, n);
		if (more)
			superslab_alloc_part(superslab, window, more);
		part |= more;
		request->part = part;
		/* where units are pages, backed ones stay as they are */
		if (superslab_has_pages(superslab))
			own_units(superslab_window_units(superslab, window),
				  PAGES_PER_UNIT > 1 ? part : unbacked, counts,
				  left ? 0 : request->slack);
	}
	if (PLATFORM_SCANS)
		hak_arena.taken.now += request->units;
	if (UNITS_PER_SLAB > 1 && request->counts)
		join_units(request->first, (unsigned)request->units);
}

#define UNBACKED_MISFIT (PAGES_PER_UNIT + 1) /* worse than any that is backed */

/*
 * How badly does a backed place suit whose last unit is at @last? This counts the pages that would
 * have to be backed, and the backed pages that would be slack.
 */
static unsigned misfit(const struct request *request, uintptr_t last)
{
	const struct superslab *superslab = pagemap_superslab(last);
	const struct slab *unit = &superslab->slab[superslab_index(superslab, last)];
	unsigned pages = (unit->unbacked ^ request->slack) & UNIT_PAGES;

	if (!superslab->purgeable)
		return 0;
	return PAGES_PER_UNIT > 1 ? count_bits(pages) : pages;
}

/*
 * The first place in a run, and the first that is backed. A large span gets the end of the lowest
 * run: what is left of it becomes longer when the next SuperSlab is mapped. Where units are pages,
 * a span of whole 64 KiB lies at a multiple of that, if there is such a place: so what becomes free
 * between two of them is of use for a third.
 */
static HAK_COLD void search_run(struct request *request, const struct slab *first)
{
	size_t size = request->units * UNIT_SIZE;
	uintptr_t next = slab_base(first), end = next + first->run * UNIT_SIZE, base;

	if (asks_for(request, ALLOC_ANY, NR_SPAN_CLASSES) &&
	    request->units > UNITS_PER_SUPERSLAB / 2 && runs_is_lowest(next, end))
		next = MAX(next, (end - size) & ~(request->align - 1));
	if (UNITS_PER_SLAB > 1 && !request->counts && size % SLAB_SIZE == 0 &&
	    ALIGN_UP(next, SLAB_SIZE) + size <= end)
		next = ALIGN_UP(next, SLAB_SIZE);
	do {
		unsigned pages = UNBACKED_MISFIT;

		base = ALIGN_UP(next, request->align);
		if (request->counts && base % SUPERSLAB_SIZE + size > SUPERSLAB_SIZE)
			base = ALIGN_UP(base, SUPERSLAB_SIZE); /* a slab is in one SuperSlab */
		if (base + size > end)
			return;
		next = base;
		if (PLATFORM_PURGES || pages_purgeable) /* else all are backed */
			next = runs_skip_unbacked(base, request->units);
		if (next == base)
			pages = misfit(request, base + size - UNIT_SIZE);
		request->candidates--;
		if (pages < request->misfit) {
			request->misfit = pages;
			request->base = base;
		}
	} while (next > base && request->candidates);
}

/*
 * Find a place in a run that suffices. A span gets one in the shortest runs: a caller who
 * prefers backed units asks twice. A class gets a backed one, in the shortest runs that have
 * such a place. If none has, it gets one in the shortest runs. A large block that grows gets
 * one in the longest runs, so that it need not move again soon.
 */
static uintptr_t find_unused(struct request *request)
{
	bool metadata = asks_for(request, ALLOC_METADATA, HAK_METADATA_APART);
	unsigned list = runs_list(metadata, request->units);
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

/*
 * Allocate new SuperSlabs one by one, so that interrupts are not off for long. Nobody else sees
 * them unused. As much as of the last one is not wanted is taken from the run before the first, if
 * there is one. What is left at the end is freed.
 */
static HAK_COLD NOINLINE uintptr_t alloc_one_by_one(struct request *request,
						    struct list_node *chain)
{
	struct superslab *superslab = list_entry(chain, struct superslab, node);
	size_t more = -request->units % UNITS_PER_SUPERSLAB;
	struct request before = { .units = more };
	uintptr_t base = superslab->base;
	uint64_t map_id;

	superslab->slab->index = 0;
	superslab_describe(superslab->slab);
	arena_lock();
	before.units = request->align > UNIT_SIZE ? 0 : MIN(more, runs_before(superslab));
	base -= before.units * UNIT_SIZE;
	alloc_at(&before, base);
	map_id = ++hak_arena.maps;
	arena_unlock();
	for (struct list_node *next; chain; chain = next) {
		superslab = list_entry(chain, struct superslab, node);
		next = chain->next;
		superslab->map_id = map_id;
		arena_lock();
		hak_arena.counters.mapped++;
		hak_arena.counters.units_used += UNITS_PER_SUPERSLAB;
		arena_enter_used(superslab);
		arena_unlock();
	}
	if (more)
		superslab_free(base + request->units * UNIT_SIZE, more + before.units);
	return base;
}

/*
 * Map enough SuperSlabs, and allocate from them, or from a run that goes on from them into a
 * neighbour. (Else requests of 17 slabs would leave 15 of each SuperSlab unused.) What takes whole
 * SuperSlabs begins where one does, so that they are empty again when it is freed.
 */
static HAK_COLD NOINLINE uintptr_t alloc_new(struct request *request)
{
	size_t count = DIV_ROUND_UP(request->units, UNITS_PER_SUPERSLAB);
	bool metadata = asks_for(request, ALLOC_METADATA, HAK_METADATA_APART);
	struct list_node *chain = descriptor_map(count, request->align, metadata);
	uintptr_t base;

	if (request->units % UNITS_PER_SUPERSLAB == 0)
		request->align = MAX(request->align, SUPERSLAB_SIZE);
	if (!chain)
		return 0;
	if (count > 1 && superslab_is_plain(list_entry(chain, struct superslab, node)))
		return alloc_one_by_one(request, chain);
	if (!metadata)
		remap_reserve(chain);
	if (asks_for(request, ALLOC_POPULATED, PLATFORM_POPULATES) && arena_is_large())
		descriptor_populate(chain);
	arena_enter_and_lock(chain);
	base = find_unused(request);
	alloc_at(request, base);
	arena_unlock();
	return base;
}

static HAK_COLD NOINLINE uintptr_t alloc_unused(struct request *request)
{
	uintptr_t base;

	arena_lock();
	base = find_unused(request);
	if (base)
		alloc_at(request, base);
	arena_unlock();
	return base;
}

static uintptr_t alloc_run(struct request *request)
{
	bool may_be_part = HAS_PARTS && arena_parts.add && request->units < UNITS_PER_SUPERSLAB;
	uintptr_t base = alloc_unused(request);

	if (base || asks_for(request, ALLOC_BACKED, NR_SPAN_CLASSES))
		return base;
	while (!base && may_be_part && arena_parts.add())
		base = alloc_unused(request);
	return base ? base : alloc_new(request);
}

/**
 * superslab_alloc() - allocate a run of units for a span
 * @units:  how many
 * @slack:  which pages of the last one will not be used; all of them: the caller says of each page
 *	    of the run when it is used
 * @align:  of the first one, a power of two >= UNIT_SIZE
 * @which:  which memory may be taken
 * @backed: set if memory stands behind most of the run already
 *
 * Unused units come before new SuperSlabs. Returns the address of the first one, or 0.
 */
uintptr_t superslab_alloc(size_t units, unsigned slack, size_t align, enum alloc_which which,
			  bool *backed)
{
	struct request request = { .units = units, .slack = slack, .align = align, .which = which };

	request.counts = PAGES_PER_UNIT > 1 && slack == UNIT_PAGES;
	request.base = alloc_run(&request);
	*backed = request.unbacked <= units / 2;
	return request.base;
}

/* What was allocated becomes a chain of slabs, the lowest first. */
static struct list_node *chain_slabs(const struct request *request)
{
	struct slab *first = request->first, *slab;
	struct list_node *chain = NULL;

	if (UNITS_PER_SLAB > 1) {
		first->node.next = NULL;
		return &first->node;
	}
	for (unit_mask part = request->part; part; part &= ~((unit_mask)1 << highest_bit(part))) {
		slab = first - first->index % UNITS_PER_WINDOW + highest_bit(part);
		slab->node.next = chain;
		chain = &slab->node;
		if (asks_for(request, ALLOC_POPULATED, PLATFORM_POPULATES) && request->unbacked)
			pages_populate((void *)slab_base(slab), SLAB_SIZE);
	}
	return chain;
}

/* There are not so many units in a row: allocate fewer, but @least. */
static uintptr_t alloc_fewer(struct request *request, unsigned least)
{
	uint64_t lists;
	uintptr_t base = 0;

	arena_lock();
	lists = hak_runs.lists & (((uint64_t)1 << request->units) - 1);
	if (lists >> least) {
		request->units = highest_bit(lists);
		while (!(base = find_unused(request)) && request->units > least)
			request->units--;
	}
	if (base)
		alloc_at(request, base);
	arena_unlock();
	return base;
}

/**
 * superslab_alloc_slabs() - allocate slabs for the blocks of a class
 * @n:     how many would be welcome, at least 1
 * @units: how many units each is to have
 * @least: how many it must have at least
 * @which: which memory may be taken
 *
 * Returns a chain of slabs of one SuperSlab through node.next, or NULL. Their `unbacked` and
 * `untouched` are right, and are the caller's to keep so. Slabs of several units are returned
 * one by one, and are shorter if there is no more memory for a long one.
 */
struct list_node *superslab_alloc_slabs(unsigned n, unsigned units, unsigned least,
					enum alloc_which which)
{
	struct request request = {
		.units = units, .align = UNIT_SIZE, .more = n - 1, .counts = true, .which = which
	};
	uintptr_t base = alloc_run(&request);

	if (!base && least < units)
		base = alloc_fewer(&request, least);
	return base ? chain_slabs(&request) : NULL;
}

/*
 * These units of a window are unused from now on, and the caller makes runs of them. Those whose
 * slack a scan has claimed do not become unused: they belong to the scan, which frees them.
 * Returns the others. @backed: all are known to have a backed page.
 */
static unit_mask unuse_units(struct superslab *superslab, struct window *window, unit_mask part,
			     unsigned n, bool backed)
{
	unit_mask claimed = part & window->claimed;

	hak_arena.counters.emptied +=
		!superslab_is_metadata(superslab) && superslab->unused + n == UNITS_PER_SUPERSLAB;
	if (claimed) {
		window->claimed &= ~claimed;
		part &= ~claimed;
		n = count_bits(part);
	}
	if (!backed && superslab_has_pages(superslab))
		window->unbacked |= units_unbacked(superslab_window_units(superslab, window), part);
	arena_unuse(superslab, window, part, n);
	return part;
}

/*
 * If a SuperSlab is empty now, is it to be unmapped? Then it is put in front of a chain. @reserve
 * others were empty before.
 */
static void collect_empty(struct superslab *superslab, size_t reserve, struct list_node **chain)
{
	if (!superslab_is_empty(superslab) || superslab->refused)
		return;
	if (superslab_is_metadata(superslab)) /* is this the only run? */
		reserve = hak_runs.list[RUNS_METADATA]->next ? SIZE_MAX : 0;
	if (!policy_keeps(reserve, hak_arena.counters.active))
		arena_collect(superslab, chain);
}

/*
 * Units in a row are unused from now on. If a SuperSlab is: see collect_empty(). Only the last
 * unit may have slack that is claimed. Where units are pages, they are all in one SuperSlab.
 */
static void free_units(uintptr_t base, size_t units, bool backed, struct list_node **chain)
{
	size_t reserve = hak_arena.counters.reserve, left = units, run = 0;
	struct superslab *first = pagemap_superslab(base);
	uintptr_t end = base + units * UNIT_SIZE;

	for (uintptr_t next = base; left;) {
		unsigned n;
		unit_mask part = superslab_part(next, left, &n);
		struct superslab *superslab = pagemap_superslab(next);
		struct window *window = superslab_window(superslab, next);

		/* all but a last unit whose slack is claimed */
		run += n - (unuse_units(superslab, window, part, n, backed) != part);
		left -= n;
		next += n * UNIT_SIZE;
	}
	hak_assert(units - run <= 1);
	if (run)
		runs_add(first, superslab_index(first, base), run);
	base &= ~(SUPERSLAB_SIZE - 1);
	do {
		size_t before = hak_arena.counters.active;
		struct superslab *superslab = pagemap_superslab(base);

		base += SUPERSLAB_SIZE;
		if (!superslab_is_empty(superslab))
			continue;
		collect_empty(superslab, reserve, chain);
		reserve += before == hak_arena.counters.active;
	} while (UNITS_PER_SLAB == 1 && base < end);
}

/* Some units of a window are unused from now on. */
void superslab_free_part(struct superslab *superslab, struct window *window, unit_mask part,
			 struct list_node **chain)
{
	uintptr_t base = superslab->base + (uintptr_t)(window - superslab->window) * WINDOW_SIZE;

	for (unit_mask run; part; part ^= run) {
		run = lowest_run(part);
		free_units(base + lowest_bit(run) * UNIT_SIZE, count_bits(run), false, chain);
	}
}

/**
 * superslab_free() - free units of a span
 *
 * Each of them has a backed page, since the span could write to it, unless it was moved away.
 * Their class bytes become 0 here, before anybody else can allocate them. SuperSlabs that become
 * empty are released, but for the reserve. Where units are pages, each SuperSlab is freed by
 * itself, so that interrupts are not off for long.
 */
void superslab_free(uintptr_t base, size_t units)
{
	do {
		size_t left = UNITS_PER_SUPERSLAB - base / UNIT_SIZE % UNITS_PER_SUPERSLAB;
		size_t part = UNITS_PER_SLAB > 1 && units > left ? left : units;
		struct list_node *chain = NULL;

		pagemap_set_class(base, part, CLASS_NONE);
		arena_lock();
		free_units(base, part, !PLATFORM_MOVES, &chain);
		arena_unlock();
		arena_release(chain);
		base += part * UNIT_SIZE;
		units -= part;
	} while (units);
}

/*
 * Free the first slabs of a chain that is not empty: one of several units, or all in a row that
 * share a SuperSlab. Returns the rest of the chain.
 */
static struct list_node *free_first_slabs(struct list_node *slabs, struct list_node **chain)
{
	struct slab *slab = list_entry(slabs, struct slab, node);
	struct superslab *superslab = slab_superslab(slab);
	unit_mask part = 0;

	if (UNITS_PER_SLAB > 1) {
		slabs = slabs->next;
		split_units(slab);
		free_units(slab_base(slab), slab->units, false, chain);
		return slabs;
	}
	do {
		part |= (unit_mask)1 << list_entry(slabs, struct slab, node)->index;
		slabs = slabs->next;
	} while (slabs && slab_superslab(list_entry(slabs, struct slab, node)) == superslab);
	superslab_free_part(superslab, superslab->window, part, chain);
	return slabs;
}

/* Free a chain of slabs likewise. If they have several units, the lock is dropped in between. */
void superslab_free_slabs(struct list_node *slabs)
{
	struct list_node *chain = NULL;

	for (struct list_node *node = slabs; node; node = node->next) {
		const struct slab *slab = list_entry(node, struct slab, node);

		pagemap_set_class(slab_base(slab), slab_units(slab), CLASS_NONE);
	}
	arena_lock();
	while (slabs) {
		slabs = free_first_slabs(slabs, &chain);
		if (UNITS_PER_SLAB > 1 && slabs) {
			arena_unlock();
			arena_lock();
		}
	}
	arena_unlock();
	arena_release(chain);
}

/**
 * superslab_resize() - change the length of a run where it is
 * @base:  the first unit of a run that superslab_alloc() returned
 * @old:   how many units it has
 * @units: how many it is to have
 * @slack: which pages of the last one will not be used
 *
 * False if the units or pages that it would need are in use, or claimed by a scan. Then
 * nothing has changed.
 */
bool superslab_resize(uintptr_t base, size_t old, size_t units, unsigned slack)
{
	struct request more = { .units = units > old ? units - old : 0, .slack = slack };
	uintptr_t end = base + (units < old ? units : old) * UNIT_SIZE;
	unsigned left = more.units ? 0 : slack; /* of what is the last unit now */
	struct superslab *superslab;
	struct slab *last;
	bool possible;

	if (units < old)
		superslab_free(end, old - units);
	arena_lock();
	superslab = pagemap_superslab(end - UNIT_SIZE);
	last = &superslab->slab[superslab_index(superslab, end - UNIT_SIZE)];
	possible = runs_have(end, more.units);
	if (PAGES_PER_UNIT > 1) {	   /* else there is no slack */
		if (slab_is_claimed(last)) /* the scan purges these pages */
			possible &= !(last->slack & ~left);
		if (possible)
			superslab_set_slack(last, UNIT_PAGES & ~left, left);
	}
	if (possible)
		alloc_at(&more, end);
	arena_unlock();
	return possible;
}
