/* SPDX-License-Identifier: MIT */
/*
 * Size classes: the one table from which everything that depends on the size
 * of a block is computed when the compiler runs.
 *
 * 8, then steps of 16 to 128 (one step of 8 would save nothing that alignment
 * does not take back), then four per doubling to 8 KiB (internal waste at most
 * 20 %, about 10 % on average), then a slab divided by 7, 6, 5, 4, 3 and 2,
 * rounded down to 128 bytes. Up to 1 KiB every size is a multiple of 8, above
 * of 128, so that two small tables of bytes lead from any size to its class.
 *
 * Class 0 is "not a block": absent memory. Behind the classes of users come
 * two of the allocator's own, for bitmaps, and two that mark spans. None of
 * these has a magazine, so that a free of any of them takes the slow path by
 * itself.
 */
#ifndef HAKMEM_SIZECLASS_H
#define HAKMEM_SIZECLASS_H

#include "base.h"

/* X(class, size of the class below, size) */
#define SMALL_CLASSES(X)                                                                           \
	X(1, 0, 8)                                                                                 \
	X(2, 8, 16)                                                                                \
	X(3, 16, 32)                                                                               \
	X(4, 32, 48)                                                                               \
	X(5, 48, 64)                                                                               \
	X(6, 64, 80)                                                                               \
	X(7, 80, 96)                                                                               \
	X(8, 96, 112)                                                                              \
	X(9, 112, 128)                                                                             \
	X(10, 128, 160)                                                                            \
	X(11, 160, 192)                                                                            \
	X(12, 192, 224)                                                                            \
	X(13, 224, 256)                                                                            \
	X(14, 256, 320)                                                                            \
	X(15, 320, 384)                                                                            \
	X(16, 384, 448)                                                                            \
	X(17, 448, 512)                                                                            \
	X(18, 512, 640)                                                                            \
	X(19, 640, 768)                                                                            \
	X(20, 768, 896)                                                                            \
	X(21, 896, 1024)

#define MEDIUM_CLASSES(X)                                                                          \
	X(22, 1024, 1280)                                                                          \
	X(23, 1280, 1536)                                                                          \
	X(24, 1536, 1792)                                                                          \
	X(25, 1792, 2048)                                                                          \
	X(26, 2048, 2560)                                                                          \
	X(27, 2560, 3072)                                                                          \
	X(28, 3072, 3584)                                                                          \
	X(29, 3584, 4096)                                                                          \
	X(30, 4096, 5120)                                                                          \
	X(31, 5120, 6144)                                                                          \
	X(32, 6144, 7168)                                                                          \
	X(33, 7168, 8192)                                                                          \
	X(34, 8192, 9344)                                                                          \
	X(35, 9344, 10880)                                                                         \
	X(36, 10880, 13056)                                                                        \
	X(37, 13056, 16384)                                                                        \
	X(38, 16384, 21760)                                                                        \
	X(39, 21760, 32768)

enum {
	CLASS_NONE,
	CLASS_FIRST = 1,
	CLASS_LAST = 39,
	CLASS_BITMAP_512,  /* bitmaps of classes of 16 bytes and more */
	CLASS_BITMAP_1024, /* those of 8 bytes */
	CLASS_SPAN,	   /* the first slab of a span */
	CLASS_SPAN_REST,   /* its other slabs */
	NR_CLASSES,
	NR_SLAB_CLASSES = CLASS_SPAN, /* the classes whose slabs have bitmaps */
};

#define SMALL_MAX      ((size_t)1024)  /* found in the byte table */
#define CLASS_MAX      ((size_t)32768) /* above it: spans */
#define SMALL_STEP     8u
#define MEDIUM_STEP    128u
#define MAGAZINE_MAX   112u
#define MAGAZINE_MIN   8u
#define MAGAZINE_BYTES (48u << 10)

