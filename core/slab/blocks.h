/* SPDX-License-Identifier: MIT */
/*
 * Where the blocks of a class come from and go to: slabs, or runs of slabs.
 * What is above has no need to know. CLASS_SPAN is no class here: those are
 * allocated one by one.
 */
#ifndef HAKMEM_SLAB_BLOCKS_H
#define HAKMEM_SLAB_BLOCKS_H

#include "base/sizeclass.h"
#include "slab/class.h"
#include "superslab/span.h"

/* Take up to @n into end[-1], end[-2] ...; 0 if there is no memory. */
static inline unsigned blocks_alloc(unsigned class, void **end, unsigned n, enum alloc_which which)
{
	return class_has_spans(class) ? span_alloc_batch(class, end, n, which)
				      : class_alloc(class, end, n, which);
}

/*
 * Put back; one that is no block, or is free already, stops the program. Returns
 * how many are outstanding then.
 */
static inline uint64_t blocks_free(unsigned class, void *const *blocks, unsigned n)
{
	return class_has_spans(class) ? span_free_batch(class, blocks, n) : class_free(class, blocks, n);
}

/* How many are outstanding: live, or in anybody's magazine. */
static inline uint64_t blocks_outstanding(unsigned class)
{
	return class_has_spans(class) ? span_outstanding(class) : class_outstanding(class);
}

static inline void blocks_read_counters(unsigned class, struct class_counters *counters)
{
	if (class_has_spans(class))
		span_read_counters(class, counters);
	else
		class_read_counters(class, counters);
}

/* A block of the class was allocated, or freed, without a magazine. */
static inline void blocks_count_uncached(unsigned class, enum uncached what)
{
	if (class_has_spans(class))
		span_count_uncached(class, what);
	else
		class_count_uncached(class, what);
}

/* What is wrong with freeing @block, of this class by the page map? */
static inline enum hak_bug_code blocks_inspect(unsigned class, const void *block, size_t *detail)
{
	return class_has_spans(class) ? span_inspect(class, block, detail)
				      : class_inspect(class, block, detail);
}

#endif
