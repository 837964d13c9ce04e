/* SPDX-License-Identifier: MIT */
/*
 * malloc and free of the API: the fast path, out of line. A file of their own
 * because these two are compiled for speed where options spare room in the rest
 * of the core.
 */
#include "api/fastpath.h"

#include <hakmem/hakmem.h>

void *hak_malloc(size_t size)
{
	return malloc_fast(size);
}

void hak_free(void *block)
{
	free_fast(block);
}
