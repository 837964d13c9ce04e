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
static inline unsigned blocks_take(unsigned class, void **end, unsigned n)
{
	return class_has_spans(class) ? span_take(class, end, n) : slab_take(class, end, n);
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

struct blocks_counters {
	uint64_t taken, put; /* ever */
	uint64_t slabs;	     /* that those have which were not put yet */
	uint64_t bypass[2];  /* by enum bypass */
};

static inline void blocks_read_counters(unsigned class, struct blocks_counters *counters)
{
	struct slab_counters slab;
	struct span_counters span;

	if (class_has_spans(class)) {
		span_read_counters(class, &span);
		*counters = (struct blocks_counters){
			span.taken, span.put, span.slabs, { span.bypass[0], span.bypass[1] }
		};
	} else {
		slab_read_counters(class, &slab);
		*counters = (struct blocks_counters){
			slab.taken, slab.put, slab.slabs, { slab.bypass[0], slab.bypass[1] }
		};
	}
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
