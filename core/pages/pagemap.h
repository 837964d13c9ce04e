/* SPDX-License-Identifier: MIT */
/*
 * From an address to what it is: a byte for each unit, its class, and a pointer for each
 * SuperSlab, to its descriptor. See pagemap.c.
 */
#ifndef HAKMEM_PAGES_PAGEMAP_H
#define HAKMEM_PAGES_PAGEMAP_H

#include "pages/pages.h"

struct superslab;

_Static_assert(HAK_ADDRESS_BITS > HAK_LEAF_BITS && HAK_ADDRESS_BITS <= 48, "the root has a size");
_Static_assert(HAK_LEAF_BITS <= 32, "the index of a unit is in the lower half of an address");

#define LEAF_UNITS	(((size_t)1 << HAK_LEAF_BITS) / UNIT_SIZE)
#define LEAF_SUPERSLABS (((size_t)1 << HAK_LEAF_BITS) / SUPERSLAB_SIZE)
#define PAGEMAP_LEAVES	((size_t)1 << (HAK_ADDRESS_BITS - HAK_LEAF_BITS))

/* All zero when it is new: no unit has a class, and there is no SuperSlab. */
struct pagemap_leaf {
	_Atomic uint8_t class[LEAF_UNITS];
	struct superslab *_Atomic superslab[LEAF_SUPERSLABS];
};

/**
 * struct pagemap - the root, and the leaf for all that is not there
 * @absent: the classes of all addresses without a leaf: 0. Nobody writes them. [const]
 * @root:   for each leaf its distance from @absent, in bytes [atomic]
 *
 * An entry of 0 leads to @absent. So the root is right before any code has run, and a free
 * tests for nothing. Pointers would have to be initialised first, and with NULL for "no leaf"
 * every free would have to test for it.
 */
struct pagemap {
	_Atomic uint8_t absent[LEAF_UNITS] __attribute__((aligned(64)));
	_Atomic intptr_t root[PAGEMAP_LEAVES];
};

extern HAK_HIDDEN struct pagemap pagemap;

inline size_t pagemap_leaf_index(uintptr_t address)
{
	return (address - pages_window()) >> HAK_LEAF_BITS;
}

/*
 * The class of the unit at @address. The index of its leaf is below PAGEMAP_LEAVES.
 *
 * No order is needed. A thread that has a valid block has synchronised with its allocation,
 * and the entry and the class were written before that. With an invalid pointer the result
 * may be old or new: the slow path checks the pointer again.
 *
 * The entry is read plainly, though pagemap_add_leaf() may write it meanwhile. It is an
 * aligned word, so it is not torn. READ_ONCE() would cost an instruction in every free:
 * compilers add a plain word of memory in one, and not a volatile or atomic word.
 */
static inline NO_SANITIZE_THREAD unsigned pagemap_class_in_range(uintptr_t address)
{
	const char *map = (const char *)&pagemap;
	const _Atomic uint8_t *class;

	OPTIMIZER_HIDE_VAR(map);
	map += *(const intptr_t *)(map + offsetof(struct pagemap, root) +
				   pagemap_leaf_index(address) * sizeof(intptr_t));
	OPTIMIZER_HIDE_VAR(map);
	class = (const _Atomic uint8_t *)map + (uint32_t)address / UNIT_SIZE % LEAF_UNITS;
	return atomic_load_explicit(class, memory_order_relaxed);
}

/* The class of the unit at any address: CLASS_NONE, which is 0, if it is not in use. */
static inline unsigned pagemap_class(uintptr_t address)
{
	if (unlikely(pagemap_leaf_index(address) >= PAGEMAP_LEAVES))
		return 0;
	return pagemap_class_in_range(address);
}

/* The leaf for any address; NULL if there is none. */
inline struct pagemap_leaf *pagemap_leaf(uintptr_t address)
{
	intptr_t distance;

	if (pagemap_leaf_index(address) >= PAGEMAP_LEAVES)
		return NULL;
	/* acquire: pairs with the release in pagemap_add_leaf() */
	distance = atomic_load_explicit(&pagemap.root[pagemap_leaf_index(address)],
					memory_order_acquire);
	return distance ? (struct pagemap_leaf *)((char *)pagemap.absent + distance) : NULL;
}

/* The descriptor of the SuperSlab in which any address lies; NULL if there is none. */
inline struct superslab *pagemap_superslab(uintptr_t address)
{
	struct pagemap_leaf *leaf = pagemap_leaf(address);

	if (!leaf)
		return NULL;
	/* acquire: pairs with the release in pagemap_set_superslab() */
	return atomic_load_explicit(&leaf->superslab[address / SUPERSLAB_SIZE % LEAF_SUPERSLABS],
				    memory_order_acquire);
}

bool pagemap_add_leaf(uintptr_t address, struct pagemap_leaf *leaf);
HAK_COLD void pagemap_set_superslab(uintptr_t base, struct superslab *superslab);
HAK_COLD void pagemap_set_class(uintptr_t base, size_t units, unsigned class);
void pagemap_fini(void);

#endif
