/* SPDX-License-Identifier: MIT */
/*
 * Owns all memory of the heap in units of 2 MiB, hands out runs of slabs, and
 * gives empty SuperSlabs back.
 *
 * Each SuperSlab is on the list of its longest run of unused slabs. A request
 * for n slabs takes from the first non-empty list >= n: always found without
 * searching, best fit, and the most broken-up SuperSlab goes first, so that
 * the others have a chance to become empty. Full ones are on no list; those on
 * list 32 are empty: the reserve. A longer run continues into SuperSlabs that
 * are adjacent by address and leaves the rest of the last one usable.
 *
 *	unused == 0xffffffff	<=>  run == 32	<=>  counted in `reserve`
 *	clean, ripe		  =  parts of unused
 *	active			  =  mapped - released
 *	class byte of a slab	  =  0 while it is unused
 *
 * Lock: one, LOCK_SUPERSLAB; the provider and meta_alloc() are called with it
 * dropped. A SuperSlab that is to go is first taken off every list and out of
 * the page map, then unmapped; if the provider refuses, it is put back and
 * stays in the reserve until superslab_trim() asks again.
 *
 * Failure: superslab_take() returns 0 after every unused run was considered.
 */
#include "superslab.h"

#include "lock.h"
#include "meta.h"
#include "pagemap.h"
#include "pages.h"
#include "release.h"
#include "sizeclass.h"

#define ALL_SLABS 0xffffffffu
#define NR_RUNS	  (SLABS_PER_SUPERSLAB + 1)

