/* SPDX-License-Identifier: MIT */
/*
 * To be compiled into the real nanos, which calls hakmem_measure(): what its general heap costs,
 * and what the page heap has back. platform/nanos/README.md says how.
 */
#include <kernel.h>

static heap measured;

static void *measure_alloc(unsigned long size)
{
	void *block = allocate(measured, size);

	return block == INVALID_ADDRESS ? 0 : block;
}

#define measure_free(block, size)  deallocate(measured, block, size)
#define measure_print(what, value) rprintf("%s: %ld\n", sstring_from_cstring(what, 64), value)
#include "measure.h"

void hakmem_measure(void)
{
	heap pages = (heap)heap_physical(get_kernel_heaps());
	u64 half = heap_free(pages) / 2;
	void **list;

	measured = heap_locked(get_kernel_heaps());
	measure_all(MEASURE_BLOCKS);
	rprintf("free physical memory: %ld\n", heap_free(pages));
	list = measure_fill("blocks of 64 bytes in half of it", half / 64);
	rprintf("free physical memory: %ld\n", heap_free(pages));
	measure_empty(list);
	rprintf("free physical memory, all freed: %ld\n", heap_free(pages));
}
