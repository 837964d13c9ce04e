/* SPDX-License-Identifier: MIT */
/*
 * Runs of slabs: taken out of SuperSlabs and put back, made longer or shorter
 * where they are, and moved.
 *
 * A request for n slabs takes from the shortest run that suffices (runs.c), so that
 * long ones stay, and SuperSlabs have a chance to become empty; of the first few
 * places, from the one that has just the memory that is wanted.
 *
 *	clean		      =	 part of unused
 *	ripe		      =	 part of unused
 *	class byte of a slab  =	 0 while it is unused
 *
 * Lock: that of heap.c.
 *
 * Failure: superslab_alloc() returns 0: no unused run suffices, and there is no new memory.
 */
#include "superslab/superslab.h"

#include "pages/pagemap.h"
#include "pages/pages.h"
#include "base/policy.h"
#include "superslab/runs.h"
#include "base/sizeclass.h"

void superslab_alloc_part_locked(struct superslab *superslab, uint32_t part)
{
	hak_arena.counters.slabs_used += count_bits(part);
	superslab->unbacked &= ~part;
	superslab->idle &= ~part;
	arena_set_unused(superslab, superslab->unused & ~part);
	arena_note_needed(arena_in_use());
}

/*
 * The owner of a slab, who does not keep account of its pages, may write to any
 * but @spare from now on, and will not tell which.
 */
static void set_slack(struct slab *slab, unsigned slack)
{
	unsigned lost = slab->slack & ~slack;

	hak_arena.counters.retouched += count_bits(slab->unbacked & lost & ~slab->untouched);
	slab->unbacked &= (uint16_t)~lost;
	slab->untouched &= (uint16_t)~lost;
	slab->slack = (uint16_t)slack;
}

/* The same of slabs that had no owner, for a span; @spare is of the last one. */
static void own_pages(struct superslab *superslab, uint32_t slabs, unsigned slack)
{
	for (; slabs; slabs &= slabs - 1) {
		struct slab *slab = &superslab->slab[lowest_bit(slabs)];
		unsigned left = slabs & (slabs - 1) ? 0 : slack;

		slab->slack = slab->unbacked;
		if (slab->unbacked | left)
			set_slack(slab, left);
	}
}

/* What is asked for, and what is found. */
struct request {
	size_t slabs, align;
	unsigned slack; /* pages at the end of the last slab that are not wanted */
	unsigned more;	/* so many slabs besides, anywhere near, if there are some */
	bool counts;	/* the owner will keep account of their pages: a class, not a span */
	bool backed;	/* only slabs that have memory: see only_backed() */

	unsigned candidates; /* places that may yet be compared */
	unsigned misfit;     /* of the best so far */
	uintptr_t base;	     /* where that is */

	bool zero;     /* all that was taken reads zero */
	size_t bare;   /* slabs that were taken and have no memory */
	uint32_t part; /* what was taken of the last SuperSlab */
};

static bool only_backed(const struct request *request)
{
	return NR_SPAN_CLASSES && request->backed; /* nobody else asks for it */
}

/* Up to @n more unused slabs of a SuperSlab, with memory if @part has some, else without. */
static uint32_t more_like(const struct superslab *superslab, uint32_t part, unsigned n)
{
	uint32_t unbacked = part & superslab->unbacked ? superslab->unbacked : ~superslab->unbacked;
	uint32_t left = superslab->unused & unbacked & ~part, more = left;

	while (n-- && left)
		left &= left - 1;
	return more & ~left;
}

/* Take slabs that runs_have(). */
static void alloc_locked(struct request *request, uintptr_t base)
{
	size_t slabs = request->slabs;

	request->zero = true;
	while (slabs) {
		struct superslab *superslab = pagemap_superslab(base);
		uint32_t part = superslab_part(base, slabs);

		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
		if (request->more)
			part |= more_like(superslab, part, request->more);
		request->zero &= superslab->zero && !(part & ~superslab->unbacked);
		request->bare += count_bits(part & superslab->unbacked);
		request->part = part;
		superslab_alloc_part_locked(superslab, part);
		if (!request->counts)
			own_pages(superslab, part, slabs ? 0 : request->slack);
	}
}

/* The first slab with memory behind the last of these that is clean; @base if all have some. */
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
			uint32_t behind = ~(superslab->unbacked | bit_run(0, highest_bit(part) + 1));

			next = superslab->base +
			       (behind ? lowest_bit(behind) : SLABS_PER_SUPERSLAB) * SLAB_SIZE;
		}
	}
	return next;
}

