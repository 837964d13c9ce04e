/* SPDX-License-Identifier: MIT */
/*
 * Blocks of zeros, and blocks that grow, at an alignment: what languages other than C ask for.
 * They are made of the other functions of the API, and stand alone, so that an image without
 * them links none of it.
 *
 * Lock: none. Failure: as of the functions that are called.
 */
#include <hakmem/hakmem.h>

#include <hakmem/host.h>

#include "base/sizeclass.h"

/* Is any block of @size bytes aligned so? */
static bool is_natural(size_t align, size_t size)
{
	return align <= HAK_MIN_ALIGN || (align <= 16 && size > HAK_MIN_ALIGN);
}

void *hak_zalloc_aligned(size_t align, size_t size)
{
	void *block;

	if (is_power_of_two(align) && (is_natural(align, size) || size > SLAB_MAX)) {
		block = hak_zalloc(size); /* a large one may be known to read zero, and aligned */
		if (!((uintptr_t)block & (align - 1)))
			return block;
		hak_free(block);
	}
	block = hak_aligned_alloc(align, size);
	if (block)
		__builtin_memset(block, 0, size);
	return block;
}

void *hak_realloc_aligned(void *block, size_t align, size_t size)
{
	size_t usable;
	void *moved;
	bool fits;

	if (!block)
		return hak_aligned_alloc(align, size);
	if (is_power_of_two(align) && (!size || is_natural(align, size)))
		return hak_realloc(block, size);
	usable = hak_usable_size(block);
	/* in debug builds a block is not larger than its class: see check_size() */
	fits = is_power_of_two(align) && !((uintptr_t)block & (align - 1)) && size <= usable &&
	       !IS_ENABLED(CONFIG_HAK_DEBUG) && !IS_ENABLED(CONFIG_HAK_HARDENED);
	if (fits && size > usable / 2)
		return block;
	moved = hak_aligned_alloc(align, size);
	if (!moved)
		return fits ? block : NULL;
	__builtin_memcpy(moved, block, MIN(size, usable));
	hak_free(block);
	return moved;
}
