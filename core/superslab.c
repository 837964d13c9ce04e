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
 * Failure: superslab_take() returns 0: no unused run suffices, and there is no new memory.
 */
#include "superslab.h"

#include "pagemap.h"
#include "pages.h"
#include "release.h"
#include "runs.h"
#include "sizeclass.h"

void superslab_take_part_locked(struct superslab *superslab, uint32_t part)
{
	hak_heap.counters.slabs_used += count_bits(part);
	superslab->clean &= ~part;
	superslab->ripe &= ~part;
	heap_set_unused(superslab, superslab->unused & ~part);
	heap_note_needed(heap_in_use());
}

/*
 * The owner of a slab, who does not keep account of its pages, may write to any
 * but @spare from now on, and will not tell which.
 */
static void set_spare(struct slab *slab, unsigned spare)
{
	unsigned lost = slab->spare & ~spare;

	hak_heap.counters.retouched += count_bits(slab->purged & lost & ~slab->fresh);
	slab->purged &= (uint16_t)~lost;
	slab->fresh &= (uint16_t)~lost;
	slab->spare = (uint16_t)spare;
}

/* The same of slabs that had no owner, for a span; @spare is of the last one. */
static void own_pages(struct superslab *superslab, uint32_t slabs, unsigned spare)
{
	for (; slabs; slabs &= slabs - 1) {
		struct slab *slab = &superslab->slab[lowest_bit(slabs)];
		unsigned left = slabs & (slabs - 1) ? 0 : spare;

		slab->spare = slab->purged;
		if (slab->purged | left)
			set_spare(slab, left);
	}
}

/* What is asked for, and what is found. */
struct request {
	size_t slabs, align;
	unsigned spare; /* pages at the end of the last slab that are not wanted */
	unsigned more;	/* so many slabs besides, anywhere near, if there are some */
	bool counts;	/* the owner will keep account of their pages: a class, not a span */
	bool filled;	/* only slabs that have memory: see only_filled() */

	unsigned candidates; /* places that may yet be compared */
	unsigned misfit;     /* of the best so far */
	uintptr_t base;	     /* where that is */

	bool zero;     /* all that was taken reads zero */
	size_t bare;   /* slabs that were taken and have no memory */
	uint32_t part; /* what was taken of the last SuperSlab */
};

static bool only_filled(const struct request *request)
{
	return NR_SPAN_CLASSES && request->filled; /* nobody else asks for it */
}

/* Up to @n more unused slabs of a SuperSlab, with memory if @part has some, else without. */
static uint32_t more_like(const struct superslab *superslab, uint32_t part, unsigned n)
{
	uint32_t clean = part & superslab->clean ? superslab->clean : ~superslab->clean;
	uint32_t left = superslab->unused & clean & ~part, more = left;

	while (n-- && left)
		left &= left - 1;
	return more & ~left;
}

/* Take slabs that runs_have(). */
static void take_locked(struct request *request, uintptr_t base)
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
		request->zero &= superslab->zero && !(part & ~superslab->clean);
		request->bare += count_bits(part & superslab->clean);
		request->part = part;
		superslab_take_part_locked(superslab, part);
		if (!request->counts)
			own_pages(superslab, part, slabs ? 0 : request->spare);
	}
}

/* The first slab with memory behind the last of these that is clean; @base if all have some. */
static uintptr_t skip_clean(uintptr_t base, size_t slabs)
{
	uintptr_t next = base;

	while (slabs) {
		const struct superslab *superslab = pagemap_superslab(base);
		uint32_t part = superslab_part(base, slabs);

		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
		part &= superslab->clean;
		if (part) {
			uint32_t behind = ~(superslab->clean | bit_run(0, highest_bit(part) + 1));

			next = superslab->base +
			       (behind ? lowest_bit(behind) : SLABS_PER_SUPERSLAB) * SLAB_SIZE;
		}
	}
	return next;
}

#define CANDIDATES   32u		  /* so many places are compared */
#define CLEAN_MISFIT (PAGES_PER_SLAB + 1) /* worse than any that have memory */

/*
 * How badly does a place suit whose last slab is this one? By the pages that it lacks,
 * and those that it has in vain.
 */
