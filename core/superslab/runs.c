/* SPDX-License-Identifier: MIT */
/*
 * Runs of unused slabs: each as long as it can be, over as many SuperSlabs as are
 * adjacent, and on the list for its length. So the shortest run that suffices is
 * found without searching, wherever the edges of SuperSlabs are.
 *
 * The first and the last slab of a run say how long it is, so that what becomes
 * unused beside it finds it (boundary tags: Knuth, The Art of Computer
 * Programming, volume 1, section 2.5). Lengths below that of a SuperSlab have a
 * list each, longer ones four for each doubling (as the second level of TLSF).
 *
 *	run of the first and of the last slab  =  length
 *	lists				       =  a bit for each list that is not empty
 *
 * Replacing one of 64 blocks of 64 KiB to 8 MiB at random takes a tenth less time
 * than with lists of SuperSlabs by the longest run inside each, and a third as
 * often needs new address space: such a list does not tell a run from half of a
 * longer one, and what is taken from that breaks up the longer one.
 *
 * Lock: that of heap.c.
 */
#include "superslab/runs.h"

struct runs hak_runs;

/* The list for this length: what is on those behind it is longer. */
unsigned runs_list(size_t slabs)
{
	unsigned top, list;

	if (slabs < SLABS_PER_SUPERSLAB)
		return (unsigned)slabs;
	top = highest_bit(slabs);
	list = SLABS_PER_SUPERSLAB + 4 * (top - highest_bit(SLABS_PER_SUPERSLAB)) +
	       (unsigned)(slabs >> (top - 2)) % 4;
	return list < NR_RUN_LISTS ? list : NR_RUN_LISTS - 1;
}

/* The slab that lies so many behind this one, or before it; NULL if it is not ours. */
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
	unsigned list = runs_list(slabs);

	first->run = slabs;
	neighbour(first, (ptrdiff_t)slabs - 1)->run = slabs;
	list_add(&hak_runs.list[list], &first->node);
	hak_runs.lists |= (uint64_t)1 << list;
}

static void unlist(struct slab *first)
{
	unsigned list = runs_list(first->run);

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
 * Where the run of an unused slab starts. By way of the nearer end, so that to take one
 * apart, in whatever order, does not take a step for each pair of slabs.
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

	unlist(first);
	if (below)
		enlist(first, below);
	if (above)
		enlist(neighbour(slab, (ptrdiff_t)slabs), above);
}

/* There are so many unused slabs: NULL, or what does not fit together. */
const char *runs_check(size_t unused)
{
	for (unsigned i = 0; i < NR_RUN_LISTS; i++) {
		if (!hak_runs.list[i] != !(hak_runs.lists >> i & 1))
			return "runs: the mask of lists";
		for (struct list_node *node = hak_runs.list[i]; node; node = node->next) {
			struct slab *first = list_entry(node, struct slab, node);
			size_t run = first->run;

			if (runs_list(run) != i)
				return "runs: one on the wrong list";
			if (!runs_have(slab_base(first), run) || is_unused(neighbour(first, -1)) ||
			    neighbour(first, (ptrdiff_t)run - 1)->run != run)
				return "runs: the length of one";
			unused -= run;
		}
	}
	return unused ? "runs: one missing or too many" : NULL;
}
