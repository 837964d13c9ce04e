/* SPDX-License-Identifier: MIT */
/*
 * Runs of unused slabs. Each run is as long as it can be, goes on across the edges of adjacent
 * SuperSlabs, and is on the list for its length. So a run that suffices, and is among the
 * shortest, is found without a search.
 *
 * The first and the last slab of a run say how long it is, so that what becomes unused
 * beside it finds it (boundary tags: Knuth, The Art of Computer Programming, volume 1,
 * section 2.5). Lengths below that of a SuperSlab have a list each, longer ones four for
 * each doubling (as the second level of TLSF).
 *
 *	run of the first slab and of the last  ==  length of the run
 *	bit n of lists is set		      <=>  list[n] is not empty
 *
 * Runs of SuperSlabs for metadata are on one list, whatever their length: each of them suffices
 * for the single slabs that are asked for. They do not go on in another SuperSlab, as the first
 * and the last slab of such a SuperSlab are never unused.
 *
 * Lists of SuperSlabs by the longest run inside each would be simpler. But they would not tell
 * a run that ends at the edge of its SuperSlab from one that goes on in the next, and requests
 * would break up the longer one.
 *
 * Lock: that of the arena.
 */
#include "superslab/runs.h"

struct runs hak_runs;

/* The list for this length. What is on the lists behind it is longer. */
unsigned runs_list(bool metadata, size_t slabs)
{
	unsigned top, list;

	if (HAK_METADATA_APART && metadata)
		return RUNS_METADATA;
	if (slabs < SLABS_PER_SUPERSLAB)
		return (unsigned)slabs;
	top = highest_bit(slabs);
	list = SLABS_PER_SUPERSLAB + 4 * (top - highest_bit(SLABS_PER_SUPERSLAB)) +
	       (unsigned)(slabs >> (top - 2)) % 4;
	return list < NR_RUN_LISTS ? list : NR_RUN_LISTS - 1;
}

/* The slab that lies so many slabs behind this one, or before it; NULL if there is none. */
static struct slab *neighbour(struct slab *slab, ptrdiff_t distance)
{
	size_t index = slab->index + (size_t)distance;

	if (likely(index < SLABS_PER_SUPERSLAB))
		return slab + distance;
	return address_to_slab(slab_base(slab) + (size_t)distance * SLAB_SIZE);
}

static bool is_unused(const struct slab *slab)
{
	return slab && slab_superslab(slab)->unused >> slab->index & 1;
}

/* Are all of these slabs unused? */
bool runs_have(uintptr_t base, size_t slabs)
{
	while (slabs) {
		const struct slab *slab = address_to_slab(base);
		uint32_t part = superslab_part(base, slabs);

		if (!slab || part & ~slab_superslab(slab)->unused)
			return false;
		slabs -= count_bits(part);
		base += count_bits(part) * SLAB_SIZE;
	}
	return true;
}

static void enlist(struct slab *first, size_t slabs)
{
	unsigned list = runs_list(superslab_is_metadata(slab_superslab(first)), slabs);

	hak_assert(slabs && !list_has(&first->node));
	first->run = slabs;
	neighbour(first, (ptrdiff_t)slabs - 1)->run = slabs;
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

/* These slabs are unused from now on, and one run with what is unused beside them. */
void runs_add(struct slab *first, size_t slabs)
{
	struct slab *below = neighbour(first, -1), *above = neighbour(first, (ptrdiff_t)slabs);

	if (is_unused(above)) {
		slabs += above->run;
		unlist(above);
	}
	if (is_unused(below)) {
		slabs += below->run;
		first = neighbour(first, -(ptrdiff_t)below->run);
		unlist(first);
	}
	enlist(first, slabs);
}

/*
 * The first slab of the run that an unused slab is in. It is found from the nearer end of
 * the run, so that taking a run apart, in whatever order, takes few steps.
 */
static struct slab *first_of(struct slab *slab)
{
	for (ptrdiff_t distance = 1;; distance++) {
		if (!is_unused(neighbour(slab, -distance)))
			return neighbour(slab, 1 - distance);
		if (!is_unused(neighbour(slab, distance))) {
			struct slab *last = neighbour(slab, distance - 1);

			return neighbour(last, 1 - (ptrdiff_t)last->run);
		}
	}
}

/* These slabs of a run are not unused any more. */
void runs_remove(struct slab *slab, size_t slabs)
{
	struct slab *first = first_of(slab);
	size_t below = (slab_base(slab) - slab_base(first)) / SLAB_SIZE;
	size_t above = first->run - below - slabs;

	hak_assert(below + slabs <= first->run);
	unlist(first);
	if (below)
		enlist(first, below);
	if (above)
		enlist(neighbour(slab, (ptrdiff_t)slabs), above);
}

/* Forget all runs. */
void runs_fini(void)
{
	__builtin_memset(&hak_runs, 0, sizeof(hak_runs));
}
