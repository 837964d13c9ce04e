/* SPDX-License-Identifier: MIT */
/*
 * What is counted of each class where its blocks come from: in slabs, or as spans.
 */
#ifndef HAKMEM_BASE_COUNTERS_H
#define HAKMEM_BASE_COUNTERS_H

#include "base/base.h"

/* What a caller without a cache does, block by block. */
enum uncached {
	UNCACHED_ALLOC,
	UNCACHED_FREE,
};

struct class_counters {
	uint64_t allocated;   /* blocks that were handed out, ever */
	uint64_t freed;	      /* blocks that came back, ever */
	uint64_t slabs;	      /* slabs of the class now */
	uint64_t uncached[2]; /* calls without a cache, by enum uncached */
	uint64_t retouched;   /* pages of slabs that were purged and handed out again */
	uint64_t locks;	      /* times that the lock of the class was taken; spans have none */
};

#endif
