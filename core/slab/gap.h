/* SPDX-License-Identifier: MIT */
/*
 * Gap blocks: runs of free blocks of a smaller class, as the last resort. See gap.c.
 */
#ifndef HAKMEM_SLAB_GAP_H
#define HAKMEM_SLAB_GAP_H

#include "slab/class.h"

/* No gap block is larger than this. */
#define GAP_MAX SLAB_SIZE

HAK_COLD void *gap_alloc(unsigned class, size_t size, size_t align);
HAK_COLD void gap_free(void *block);

/**
 * struct gap - a block of a slab that has gap blocks
 * @class:  the class of the slab
 * @first:  which block of the slab it begins at
 * @n:      how many it consists of; 1 for an ordinary block
 * @size:   its length in bytes; 0 if there is no block
 * @detail: how many bytes behind its start the pointer points to
 */
struct gap {
	unsigned class, first, n;
	size_t size, detail;
};

HAK_COLD enum hak_bug_code gap_inspect(const void *block, struct gap *gap);

/* The same, unless the platform links that of sampled.c: samples lie in such slabs, too. */
HAK_COLD enum hak_bug_code hak_mixed_inspect(const void *block, struct gap *gap);

#endif