static struct {
	struct lock lock;
	struct list_node *by_run[NR_RUNS];
	struct list_node *all;
	uint64_t runs;		/* bit n: by_run[n] is not empty */
	uint64_t maps;		/* mappings so far */
	size_t peak;		/* most that were in use at once since the last look */
	struct superslab *look; /* the next one that is looked at */
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

/* Bits at which a run of @n set bits of @mask starts. */
static uint32_t run_starts(uint32_t mask, unsigned n)
{
	unsigned have = 1;

	/* after each step a bit stands for `have` set bits from it upwards */
	while (have < n) {
		unsigned step = have < n - have ? have : n - have;

		mask &= mask >> step;
		have += step;
	}
	return mask;
}

static unsigned longest_run(uint32_t mask)
{
	unsigned n = 0;

	while (mask) {
		mask &= mask >> 1;
		n++;
	}
	return n;
}

/* The bits 0, @step, 2 * @step ... for a power of two @step <= 32. */
static uint32_t every(unsigned step)
{
	uint32_t mask = 1;

	for (; step < SLABS_PER_SUPERSLAB; step <<= 1)
		mask |= mask << step;
	return mask;
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
}

static void unlist(struct superslab *superslab)
{
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

static void take_part(struct superslab *superslab, uint32_t part)
{
	heap.counters.slabs_used += count_bits(part);
	superslab->clean &= ~part;
	superslab->ripe &= ~part;
	set_unused(superslab, superslab->unused & ~part);
	if (in_use() > heap.peak)
		heap.peak = in_use();
}

/* It is not known any more what is behind these slabs. How many pages were purged? */
static unsigned forget_pages(struct superslab *superslab, uint32_t part)
{
	unsigned purged = 0;

	for (; part; part &= part - 1) {
		struct slab *slab = &superslab->slab[lowest_bit(part)];

		purged += count_bits(slab->purged & ~slab->fresh);
		slab->purged = 0;
		slab->fresh = 0;
	}
	return purged;
}

/*
 * Take slabs that run_is_unused(); do they all read zero? Whoever does not keep
 * account of their pages may write to any of them, and will not tell which.
 */
static bool take_run_locked(uintptr_t base, size_t slabs, bool knows_pages)
{
	bool zero = true;

	while (slabs) {
		struct superslab *superslab = pagemap_superslab(base);
		uint32_t part = part_of(base, slabs);

		zero &= superslab->zero && !(part & ~superslab->clean);
		take_part(superslab, part);
		if (!knows_pages)
			heap.counters.retouched += forget_pages(superslab, part);
		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
	}
	return zero;
}

/* Of the places for a run, the lowest that needs no new memory, or the lowest. */
static unsigned best_start(const struct superslab *superslab, uint32_t starts, unsigned slabs)
{
	uint32_t dirty = starts & run_starts(superslab->unused & ~superslab->clean, slabs);

	return lowest_bit(dirty ? dirty : starts);
}

/* Find a run inside one SuperSlab: the one whose longest run fits best. */
static uintptr_t find_within(size_t slabs, unsigned step)
{
	uint64_t lists = heap.runs & ~(((uint64_t)1 << slabs) - 1);

	for (; lists; lists &= lists - 1) {
		struct list_node *node = heap.by_run[lowest_bit(lists)];

		/* more than one turn only for alignments above that of slabs */
		for (; node; node = node->next) {
			struct superslab *superslab = list_entry(node, struct superslab, node);
			uint32_t starts = run_starts(superslab->unused, (unsigned)slabs);

			starts &= every(step);
			if (starts)
				return superslab->base +
				       best_start(superslab, starts, (unsigned)slabs) * SLAB_SIZE;
		}
	}
	return 0;
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

/* What is asked for, and what is found. */
struct request {
	size_t slabs, align;
	bool knows_pages; /* the taker keeps account of the pages of its slab */
	bool zero;	  /* all that was taken reads zero */
};

static void take_locked(struct request *request, uintptr_t base)
{
	request->zero = take_run_locked(base, request->slabs, request->knows_pages);
}

/* Cheap places first; @hard looks everywhere. */
static uintptr_t take_unused(struct request *request, bool hard)
{
	size_t slabs = request->slabs, align = request->align;
	bool fits = slabs <= SLABS_PER_SUPERSLAB && align <= SUPERSLAB_SIZE;
	uintptr_t base = 0;

	superslab_lock();
	if (fits)
		base = find_within(slabs, (unsigned)(align / SLAB_SIZE));
	if (!base && (hard || !fits))
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

/* Make sure that the page map has leaves for @size bytes from @base on. */
static bool reserve_leaves(uintptr_t base, size_t size)
{
	uintptr_t step = (uintptr_t)1 << HAK_LEAF_BITS;

	for (uintptr_t address = base; address < base + size;
	     address = (address | (step - 1)) + 1) {
		struct pagemap_leaf *leaf;

		if (pagemap_leaf(address))
			continue;
		leaf = meta_alloc(META_LEAF, sizeof(*leaf));
		if (!leaf)
			return false;
		if (!pagemap_add_leaf(address, leaf))
			meta_free(META_LEAF, leaf);
	}
	return true;
}

static void free_descriptors(struct list_node *chain)
{
	for (struct list_node *next; chain; chain = next) {
		next = chain->next;
		meta_free(META_SUPERSLAB, list_entry(chain, struct superslab, node));
	}
}

/* A chain of @count descriptors through node.next; NULL if there are too few. */
static struct list_node *alloc_descriptors(size_t count)
{
	struct list_node *chain = NULL;

	while (count--) {
		struct superslab *superslab = meta_alloc(META_SUPERSLAB, sizeof(*superslab));

		if (!superslab) {
			free_descriptors(chain);
			return NULL;
		}
		superslab->node.next = chain;
		chain = &superslab->node;
	}
	return chain;
}

/* So many records are taken before it is known whether there is memory. */
#define EARLY_DESCRIPTORS 16u

/*
 * Map @count SuperSlabs and get all the records for them; NULL if any of it
 * cannot be had. The records come first, because some providers take nothing
 * back; but not when they are many, because records are never given back
 * either. Whether the memory overlaps what we have is asked last, when no
 * record can be put into it any more.
 */
static struct list_node *map_superslabs(size_t count, size_t align, struct hak_mapping *mapping)
{
	size_t size = count * SUPERSLAB_SIZE;
	bool early = count <= EARLY_DESCRIPTORS;
	struct list_node *chain = early ? alloc_descriptors(count) : NULL;
	uintptr_t base;
	bool have_leaves;

	if ((early && !chain) || !pages_map(size, align < SUPERSLAB_SIZE ? SUPERSLAB_SIZE : align,
					    HAK_WANT_HEAP, mapping)) {
		free_descriptors(chain);
		return NULL;
	}
	base = (uintptr_t)mapping->base;
	have_leaves = reserve_leaves(base, size);
	if (!early)
		chain = alloc_descriptors(count);
	if (pagemap_overlaps(base, size) || meta_overlaps(mapping->base, size))
		pages_disown(size);
	else if (chain && have_leaves)
		return chain;
	else
		pages_unmap(mapping->base, size);
	free_descriptors(chain);
	return NULL;
}

/* Map enough for the slabs asked for, and take them from its start. */
static uintptr_t take_new(struct request *request)
{
	size_t count = DIV_ROUND_UP(request->slabs, SLABS_PER_SUPERSLAB);
	struct hak_mapping mapping;
	struct list_node *chain = map_superslabs(count, request->align, &mapping);
	uintptr_t base;

	if (!chain)
		return 0;
	base = (uintptr_t)mapping.base;
	superslab_lock();
	if (pagemap_overlaps(base, count * SUPERSLAB_SIZE)) {
		/* the provider gave it to two at once, and the other was faster */
		superslab_unlock();
		pages_disown(count * SUPERSLAB_SIZE);
		free_descriptors(chain);
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
	take_locked(request, base);
	superslab_unlock();
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
 * @align: of the first, a power of two >= SLAB_SIZE
 * @zero:  set to whether all of it is known to read zero
 *
 * Unused slabs before new SuperSlabs, and when there are none of these either,
 * a run across the edge of two. Returns the address of the first, or 0.
 */
uintptr_t superslab_take(size_t slabs, size_t align, bool *zero)
{
	struct request request = { .slabs = slabs, .align = align };
	uintptr_t base = take(&request);

	*zero = request.zero;
	return base;
}

/* Take one for blocks; its `purged` and `fresh` are right, and remain so. NULL: none. */
struct slab *superslab_take_slab(void)
{
	struct request request = { .slabs = 1, .align = SLAB_SIZE, .knows_pages = true };
	uintptr_t base = take(&request);

	return base ? superslab_slab(pagemap_superslab(base), base) : NULL;
}

/* Take these very slabs, if nobody uses them: how a span grows where it is. */
bool superslab_take_at(uintptr_t base, size_t slabs)
{
	bool taken;

	superslab_lock();
	taken = run_is_unused(base, slabs);
	if (taken)
		take_run_locked(base, slabs, false);
	superslab_unlock();
	return taken;
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
		forget_pages(superslab, ALL_SLABS);
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
			free_descriptors(chain);
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

/* Those of the slabs all of whose pages were given back, or never touched. */
static uint32_t clean_slabs(const struct superslab *superslab, uint32_t slabs)
{
	uint32_t clean = 0;

	for (; slabs; slabs &= slabs - 1)
		if (superslab->slab[lowest_bit(slabs)].purged == ALL_PAGES)
			clean |= slabs & -slabs;
	return clean;
}

/* A part of a SuperSlab is unused from now on. If it can be unmapped: to @tail. */
static void put_part(struct superslab *superslab, uint32_t part, struct list_node ***tail)
{
	size_t reserve = heap.counters.reserve;

	heap.counters.slabs_used -= count_bits(part);
	superslab->clean |= clean_slabs(superslab, part);
	set_unused(superslab, superslab->unused | part);
	if (superslab->unused == ALL_SLABS && !release_keeps(reserve, in_use(), heap.peak) &&
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
		struct superslab *superslab = pagemap_superslab(base);
		uint32_t part = part_of(base, slabs);

		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
		heap.counters.emptied += (superslab->unused | part) == ALL_SLABS;
		put_part(superslab, part, &tail);
	}
	superslab_unlock();
	release(chain);
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
 * Releases the empty SuperSlabs that were not needed in it. Returns whether
 * some stay that were.
 */
bool superslab_age_reserve(void)
{
	bool ageing;
	size_t keep;

	superslab_lock();
	keep = release_reserve(in_use(), heap.peak);
	ageing = keep && heap.counters.reserve;
	heap.peak = in_use();
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

/**
 * superslab_look_next() - look at the next SuperSlab
 * @all: also at what was in use a moment ago
 *
 * Takes those of its unused slabs that can be purged; they count as used until
 * superslab_look_done(), so that no lock has to be held. An empty SuperSlab
 * that can be unmapped is not purged: the reserve ages by itself. False if
 * there is none left to look at.
 */
bool superslab_look_next(struct superslab_look *look, bool all)
{
	struct superslab *superslab;
	uint32_t dirty = 0;

	superslab_lock();
	superslab = heap.look;
	*look = (struct superslab_look){ .superslab = superslab };
	if (superslab) {
		heap.look = superslab_next(superslab);
		superslab->unpurged &= !all;
		if (superslab->purgeable && !superslab->unpurged &&
		    (superslab->unused != ALL_SLABS || !is_unmappable(superslab)))
			dirty = superslab->unused & ~superslab->clean;
		look->unused = all ? dirty : dirty & superslab->ripe;
		superslab->ripe = dirty & ~look->unused;
		look->ripening = superslab->ripe;
		if (look->unused)
			take_part(superslab, look->unused);
	}
	superslab_unlock();
	for (uint32_t slabs = look->unused; slabs; slabs &= slabs - 1)
		look->pages[lowest_bit(slabs)] =
			ALL_PAGES & ~superslab->slab[lowest_bit(slabs)].purged;
	return superslab;
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

/* Note how the purge went, and return the unused slabs. @flags: of superslab_purge(). */
void superslab_look_done(const struct superslab_look *look, int flags)
{
	struct list_node *chain = NULL, **tail = &chain;
	struct superslab *superslab = look->superslab;

	superslab_lock();
	superslab->unpurged = flags < 0;
	superslab->purgeable = flags < 0 || flags & HAK_PAGES_PURGE;
	superslab->zero &= flags < 0 || flags & HAK_PAGES_ZERO;
	for (uint32_t slabs = look->unused; slabs && flags >= 0; slabs &= slabs - 1) {
		struct slab *slab = &superslab->slab[lowest_bit(slabs)];

		slab->fresh &= (uint16_t)~look->pages[slab->index];
		slab->purged = ALL_PAGES;
	}
	if (look->unused)
		put_part(superslab, look->unused, &tail);
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
	if ((superslab->clean | superslab->ripe) & ~superslab->unused)
		return "SuperSlab: clean or ripe slabs that are in use";
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
	uint64_t active = 0, listed = 0, used = 0, reserve = 0;
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
