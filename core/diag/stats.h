/* SPDX-License-Identifier: MIT */
/*
 * What the statistics give to other files of the core. See stats.c.
 */
#ifndef HAKMEM_DIAG_STATS_H
#define HAKMEM_DIAG_STATS_H

#include "base/base.h"

#include <hakmem/stats.h>

#include "cache/layout.h"

/* What is counted of a class where its blocks come from. */
struct class_counters {
	uint64_t allocated;		/* blocks that were handed out, ever */
	uint64_t freed;			/* blocks that came back, ever */
	uint64_t slabs;			/* slabs of the class now */
	uint64_t uncached[NR_UNCACHED]; /* calls without a cache, by enum uncached */
	uint64_t retouched;		/* pages of slabs that were purged and handed out again */
	uint64_t locks; /* times that the lock of the class was taken; spans have none */
};

/* Sums over all caches. */
struct cache_counters {
	uint64_t pops, pushes;
	struct magazine_batches batches;
	uint64_t blocks; /* in magazines now */
};

void stats_read_blocks(unsigned class, struct class_counters *counters);
void stats_read_caches(unsigned class, struct cache_counters *sum);

/* As hak_stats_read(), without a copy: all of @out may be written, @size bytes are wanted. */
void stats_read(struct hak_stats *out, size_t size);

uint64_t stats_resident(void);
uint64_t stats_count_phantoms(void);
void stats_count_failure(unsigned class);
void stats_fini(void);

#endif
