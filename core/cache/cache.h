/* SPDX-License-Identifier: MIT */
/*
 * The registry of caches. See cache.c.
 */
#ifndef HAKMEM_CACHE_CACHE_H
#define HAKMEM_CACHE_CACHE_H

#include "cache/layout.h"
#include "pages/pagemap.h"

/*
 * Two stand-ins for a cache. Callers who have no cache yet use CACHE_NONE: all its magazines
 * are empty and full at once, so that the first call of a thread is an ordinary miss. Callers
 * who are to have none, threads at their end and interrupt handlers, use CACHE_NEVER. They
 * find no magazine to use, get no cache, and work block by block.
 *
 * Both consist of zeros that are never written. They lie in the page map's absent leaf, which
 * consists of such zeros.
 */
#define CACHE_NONE  ((struct hak_cache *)pagemap.absent)
#define CACHE_NEVER ((struct hak_cache *)(pagemap.absent + sizeof(uint64_t)))

_Static_assert(sizeof(struct hak_cache) + 2 * sizeof(uint64_t) <= LEAF_UNITS,
	       "the stand-ins, with the one slot that their magazines share");

/* An owner's life. */
HAK_COLD struct hak_cache *cache_attach(void);
HAK_COLD void hak_cache_detach(struct hak_cache *cache);
HAK_COLD void cache_detach_gone(bool always);

/* The caller's own cache, if it has one. */
HAK_COLD struct hak_cache *cache_get(void);
HAK_COLD bool cache_flush_own(unsigned first);
bool cache_has_own_spans(void);

/* Which blocks cache_scan() returns to their slabs. */
enum cache_scan {
	CACHE_SCAN_IDLE, /* those that were not used since the last scan, or not needed */
	CACHE_SCAN_ALL,	 /* all blocks in all magazines */
};
HAK_COLD bool cache_scan(enum cache_scan what);

uint64_t cache_count(void);
void cache_visit(void (*visit)(struct hak_cache *cache, void *ctx), void *ctx);

bool cache_for_each_lock(bool (*visit)(struct lock *lock));
void cache_after_fork(void);
void cache_fini(void);

#endif
