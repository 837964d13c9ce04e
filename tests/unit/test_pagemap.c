/* SPDX-License-Identifier: MIT */
/*
 * core/pages/pagemap.c: what was never entered is absent, whatever the address; what
 * was entered is found, and only that. No memory stands behind the addresses here.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <pages/meta.h>
#include <pages/pagemap.h>
#include <base/sizeclass.h>
#include <superslab/superslab.h>

#define LEAF_BYTES   ((uintptr_t)1 << HAK_LEAF_BITS)
#define SPACE	     ((uintptr_t)1 << HAK_ADDRESS_BITS)
#define START	     pages_window() /* of a heap that is open */
#define END_OF_SPACE (START + SPACE)

static bool is_absent(uintptr_t address)
{
	return pagemap_class(address) == CLASS_NONE && !pagemap_superslab(address);
}

static void pagemap_absent(void)
{
	CHECK(is_absent(0));
	CHECK(is_absent(1));
	CHECK(is_absent(END_OF_SPACE - 1));
	CHECK(is_absent(END_OF_SPACE));
	CHECK(is_absent(UINTPTR_MAX));
	CHECK(is_absent((uintptr_t)1 << 63));
	for (uintptr_t address = 0; address < SPACE; address += LEAF_BYTES)
		CHECK(is_absent(START + address) && is_absent(START + address + LEAF_BYTES - 1));
}

/* The same in a window that begins elsewhere, if the library is built for one. */
static void pagemap_absent_in_window(void)
{
	CHECK(unit_open(2 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(IS_ENABLED(CONFIG_HAK_WINDOW) == (START != 0));
	pagemap_absent();
	CHECK(is_absent(START - 1));
	CHECK(unit_close());
}

/* As descriptor.c does: the page map is given the memory for its leaves. */
static bool add_leaf(uintptr_t address)
{
	struct pagemap_leaf *leaf = meta_alloc(META_LEAF, sizeof(*leaf));

	return leaf && pagemap_add_leaf(address, leaf);
}

static void pagemap_entries(void)
{
	static struct superslab one, two;
	uintptr_t base;

	CHECK(unit_open(2 * MIB, 0, FAKE_PURGE_NONE));
	base = START + 2 * LEAF_BYTES - SUPERSLAB_SIZE; /* the next is in another leaf */
	CHECK(add_leaf(base) && add_leaf(base + SUPERSLAB_SIZE));
	CHECK(is_absent(base) && is_absent(base + SUPERSLAB_SIZE));
	pagemap_set_superslab(base, &one);
	pagemap_set_superslab(base + SUPERSLAB_SIZE, &two);
	CHECK(pagemap_superslab(base) == &one);
	CHECK(pagemap_superslab(base + SUPERSLAB_SIZE - 1) == &one);
	CHECK(pagemap_superslab(base + SUPERSLAB_SIZE) == &two);
	CHECK(pagemap_superslab(base + 2 * SUPERSLAB_SIZE - 1) == &two);
	CHECK(!pagemap_superslab(base - 1) && !pagemap_superslab(base + 2 * SUPERSLAB_SIZE));

	pagemap_set_class(base + SUPERSLAB_SIZE - 3 * UNIT_SIZE, 5, CLASS_SPAN);
	for (unsigned i = 0; i < 2 * UNITS_PER_SUPERSLAB; i++) {
		unsigned class = i + 3 >= UNITS_PER_SUPERSLAB && i < UNITS_PER_SUPERSLAB + 2
					 ? CLASS_SPAN
					 : CLASS_NONE;

		CHECK(pagemap_class(base + i * UNIT_SIZE) == class);
		CHECK(pagemap_class(base + (i + 1) * UNIT_SIZE - 1) == class);
	}
	CHECK(pagemap_class(base - 1) == CLASS_NONE);
	/* the same place in other leaves is another place */
	CHECK(is_absent(base + SUPERSLAB_SIZE - UNIT_SIZE - LEAF_BYTES));
	CHECK(is_absent(base + SUPERSLAB_SIZE - UNIT_SIZE + LEAF_BYTES));
	pagemap_set_superslab(base, NULL);
	CHECK(!pagemap_superslab(base) && pagemap_superslab(base + SUPERSLAB_SIZE) == &two);
	CHECK(unit_close());
	CHECK(is_absent(base + SUPERSLAB_SIZE));
}

/* One leaf for each 2^HAK_LEAF_BITS: the first that is added stays. */
static void pagemap_leaves(void)
{
	struct pagemap_leaf *first, *second;
	uintptr_t base;

	CHECK(unit_open(2 * MIB, 0, FAKE_PURGE_NONE));
	base = START + LEAF_BYTES;
	first = meta_alloc(META_LEAF, sizeof(*first));
	second = meta_alloc(META_LEAF, sizeof(*second));
	CHECK(first && second);
	CHECK(!pagemap_leaf(base));
	CHECK(pagemap_add_leaf(base + 7 * SUPERSLAB_SIZE, first));
	CHECK(pagemap_leaf(base) == first && pagemap_leaf(base + LEAF_BYTES - 1) == first);
	CHECK(!pagemap_leaf(base - 1) && !pagemap_leaf(base + LEAF_BYTES));
	CHECK(!pagemap_add_leaf(base, second));
	CHECK(pagemap_leaf(base) == first);
	pagemap_set_class(base, 1, 7);
	CHECK(first->class[0] == 7 && second->class[0] == 0);
	CHECK(unit_close());
}

static void pagemap_end_of_space(void)
{
	static struct superslab last;
	uintptr_t base;

	CHECK(unit_open(2 * MIB, 0, FAKE_PURGE_NONE));
	base = END_OF_SPACE - SUPERSLAB_SIZE;
	CHECK(add_leaf(base));
	pagemap_set_superslab(base, &last);
	pagemap_set_class(base, UNITS_PER_SUPERSLAB, 3);
	CHECK(pagemap_class(END_OF_SPACE - 1) == 3);
	CHECK(pagemap_superslab(END_OF_SPACE - 1) == &last);
	CHECK(is_absent(END_OF_SPACE) && is_absent(0) && is_absent(base - 1));
	CHECK(unit_close());
}

/* The root and the shared leaf: what the fast path counts on. */
static void pagemap_layout(void)
{
	CHECK(PAGEMAP_LEAVES * LEAF_BYTES == SPACE);
	CHECK(LEAF_UNITS * UNIT_SIZE == LEAF_BYTES);
	CHECK(LEAF_SUPERSLABS * SUPERSLAB_SIZE == LEAF_BYTES);
	CHECK(pagemap_leaf_index(END_OF_SPACE - 1) == PAGEMAP_LEAVES - 1);
	CHECK(pagemap_leaf_index(UINTPTR_MAX) >= PAGEMAP_LEAVES);
	for (size_t i = 0; i < LEAF_UNITS; i++)
		CHECK(pagemap.absent[i] == CLASS_NONE);
	for (size_t i = 0; i < PAGEMAP_LEAVES; i++)
		CHECK(pagemap.root[i] == 0);
}

void unit_pagemap(void)
{
	TEST_RUN(pagemap_absent);
	TEST_RUN(pagemap_absent_in_window);
	TEST_RUN(pagemap_entries);
	TEST_RUN(pagemap_leaves);
	TEST_RUN(pagemap_end_of_space);
	TEST_RUN(pagemap_layout);
}
