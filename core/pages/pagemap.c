/* SPDX-License-Identifier: MIT */
/*
 * A radix tree of two levels over the address space: a root of leaves, each
 * for 2^HAK_LEAF_BITS bytes. It answers the one question that a free has: what
 * is this pointer? Before it has answered, nothing is read through a pointer.
 *
 * A header at the start of every 2 MiB (address & mask) would be one load
 * shorter, but reading it trusts the pointer: a free of a foreign address
 * would read foreign memory, or fault.
 *
 * No lock: leaves are added atomically, and stay until hak_fini(); the entries
 * of a SuperSlab are written by whoever owns it at the time. The order that
 * matters is the writer's: class bytes are stored before a block of the slab
 * is handed out, and the lock or the program's own synchronisation that hands
 * the block on carries them along.
 *
 * Failure: none. The memory of leaves comes from above, where there is some.
 */
#include "pages/pagemap.h"

struct pagemap pagemap;

/**
 * pagemap_add_leaf() - add the leaf for @address
 * @leaf: zeroed; the page map's until pagemap_fini(), if true is returned
 *
 * Returns false if there is one already.
 */
bool pagemap_add_leaf(uintptr_t address, struct pagemap_leaf *leaf)
{
	intptr_t none = 0, distance = (char *)leaf - (char *)pagemap.absent;

	/* release: pairs with the acquire in pagemap_leaf() */
	return atomic_compare_exchange_strong_explicit(&pagemap.root[pagemap_leaf_index(address)],
						       &none, distance, memory_order_release,
						       memory_order_relaxed);
}

void pagemap_set_superslab(uintptr_t base, struct superslab *superslab)
{
	struct pagemap_leaf *leaf = pagemap_leaf(base);

	/* release: pairs with the acquire in pagemap_superslab() */
	atomic_store_explicit(&leaf->superslab[base / SUPERSLAB_SIZE % LEAF_SUPERSLABS], superslab,
			      memory_order_release);
}

/* Plain stores: who reads these entries meanwhile has no block there (see pagemap.h). */
void pagemap_set_class(uintptr_t base, size_t slabs, unsigned class)
{
	while (slabs) {
		size_t first = base / SLAB_SIZE % LEAF_SLABS;
		size_t n = slabs < LEAF_SLABS - first ? slabs : LEAF_SLABS - first;

		__builtin_memset((void *)&pagemap_leaf(base)->class[first], (int)class, n);
		slabs -= n;
		base += n * SLAB_SIZE;
	}
}

/* The leaves' memory is the caller's again. */
void pagemap_fini(void)
{
	for (size_t i = 0; i < PAGEMAP_LEAVES; i++)
		if (pagemap.root[i]) /* do not dirty pages that are zero */
			pagemap.root[i] = 0;
}
