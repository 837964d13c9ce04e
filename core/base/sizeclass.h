/* SPDX-License-Identifier: MIT */
/*
 * Size classes: the one table from which everything that depends on the size
 * of a block is computed when the compiler runs.
 *
 * 8, then steps of 16 to 128 (one step of 8 would save nothing that alignment
 * does not take back), then four per doubling to 8 KiB (internal waste at most
 * 20 %, about 10 % on average), the first of the four halved from 1024 to 4096:
 * what is a little larger than a power of two, a page of a database with its
 * header, is common. (SQLite so needs 10 % less, as much as with eight steps
 * everywhere; those change nothing for redis, Python and gcc. 100000 blocks of 16 to
 * 1024 bytes need 2 % less with them, 1000 of these 15 % more, since each class has
 * pages and magazines of its own.) Then parts: a slab divided by 7, 6, 5, 4, 3 and 2,
 * rounded down to 128 bytes. Where memory comes page by page, which is where spans
 * have magazines, there are four more that are whole pages; what these leave of a slab
 * has no memory.
 *
 * Blocks of these classes lie in slabs. Above them come spans, runs of whole
 * slabs: up to 64 KiB in steps of pages, because a page that is not used need not
 * have memory, then four per doubling again, as far as the magazines of a platform
 * hold blocks so large. Larger ones, and those that were resized, are CLASS_SPAN,
 * of any number of pages.
 *
 * A block goes from one user to the next with all pages that any of them has touched.
 * So the steps of pages from 13 to 64 KiB take 4 % off an aging heap of blocks of up
 * to 64 KiB (128 MiB live, 154 resident without and 148 with them).
 *
 * Up to 1 KiB every size is a multiple of 8, then of 128, so that two small
 * tables of bytes lead from any size up to TABLE_MAX to its class.
 *
 * Class 0 is "not a block": absent memory. It, CLASS_SPAN, the rest of spans,
 * and the two classes of the allocator's own, for bitmaps, have no magazine, so
 * that a free of any of them takes the slow path by itself.
 */
#ifndef HAKMEM_BASE_SIZECLASS_H
#define HAKMEM_BASE_SIZECLASS_H

#include "base/base.h"

/* X(class, size of the class below, size): a line for each doubling. */
/* clang-format off */
#define SMALL_CLASSES(X)									\
	X(1, 0, 8) X(2, 8, 16)									\
	X(3, 16, 32) X(4, 32, 48) X(5, 48, 64)							\
	X(6, 64, 80) X(7, 80, 96) X(8, 96, 112) X(9, 112, 128)					\
	X(10, 128, 160) X(11, 160, 192) X(12, 192, 224) X(13, 224, 256)				\
	X(14, 256, 320) X(15, 320, 384) X(16, 384, 448) X(17, 448, 512)				\
	X(18, 512, 640) X(19, 640, 768) X(20, 768, 896) X(21, 896, 1024)

#define MEDIUM_CLASSES(X)									\
	X(22, 1024, 1152) X(23, 1152, 1280) X(24, 1280, 1536) X(25, 1536, 1792)			\
	X(26, 1792, 2048) X(27, 2048, 2304) X(28, 2304, 2560) X(29, 2560, 3072)			\
	X(30, 3072, 3584) X(31, 3584, 4096)							\
	X(32, 4096, 4608) X(33, 4608, 5120) X(34, 5120, 6144) X(35, 6144, 7168)			\
	X(36, 7168, 8192)

/*
 * The parts of slabs, then the spans that the tables lead to, and those above: none
 * where spans have no magazines.
 */
#if HAK_CACHED_MAX
#define PART_CLASSES(X)										\
	X(37, 8192, 9344) X(38, 9344, 10880) X(39, 10880, 13056) X(40, 13056, 14336)		\
	X(41, 14336, 16384) X(42, 16384, 20480) X(43, 20480, 21760) X(44, 21760, 24576)		\
	X(45, 24576, 28672) X(46, 28672, 32768)

#define PAGE_CLASSES(X)										\
	X(49, 32768, 36864) X(50, 36864, 40960) X(51, 40960, 45056) X(52, 45056, 49152)		\
	X(53, 49152, 53248) X(54, 53248, 57344) X(55, 57344, 61440) X(56, 61440, 65536)

#define LARGE_CLASSES(X)									\
	X(57, 65536, 81920) X(58, 81920, 98304) X(59, 98304, 114688) X(60, 114688, 131072)	\
	X(61, 131072, 163840) X(62, 163840, 196608) X(63, 196608, 229376) X(64, 229376, 262144)	\
	X(65, 262144, 327680) X(66, 327680, 393216) X(67, 393216, 458752) X(68, 458752, 524288)	\
	X(69, 524288, 655360) X(70, 655360, 786432) X(71, 786432, 917504) X(72, 917504, 1048576)
