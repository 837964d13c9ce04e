/* SPDX-License-Identifier: MIT */
/*
 * The slabs of each size class. See class.c.
 */
#ifndef HAKMEM_SLAB_CLASS_H
#define HAKMEM_SLAB_CLASS_H

#include "base/lock.h"
#include "base/sizeclass.h"
#include "pages/bug.h"
#include "slab/slab.h"
#include "superslab/claim.h"
#include "superslab/superslab.h"

/**
 * struct slab_class - the slabs of one class
 * @lock:     guards everything here, and what descriptor.h says
 * @partial:  slabs with free blocks: a list for each slab_bucket(), the fullest first [class]
 * @allocated: blocks that were handed out, ever [class]
 * @freed:    blocks that came back, ever [class]
 * @units:    units of all its slabs [class]
 * @retouched: purged pages that were handed out again [class]
 * @unbacked_blocks: free blocks in unbacked pages of all slabs [class]
 * @gaps:     gap blocks in its slabs now [class]
 * @gaps_made: gap blocks that were ever made of its blocks [class]
 * @uncached: calls without a cache, by enum uncached [atomic]
 */
struct slab_class {
	struct lock lock;
	struct list_node *partial[SLAB_BUCKETS];
	uint64_t allocated, freed;
	uint64_t units;
	uint64_t retouched;
	uint64_t unbacked_blocks;
	uint64_t gaps, gaps_made;
	_Atomic uint64_t uncached[NR_UNCACHED];
} __attribute__((aligned(64)));

/* NULL if the class never had a slab. */
struct slab_class *class_find(unsigned class);

HAK_COLD unsigned class_alloc(unsigned class, void **end, unsigned n, enum alloc_which which);
HAK_COLD unsigned class_alloc_partial(unsigned class, void **end, unsigned n);
unsigned class_free_some(unsigned class, void *const *blocks, unsigned least, unsigned n);
enum hak_bug_code class_inspect(unsigned class, const void *block, size_t *detail);

static inline void class_free(unsigned class, void *const *blocks, unsigned n)
{
	class_free_some(class, blocks, n, n);
}

/* For gap.c. */
static inline void class_lock(struct slab_class *sc)
{
	lock_lock(&sc->lock, LOCK_CLASS);
}

static inline void class_unlock(struct slab_class *sc)
{
	lock_unlock(&sc->lock, LOCK_CLASS);
}

HAK_COLD void class_note_allocated(struct slab_class *sc, struct slab *slab, unsigned n);
HAK_COLD void class_note_freed(struct slab_class *sc, struct slab *slab, unsigned n);

/* What a scan claims of the slabs of a SuperSlab: see superslab/claim.c. */
HAK_COLD void class_claim(struct claim *claim, bool all);
HAK_COLD void class_free_claimed(struct claim *claim, int flags);

HAK_COLD uint64_t class_outstanding(unsigned class);

bool class_for_each_lock(bool (*visit)(struct lock *lock));
void class_fini(void);

#endif
