/* SPDX-License-Identifier: MIT */
/*
 * Owns all memory of the heap in units of 2 MiB, hands out runs of slabs, and
 * gives empty SuperSlabs back.
 *
 * Each SuperSlab is on the list of its longest run of unused slabs. A request
 * for n slabs takes from the first non-empty lists >= n: always found without
 * searching, and the most broken-up SuperSlabs go first, so that the others
 * have a chance to become empty; of the first few places, the one that has just
 * the memory that is wanted. Full SuperSlabs are on no list; those on list 32
 * are empty: the reserve. A longer run continues into SuperSlabs that are
 * adjacent by address and leaves the rest of the last one usable.
 *
 * Where no neighbours are unused, new ones are mapped, and empty SuperSlabs that
 * lie elsewhere give their memory to them if the provider moves it. Replacing
 * 1000 times one of 64 blocks of 64 KiB to 8 MiB at random, 105 MiB live, then
 * faulted in 250 MiB on Linux instead of 820. (Giving nothing back at all: 214,
 * and twice what is live stays resident.)
 *
 *	unused == 0xffffffff	<=>  run == 32	<=>  counted in `reserve`
 *	clean			  =  part of unused
 *	tails			  =  part of the slabs in use
 *	ripe			  =  part of unused and tails
 *	active			  =  mapped - released
 *	class byte of a slab	  =  0 while it is unused
 *
 * Lock: one, LOCK_SUPERSLAB; the provider and meta_alloc() are called with it
 * dropped. A SuperSlab that is to go is first taken off every list and out of
 * the page map, then unmapped; if the provider refuses, it is put back and
 * stays in the reserve until superslab_release_reserve() asks again.
 *
 * Failure: superslab_take() returns 0 after every unused run was considered.
 */
#include "superslab.h"

#include "lock.h"
#include "meta.h"
#include "pagemap.h"
#include "pages.h"
#include "release.h"
#include "runs.h"
#include "sizeclass.h"

#define ALL_SLABS 0xffffffffu
#define NR_RUNS	  (SLABS_PER_SUPERSLAB + 1)
#define PEAKS	  8u

static struct {
	struct lock lock;
	struct list_node *by_run[NR_RUNS];
	struct list_node *all;
	uint64_t runs;		/* bit n: by_run[n] is not empty */
	uint64_t maps;		/* mappings so far */
	size_t peak[PEAKS];	/* most that were needed at once: since the last look, before ... */
	size_t needed;		/* in use at the last look, and those mapped since */
	struct superslab *look; /* the next one that is looked at */
	size_t dirty;		/* slabs that are unused and not clean, but for the reserve's */
	struct superslab_counters counters;
} heap;

void superslab_lock(void)
{
	lock_acquire(&heap.lock, LOCK_SUPERSLAB);
}

void superslab_unlock(void)
{
	lock_release(&heap.lock, LOCK_SUPERSLAB);
}

/* For fork(). */
void superslab_lock_word(void)
{
	lock_word_acquire(&heap.lock);
}

void superslab_unlock_word(void)
{
	lock_word_release(&heap.lock);
}

/* Slabs that a look might purge. The reserve's go in another way. */
static unsigned dirty_slabs(const struct superslab *superslab)
{
	return superslab->unused == ALL_SLABS ? 0
					      : count_bits(superslab->unused & ~superslab->clean);
}

static void list_by_run(struct superslab *superslab)
{
	superslab->run = (uint8_t)longest_run(superslab->unused);
	if (superslab->run) {
		list_add(&heap.by_run[superslab->run], &superslab->node);
		heap.runs |= (uint64_t)1 << superslab->run;
	}
	if (superslab->run == SLABS_PER_SUPERSLAB)
		heap.counters.reserve++;
	superslab->dirty = (uint8_t)dirty_slabs(superslab);
	heap.dirty += superslab->dirty;
}

static void unlist(struct superslab *superslab)
{
	heap.dirty -= superslab->dirty;
	if (!superslab->run)
		return;
	list_del(&superslab->node);
	if (!heap.by_run[superslab->run])
		heap.runs &= ~((uint64_t)1 << superslab->run);
	if (superslab->run == SLABS_PER_SUPERSLAB)
		heap.counters.reserve--;
}

static void set_unused(struct superslab *superslab, uint32_t unused)
{
	unlist(superslab);
	superslab->unused = unused;
	list_by_run(superslab);
}

