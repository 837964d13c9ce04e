/* SPDX-License-Identifier: MIT */
/*
 * What slabs and spans count alike.
 */
#ifndef HAKMEM_BASE_COUNTERS_H
#define HAKMEM_BASE_COUNTERS_H

/* What a caller without a cache does, block by block. */
enum uncached {
	UNCACHED_ALLOC,
	UNCACHED_FREE,
	NR_UNCACHED,
};

#endif