#define CANDIDATES   32u		  /* so many places are compared */
#define UNBACKED_MISFIT (PAGES_PER_SLAB + 1) /* worse than any that have memory */

/*
 * How badly does a place suit whose last slab is this one? By the pages that it lacks,
 * and those that it has in vain.
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

static void compare(struct request *request, uintptr_t base, unsigned pages)
{
	request->candidates--;
	if (pages >= request->misfit)
		return;
	request->misfit = pages;
	request->base = base;
}

/* The first place in a run, and the first that has memory. */
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
		compare(request, base, pages);
	} while (next > base && request->candidates);
}

/*
 * Find a run that suffices: for a span one of the shortest, since that is asked for
 * twice, first for what is filled. For a class one of the shortest that have memory, or
 * else of the shortest.
 */
static uintptr_t find_unused(struct request *request)
{
	unsigned list = runs_list(request->slabs);

	request->candidates = CANDIDATES;
	request->misfit = UNBACKED_MISFIT + !only_backed(request);
	request->base = 0;
	for (uint64_t lists = hak_runs.lists >> list << list; lists; lists &= lists - 1) {
		struct list_node *node = hak_runs.list[lowest_bit(lists)];

		if (request->base && (!request->counts || request->misfit < UNBACKED_MISFIT))
			break;
		for (; node && request->candidates && request->misfit; node = node->next)
			search_run(request, list_entry(node, struct slab, node));
	}
	return request->base;
}

static uintptr_t alloc_unused(struct request *request)
{
	uintptr_t base;

	arena_lock();
	base = find_unused(request);
	if (base)
		alloc_locked(request, base);
	arena_unlock();
	return base;
}

/* Map enough for the slabs asked for, and take them from its start. */
static uintptr_t alloc_new(struct request *request)
{
	size_t count = DIV_ROUND_UP(request->slabs, SLABS_PER_SUPERSLAB);
	uintptr_t base = arena_map_and_lock(count, request->align);

	if (!base)
		return 0;
	alloc_locked(request, base);
	arena_unlock();
	return base;
}

static uintptr_t superslab_alloc_run(struct request *request)
{
	uintptr_t base = alloc_unused(request);

	return base || only_backed(request) ? base : alloc_new(request);
}

/**
 * superslab_alloc() - take a run of unused slabs
 * @slabs: how many
 * @spare: which pages of the last one will not be used
 * @align: of the first, a power of two >= SLAB_SIZE
 * @which: are slabs without memory wanted?
 * @memory: set to what is behind it
 *
 * Unused slabs before new SuperSlabs. Returns the address of the first, or 0.
 */
uintptr_t superslab_alloc(size_t slabs, unsigned slack, size_t align, enum alloc_which which,
			 enum run_memory *memory)
{
	struct request request = {
		.slabs = slabs, .slack = slack, .align = align, .backed = which == ALLOC_BACKED
	};
	uintptr_t base = superslab_alloc_run(&request);

	*memory = request.zero ? RUN_ZERO : request.bare > slabs / 2 ? RUN_UNBACKED : RUN_BACKED;
	return base;
}

/**
 * superslab_alloc_slabs() - take unused slabs for the blocks of a class
 * @n:     how many would be welcome, at least 1
 * @which: are slabs without memory wanted?
 *
 * Returns a chain of slabs of one SuperSlab through node.next, whose `purged`
 * and `fresh` are right and are the caller's to keep so; NULL if there is none.
 */
struct list_node *superslab_alloc_slabs(unsigned n, enum alloc_which which)
{
	struct request request = { .slabs = 1,
				   .align = SLAB_SIZE,
				   .more = n - 1,
				   .counts = true,
				   .backed = which == ALLOC_BACKED };
	uintptr_t base = superslab_alloc_run(&request);
	struct list_node *chain = NULL;
	struct superslab *superslab;

	if (!base)
		return NULL;
	superslab = pagemap_superslab(base);
	for (uint32_t part = request.part; part; part &= ~((uint32_t)1 << highest_bit(part))) {
		struct slab *slab = &superslab->slab[highest_bit(part)];

		slab->slack = 0;
		slab->node.next = chain;
		chain = &slab->node;
	}
	return chain;
}