static unsigned misfit(const struct request *request, const struct slab *last)
{
	const struct superslab *superslab = slab_superslab(last);

	if (superslab->clean >> last->index & 1)
		return CLEAN_MISFIT;
	if (!superslab->purgeable)
		return 0;
	return count_bits((last->purged ^ request->spare) & ALL_PAGES);
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
		unsigned pages = CLEAN_MISFIT;

		base = ALIGN_UP(next, request->align);
		if (base + size > end)
			return;
		next = skip_clean(base, request->slabs);
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
	request->misfit = CLEAN_MISFIT + !only_filled(request);
	request->base = 0;
	for (uint64_t lists = hak_runs.lists >> list << list; lists; lists &= lists - 1) {
		struct list_node *node = hak_runs.list[lowest_bit(lists)];

		if (request->base && (!request->counts || request->misfit < CLEAN_MISFIT))
			break;
		for (; node && request->candidates && request->misfit; node = node->next)
			search_run(request, list_entry(node, struct slab, node));
	}
	return request->base;
}

static uintptr_t take_unused(struct request *request)
{
	uintptr_t base;

	heap_lock();
	base = find_unused(request);
	if (base)
		take_locked(request, base);
	heap_unlock();
	return base;
}

/* Map enough for the slabs asked for, and take them from its start. */
static uintptr_t take_new(struct request *request)
{
	size_t count = DIV_ROUND_UP(request->slabs, SLABS_PER_SUPERSLAB);
	uintptr_t base = heap_map_and_lock(count, request->align);

	if (!base)
		return 0;
	take_locked(request, base);
	heap_unlock();
	return base;
}

static uintptr_t take(struct request *request)
{
	uintptr_t base = take_unused(request);

	return base || only_filled(request) ? base : take_new(request);
}

/**
 * superslab_take() - take a run of unused slabs
 * @slabs: how many
 * @spare: which pages of the last one will not be used
 * @align: of the first, a power of two >= SLAB_SIZE
 * @which: are slabs without memory wanted?
 * @memory: set to what is behind it
 *
 * Unused slabs before new SuperSlabs. Returns the address of the first, or 0.
 */
uintptr_t superslab_take(size_t slabs, unsigned spare, size_t align, enum take which,
			 enum run_memory *memory)
{
	struct request request = {
		.slabs = slabs, .spare = spare, .align = align, .filled = which == TAKE_FILLED
	};
	uintptr_t base = take(&request);

	*memory = request.zero ? RUN_ZERO : request.bare > slabs / 2 ? RUN_BARE : RUN_FILLED;
	return base;
}

/**
 * superslab_take_slabs() - take unused slabs for the blocks of a class
 * @n:     how many would be welcome, at least 1
 * @which: are slabs without memory wanted?
 *
 * Returns a chain of slabs of one SuperSlab through node.next, whose `purged`
 * and `fresh` are right and are the caller's to keep so; NULL if there is none.
 */
struct list_node *superslab_take_slabs(unsigned n, enum take which)
{
	struct request request = { .slabs = 1,
				   .align = SLAB_SIZE,
				   .more = n - 1,
				   .counts = true,
				   .filled = which == TAKE_FILLED };
	uintptr_t base = take(&request);
	struct list_node *chain = NULL;
	struct superslab *superslab;

	if (!base)
		return NULL;
	superslab = pagemap_superslab(base);
	for (uint32_t part = request.part; part; part &= ~((uint32_t)1 << highest_bit(part))) {
		struct slab *slab = &superslab->slab[highest_bit(part)];

		slab->spare = 0;
		slab->node.next = chain;
		chain = &slab->node;
	}
	return chain;
}

/*
 * A part of a SuperSlab is unused from now on, or once it is purged. If the
 * SuperSlab can be unmapped: to @tail.
 */
void superslab_put_part_locked(struct superslab *superslab, uint32_t part, struct list_node ***tail)
{
	size_t reserve = hak_heap.counters.reserve;
	uint32_t late;

	hak_heap.counters.emptied += (superslab->unused | part) == ALL_SLABS;
	late = part & superslab->claimed;
	superslab->claimed &= ~late; /* they are the look's now */
	part &= ~late;
	superslab->ripe &= ~part;
	superslab->clean |= superslab_clean_slabs(superslab, part);
	hak_heap.counters.slabs_used -= count_bits(part);
	heap_set_unused(superslab, superslab->unused | part);
	if (superslab->unused == ALL_SLABS &&
	    !release_keeps(reserve, heap_in_use(), heap_lately()) && !superslab->refused)
		heap_collect_locked(superslab, tail);
}