/* The part of the slabs from @base on that lies in one SuperSlab, as bits. */
static uint32_t part_of(uintptr_t base, size_t slabs)
{
	unsigned first = (unsigned)(base / SLAB_SIZE % SLABS_PER_SUPERSLAB);
	size_t rest = SLABS_PER_SUPERSLAB - first;

	return bit_run(first, (unsigned)(slabs < rest ? slabs : rest));
}

/* Are all of these slabs unused? They may lie in any number of SuperSlabs. */
static bool run_is_unused(uintptr_t base, size_t slabs)
{
	while (slabs) {
		struct superslab *superslab = pagemap_superslab(base);
		uint32_t part = part_of(base, slabs);

		if (!superslab || part & ~superslab->unused)
			return false;
		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
	}
	return true;
}

static size_t in_use(void)
{
	return heap.counters.active - heap.counters.reserve;
}

/*
 * So many SuperSlabs were needed at once since the last look. Those that were
 * mapped count on top of what was in use then, whatever became empty meanwhile:
 * it did not serve, for want of neighbours, and will be wanted as soon as more
 * of it has come together.
 */
static void note_needed(size_t superslabs)
{
	if (superslabs > heap.peak[0])
		heap.peak[0] = superslabs;
}

/* The most that were needed at once in the last intervals. */
static size_t lately(void)
{
	size_t peak = 0;

	for (unsigned i = 0; i < PEAKS; i++)
		if (heap.peak[i] > peak)
			peak = heap.peak[i];
	return peak;
}

static void take_part(struct superslab *superslab, uint32_t part)
{
	heap.counters.slabs_used += count_bits(part);
	superslab->clean &= ~part;
	superslab->ripe &= ~part;
	set_unused(superslab, superslab->unused & ~part);
	note_needed(in_use());
}

/*
 * The owner of a slab, who does not keep account of its pages, may write to any
 * but @spare from now on, and will not tell which.
 */
static void set_spare(struct superslab *superslab, struct slab *slab, unsigned spare)
{
	uint32_t bit = (uint32_t)1 << slab->index;
	unsigned lost = slab->spare & ~spare;

	heap.counters.retouched += count_bits(slab->purged & lost & ~slab->fresh);
	slab->purged &= (uint16_t)~lost;
	slab->fresh &= (uint16_t)~lost;
	slab->spare = (uint16_t)spare;
	superslab->ripe &= ~bit;
	superslab->tails &= ~bit;
	if (spare & ~slab->purged)
		superslab->tails |= bit;
}

/* The same of slabs that had no owner; @spare is of the last one. */
static void own_pages(struct superslab *superslab, uint32_t slabs, unsigned spare)
{
	for (; slabs; slabs &= slabs - 1) {
		struct slab *slab = &superslab->slab[lowest_bit(slabs)];

		slab->spare = ALL_PAGES;
		set_spare(superslab, slab, slabs & (slabs - 1) ? 0 : spare);
	}
}

/* What is asked for, and what is found. */
struct request {
	size_t slabs, align;
	unsigned spare; /* pages at the end of the last slab that are not wanted */
	unsigned more;	/* so many slabs besides, anywhere near, if there are some */
	bool for_class; /* slabs whose taker keeps account of their pages */
	bool zero;	/* all that was taken reads zero */
	uint32_t part;	/* what was taken of the last SuperSlab */
};

/* Up to @n more unused slabs of a SuperSlab, with memory if @part has some, else without. */
static uint32_t more_like(const struct superslab *superslab, uint32_t part, unsigned n)
{
	uint32_t clean = part & superslab->clean ? superslab->clean : ~superslab->clean;
	uint32_t left = superslab->unused & clean & ~part, more = left;

	while (n-- && left)
		left &= left - 1;
	return more & ~left;
}

/* Take slabs that run_is_unused(). */
static void take_locked(struct request *request, uintptr_t base)
{
	size_t slabs = request->slabs;

	request->zero = true;
	while (slabs) {
		struct superslab *superslab = pagemap_superslab(base);
		uint32_t part = part_of(base, slabs);

		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
		if (request->more)
			part |= more_like(superslab, part, request->more);
		request->zero &= superslab->zero && !(part & ~superslab->clean);
		request->part = part;
		take_part(superslab, part);
		if (!request->for_class)
			own_pages(superslab, part, slabs ? 0 : request->spare);
	}
}