/*
 * A part of a SuperSlab is unused from now on, or once it is purged. If the
 * SuperSlab can be unmapped: to @tail.
 */
void superslab_free_part_locked(struct superslab *superslab, uint32_t part, struct list_node ***end)
{
	size_t reserve = hak_arena.counters.reserve;
	uint32_t late;

	hak_arena.counters.emptied += (superslab->unused | part) == ALL_SLABS;
	late = part & superslab->claimed;
	superslab->claimed &= ~late; /* they are the look's now */
	part &= ~late;
	superslab->idle &= ~part;
	superslab->unbacked |= superslab_unbacked_slabs(superslab, part);
	hak_arena.counters.slabs_used -= count_bits(part);
	arena_set_unused(superslab, superslab->unused | part);
	if (superslab->unused == ALL_SLABS &&
	    !policy_keeps(reserve, arena_in_use(), arena_recent_peak()) && !superslab->refused)
		arena_collect_locked(superslab, end);
}

/**
 * superslab_free() - give a run of slabs back
 *
 * Their class bytes become 0 here, before anybody else can take them.
 * SuperSlabs that become empty are released, but for the reserve.
 */
void superslab_free(uintptr_t base, size_t slabs)
{
	struct list_node *chain = NULL, **end = &chain;

	pagemap_set_class(base, slabs, CLASS_NONE);
	arena_lock();
	while (slabs) {
		uint32_t part = superslab_part(base, slabs);

		superslab_free_part_locked(pagemap_superslab(base), part, &end);
		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
	}
	arena_unlock();
	arena_release(chain);
}

/* The same of single slabs, chained through node.next; neighbours in the chain at once. */
void superslab_free_slabs(struct list_node *slabs)
{
	struct list_node *chain = NULL, **end = &chain;

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
		superslab_free_part_locked(superslab, part, &end);
	}
	arena_unlock();
	arena_release(chain);
}

/**
 * superslab_resize() - change the length of a run where it is
 * @base:  the first slab of a run that superslab_alloc() returned,
 * @old:   how many slabs it has,
 * @slabs: and how many it is to have, of the last of which
 * @spare: these pages will not be used
 *
 * False if somebody uses what it would need, or a look is about to purge it;
 * then nothing has changed.
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
		possible &= !(last->slack & ~left); /* nobody else is to write there */
	if (possible) {
		set_slack(last, left);
		alloc_locked(&more, end);
	}
	arena_unlock();
	return possible;
}

/* There is no memory behind these pages of slabs in use any more. @flags: HAK_PAGES_* */
static void note_moved(uintptr_t base, size_t size, unsigned flags)
{
	arena_lock();
	for (uintptr_t end = base + size; base < end; base = (base | (SLAB_SIZE - 1)) + 1) {
		struct slab *slab = address_to_slab(base);
		struct superslab *superslab = slab_superslab(slab);
		size_t rest = end - base < SLAB_SIZE ? end - base : SLAB_SIZE;

		superslab->zero &= (bool)(flags & HAK_PAGES_ZERO);
		superslab->purgeable &= (bool)(flags & HAK_PAGES_PURGE);
		if (superslab->purgeable)
			slab->unbacked |=
				(uint16_t)(ALL_PAGES >> (PAGES_PER_SLAB - rest / PAGE_SIZE));
	}
	arena_unlock();
}

/**
 * remap_move() - move the memory behind slabs in use to others
 * @from: a slab,
 * @to:   and another; both and what follows are the caller's
 * @size: in bytes, whole pages; of those at @from the contents are lost
 *
 * Returns how many bytes have moved: all, or fewer if the provider refuses.
 */
size_t remap_move(uintptr_t from, uintptr_t to, size_t size)
{
	unsigned flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;
	size_t done = 0;

	while (done < size) {
		size_t part = size - done, moved;

		/* not across an edge, here or there */
		if (part > SUPERSLAB_SIZE - (from + done) % SUPERSLAB_SIZE)
			part = SUPERSLAB_SIZE - (from + done) % SUPERSLAB_SIZE;
		if (part > SUPERSLAB_SIZE - (to + done) % SUPERSLAB_SIZE)
			part = SUPERSLAB_SIZE - (to + done) % SUPERSLAB_SIZE;
		moved = pages_move((void *)(from + done), (void *)(to + done), part, &flags);
		done += moved;
		if (moved < part)
			break;
	}
	note_moved(from, done, flags);
	return done;
}
