/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_CACHE_CACHE_H
#define HAKMEM_CACHE_CACHE_H

#include "base/base.h"
#include "cache/magazine.h"
#include "pages/pagemap.h"

/*
 * The stand-in of those who have no cache yet: all its magazines are empty and
 * full at once, so that the first call of a thread is an ordinary miss. And that
 * of those who shall have none, threads at their end and interrupt handlers: they
 * find no magazine to use, nor get one, and work block by block.
 *
 * Both are nothing but zeros that nobody ever writes, of which there are enough in
 * the page map's absent leaf.
 */
#define CACHE_NONE  ((struct hak_cache *)pagemap.absent)
#define CACHE_NEVER ((struct hak_cache *)(pagemap.absent + sizeof(uint64_t)))

_Static_assert(sizeof(struct hak_cache) + 2 * sizeof(uint64_t) <= LEAF_SLABS,
	       "the stand-ins, with the one slot that their magazines share");

/* Sums over all caches. */
struct cache_counters {
	uint64_t pops, pushes;
	struct magazine_batches batches;
	uint64_t blocks; /* in magazines now */
};

HAK_COLD struct hak_cache *cache_attach(void);
HAK_COLD bool cache_flush(struct hak_cache *cache);
bool cache_flush_own(void);
bool cache_has_own_spans(void);
void cache_flush_own_spans(void);
bool cache_has_own(unsigned class, const void *block);
HAK_COLD void hak_cache_detach(struct hak_cache *cache);

/* Which magazines lose their blocks when cache_scan() comes by. */
enum cache_scan {
	CACHE_SCAN_IDLE, /* those not used since the last time, and what others did not need */
	CACHE_SCAN_ALL,	 /* all of all caches */
};
HAK_COLD bool cache_scan(enum cache_scan what);

uint64_t cache_count(void);
void cache_read_counters(unsigned class, struct cache_counters *sum);
uint64_t cache_count_phantoms(void);
const char *cache_check(void);
void cache_fork_lock(void);
void cache_fork_unlock(void);
void cache_after_fork(void);
void cache_fini(void);

#endif