/**
 * superslab_put() - give a run of slabs back
 *
 * Their class bytes become 0 here, before anybody else can take them.
 * SuperSlabs that become empty are released, but for the reserve.
 */
void superslab_put(uintptr_t base, size_t slabs)
{
	struct list_node *chain = NULL, **tail = &chain;

	pagemap_set_class(base, slabs, CLASS_NONE);
	heap_lock();
	while (slabs) {
		uint32_t part = superslab_part(base, slabs);

		superslab_put_part_locked(pagemap_superslab(base), part, &tail);
		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
	}
	heap_unlock();
	heap_release(chain);
}

/* The same of single slabs, chained through node.next; neighbours in the chain at once. */
void superslab_put_slabs(struct list_node *slabs)
{
	struct list_node *chain = NULL, **tail = &chain;

	for (struct list_node *node = slabs; node; node = node->next)
		pagemap_set_class(slab_base(list_entry(node, struct slab, node)), 1, CLASS_NONE);
	heap_lock();
	while (slabs) {
		struct superslab *superslab = slab_superslab(list_entry(slabs, struct slab, node));
		uint32_t part = 0;

		do {
			part |= (uint32_t)1 << list_entry(slabs, struct slab, node)->index;
			slabs = slabs->next;
		} while (slabs &&
			 slab_superslab(list_entry(slabs, struct slab, node)) == superslab);
		superslab_put_part_locked(superslab, part, &tail);
	}
	heap_unlock();
	heap_release(chain);
}

/**
 * superslab_resize() - change the length of a run where it is
 * @base:  the first slab of a run that superslab_take() returned,
 * @old:   how many slabs it has,
 * @slabs: and how many it is to have, of the last of which
 * @spare: these pages will not be used
 *
 * False if somebody uses what it would need, or a look is about to purge it;
 * then nothing has changed.
 */
bool superslab_resize(uintptr_t base, size_t old, size_t slabs, unsigned spare)
{
	struct request more = { .slabs = slabs > old ? slabs - old : 0, .spare = spare };
	uintptr_t end = base + (slabs < old ? slabs : old) * SLAB_SIZE;
	unsigned left = more.slabs ? 0 : spare; /* of what is the last slab now */
	struct superslab *superslab;
	struct slab *last;
	bool possible;

	if (slabs < old)
		superslab_put(end, old - slabs);
	heap_lock();
	last = address_to_slab(end - SLAB_SIZE);
	superslab = slab_superslab(last);
	possible = runs_have(end, more.slabs);
	if (superslab->claimed >> last->index & 1)
		possible &= !(last->spare & ~left); /* nobody else is to write there */
	if (possible) {
		set_spare(last, left);
		take_locked(&more, end);
	}
	heap_unlock();
	return possible;
}

/* There is no memory behind these pages of slabs in use any more. @flags: HAK_PAGES_* */
static void note_moved(uintptr_t base, size_t size, unsigned flags)
{
	heap_lock();
	for (uintptr_t end = base + size; base < end; base = (base | (SLAB_SIZE - 1)) + 1) {
		struct slab *slab = address_to_slab(base);
		struct superslab *superslab = slab_superslab(slab);
		size_t rest = end - base < SLAB_SIZE ? end - base : SLAB_SIZE;

		superslab->zero &= (bool)(flags & HAK_PAGES_ZERO);
		superslab->purgeable &= (bool)(flags & HAK_PAGES_PURGE);
		if (superslab->purgeable)
			slab->purged |=
				(uint16_t)(ALL_PAGES >> (PAGES_PER_SLAB - rest / PAGE_SIZE));
	}
	heap_unlock();
}

/**
 * superslab_move() - move the memory behind slabs in use to others
 * @from: a slab,
 * @to:   and another; both and what follows are the caller's
 * @size: in bytes, whole pages; of those at @from the contents are lost
 *
 * Returns how many bytes have moved: all, or fewer if the provider refuses.
 */
size_t superslab_move(uintptr_t from, uintptr_t to, size_t size)
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
