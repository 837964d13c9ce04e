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
#include "runs.h"

#include "pagemap.h"

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

/* NULL if it is in use, or not ours. */
static struct slab *unused_at(uintptr_t address)
{
	struct slab *slab = address_to_slab(address);

	return slab && slab_superslab(slab)->unused >> slab->index & 1 ? slab : NULL;
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

static void enlist(uintptr_t base, size_t slabs)
{
	struct slab *first = address_to_slab(base);
	unsigned list = runs_list(slabs);

	first->run = slabs;
	address_to_slab(base + (slabs - 1) * SLAB_SIZE)->run = slabs;
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
void runs_add(uintptr_t base, size_t slabs)
{
	struct slab *below = unused_at(base - SLAB_SIZE);
	struct slab *above = unused_at(base + slabs * SLAB_SIZE);

	if (above) {
		slabs += above->run;
		unlist(above);
	}
	if (below) {
		slabs += below->run;
		base -= below->run * SLAB_SIZE;
		unlist(address_to_slab(base));
	}
	enlist(base, slabs);
}

/* Where the run starts that an unused slab belongs to. */
static uintptr_t start_of(uintptr_t base)
{
	const struct superslab *superslab = pagemap_superslab(base);
	uint32_t used =
		~superslab->unused & (((uint32_t)1 << base / SLAB_SIZE % SLABS_PER_SUPERSLAB) - 1);
	const struct slab *below;

	while (!used && (below = unused_at(superslab->base - SLAB_SIZE))) {
		superslab = slab_superslab(below);
		used = ~superslab->unused;
	}
	return superslab->base + (used ? (highest_bit(used) + 1) * SLAB_SIZE : 0);
}

/* These slabs of a run are not unused any more. */
void runs_remove(uintptr_t base, size_t slabs)
{
	uintptr_t start = start_of(base);
	struct slab *first = address_to_slab(start);
	size_t below = (base - start) / SLAB_SIZE, above = first->run - below - slabs;

	unlist(first);
	if (below)
		enlist(start, below);
	if (above)
		enlist(base + slabs * SLAB_SIZE, above);
}

/* There are so many unused slabs: NULL, or what does not fit together. */
const char *runs_check(size_t unused)
{
	for (unsigned i = 0; i < NR_RUN_LISTS; i++) {
		if (!hak_runs.list[i] != !(hak_runs.lists >> i & 1))
			return "runs: the mask of lists";
		for (struct list_node *node = hak_runs.list[i]; node; node = node->next) {
			const struct slab *first = list_entry(node, struct slab, node);
			uintptr_t base = slab_base(first), end = base + first->run * SLAB_SIZE;

			if (runs_list(first->run) != i)
				return "runs: one on the wrong list";
			if (!runs_have(base, first->run) || unused_at(base - SLAB_SIZE) ||
			    unused_at(end) || address_to_slab(end - SLAB_SIZE)->run != first->run)
				return "runs: the length of one";
			unused -= first->run;
		}
	}
	return unused ? "runs: one missing or too many" : NULL;
}