/*
 * How badly does a run of unused slabs suit whoever leaves the @spare pages of
 * its last one alone? The pages that it lacks, and those that it has in vain.
 */
static unsigned misfit(const struct superslab *superslab, unsigned first, unsigned slabs,
		       unsigned spare)
{
	const struct slab *last = &superslab->slab[first + slabs - 1];

	if (superslab->clean & bit_run(first, slabs))
		return slabs * PAGES_PER_SLAB;
	return superslab->purgeable ? count_bits((last->purged ^ spare) & ALL_PAGES) : 0;
}

/* So many runs are compared; the first that suits is taken at once. */
#define CANDIDATES 16u

/*
 * Find a run inside one SuperSlab: of those whose longest run fits best, one
 * that has just the memory that is wanted. What is freed and allocated again
 * then neither faults pages in nor leaves any behind the end of a span.
 */
static uintptr_t find_within(const struct request *request)
{
	unsigned slabs = (unsigned)request->slabs, least = ~0u, seen = 0;
	uint32_t aligned = every((unsigned)(request->align / SLAB_SIZE));
	uint64_t lists = heap.runs & ~(((uint64_t)1 << slabs) - 1);
	uintptr_t best = 0;

	for (; lists; lists &= lists - 1) {
		struct list_node *node = heap.by_run[lowest_bit(lists)];

		for (; node && least && seen < CANDIDATES; node = node->next) {
			struct superslab *superslab = list_entry(node, struct superslab, node);
			uint32_t starts = run_starts(superslab->unused, slabs) & aligned;
			uint32_t dirty =
				starts & run_starts(superslab->unused & ~superslab->clean, slabs);

			/* of those that need new memory, the lowest stands for all */
			for (starts = dirty ? dirty : starts & -starts; starts && least;
			     starts &= starts - 1, seen++) {
				unsigned first = lowest_bit(starts);
				unsigned pages = misfit(superslab, first, slabs, request->spare);

				if (pages >= least)
					continue;
				least = pages;
				best = superslab->base + first * SLAB_SIZE;
			}
		}
	}
	return best;
}

/*
 * Find a run that crosses from one SuperSlab into the next, or is aligned to
 * more than one. Looks at all of them, so it is asked only for runs that the
 * lists cannot answer for, or when there is no other memory.
 */
static uintptr_t find_across(size_t slabs, size_t align)
{
	for (struct list_node *node = heap.all; node; node = node->next) {
		struct superslab *superslab = list_entry(node, struct superslab, all);
		uint32_t used = ~superslab->unused;
		unsigned tail = used ? highest_bit(used) + 1 : 0;
		uintptr_t first = ALIGN_UP(superslab->base, align);
		uintptr_t base = ALIGN_UP(superslab->base + tail * SLAB_SIZE, align);

		if (base < superslab->base + SUPERSLAB_SIZE && run_is_unused(base, slabs))
			return base;
		if (first == superslab->base && run_is_unused(first, slabs))
			return first; /* aligned to more than a SuperSlab */
	}
	return 0;
}

/* From so many slabs on, new memory costs more than looking at all SuperSlabs. */
#define ACROSS_LEAST 8u

/* Cheap places first; @hard looks everywhere. */
static uintptr_t take_unused(struct request *request, bool hard)
{
	size_t slabs = request->slabs, align = request->align;
	bool fits = slabs <= SLABS_PER_SUPERSLAB && align <= SUPERSLAB_SIZE;
	bool across = hard || !fits || slabs >= ACROSS_LEAST;
	uintptr_t base = 0;

	superslab_lock();
	if (fits)
		base = find_within(request);
	if (!base && across)
		base = find_across(slabs, align);
	if (base)
		take_locked(request, base);
	superslab_unlock();
	return base;
}

static void superslab_init(struct superslab *superslab, uintptr_t base,
			   const struct hak_mapping *mapping, size_t map_size)
{
	superslab->base = base;
	superslab->map_base = (uintptr_t)mapping->base;
	superslab->map_size = map_size;
	superslab->map_id = heap.maps;
	superslab->unused = ALL_SLABS;
	superslab->clean = ALL_SLABS;
	superslab->zero = mapping->flags & HAK_PAGES_ZERO;
	superslab->purgeable = mapping->flags & HAK_PAGES_PURGE;
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
	pagemap_set_superslab(superslab->base, superslab);
	list_add(&heap.all, &superslab->all);
	list_by_run(superslab);
	if (++heap.counters.active > heap.counters.peak)
		heap.counters.peak = heap.counters.active;
}

