/* SPDX-License-Identifier: MIT */
/*
 * The tables of sizeclass.h. The compiler fills them in, so they are constants, and the first
 * allocation of a process needs no initialisation.
 *
 * Lock: none.
 */
#include "base/sizeclass.h"

struct cached_max hak_cached_max = { .now = SLAB_MAX, .most = HAK_CACHED_MAX };

/* The row of a class whose blocks lie in slabs, ... */
#define SLAB_ROW(size, capacity)                                                                   \
	{                                                                                          \
		(size), CLASS_INVERSE(size), SLAB_BLOCKS(size, SLAB_UNITS(size)),                  \
			(uint16_t)(capacity), BATCH_FIT(size), SLAB_UNITS(size)                    \
	}
#define SLAB_CLASS(class, below, size) [class] = SLAB_ROW(size, SLAB_CAPACITY(size)),

/* ... and of one whose blocks are spans. */
#define SPAN_CLASS(class, below, size)                                                             \
	[class] = { (size),                                                                        \
		    0,                                                                             \
		    GROUP_SPANS(size),                                                             \
		    SPAN_CAPACITY(size),                                                           \
		    BATCH_FIT(size),                                                               \
		    GROUP_SPANS(size) ? GROUP_UNITS((size) / PAGE_SIZE) : 0 },

const struct size_class size_class[CLASS_SPAN] = {
	SMALL_CLASSES(SLAB_CLASS) MEDIUM_CLASSES(SLAB_CLASS)
		PART_CLASSES(SLAB_CLASS)[CLASS_BITMAP_512] = SLAB_ROW(512, 0),
	[CLASS_BITMAP_1024] = SLAB_ROW(1024, 0), PAGE_CLASSES(SPAN_CLASS) LARGE_CLASSES(SPAN_CLASS)
};

/* The entries of a table that lead to a class: for the sizes above @below, up to @size. */
#define RANGE(class, below, size, step)                                                            \
	[(below) / (step) + 1 ...(size) / (step)] =                                                \
		(class) < CLASS_SMALLEST ? CLASS_SMALLEST : (class),
#define SMALL_RANGE(class, below, size)	 RANGE(class, below, size, SMALL_STEP)
#define MEDIUM_RANGE(class, below, size) RANGE(class, below, size, MEDIUM_STEP)

const uint8_t small_class[SMALL_MAX / SMALL_STEP + 1] = { [0] = CLASS_SMALLEST,
							  SMALL_CLASSES(SMALL_RANGE) };

const uint8_t medium_class[TABLE_MAX / MEDIUM_STEP + 1] = { MEDIUM_CLASSES(
	MEDIUM_RANGE) PART_CLASSES(MEDIUM_RANGE) PAGE_CLASSES(MEDIUM_RANGE) };
