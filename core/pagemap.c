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
 * Written under LOCK_META (leaves) or by the owner of the SuperSlab (its
 * entries); read without a lock. Leaves stay until hak_fini(). The order that
 * matters is the writer's: class bytes are stored before a block of the slab
 * is handed out, and the lock or the program's own synchronisation that hands
 * the block on carries them along.
 *
 * Failure: only pagemap_reserve() can fail, and leaves nothing behind but
 * leaves for next time.
 */
#include "pagemap.h"

#include "meta.h"

struct pagemap pagemap;

static bool reserve_leaf(uintptr_t address)
{
	struct pagemap_leaf *leaf;
	_Atomic intptr_t *entry = &pagemap.root[pagemap_leaf_index(address)];

	if (pagemap_leaf(address))
		return true;
	leaf = meta_alloc(META_LEAF, sizeof(*leaf));
	if (!leaf)
		return false;
	meta_lock();
	if (!pagemap_leaf(address)) {
		/* release: pairs with the acquire in pagemap_leaf() */
		atomic_store_explicit(entry, (char *)leaf - (char *)pagemap.absent,
				      memory_order_release);
		leaf = NULL;
	}
	meta_unlock();
	if (leaf)
		meta_free(META_LEAF, leaf);
	return true;
}

/* Make sure that there are leaves for @superslabs from @base on. */
bool pagemap_reserve(uintptr_t base, size_t superslabs)
{
	uintptr_t end = base + superslabs * SUPERSLAB_SIZE;
	uintptr_t step = (uintptr_t)1 << HAK_LEAF_BITS;

	for (uintptr_t address = base; address < end; address = (address | (step - 1)) + 1)
		if (!reserve_leaf(address))
			return false;
	return true;
}

void pagemap_set_superslab(uintptr_t base, struct superslab *superslab)
{
	struct pagemap_leaf *leaf = pagemap_leaf(base);

	/* release: pairs with the acquire in pagemap_superslab() */
	atomic_store_explicit(&leaf->superslab[base / SUPERSLAB_SIZE % LEAF_SUPERSLABS], superslab,
			      memory_order_release);
}

void pagemap_set_class(uintptr_t base, size_t slabs, unsigned class)
{
	for (uintptr_t address = base; slabs; slabs--, address += SLAB_SIZE)
		atomic_store_explicit(
			&pagemap_leaf(address)->class[address / SLAB_SIZE % LEAF_SLABS],
			(uint8_t) class, memory_order_relaxed);
}

/* The leaves themselves go with meta_fini(). */
void pagemap_fini(void)
{
	for (size_t i = 0; i < PAGEMAP_LEAVES; i++)
		if (pagemap.root[i]) /* do not dirty pages that are zero */
			pagemap.root[i] = 0;
}
