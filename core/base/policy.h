/* SPDX-License-Identifier: MIT */
/*
 * Every threshold, and every "should this go back?", in one place. See policy.c.
 */
#ifndef HAKMEM_BASE_POLICY_H
#define HAKMEM_BASE_POLICY_H

#include "base/base.h"

/*
 * What becomes of a SuperSlab that has just become empty. Whatever the mode is,
 * hak_idle() and hak_trim() give back what they find.
 */
enum release_mode {
	RELEASE_AT_ONCE, /* no scan will come by: only one is kept */
	RELEASE_LATER,	 /* scans come by: as many are kept as were needed lately */
	RELEASE_NEVER,	 /* all are kept */
};

/* So many empty SuperSlabs, 512 MiB, or a quarter of the peak, are kept if needed lately. */
#define POLICY_RESERVE_MOST 256u

/* How many intervals between scans count as lately. */
#define POLICY_INTERVALS 6u

/* Places that are compared when a run of slabs is looked for, ... */
#define POLICY_RUN_CANDIDATES 32u

/* ... and empty SuperSlabs, when one is looked for whose memory may move. */
#define POLICY_REMAP_CANDIDATES 64u

/*
 * Descriptors for so many SuperSlabs are made before it is known whether there is memory
 * for these. Descriptors are never given back, so a request for more asks for memory first.
 */
#define POLICY_EARLY_DESCRIPTORS 16u

/* The provider's memory is cut into records in chunks of this size. */
#define POLICY_META_CHUNK ((size_t)64 << 10)

void policy_set_mode(enum release_mode mode);
HAK_COLD size_t policy_reserve(size_t in_use, size_t peak);
HAK_COLD bool policy_keeps(size_t reserve, size_t in_use, size_t peak);
HAK_COLD bool policy_keeps_blocks(size_t in_use);

/* Why the limit of a magazine is reconsidered. */
enum magazine_event {
	MAGAZINE_REFILL,
	MAGAZINE_REFILL_MISSED, /* blocks are wanted that were spilled a moment ago */
	MAGAZINE_REFILL_STEADY, /* many were freed since the last batch */
	MAGAZINE_SPILL,
	MAGAZINE_SPILL_AGAIN, /* hardly anything but frees since the last spill */
};
HAK_COLD unsigned policy_first_limit(unsigned class);
HAK_COLD unsigned policy_next_limit(unsigned limit, unsigned capacity, unsigned batch,
				    enum magazine_event event);
HAK_COLD unsigned policy_spill(unsigned held, unsigned limit, unsigned batch, bool all);
HAK_COLD unsigned policy_excess(unsigned held, uint64_t gone);
HAK_COLD unsigned policy_inherited(unsigned class);

HAK_COLD size_t policy_growth(size_t size, size_t usable);
HAK_COLD bool policy_moves(size_t size, uint64_t mapped);

#endif
