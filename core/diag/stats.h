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
 * @gaps:      gap blocks in its slabs now; 0 for spans
 * @gaps_made: gap blocks that were ever made there
 * @locks:     times that its lock was taken; 0 for spans, which have none of their own
 */
struct class_counters {
	uint64_t allocated;
	uint64_t freed;
	uint64_t slabs;
	uint64_t uncached[NR_UNCACHED];
	uint64_t retouched;
	uint64_t gaps, gaps_made;
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

/* The end of struct hak_stats, behind the rows: its 64-bit fields, in the same order. */
#define STATS_REST(FIELD)                                                                          \
	FIELD(caches)                                                                              \
	FIELD(bitmap_slabs)                                                                        \
	FIELD(slabs_used)                                                                          \
	FIELD(superslabs_mapped)                                                                   \
	FIELD(superslabs_released)                                                                 \
	FIELD(superslabs_active)                                                                   \
	FIELD(superslabs_peak)                                                                     \
	FIELD(superslabs_reserve)                                                                  \
	FIELD(superslabs_emptied)                                                                  \
	FIELD(superslabs_refused)                                                                  \
	FIELD(utilisation_permille)                                                                \
	FIELD(provider_maps)                                                                       \
	FIELD(provider_unmaps)                                                                     \
	FIELD(provider_purges)                                                                     \
	FIELD(provider_failures)                                                                   \
	FIELD(requested_bytes)                                                                     \
	FIELD(mapped_bytes)                                                                        \
	FIELD(purged_bytes)                                                                        \
	FIELD(meta_bytes)                                                                          \
	FIELD(resident_bytes)                                                                      \
	FIELD(provider_purges_refused)                                                             \
	FIELD(retouched_bytes)                                                                     \
	FIELD(superslabs_phantom)                                                                  \
	FIELD(class_locks)                                                                         \
	FIELD(superslab_locks)                                                                     \
	FIELD(gap_blocks)                                                                          \
	FIELD(gaps_made)                                                                           \
	FIELD(gaps_failed)                                                                         \
	FIELD(available_bytes)                                                                     \
	FIELD(largest_bytes)                                                                       \
	FIELD(peak_bytes)
#define STATS_REST_MEMBER(name) uint64_t name;

struct stats_rest {
	struct hak_class_stats spans, total;
	STATS_REST(STATS_REST_MEMBER)
};

/* A row: of a class with magazines, or of CLASS_SPAN. */
void stats_read_class(unsigned class, struct hak_class_stats *row);
void stats_add_class(struct hak_class_stats *sum, const struct hak_class_stats *more);

/*
 * All else. @out->total is the sum of all other rows before, and of the spans, too, afterwards.
 * @size is of a struct hak_stats, of which no more is wanted.
 */
void stats_read_rest(struct stats_rest *out, size_t size);

uint64_t stats_bitmap_slabs(void);
uint64_t stats_resident(void);
uint64_t stats_count_phantoms(void);

/* An allocation of this class, or CLASS_SPAN, has failed; a gap, if CLASS_NONE. Takes no lock. */
void stats_count_failure(unsigned class);
void stats_fini(void);

#endif