#define TABLE_MAX ((size_t)65536) /* found in a table; above it: computed */
#else
#define PART_CLASSES(X)										\
	X(37, 8192, 9344) X(38, 9344, 10880) X(39, 10880, 13056) X(40, 13056, 16384)		\
	X(41, 16384, 21760) X(42, 21760, 32768)

#define PAGE_CLASSES(X)
#define LARGE_CLASSES(X)
#define TABLE_MAX SLAB_MAX
#endif
/* clang-format on */

/* How many there are in a list. */
#define ONE_MORE(class, below, size) +1
#define NR_PAGE_CLASSES		     (0 PAGE_CLASSES(ONE_MORE))
#define NR_SPAN_CLASSES		     (NR_PAGE_CLASSES LARGE_CLASSES(ONE_MORE))

enum {
	CLASS_NONE,
	CLASS_FIRST = 1,
	CLASS_SLAB_LAST = 0 SMALL_CLASSES(ONE_MORE) MEDIUM_CLASSES(ONE_MORE) PART_CLASSES(ONE_MORE),
	CLASS_BITMAP_512,  /* bitmaps of classes of 16 bytes and more */
	CLASS_BITMAP_1024, /* those of 8 bytes */
	NR_SLAB_CLASSES,   /* the classes whose slabs have bitmaps are below */
	CLASS_SPAN_FIRST = NR_SLAB_CLASSES,
	CLASS_LAST = NR_SPAN_CLASSES ? CLASS_SPAN_FIRST + NR_SPAN_CLASSES - 1 : CLASS_SLAB_LAST,
	CLASS_SPAN = CLASS_SPAN_FIRST + NR_SPAN_CLASSES, /* the first slab of any other span */
	CLASS_SPAN_REST,				 /* the other slabs of any span */
	NR_CLASSES,
};

/* What a caller without a cache does, block by block; counted by class. */
enum uncached { UNCACHED_ALLOC, UNCACHED_FREE, NR_UNCACHED };

/* Those that blocks of users belong to, CLASS_SPAN excepted. */
#define for_each_class(class)                                                                      \
	for (unsigned class = CLASS_FIRST; class <= CLASS_LAST;                                    \
	     class = class == CLASS_SLAB_LAST ? CLASS_SPAN_FIRST : class + 1)

/* Of these, those of spans. */
#define for_each_span_class(class)                                                                 \
	for (unsigned class = CLASS_SPAN_FIRST; class < CLASS_SPAN; ++class)

/* The one behind it, the first again behind the last. */
static inline unsigned class_after(unsigned class)
{
	return class == CLASS_LAST	  ? CLASS_FIRST
	       : class == CLASS_SLAB_LAST ? CLASS_SPAN_FIRST
					  : class + 1;
}

#define SMALL_MAX   ((size_t)1024)  /* found in the first table */
#define SLAB_MAX    ((size_t)32768) /* above it: spans */
#define SMALL_STEP  8u
#define MEDIUM_STEP 128u

/* Blocks that a magazine may hold at first: of spans only one. */
#define MAGAZINE_MIN 8u

/* Most blocks that a magazine of a class holds: HAK_MAGAZINE_BYTES, within limits. */
#define MAGAZINE_FIT(size)                                                                         \
	(HAK_MAGAZINE_BYTES / (size) > HAK_MAGAZINE_MAX ? HAK_MAGAZINE_MAX                         \
							: HAK_MAGAZINE_BYTES / (size))
#define SLAB_CAPACITY(size) (MAGAZINE_FIT(size) < MAGAZINE_MIN ? MAGAZINE_MIN : MAGAZINE_FIT(size))
#define SPAN_CAPACITY(size)                                                                        \
	((size) > HAK_CACHED_MAX ? 0u : MAGAZINE_FIT(size) < 1u ? 1u : MAGAZINE_FIT(size))

/*
 * What moves between a magazine and the slabs in one batch, at most: blocks and
 * bytes. With 128 blocks, producers and consumers take twice as many locks, and 1
 * of 10000 frees among 100000 live blocks takes 2000 instead of 350 ns. With 512
 * KiB, few classes of large blocks take all the room that there is: replacing 1000
 * of up to 32 KiB takes 160 instead of 147 instructions. With 128 KiB it takes 128,
 * and all classes fill what room they have, which is 2 MiB more of 128 that stay
 * resident.
 */
#define BATCH_MOST  512u
#define BATCH_BYTES (256u << 10)
#define BATCH_FIT(size)                                                                            \
	(BATCH_BYTES / (size) > BATCH_MOST ? BATCH_MOST                                            \
	 : BATCH_BYTES / (size) < 1u	   ? 1u                                                    \
					   : BATCH_BYTES / (size))

