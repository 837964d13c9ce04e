/* SPDX-License-Identifier: MIT */
/*
 * Where the blocks of a class come from and go to: slabs, or runs of slabs.
 * What is above has no need to know. CLASS_SPAN is no class here: those are
 * allocated one by one.
 */
#ifndef HAKMEM_BLOCKS_H
#define HAKMEM_BLOCKS_H

#include "sizeclass.h"
#include "slab.h"
#include "span.h"

/* Take up to @n into end[-1], end[-2] ...; 0 if there is no memory. */
static inline unsigned blocks_take(unsigned class, void **end, unsigned n, enum take which)
{
	return class_has_spans(class) ? span_take(class, end, n, which)
				      : slab_take(class, end, n, which);
}

/*
 * Put back; one that is no block, or is free already, stops the program. Returns
 * how many are outstanding then.
 */
static inline uint64_t blocks_put(unsigned class, void *const *blocks, unsigned n)
{
	return class_has_spans(class) ? span_put(class, blocks, n) : slab_put(class, blocks, n);
}

/* How many are outstanding: live, or in anybody's magazine. */
static inline uint64_t blocks_outstanding(unsigned class)
{
	return class_has_spans(class) ? span_outstanding(class) : slab_outstanding(class);
}

static inline void blocks_read_counters(unsigned class, struct class_counters *counters)
{
	if (class_has_spans(class))
		span_read_counters(class, counters);
	else
		slab_read_counters(class, counters);
}

/* A block of the class was allocated, or freed, without a magazine. */
static inline void blocks_count_bypass(unsigned class, enum bypass what)
{
	if (class_has_spans(class))
		span_count_bypass(class, what);
	else
		slab_count_bypass(class, what);
}

/* What is wrong with freeing @block, of this class by the page map? */
static inline enum hak_bug_code blocks_inspect(unsigned class, const void *block, size_t *detail)
{
	return class_has_spans(class) ? span_inspect(class, block, detail)
				      : slab_inspect(class, block, detail);
}

#endif
