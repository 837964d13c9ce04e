/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own page allocator, as simple as can be: a map with a byte for
 * each page of the first GiB, searched from below. One CPU and no
 * interrupts, so there is no lock.
 */
#include "kernel.h"

#define NR_PAGES ((1u << 30) / KERNEL_PAGE)

enum page_state { NO_MEMORY, FREE, USED };

static uint8_t state[NR_PAGES];
static size_t nr_used;

/* Partial pages at the ends are left alone. */
void pages_add(uintptr_t base, uintptr_t end)
{
	size_t page = (base + KERNEL_PAGE - 1) / KERNEL_PAGE;

	for (; page < end / KERNEL_PAGE && page < NR_PAGES; page++)
		state[page] = FREE;
}

/* How many of @count pages from @page on are in this state, until the first that is not? */
static size_t run_of(enum page_state wanted, size_t page, size_t count)
{
	size_t n = 0;

	while (n < count && page + n < NR_PAGES && state[page + n] == wanted)
		n++;
	return n;
}

static void mark(size_t page, size_t count, enum page_state as)
{
	while (count--)
		state[page++] = as;
}

/* @align is in bytes. NULL: there are no so many in a row. */
void *pages_take(size_t count, size_t align)
{
	size_t step = align > KERNEL_PAGE ? align / KERNEL_PAGE : 1;

	for (size_t page = 0; page < NR_PAGES; page += step) {
		if (run_of(FREE, page, count) < count)
			continue;
		mark(page, count, USED);
		nr_used += count;
		return (void *)(page * KERNEL_PAGE);
	}
	return NULL;
}

/* Returns -1 if these pages are not in use. */
int pages_put(void *base, size_t count)
{
	size_t page = (uintptr_t)base / KERNEL_PAGE;

	if (run_of(USED, page, count) < count)
		return -1;
	mark(page, count, FREE);
	nr_used -= count;
	return 0;
}

size_t pages_used(void)
{
	return nr_used;
}