/* Most blocks that a magazine of a class holds: MAGAZINE_BYTES, within limits. */
#define MAGAZINE_CAPACITY(size)                                                                    \
	(MAGAZINE_BYTES / (size) > MAGAZINE_MAX	  ? MAGAZINE_MAX                                   \
	 : MAGAZINE_BYTES / (size) < MAGAZINE_MIN ? MAGAZINE_MIN                                   \
						  : MAGAZINE_BYTES / (size))

#define CLASS_INVERSE(size) (uint32_t)((((uint64_t)1 << 32) + (size)-1) / (size))

/**
 * struct size_class - what follows from a size
 * @size:     bytes of a block
 * @inverse:  2^32 / size, rounded up: see class_block_index()
 * @blocks:   blocks in a slab
 * @capacity: most blocks in a magazine; 0 for the allocator's own
 */
struct size_class {
	uint32_t size;
	uint32_t inverse;
	uint16_t blocks;
	uint16_t capacity;
};

extern HAK_HIDDEN const struct size_class size_class[NR_SLAB_CLASSES];

/* The slots of a cache: for each class its blocks and one that stays NULL. */
#define CLASS_SLOTS(class, below, size) +1 + MAGAZINE_CAPACITY(size)
#define MAGAZINE_SLOTS			(0 SMALL_CLASSES(CLASS_SLOTS) MEDIUM_CLASSES(CLASS_SLOTS))

/* The smallest class that a request may get: HAK_MIN_ALIGN is its alignment. */
#define CLASS_SMALLEST (HAK_MIN_ALIGN > 8 ? CLASS_FIRST + 1 : CLASS_FIRST)

/* Class by size in steps of SMALL_STEP for 0 .. SMALL_MAX, and likewise above. */
extern HAK_HIDDEN const uint8_t small_class[SMALL_MAX / SMALL_STEP + 1];
extern HAK_HIDDEN const uint8_t medium_class[CLASS_MAX / MEDIUM_STEP + 1];

/* The class of @size <= SMALL_MAX. */
static inline size_t class_of_small(size_t size)
{
	return small_class[(size + SMALL_STEP - 1) / SMALL_STEP];
}

/* The class of SMALL_MAX < @size <= CLASS_MAX. */
static inline size_t class_of_medium(size_t size)
{
	return medium_class[(size + MEDIUM_STEP - 1) / MEDIUM_STEP];
}

static inline unsigned class_of(size_t size)
{
	return (unsigned)(size <= SMALL_MAX ? class_of_small(size) : class_of_medium(size));
}

/* Words of 64 bits in the bitmap of a slab. */
static inline unsigned class_bitmap_words(unsigned class)
{
	return (size_class[class].blocks + 63u) / 64u;
}

/*
 * Which block of a slab lies @offset bytes into it. One multiplication gives
 * the quotient in its upper half, and a remainder of zero if and only if the
 * lower half is below the inverse (Lemire, Kaser, Kurz: "Faster remainder by
 * direct computation"; exact here because offset * size < 2^32).
 */
static inline unsigned class_block_index(unsigned class, size_t offset, bool *start)
{
	uint64_t product = (uint64_t)offset * size_class[class].inverse;

	*start = (uint32_t)product < size_class[class].inverse;
	return (unsigned)(product >> 32);
}

/* The pages of a slab that a block lies in, as bits. */
static inline unsigned class_block_pages(unsigned class, unsigned index)
{
	size_t start = (size_t)index * size_class[class].size;
	unsigned first = (unsigned)(start / PAGE_SIZE);
	unsigned last = (unsigned)((start + size_class[class].size - 1) / PAGE_SIZE);

	return bit_run(first, last - first + 1);
}

/*
 * The blocks that lie in a page of a slab, wholly or in part: first to last.
 * The last page of a slab may be beyond them: then first > last.
 */
static inline void class_page_blocks(unsigned class, unsigned page, unsigned *first, unsigned *last)
{
	unsigned most = size_class[class].blocks - 1u;
	bool start;

	*first = class_block_index(class, page * PAGE_SIZE, &start);
	*last = class_block_index(class, page * PAGE_SIZE + PAGE_SIZE - 1, &start);
	if (*last > most)
		*last = most;
}

#endif
