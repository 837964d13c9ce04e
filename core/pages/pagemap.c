/* SPDX-License-Identifier: MIT */
/*
 * The page map answers the one question that a free has: what is this pointer? Nothing is
 * read through a pointer before the page map has answered.
 *
 * It is a radix tree of two levels over all addresses: a root, and a leaf for each
 * 2^HAK_LEAF_BITS bytes that have SuperSlabs. A leaf has a byte for each unit, its class, and
 * a pointer for each SuperSlab, to its descriptor.
 *
 * A header at the start of each SuperSlab, found by masking the address, would save a load.
 * But to read it is to trust the pointer: a free of a foreign address would read foreign
 * memory, or fault.
 *
 *	descriptor of a SuperSlab set  <=>  the arena has the SuperSlab
 *	class of a unit != CLASS_NONE  <=>  the unit is in use
 *
 * Lock: none in this file. Leaves are added atomically, and stay until hak_fini(). The pointer
 * of a SuperSlab is written under the lock of the arena. The class byte of a unit is written
 * by the caller who has allocated the slab and has not handed out a block of it, or who has
 * all of its blocks and frees it. So while anyone holds a block of the slab, its byte does not
 * change. The byte is stored before a block is handed out. The lock through which another
 * thread gets the block, or the synchronisation of the program, orders the byte as well.
 *
 * Failure: none. descriptor.c gets the memory of leaves before anything is entered.
 */
#include "pages/pagemap.h"

#include "base/sizeclass.h"

/* Where the compiler does not inline these, all files call the same. */
extern inline size_t pagemap_leaf_index(uintptr_t address);
extern inline struct pagemap_leaf *pagemap_leaf(uintptr_t address);
extern inline struct superslab *pagemap_superslab(uintptr_t address);

PLATFORM_SPARSE struct pagemap pagemap;

/**
 * pagemap_add_leaf() - add the leaf for an address
 * @address: any address that the page map reaches
 * @leaf:    the leaf, all zero
 *
 * Returns true, and the leaf is the page map's until pagemap_fini(); or false, since there
 * is one already, and @leaf is still the caller's. Any context, no lock is taken.
 */
bool pagemap_add_leaf(uintptr_t address, struct pagemap_leaf *leaf)
{
	intptr_t none = 0, distance = (char *)leaf - (char *)pagemap.absent;

	hak_assert(pagemap_leaf_index(address) < PAGEMAP_LEAVES && distance);
	/* release: pairs with the acquire in pagemap_leaf() */
	return atomic_compare_exchange_strong_explicit(&pagemap.root[pagemap_leaf_index(address)],
						       &none, distance, memory_order_release,
						       memory_order_relaxed);
}

/*
 * Enter the descriptor of the SuperSlab at @base, for which there is a leaf, or take it out:
 * NULL. With the lock of the arena held.
 */
void pagemap_set_superslab(uintptr_t base, struct superslab *superslab)
{
	struct pagemap_leaf *leaf = pagemap_leaf(base);

	hak_assert(leaf && base % SUPERSLAB_SIZE == 0);
	/* release: pairs with the acquire in pagemap_superslab() */
	atomic_store_explicit(&leaf->superslab[base / SUPERSLAB_SIZE % LEAF_SUPERSLABS], superslab,
			      memory_order_release);
}

/*
 * Set the class of some units in a row, the first of which is at @base. The caller has
 * allocated the units, and nobody has a block there, so these are plain stores. A caller of
 * pagemap_class() that reads one of these bytes meanwhile has a pointer that is no block.
 */
void pagemap_set_class(uintptr_t base, size_t units, unsigned class)
{
	hak_assert(class < NR_CLASSES && base % UNIT_SIZE == 0);
	while (units) {
		struct pagemap_leaf *leaf = pagemap_leaf(base);
		size_t first = base / UNIT_SIZE % LEAF_UNITS;
		size_t n = units < LEAF_UNITS - first ? units : LEAF_UNITS - first;

		hak_assert(leaf);
		__builtin_memset((void *)&leaf->class[first], (int)class, n);
		units -= n;
		base += n * UNIT_SIZE;
	}
}

/* Forget all leaves. Their memory goes with meta_fini(). Nobody else may be in the allocator. */
void pagemap_fini(void)
{
	for (size_t i = 0; i < PAGEMAP_LEAVES; i++)
		if (pagemap.root[i]) /* a page of the root that is zero is not written */
			pagemap.root[i] = 0;
}
