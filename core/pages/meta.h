/* SPDX-License-Identifier: MIT */
/*
 * Memory for the allocator's own records. See meta.c.
 */
#ifndef HAKMEM_PAGES_META_H
#define HAKMEM_PAGES_META_H

#include "base/lock.h"
#include "pages/pages.h"

/* What a record is for. All records of a kind that are freed have the same size. */
enum meta_kind {
	META_SUPERSLAB,
	META_PART, /* these two are not zero when they are new */
	META_CACHE,
	META_LEAF,
	META_CLASS,
	META_PREFILL,
	META_STASH,
	META_POOL,
	META_POOL_MAGAZINE,
	META_POOL_SLAB,
	META_SAMPLES,
	NR_META_KINDS,
};

#define META_ALIGN ((size_t)64) /* bytes: a line of the processor's caches */

/* Is a record of this kind a mapping of its own? */
static inline bool meta_is_apart(enum meta_kind kind)
{
	return UNITS_PER_SLAB > 1 && kind == META_SUPERSLAB && pages_small_records();
}

HAK_COLD void *meta_alloc(enum meta_kind kind, size_t size);
HAK_COLD void meta_free(enum meta_kind kind, void *record);
HAK_COLD void meta_trim(size_t size);
void meta_purge(const void *start, const void *end);

HAK_COLD bool meta_has(const void *address);
size_t meta_resident(void);
size_t meta_uncut(void);
size_t meta_freed(enum meta_kind kind);

bool meta_for_each_lock(bool (*visit)(struct lock *lock));
void meta_fini(void);

#endif