static void unregister_locked(struct superslab *superslab)
{
	if (heap.look == superslab)
		heap.look = superslab_next(superslab);
	unlist(superslab);
	list_del(&superslab->all);
	pagemap_set_superslab(superslab->base, NULL);
	heap.counters.active--;
}

/*
 * May this empty SuperSlab be unmapped? If the provider takes back only whole
 * mappings, all the others of its mapping must be empty too.
 */
static bool is_unmappable(const struct superslab *superslab)
{
	if (superslab->refused)
		return false;
	if (pages_unmaps_parts() || superslab->map_size == SUPERSLAB_SIZE)
		return true;
	return run_is_unused(superslab->map_base, superslab->map_size / SLAB_SIZE);
}

/* Take an empty SuperSlab, or all of its mapping, out and append it to a chain. */
static void collect_locked(struct superslab *superslab, struct list_node ***tail)
{
	uintptr_t base = superslab->base, end = base + SUPERSLAB_SIZE;

	if (!pages_unmaps_parts()) {
		base = superslab->map_base;
		end = base + superslab->map_size;
	}
	for (; base < end; base += SUPERSLAB_SIZE) {
		superslab = pagemap_superslab(base);
		unregister_locked(superslab);
		superslab->node.next = NULL;
		**tail = &superslab->node;
		*tail = &superslab->node.next;
	}
}

/* The provider would not have it: it is ours, and dirty, until the next trim. */
static void keep_refused(struct list_node *chain)
{
	superslab_lock();
	for (struct list_node *next; chain; chain = next) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);

		next = chain->next;
		superslab->refused = true;
		superslab->clean = 0;
		for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++)
			superslab->slab[i].purged = superslab->slab[i].fresh = 0;
		register_locked(superslab);
		heap.counters.refused++;
	}
	superslab_unlock();
}

/* Unmap a chain of collected SuperSlabs, neighbours of one mapping together. */
static size_t release(struct list_node *chain)
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
	superslab_lock();
	heap.counters.released += released / SUPERSLAB_SIZE;
	superslab_unlock();
	return released;
}

/* An empty SuperSlab of the reserve that has memory, taken out; NULL: none. */
static struct superslab *withdraw_reserve(void)
{
	struct superslab *superslab = NULL;

	superslab_lock();
	for (struct list_node *node = heap.by_run[SLABS_PER_SUPERSLAB]; node && !superslab;
	     node = node->next) {
		superslab = list_entry(node, struct superslab, node);
		if (superslab->clean == ALL_SLABS || !pages_unmaps_parts() || superslab->refused)
			superslab = NULL;
	}
	if (superslab)
		unregister_locked(superslab);
	superslab_unlock();
	return superslab;
}

/*
 * New memory at @base, taken as a whole: what empty SuperSlabs that are no
 * neighbours have moves there, so that it need not be got again page by page.
 * Returns whether any has.
 */
static bool furnish(uintptr_t base, size_t superslabs)
{
	struct superslab *superslab;
	bool moved = false;

	for (; superslabs && (superslab = withdraw_reserve()); superslabs--) {
		if (pages_move((void *)superslab->base, (void *)base, SUPERSLAB_SIZE) < 0) {
			superslab_lock();
			register_locked(superslab);
			superslab_unlock();
			break;
		}
		superslab->node.next = NULL;
		release(&superslab->node);
		base += SUPERSLAB_SIZE;
		moved = true;
	}
	return moved;
}

/* Map enough for the slabs asked for, and take them from its start. */
static uintptr_t take_new(struct request *request)
{
	size_t count = DIV_ROUND_UP(request->slabs, SLABS_PER_SUPERSLAB);
	struct hak_mapping mapping;
	struct list_node *chain = descriptor_map(count, request->align, &mapping);
	uintptr_t base;

	if (!chain)
		return 0;
	base = (uintptr_t)mapping.base;
	superslab_lock();
	if (pagemap_overlaps(base, count * SUPERSLAB_SIZE)) {
		/* the provider gave it to two at once, and the other was faster */
		superslab_unlock();
		pages_disown(count * SUPERSLAB_SIZE);
		descriptor_free(chain);
		return 0;
	}
	heap.maps++;
	for (size_t i = 0; i < count; i++) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);

		chain = chain->next;
		superslab_init(superslab, base + i * SUPERSLAB_SIZE, &mapping,
			       count * SUPERSLAB_SIZE);
		register_locked(superslab);
	}
	heap.counters.mapped += count;
	heap.needed += count;
	note_needed(heap.needed);
	take_locked(request, base);
	superslab_unlock();
	request->zero &= !furnish(base, request->slabs / SLABS_PER_SUPERSLAB);
	return base;
}

