/* SPDX-License-Identifier: MIT */
/*
 * Every threshold, and every "should this go back?", in one place. See policy.c.
 */
#ifndef HAKMEM_BASE_POLICY_H
#define HAKMEM_BASE_POLICY_H

#include "base/base.h"

/*
 * What becomes of a SuperSlab that has just become empty. In every mode, hak_idle() and
 * hak_trim() release what they find.
 */
enum release_mode {
	RELEASE_AT_ONCE, /* no scans run: one is kept, the others are released */
	RELEASE_LATER,	 /* scans run: as many are kept as were needed lately */
	RELEASE_NEVER,	 /* all are kept */
};

/* At most so many empty SuperSlabs are kept, 512 MiB, or a quarter of all if that is more. */
#define POLICY_RESERVE_MOST 256u

/* A number that tells of this interval, and of the one before. */
struct two_intervals {
	size_t now, before;
};

/* This many places are compared when unused slabs are allocated, ... */
#define POLICY_RUN_CANDIDATES 32u

/* ... and this many empty SuperSlabs when the memory of one is to move. */
#define POLICY_REMAP_CANDIDATES 64u

/*
 * Descriptors of up to so many SuperSlabs are made before it is known whether there is memory
 * for these. More of them would take memory that may stay theirs, so a larger request asks for its
 * memory first.
 */
#define POLICY_EARLY_DESCRIPTORS 16u

/*
 * Who asks for more zeros than this, in bytes, may use little of them: they are got by purging,
 * not by writing. (glibc maps new memory for as much, always.)
 */
#define POLICY_CLEAR_MOST ((size_t)32 << 20)

/*
 * A class that has so many slabs, and no free block, will soon use all pages of the next one.
 * If it does not, they are at most 3 % of what it has.
 */
#define POLICY_GROWING_SLABS 32u

/*
 * If a heap has so many SuperSlabs in use, 64 MiB, and a class needs another one since it grows,
 * all of it is populated at once: the platform may get a huge page for it. That is at most 3 % of
 * what there is.
 */
#define POLICY_WHOLE_LEAST 32u

/*
 * A request is tried so often before it returns NULL, if the host says each time that it has
 * freed something. (Others may have got it.)
 */
#define POLICY_TRIES 32u

/* All magazines are emptied so often before, if others are in the middle of something. */
#define POLICY_SCAN_TRIES 3u

/* In bytes: once the provider has so much, spans have magazines: PLATFORM_CACHED_BY_MEMORY. */
#define POLICY_CACHES_SPANS ((size_t)32 << 20)

/*
 * The allocator's own records are cut from chunks of this size, in bytes, or a multiple. With
 * units of a page, that is the records of two parts (superslab/part.c).
 */
#define POLICY_META_CHUNK ((size_t)(UNITS_PER_SLAB > 1 ? 72 : 64) << 10)

/*
 * Where chunks have guards, the first one has room for a cache, a leaf of the page map and some
 * descriptors: so a small program touches few pages.
 */
#define POLICY_META_START ((size_t)640 << 10)

/* What the first block needs of that: a chunk, and where units are pages a descriptor besides. */
#define POLICY_META_FIRST (POLICY_META_CHUNK + ((size_t)(UNITS_PER_SLAB > 1 ? 36 : 0) << 10))

/* Any time, by anybody; the platform does it. */
void policy_set_mode(enum release_mode mode);

/* Numbers of SuperSlabs. */
HAK_COLD bool policy_keeps(size_t reserve, size_t active);
HAK_COLD bool policy_keeps_blocks(size_t in_use);

/* Numbers of slabs. */
bool policy_waits(size_t units);
bool policy_is_busy(size_t unused, const struct two_intervals *taken, size_t in_use);

/* Why the limit of a magazine may change. */
enum magazine_event {
	MAGAZINE_REFILL,
	MAGAZINE_REFILL_MISSED, /* it fetches blocks that were spilled a moment ago */
	MAGAZINE_REFILL_STEADY, /* many blocks were freed since the last batch */
	MAGAZINE_SPILL,
	MAGAZINE_SPILL_AGAIN, /* hardly anything but frees since the last spill */
};

/*
 * Numbers of blocks. What a magazine may hold if there are no bursts: two batches; and all that it
 * can if the platform leaves no budget for bursts.
 */
static inline unsigned policy_usual(unsigned capacity, unsigned batch)
{
	return HAK_CACHE_BURST_BYTES == 0 || capacity / 2 < batch ? capacity : batch * 2;
}

unsigned policy_batch(size_t size, uint64_t peak);
uint64_t policy_caches(uint64_t least, uint64_t live);
HAK_COLD unsigned policy_first_limit(unsigned class);
HAK_COLD unsigned policy_next_limit(unsigned limit, unsigned capacity, unsigned batch,
				    enum magazine_event event);
HAK_COLD unsigned policy_spill(unsigned held, unsigned limit, unsigned batch, bool all);
HAK_COLD unsigned policy_last_limit(unsigned limit, unsigned held, uint64_t others, unsigned batch);
HAK_COLD unsigned policy_excess(unsigned held, uint64_t gone);
HAK_COLD unsigned policy_inherited(unsigned class);

/* When memory is full. */
bool policy_gap_first(size_t size);
HAK_COLD bool policy_is_scarce(uint64_t unused, uint64_t all);

/* Bytes of spans. */
HAK_COLD size_t policy_growth(size_t size, size_t usable);
HAK_COLD bool policy_grows_on(size_t size, uint64_t live);
HAK_COLD bool policy_moves(size_t size, uint64_t mapped);

#endif
