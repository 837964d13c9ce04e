/* SPDX-License-Identifier: MIT */
/*
 * Runs of unused units. Each run is as long as it can be, goes on across the edges of adjacent
 * SuperSlabs, and is on the list for its length. So a run that suffices, and is among the
 * shortest, is found without a search.
 *
 * The first and the last unit of a run say how long it is, so that what becomes unused
 * beside it finds it (boundary tags: Knuth, The Art of Computer Programming, volume 1,
 * section 2.5). Lengths below RUNS_EXACT have a list each, longer ones four for each doubling
 * (as the second level of TLSF).
 *
 *	run of the first unit and of the last  ==  length of the run
 *	bit n of lists is set		      <=>  list[n] is not empty
 *
 * Runs of SuperSlabs for metadata are on one list, whatever their length: each of them suffices
 * for the single slabs that are asked for. They do not go on in another SuperSlab, as the first
 * and the last unit of such a SuperSlab are never unused.
 *
 * Lists of SuperSlabs by the longest run inside each would be simpler. But they would not tell
 * a run that ends at the edge of its SuperSlab from one that goes on in the next, and requests
 * would break up the longer one.
 *
 * Lock: that of the arena.
 */
#include "superslab/runs.h"

#include "pages/pagemap.h"

struct runs hak_runs;

/* The list for this length. What is on the lists behind it is longer. */
unsigned runs_list(bool metadata, size_t units)
{
	unsigned top, list;

	if (HAK_METADATA_APART && metadata)
		return RUNS_METADATA;
	if (units < RUNS_EXACT)
		return (unsigned)units;
	top = highest_bit(units);
	list = RUNS_EXACT + 4 * (top - highest_bit(RUNS_EXACT)) +
	       (unsigned)(units >> (top - 2)) % 4;
	return list < NR_RUN_LISTS ? list : NR_RUN_LISTS - 1;
}

/* The unused unit that lies so many behind this one, or before it; NULL if there is none. */
static struct slab *neighbour(struct slab *unit, ptrdiff_t distance)
{
	size_t index = unit->index + (size_t)distance;
	struct superslab *superslab = slab_superslab(unit);

	if (unlikely(index >= superslab_described(superslab))) {
		uintptr_t address = superslab->base + index * UNIT_SIZE;

		superslab = pagemap_superslab(address);
		if (!superslab)
			return NULL;
		index = superslab_index(superslab, address);
	}
	return superslab_is_unused(superslab, (unsigned)index) ? &superslab->slab[index] : NULL;
}

/* Are all of these units unused? */
bool runs_have(uintptr_t base, size_t units)
{
	while (units) {
		struct superslab *superslab = pagemap_superslab(base);
		unsigned n;
		unit_mask part = superslab_part(base, units, &n);

		if (!superslab || part & ~superslab_window(superslab, base)->unused)
			return false;
		units -= n;
		base += n * UNIT_SIZE;
	}
	return true;
}

/* The unit that lies so many behind the first of a run, in the same run. */
static struct slab *run_unit(struct slab *first, size_t distance)
{
	if (likely(first->index + distance < superslab_described(slab_superslab(first))))
		return first + distance;
	return address_to_slab(slab_base(first) + distance * UNIT_SIZE);
}

static void enlist(struct slab *first, size_t units)
{
	unsigned list = runs_list(superslab_is_metadata(slab_superslab(first)), units);

	hak_assert(units && !list_has(&first->node));
	first->run = units;
	run_unit(first, units - 1)->run = units;
	list_add(&hak_runs.list[list], &first->node);
	hak_runs.lists |= (uint64_t)1 << list;
}

static void unlist(struct slab *first)
{
	unsigned list = runs_list(superslab_is_metadata(slab_superslab(first)), first->run);

	hak_assert(list_has(&first->node) && hak_runs.lists >> list & 1);
	list_del(&first->node);
	if (!hak_runs.list[list])
		hak_runs.lists &= ~((uint64_t)1 << list);
}

/* These units are unused from now on, and one run with what is unused beside them. */
void runs_add(struct slab *first, size_t units)
{
	struct slab *below = neighbour(first, -1), *above = neighbour(first, (ptrdiff_t)units);

	if (above) {
		units += above->run;
		unlist(above);
	}
	if (below) {
		units += below->run;
		first = neighbour(first, -(ptrdiff_t)below->run);
		unlist(first);
	}
	enlist(first, units);
}

/* The first unit of the run that an unused unit is in: a window is looked at in one step. */
static struct slab *first_of(const struct slab *unit)
{
	struct superslab *superslab = slab_superslab(unit), *below;
	unsigned i = unit->index / UNITS_PER_WINDOW, bit = unit->index % UNITS_PER_WINDOW;
	unit_mask used = bit ? ~superslab->window[i].unused & (unit_mask)bit_run(0, bit) : 0;

	for (;;) {
		uintptr_t address = superslab->base - UNIT_SIZE;
		unsigned last = UNITS_PER_SUPERSLAB - 1;

		while (!used && i)
			used = ~superslab->window[--i].unused;
		if (used)
			return &superslab->slab[i * UNITS_PER_WINDOW + highest_bit(used) + 1];
		below = pagemap_superslab(address);
		if (HAS_PARTS && below)
			last = superslab_index(below, address);
		if (!below || !superslab_is_unused(below, last))
			return superslab->slab;
		superslab = below;
		i = last / UNITS_PER_WINDOW + 1;
	}
}

/* These units of a run are not unused any more. */
void runs_remove(struct slab *unit, size_t units)
{
	struct slab *first = first_of(unit);
	size_t below = (slab_superslab(unit)->base - slab_superslab(first)->base) / UNIT_SIZE +
		       unit->index - first->index;
	size_t above = first->run - below - units;

	hak_assert(below + units <= first->run);
	unlist(first);
	if (below)
		enlist(first, below);
	if (above)
		enlist(run_unit(unit, units), above);
}

/* Forget all runs. */
void runs_fini(void)
{
	__builtin_memset(&hak_runs, 0, sizeof(hak_runs));
}