static uintptr_t take(struct request *request)
{
	uintptr_t base = take_unused(request, false);

	if (!base)
		base = take_new(request);
	if (!base)
		base = take_unused(request, true);
	return base;
}

/**
 * superslab_take() - take a run of unused slabs
 * @slabs: how many
 * @spare: which pages of the last one will not be used
 * @align: of the first, a power of two >= SLAB_SIZE
 * @zero:  set to whether all of it is known to read zero
 *
 * Unused slabs before new SuperSlabs, and when there are none of these either,
 * a run across the edge of two. Returns the address of the first, or 0.
 */
uintptr_t superslab_take(size_t slabs, unsigned spare, size_t align, bool *zero)
{
	struct request request = { .slabs = slabs, .spare = spare, .align = align };
	uintptr_t base = take(&request);

	*zero = request.zero;
	return base;
}

/**
 * superslab_take_slabs() - take unused slabs for the blocks of a class
 * @n: how many would be welcome, at least 1
 *
 * Returns a chain of slabs of one SuperSlab through node.next, whose `purged`
 * and `fresh` are right and are the caller's to keep so; NULL if there is none.
 */
struct list_node *superslab_take_slabs(unsigned n)
{
	struct request request = {
		.slabs = 1, .align = SLAB_SIZE, .more = n - 1, .for_class = true
	};
	uintptr_t base = take(&request);
	struct list_node *chain = NULL;
	struct superslab *superslab;

	if (!base)
		return NULL;
	superslab = pagemap_superslab(base);
	for (uint32_t part = request.part; part; part &= ~((uint32_t)1 << highest_bit(part))) {
		struct slab *slab = &superslab->slab[highest_bit(part)];

		slab->node.next = chain;
		chain = &slab->node;
	}
	return chain;
}

/* Those of the slabs all of whose pages were given back, or never touched. */
static uint32_t clean_slabs(const struct superslab *superslab, uint32_t slabs)
{
	uint32_t clean = 0;

	for (; slabs; slabs &= slabs - 1)
		if (superslab->slab[lowest_bit(slabs)].purged == ALL_PAGES)
			clean |= slabs & -slabs;
	return clean;
}

/*
 * A part of a SuperSlab is unused from now on, or once it is purged. If the
 * SuperSlab can be unmapped: to @tail.
 */
static void put_part(struct superslab *superslab, uint32_t part, struct list_node ***tail)
{
	size_t reserve = heap.counters.reserve;

	heap.counters.emptied += (superslab->unused | part) == ALL_SLABS;
	superslab->late |= part & superslab->busy;
	part &= ~superslab->busy;
	superslab->tails &= ~part;
	superslab->ripe &= ~part;
	superslab->clean |= clean_slabs(superslab, part);
	heap.counters.slabs_used -= count_bits(part);
	set_unused(superslab, superslab->unused | part);
	if (superslab->unused == ALL_SLABS && !release_keeps(reserve, in_use(), lately()) &&
	    is_unmappable(superslab))
		collect_locked(superslab, tail);
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
	superslab_lock();
	while (slabs) {
		uint32_t part = part_of(base, slabs);

		put_part(pagemap_superslab(base), part, &tail);
		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
	}
	superslab_unlock();
	release(chain);
}

/* The same of single slabs, chained through node.next; neighbours in the chain at once. */
void superslab_put_slabs(struct list_node *slabs)
{
	struct list_node *chain = NULL, **tail = &chain;

	for (struct list_node *node = slabs; node; node = node->next)
		pagemap_set_class(slab_base(list_entry(node, struct slab, node)), 1, CLASS_NONE);
	superslab_lock();
	while (slabs) {
		struct superslab *superslab = slab_superslab(list_entry(slabs, struct slab, node));
		uint32_t part = 0;

		do {
			part |= (uint32_t)1 << list_entry(slabs, struct slab, node)->index;
			slabs = slabs->next;
		} while (slabs &&
			 slab_superslab(list_entry(slabs, struct slab, node)) == superslab);
		put_part(superslab, part, &tail);
	}
	superslab_unlock();
	release(chain);
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
	superslab_lock();
	superslab = pagemap_superslab(end - SLAB_SIZE);
	last = superslab_slab(superslab, end - SLAB_SIZE);
	possible = run_is_unused(end, more.slabs);
	if (superslab->busy >> last->index & 1)
		possible &= !(last->spare & ~left); /* nobody else is to write there */
	if (possible) {
		set_spare(superslab, last, left);
		take_locked(&more, end);
	}
	superslab_unlock();
	return possible;
}

