/* SPDX-License-Identifier: MIT */
/*
 * What the statistics give to the core and to the platforms. See stats.c.
 */
#ifndef HAKMEM_DIAG_STATS_H
#define HAKMEM_DIAG_STATS_H

#include <hakmem/stats.h>

#include "cache/layout.h"

/**
 * struct class_counters - what is counted of a class where its blocks come from
 * @allocated: blocks that were allocated from its slabs, or as spans, ever
 * @freed:     blocks that came back there, ever
 * @slabs:     slabs of the class now
 * @uncached:  calls without a cache, by enum uncached
 * @retouched: pages of its slabs that were purged and have been handed out since
 * @locks:     times that its lock was taken; 0 for spans, which have none of their own
 */
struct class_counters {
	uint64_t allocated;
	uint64_t freed;
	uint64_t slabs;
	uint64_t uncached[NR_UNCACHED];
	uint64_t retouched;
	uint64_t locks;
};

/**
 * struct cache_counters - what is counted of a class in caches: the sum over all of them
 * @pops:    blocks that were taken from magazines, ever
 * @pushes:  blocks that were put into magazines, ever
 * @batches: refills and spills
 * @blocks:  blocks that lie in magazines now
 */
struct cache_counters {
	uint64_t pops, pushes;
	struct magazine_batches batches;
	uint64_t blocks;
};

/* Overwrite @counters and @sum. */
void stats_read_blocks(unsigned class, struct class_counters *counters);
void stats_read_caches(unsigned class, struct cache_counters *sum);

/*
 * The same as hak_stats_read(), without a copy. All of @out may be written; @size says how
 * many bytes of it the caller wants to know.
 */
void stats_read(struct hak_stats *out, size_t size);

uint64_t stats_resident(void);
uint64_t stats_count_phantoms(void);

/* An allocation of this class, or CLASS_SPAN, has failed. Takes no lock. */
void stats_count_failure(unsigned class);
void stats_fini(void);

#endif
