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

/*
 * The descriptor of the unit that lies so many behind the first of this SuperSlab, or before it, if
 * it is unused; else NULL. It knows its index then.
 */
static struct slab *unused_near(struct superslab *superslab, size_t index)
{
	uintptr_t address = superslab->base + index * UNIT_SIZE;

	if (unlikely(index >= superslab_described(superslab))) {
		superslab = pagemap_superslab(address);
		if (!superslab)
			return NULL;
		index = superslab_index(superslab, address);
	}
	if (!superslab_is_unused(superslab, (unsigned)index))
		return NULL;
	superslab->slab[index].index = (uint16_t)index;
	return &superslab->slab[index];
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

/* Is this run in the lowest of several SuperSlabs? Linux maps the next one right below it. */
bool runs_is_lowest(uintptr_t base, uintptr_t end)
{
	return pagemap_superslab(end) && !pagemap_superslab(base - 1);
}

static void enlist(struct superslab *superslab, size_t index, size_t units)
{
	unsigned list = runs_list(superslab_is_metadata(superslab), units);
	struct slab *first = superslab_describe(unused_near(superslab, index));

	hak_assert(units && !list_has(&first->node));
	first->run = units;
	unused_near(superslab, index + units - 1)->run = units;
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
void runs_add(struct superslab *superslab, size_t index, size_t units)
{
	struct slab *below = unused_near(superslab, index - 1);
	struct slab *above = unused_near(superslab, index + units);

	if (above) {
		units += above->run;
		unlist(above);
	}
	if (below) {
		units += below->run;
		index -= below->run;
		unlist(unused_near(superslab, index));
	}
	enlist(superslab, index, units);
}

/* How long is the run that ends where a new SuperSlab begins? */
size_t runs_before(struct superslab *superslab)
{
	const struct slab *last = unused_near(superslab, SIZE_MAX);

	return last ? last->run : 0;
}

/*
 * How many units of the run lie below an unused unit? A window is looked at in one step. A run may
 * go through many SuperSlabs.
 */
static size_t units_below(struct superslab *superslab, size_t index)
{
	size_t below = 0;

	for (;;) {
		unsigned i = (unsigned)index / UNITS_PER_WINDOW, bit = index % UNITS_PER_WINDOW;
		unit_mask used =
			bit ? ~superslab->window[i].unused & (unit_mask)bit_run(0, bit) : 0;
		const struct slab *last;

		while (!used && i)
			used = ~superslab->window[--i].unused;
		below += index;
		if (used)
			return below - i * UNITS_PER_WINDOW - highest_bit(used) - 1;
		last = unused_near(superslab, SIZE_MAX);
		if (!last)
			return below;
		below++;
		superslab = slab_superslab(last);
		index = last->index;
	}
}

/* These units of a run are not unused any more. Returns the descriptor of the first. */
struct slab *runs_remove(struct superslab *superslab, size_t index, size_t units)
{
	size_t below = units_below(superslab, index);
	struct slab *first = unused_near(superslab, index - below);
	size_t above = first->run - below - units;

	hak_assert(below + units <= first->run);
	unlist(first);
	if (below)
		enlist(superslab, index - below, below);
	if (above)
		enlist(superslab, index + units, above);
	return superslab_describe(unused_near(superslab, index));
}

/*
 * Is one of these units unbacked? Then returns the first backed one behind the last such one, or
 * the end of its window, where the search goes on. Else returns @base.
 */
uintptr_t runs_skip_unbacked(uintptr_t base, size_t units)
{
	uintptr_t next = base;

	while (units) {
		uintptr_t start = base & ~(WINDOW_SIZE - 1);
		const struct window *window = superslab_window_at(base);
		unsigned n;
		unit_mask part = superslab_part(base, units, &n);

		units -= n;
		base += n * UNIT_SIZE;
		part &= window->unbacked;
		if (part) {
			unit_mask behind =
				~(window->unbacked | (unit_mask)bit_run(0, highest_bit(part) + 1));

			next = start + (behind ? lowest_bit(behind) : UNITS_PER_WINDOW) * UNIT_SIZE;
		}
	}
	return next;
}

/* Forget all runs. */
void runs_fini(void)
{
	__builtin_memset(&hak_runs, 0, sizeof(hak_runs));
}