/* There is no memory behind these pages of slabs in use any more. @flags: HAK_PAGES_* */
static void note_moved(uintptr_t base, size_t size, unsigned flags)
{
	superslab_lock();
	for (uintptr_t end = base + size; base < end; base = (base | (SLAB_SIZE - 1)) + 1) {
		struct superslab *superslab = pagemap_superslab(base);
		size_t rest = end - base < SLAB_SIZE ? end - base : SLAB_SIZE;

		superslab->zero &= (bool)(flags & HAK_PAGES_ZERO);
		superslab->purgeable &= (bool)(flags & HAK_PAGES_PURGE);
		if (superslab->purgeable)
			superslab_slab(superslab, base)->purged |=
				(uint16_t)(ALL_PAGES >> (PAGES_PER_SLAB - rest / PAGE_SIZE));
	}
	superslab_unlock();
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
	unsigned all = HAK_PAGES_ZERO | HAK_PAGES_PURGE;
	size_t done = 0;

	while (done < size) {
		size_t part = size - done;
		int flags;

		/* not across an edge, here or there */
		if (part > SUPERSLAB_SIZE - (from + done) % SUPERSLAB_SIZE)
			part = SUPERSLAB_SIZE - (from + done) % SUPERSLAB_SIZE;
		if (part > SUPERSLAB_SIZE - (to + done) % SUPERSLAB_SIZE)
			part = SUPERSLAB_SIZE - (to + done) % SUPERSLAB_SIZE;
		flags = pages_move((void *)(from + done), (void *)(to + done), part);
		if (flags < 0)
			break;
		all &= (unsigned)flags;
		done += part;
	}
	note_moved(from, done, all);
	return done;
}

/* Release empty SuperSlabs until @keep are left; bytes. */
static size_t release_down_to(size_t keep)
{
	struct list_node *chain = NULL, **tail = &chain;
	struct list_node *node, *next;

	superslab_lock();
	for (node = heap.by_run[SLABS_PER_SUPERSLAB]; node && heap.counters.reserve > keep;
	     node = next) {
		struct superslab *superslab = list_entry(node, struct superslab, node);

		next = node->next;
		if (!is_unmappable(superslab))
			continue;
		collect_locked(superslab, &tail);
		next = heap.by_run[SLABS_PER_SUPERSLAB]; /* its neighbours went too */
	}
	superslab_unlock();
	return release(chain);
}

/**
 * superslab_release_reserve() - release empty SuperSlabs, also those refused before
 *
 * Returns bytes.
 */
size_t superslab_release_reserve(void)
{
	superslab_lock();
	for (struct list_node *node = heap.by_run[SLABS_PER_SUPERSLAB]; node; node = node->next)
		list_entry(node, struct superslab, node)->refused = false;
	superslab_unlock();
	return release_down_to(0);
}

/**
 * superslab_age_reserve() - an interval is over
 *
 * Releases the empty SuperSlabs that were not needed in the last ones. Returns
 * whether some stay that were.
 */
bool superslab_age_reserve(void)
{
	bool ageing;
	size_t keep;

	superslab_lock();
	keep = release_reserve(in_use(), lately());
	ageing = keep && heap.counters.reserve;
	for (unsigned i = PEAKS - 1; i; i--)
		heap.peak[i] = heap.peak[i - 1];
	heap.peak[0] = heap.needed = in_use();
	superslab_unlock();
	release_down_to(keep);
	return ageing;
}

/* Looks begin with the first of all SuperSlabs. */
void superslab_look_first(void)
{
	superslab_lock();
	heap.look = superslab_first();
	superslab_unlock();
}

/*
 * What is there of a SuperSlab that could be purged, as bits of slabs? An empty
 * SuperSlab that can be unmapped is not purged: the reserve ages by itself.
 */
