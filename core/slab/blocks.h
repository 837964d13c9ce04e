/* SPDX-License-Identifier: MIT */
/*
 * Where the blocks of a class come from and go to: slabs, or spans. Layers above need not
 * know which. CLASS_SPAN does not come here: its spans are allocated one by one, by span.c.
 */
#ifndef HAKMEM_SLAB_BLOCKS_H
#define HAKMEM_SLAB_BLOCKS_H

#include "base/sizeclass.h"
#include "slab/class.h"
#include "superslab/span.h"

/* Allocate up to @n blocks and store them in end[-1], end[-2] ... Returns how many. */
static inline unsigned blocks_alloc(unsigned class, void **end, unsigned n, enum alloc_which which)
{
	return class_has_spans(class) ? span_alloc_batch(class, end, n, which)
				      : class_alloc(class, end, n, which);
}

/*
 * Free at least @least of @n blocks, and at least one. A block that is none, or is free already, is
 * noted: see bug_note(). Returns how many, the first ones.
 */
static inline unsigned blocks_free_some(unsigned class, void *const *blocks, unsigned least,
					unsigned n)
{
	if (!class_has_spans(class))
		return class_free_some(class, blocks, least, n);
	span_free_batch(class, blocks, n);
	return n;
}

static inline void blocks_free(unsigned class, void *const *blocks, unsigned n)
{
	blocks_free_some(class, blocks, n, n);
}

/* How many blocks are outstanding: in use, or in a magazine. */
static inline uint64_t blocks_outstanding(unsigned class)
{
	return class_has_spans(class) ? span_outstanding(class) : class_outstanding(class);
}

/* A block was allocated, or freed, without a cache. */
static inline void blocks_count_uncached(unsigned class, enum uncached what)
{
	_Atomic uint64_t *counter = class_has_spans(class)
					    ? &hak_spans.uncached[class - CLASS_SPAN_FIRST][what]
					    : &class_find(class)->uncached[what];

	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* What is wrong with freeing @block, of this class by the page map? */
static inline enum hak_bug_code blocks_inspect(unsigned class, const void *block, size_t *detail)
{
	return class_has_spans(class) ? span_inspect(class, block, detail)
				      : class_inspect(class, block, detail);
}

#endif