#define CLASS_INVERSE(size) (uint32_t)((((uint64_t)1 << 32) + (size)-1) / (size))

/**
 * struct size_class - what follows from a size
 * @size:     bytes of a block
 * @inverse:  2^32 / size, rounded up: see class_block_index()
 * @blocks:   blocks in a slab; 0 for spans
 * @capacity: most blocks in a magazine; 0: there is none
 * @batch:    most that move to or from it at once
 */
struct size_class {
	uint32_t size;
	uint32_t inverse;
	uint16_t blocks;
	uint16_t capacity;
	uint16_t batch;
};

extern HAK_HIDDEN const struct size_class size_class[CLASS_SPAN];

/*
 * The slots of a cache. All magazines begin in near ones, close together, so that
 * a program that allocates little touches few pages; one that is to hold more
 * than HAK_MAGAZINE_NEAR blocks moves to far ones. For each class its blocks and
 * one that stays NULL, here and there.
 */
#define NEAR_SLOTS(capacity)                                                                       \
	((capacity) > HAK_MAGAZINE_NEAR ? 1 + HAK_MAGAZINE_NEAR : (capacity) ? 1 + (capacity) : 0)
#define HAS_FAR_SLOTS	    (HAK_MAGAZINE_MAX > HAK_MAGAZINE_NEAR)
#define FAR_SLOTS(capacity) ((capacity) > HAK_MAGAZINE_NEAR ? 1 + (capacity) : 0)

#define SLAB_NEAR(class, below, size) +NEAR_SLOTS(SLAB_CAPACITY(size))
#define SPAN_NEAR(class, below, size) +NEAR_SLOTS(SPAN_CAPACITY(size))
#define SLAB_FAR(class, below, size)  +FAR_SLOTS(SLAB_CAPACITY(size))
#define SPAN_FAR(class, below, size)  +FAR_SLOTS(SPAN_CAPACITY(size))
#define MAGAZINE_NEAR_SLOTS                                                                        \
	(0 SMALL_CLASSES(SLAB_NEAR) MEDIUM_CLASSES(SLAB_NEAR) PART_CLASSES(SLAB_NEAR)              \
		 PAGE_CLASSES(SPAN_NEAR) LARGE_CLASSES(SPAN_NEAR))
#define MAGAZINE_SLOTS                                                                             \
	(MAGAZINE_NEAR_SLOTS SMALL_CLASSES(SLAB_FAR) MEDIUM_CLASSES(SLAB_FAR)                      \
		 PART_CLASSES(SLAB_FAR) PAGE_CLASSES(SPAN_FAR) LARGE_CLASSES(SPAN_FAR))

/* The smallest class that a request may get: HAK_MIN_ALIGN is its alignment. */
#define CLASS_SMALLEST (HAK_MIN_ALIGN > 8 ? CLASS_FIRST + 1 : CLASS_FIRST)

/* Class by size in steps of SMALL_STEP for 0 .. SMALL_MAX, and likewise above. */
extern HAK_HIDDEN const uint8_t small_class[SMALL_MAX / SMALL_STEP + 1];
extern HAK_HIDDEN const uint8_t medium_class[TABLE_MAX / MEDIUM_STEP + 1];

/* The class of @size <= SMALL_MAX. */
static inline size_t class_of_small(size_t size)
{
	return small_class[(size + SMALL_STEP - 1) / SMALL_STEP];
}

/* The class of SMALL_MAX < @size <= TABLE_MAX. */
static inline size_t class_of_medium(size_t size)
{
	return medium_class[(size + MEDIUM_STEP - 1) / MEDIUM_STEP];
}

/* The class of TABLE_MAX < @size <= HAK_CACHED_MAX. */
static inline size_t class_of_large(size_t size)
{
	unsigned octave = highest_bit(size - 1);

	return CLASS_SPAN_FIRST + NR_PAGE_CLASSES + 4 * (octave - 16) +
	       ((size - 1) >> (octave - 2) & 3);
}

/* The class of any size; CLASS_SPAN above HAK_CACHED_MAX. */
static inline unsigned class_of(size_t size)
{
	if (size <= SMALL_MAX)
		return (unsigned)class_of_small(size);
	if (size > SLAB_MAX && size > HAK_CACHED_MAX)
		return CLASS_SPAN;
	return (unsigned)(size <= TABLE_MAX ? class_of_medium(size) : class_of_large(size));
}

/* Is a block of this class a run of whole slabs? */
static inline bool class_is_span(unsigned class)
{
	return class >= CLASS_SPAN_FIRST && class <= CLASS_SPAN;
}

/* And of one for which there are magazines? */
static inline bool class_has_spans(unsigned class)
{
	return NR_SPAN_CLASSES && class > CLASS_SLAB_LAST;
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
 * The last pages of a slab may be beyond them: then first > last.
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