static uint32_t purgeable_slabs(const struct superslab *superslab, bool all)
{
	uint32_t dirty = superslab->unused & ~superslab->clean;

	if (!superslab->purgeable || superslab->unpurged)
		return 0;
	if (superslab->unused == ALL_SLABS)
		return is_unmappable(superslab) ? 0 : dirty;
	if (!all && release_is_compact(heap.counters.slabs_used, heap.dirty))
		dirty = 0;
	return dirty | superslab->tails;
}

static void look_locked(struct superslab_look *look, bool all)
{
	struct superslab *superslab = look->superslab;
	uint32_t purgeable, ready;

	superslab->unpurged &= !all;
	purgeable = purgeable_slabs(superslab, all);
	ready = purgeable & (all ? ALL_SLABS : superslab->ripe | superslab->tails);
	superslab->ripe = purgeable & ~ready;
	look->ripening = superslab->ripe;
	look->unused = ready & superslab->unused;
	look->tails = ready & superslab->tails;
	for (uint32_t slabs = ready; slabs; slabs &= slabs - 1) {
		const struct slab *slab = &superslab->slab[lowest_bit(slabs)];
		bool in_use = look->tails >> slab->index & 1;

		look->pages[slab->index] = (in_use ? slab->spare : ALL_PAGES) & ~slab->purged;
	}
	superslab->busy = look->tails;
	if (look->unused)
		take_part(superslab, look->unused);
}

/**
 * superslab_look_next() - look at the next SuperSlab
 * @all: also at what was in use a moment ago
 *
 * Takes those of its unused slabs that can be purged; they count as used until
 * superslab_look_done(), so that no lock has to be held. For the same reason
 * the slabs whose spare pages can be purged stay in use until then, should
 * their spans be freed. False if there is none left to look at.
 */
bool superslab_look_next(struct superslab_look *look, bool all)
{
	superslab_lock();
	*look = (struct superslab_look){ .superslab = heap.look };
	if (heap.look) {
		heap.look = superslab_next(heap.look);
		look_locked(look, all);
	}
	superslab_unlock();
	return look->superslab;
}

/**
 * superslab_purge() - purge the pages of a look
 *
 * Neighbours in one call of the provider. Returns the HAK_PAGES_* that hold for
 * all of them, or a negative value if it refused any: then all count as
 * unpurged, and no more is asked for in this SuperSlab.
 */
int superslab_purge(const struct superslab_look *look)
{
	uintptr_t base = look->superslab->base;
	unsigned page = 0, end = SLABS_PER_SUPERSLAB * PAGES_PER_SLAB;
	int flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;

	while (page < end && flags >= 0) {
		unsigned first = page;

		while (page < end &&
		       look->pages[page / PAGES_PER_SLAB] >> page % PAGES_PER_SLAB & 1)
			page++;
		if (page > first) {
			int now = pages_purge((void *)(base + first * PAGE_SIZE),
					      (page - first) * PAGE_SIZE);

			flags = now < 0 ? now : flags & now;
		} else {
			page++;
		}
	}
	return flags;
}

/* Note how the purge went, and return the slabs that are unused. @flags: of superslab_purge(). */
void superslab_look_done(const struct superslab_look *look, int flags)
{
	struct list_node *chain = NULL, **tail = &chain;
	struct superslab *superslab = look->superslab;
	uint32_t unused;

	superslab_lock();
	superslab->unpurged = flags < 0;
	superslab->purgeable = flags < 0 || flags & HAK_PAGES_PURGE;
	superslab->zero &= flags < 0 || flags & HAK_PAGES_ZERO;
	for (uint32_t slabs = look->unused | look->tails; slabs && flags >= 0; slabs &= slabs - 1) {
		struct slab *slab = &superslab->slab[lowest_bit(slabs)];

		slab->purged |= look->pages[slab->index];
		slab->fresh &= (uint16_t)~look->pages[slab->index];
		if (!(slab->spare & ~slab->purged))
			superslab->tails &= ~(slabs & -slabs);
	}
	unused = look->unused | superslab->late;
	superslab->busy = 0;
	superslab->late = 0;
	if (unused)
		put_part(superslab, unused, &tail);
	superslab_unlock();
	release(chain);
}

/* Walking all SuperSlabs, under superslab_lock(). */
struct superslab *superslab_first(void)
{
	return heap.all ? list_entry(heap.all, struct superslab, all) : NULL;
}

struct superslab *superslab_next(struct superslab *superslab)
{
	return superslab->all.next ? list_entry(superslab->all.next, struct superslab, all) : NULL;
}

void superslab_read_counters(struct superslab_counters *counters)
{
	superslab_lock();
	*counters = heap.counters;
	superslab_unlock();
}

/*
 * Bytes of the heap that are backed by memory. The provider is asked with the
 * lock dropped, a batch at a time; what comes or goes meanwhile may be missed.
 */
uint64_t superslab_resident(void)
{
	uintptr_t batch[32];
	size_t done = 0, skip, n, bytes;
	uint64_t sum = 0;

	do {
		n = 0;
		skip = done;
		superslab_lock();
		for (struct list_node *node = heap.all; node && n < ARRAY_SIZE(batch);
		     node = node->next)
			if (!skip)
				batch[n++] = list_entry(node, struct superslab, all)->base;
			else
				skip--;
		superslab_unlock();
		done += n;
		for (size_t i = 0; i < n; i++)
			sum += pages_resident((void *)batch[i], SUPERSLAB_SIZE, &bytes) ==
					       PAGES_UNKNOWN
				       ? SUPERSLAB_SIZE
				       : bytes;
	} while (n);
	return sum;
}

static const char *check_one(struct superslab *superslab)
{
	if (pagemap_superslab(superslab->base) != superslab)
		return "page map: entry of a SuperSlab";
	if (superslab->run != longest_run(superslab->unused))
		return "SuperSlab: longest run";
	if (superslab->clean & ~superslab->unused)
		return "SuperSlab: clean slabs that are in use";
	if (superslab->tails & superslab->unused)
		return "SuperSlab: spare pages of unused slabs";
	if (superslab->ripe & ~(superslab->unused | superslab->tails))
		return "SuperSlab: ripe slabs without anything to purge";
	if (superslab->purgeable && clean_slabs(superslab, superslab->unused) != superslab->clean)
		return "SuperSlab: clean slabs and slabs without memory";
	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++)
		if (superslab->unused >> i & 1 &&
		    pagemap_class(superslab->base + i * SLAB_SIZE) != CLASS_NONE)
			return "page map: class of an unused slab";
	return NULL;
}

static const char *check_list(unsigned run)
{
	if (!heap.by_run[run] != !(heap.runs >> run & 1))
		return "SuperSlab lists: the mask of lists";
	for (struct list_node *node = heap.by_run[run]; node; node = node->next)
		if (list_entry(node, struct superslab, node)->run != run)
			return "SuperSlab lists: a SuperSlab on the wrong one";
	return NULL;
}

/* The equations at the head of this file; NULL, or the one that fails. */
const char *superslab_check(void)
{
	uint64_t active = 0, listed = 0, used = 0, reserve = 0, dirty = 0;
	const char *failed = NULL;
	struct superslab *superslab;

	superslab_lock();
	for (superslab = superslab_first(); superslab && !failed;
	     superslab = superslab_next(superslab)) {
		failed = check_one(superslab);
		active++;
		listed += superslab->run != 0;
		used += count_bits(~superslab->unused);
		reserve += superslab->unused == ALL_SLABS;
		dirty += superslab->unused == ALL_SLABS
				 ? 0
				 : count_bits(superslab->unused & ~superslab->clean);
	}
	for (unsigned run = 1; run < NR_RUNS && !failed; run++) {
		failed = check_list(run);
		for (struct list_node *node = heap.by_run[run]; node; node = node->next)
			listed--;
	}
	if (!failed && listed)
		failed = "SuperSlab lists: one missing or too many";
	if (!failed && (active != heap.counters.active || reserve != heap.counters.reserve ||
			active != heap.counters.mapped - heap.counters.released))
		failed = "SuperSlab counters: active or reserve";
	if (!failed && used != heap.counters.slabs_used)
		failed = "SuperSlab counters: slabs used";
	if (!failed && dirty != heap.dirty)
		failed = "SuperSlab counters: slabs that are unused and not clean";
	superslab_unlock();
	return failed;
}

/* Everything goes, used or not. */
void superslab_fini(void)
{
	struct list_node *chain = NULL, **tail = &chain;

	superslab_lock();
	while (heap.all)
		collect_locked(superslab_first(), &tail);
	superslab_unlock();
	release(chain);
	__builtin_memset(&heap, 0, sizeof(heap));
}
