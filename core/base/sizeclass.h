/* SPDX-License-Identifier: MIT */
/*
 * Size classes: one table, from which the compiler computes everything that depends on the
 * size of a block. See sizeclass.c for the tables that it computes.
 *
 * The sizes are 8, then steps of 16 up to 128, then four per doubling up to 8 KiB. So at most
 * a fifth of a block of more than 64 bytes stays unused. There is no class of 24 bytes, nor
 * one of 40, since blocks of more than 8 bytes are aligned to 16. From 1024 to 4096 the first
 * of the four steps is halved, because programs often ask for a little more than a power of
 * two: a page and its header. More steps everywhere would not pay, since every class has
 * pages and magazines of its own.
 *
 * Above 8 KiB come parts of a slab: a slab divided by 7, 6, 5, 4, 3 and 2, rounded down to
 * 128 bytes. Where spans have magazines, memory comes page by page. There four more classes
 * are whole pages, and the rest of the slab, which no block covers, is never backed.
 *
 * Blocks of all these classes lie in slabs. Larger ones are spans, runs of whole slabs, of
 * which a page that is not used need not be backed. Up to 128 KiB their classes go in steps
 * of two pages, and the first of them of one. A block goes from one user to the next with every
 * page that any of them has touched, so with wider steps it would keep pages that the next user
 * does not need. Above that there are again four per doubling, as far as the magazines of the
 * platform hold blocks so large. Yet larger spans, and those that were resized, are of CLASS_SPAN
 * and have any number of pages.
 *
 * Up to 1 KiB every size is a multiple of 8, and above that one of 128. So two small tables
 * of bytes lead from any size up to TABLE_MAX to its class.
 *
 * Class 0, CLASS_NONE, is no block at all: memory that is not ours. That class, CLASS_SPAN,
 * CLASS_SPAN_REST, CLASS_MIXED and the two classes of bitmaps have no magazines, so a free of
 * any of them takes the slow path by itself.
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

/* The parts of slabs. Where memory comes page by page, more of them are whole pages. */
#if HAK_UNIT_SIZE == 4096
#define PART_CLASSES(X)										\
	X(37, 8192, 10240) X(38, 10240, 12288) X(39, 12288, 14336) X(40, 14336, 16384)		\
	X(41, 16384, 20480) X(42, 20480, 24576) X(43, 24576, 28672) X(44, 28672, 32768)
#elif HAK_CACHED_MAX
#define PART_CLASSES(X)										\
	X(37, 8192, 9344) X(38, 9344, 10880) X(39, 10880, 13056) X(40, 13056, 14336)		\
	X(41, 14336, 16384) X(42, 16384, 20480) X(43, 20480, 21760) X(44, 21760, 24576)		\
	X(45, 24576, 28672) X(46, 28672, 32768)
#else
#define PART_CLASSES(X)										\
	X(37, 8192, 9344) X(38, 9344, 10880) X(39, 10880, 13056) X(40, 13056, 16384)		\
	X(41, 16384, 21760) X(42, 21760, 32768)
#endif

/*
 * Then the spans that the tables lead to, then larger spans. Where spans have no magazines, there
 * are no classes of them.
 */
#define SPAN(n) (CLASS_SPAN_FIRST + (n))
#define FROM_128K(X, n)										\
	X(SPAN(n), 131072, 163840) X(SPAN(n + 1), 163840, 196608)				\
	X(SPAN(n + 2), 196608, 229376) X(SPAN(n + 3), 229376, 262144)				\
	X(SPAN(n + 4), 262144, 327680) X(SPAN(n + 5), 327680, 393216)				\
	X(SPAN(n + 6), 393216, 458752) X(SPAN(n + 7), 458752, 524288)				\
	X(SPAN(n + 8), 524288, 655360) X(SPAN(n + 9), 655360, 786432)				\
	X(SPAN(n + 10), 786432, 917504) X(SPAN(n + 11), 917504, 1048576)
#define FROM_64K(X, n)										\
	X(SPAN(n), 65536, 81920) X(SPAN(n + 1), 81920, 98304)					\
	X(SPAN(n + 2), 98304, 114688) X(SPAN(n + 3), 114688, 131072) FROM_128K(X, n + 4)
#if HAK_CACHED_MAX && HAK_UNIT_SIZE > 4096
#define PAGE_CLASSES(X)										\
	X(SPAN(0), 32768, 36864) X(SPAN(1), 36864, 40960) X(SPAN(2), 40960, 49152)		\
	X(SPAN(3), 49152, 57344) X(SPAN(4), 57344, 65536) X(SPAN(5), 65536, 73728)		\
	X(SPAN(6), 73728, 81920) X(SPAN(7), 81920, 90112) X(SPAN(8), 90112, 98304)		\
	X(SPAN(9), 98304, 106496) X(SPAN(10), 106496, 114688) X(SPAN(11), 114688, 131072)
#define LARGE_CLASSES(X) FROM_128K(X, 12)
#define TABLE_OCTAVE	 17 /* up to here, tables tell the class */
#elif HAK_CACHED_MAX
#define PAGE_CLASSES(X)
#define LARGE_CLASSES(X)									\
	X(SPAN(0), 32768, 40960) X(SPAN(1), 40960, 49152)					\
	X(SPAN(2), 49152, 57344) X(SPAN(3), 57344, 65536) FROM_64K(X, 4)
#define TABLE_OCTAVE	 15
#else
#define PAGE_CLASSES(X)
#define LARGE_CLASSES(X)
#define TABLE_OCTAVE	 15
#endif
/* clang-format on */
#define TABLE_MAX ((size_t)1 << TABLE_OCTAVE)

/* How many classes are in a list. */
#define ONE_MORE(class, below, size) +1
#define NR_PAGE_CLASSES		     (0 PAGE_CLASSES(ONE_MORE))
#define NR_SPAN_CLASSES		     (NR_PAGE_CLASSES LARGE_CLASSES(ONE_MORE))

enum {
	CLASS_NONE,
	CLASS_FIRST = 1,
	CLASS_SLAB_LAST = 0 SMALL_CLASSES(ONE_MORE) MEDIUM_CLASSES(ONE_MORE) PART_CLASSES(ONE_MORE),
	CLASS_BITMAP_512,  /* bitmaps of slabs whose blocks have 16 bytes or more */
	CLASS_BITMAP_1024, /* bitmaps of slabs whose blocks have 8 bytes */
	NR_SLAB_CLASSES,   /* all classes below this one have slabs */
	CLASS_SPAN_FIRST = NR_SLAB_CLASSES,
	CLASS_LAST = NR_SPAN_CLASSES ? CLASS_SPAN_FIRST + NR_SPAN_CLASSES - 1 : CLASS_SLAB_LAST,
	CLASS_SPAN = CLASS_SPAN_FIRST + NR_SPAN_CLASSES, /* spans of any other length */
	CLASS_SPAN_REST, /* in the page map: the slabs of a span behind its first */
	CLASS_MIXED,	 /* in the page map: slabs that have gap blocks as well */
	NR_CLASSES,
};

/* A caller without a cache goes uncached, block by block. It is counted by class. */
enum uncached { UNCACHED_ALLOC, UNCACHED_FREE, NR_UNCACHED };

/* The classes that blocks of users belong to, without CLASS_SPAN. */
#define for_each_class(class)                                                                      \
	for (unsigned class = CLASS_FIRST; class <= CLASS_LAST;                                    \
	     class = class == CLASS_SLAB_LAST ? CLASS_SPAN_FIRST : class + 1)

/* The classes of spans among them. */
#define for_each_span_class(class)                                                                 \
	for (unsigned class = CLASS_SPAN_FIRST; class < CLASS_SPAN; ++class)

/* The class behind @class; behind the last one comes the first. */
static inline unsigned class_after(unsigned class)
{
	return class == CLASS_LAST	  ? CLASS_FIRST
	       : class == CLASS_SLAB_LAST ? CLASS_SPAN_FIRST
					  : class + 1;
}

#define SMALL_MAX   ((size_t)1024)  /* up to here, the first table tells the class */
#define SLAB_MAX    ((size_t)32768) /* larger blocks are spans */
#define SMALL_STEP  8u
#define MEDIUM_STEP 128u

/* How many blocks a magazine may hold at first; of spans only one. */
#define MAGAZINE_MIN 8u

/* The most blocks that a magazine of a class may hold: HAK_MAGAZINE_BYTES, within limits. */
#define MAGAZINE_MOST(size) ((size) <= SMALL_MAX / 2 ? HAK_MAGAZINE_MAX : HAK_MAGAZINE_MAX_LARGE)
#define MAGAZINE_FIT(size)                                                                         \
	(HAK_MAGAZINE_BYTES / (size) > MAGAZINE_MOST(size) ? MAGAZINE_MOST(size)                   \
							   : HAK_MAGAZINE_BYTES / (size))
#define SLAB_CAPACITY(size) (MAGAZINE_FIT(size) < MAGAZINE_MIN ? MAGAZINE_MIN : MAGAZINE_FIT(size))
#define SPAN_CAPACITY(size)                                                                        \
	((size) > HAK_CACHED_MAX ? 0u : MAGAZINE_FIT(size) < 1u ? 1u : MAGAZINE_FIT(size))

/*
 * The most blocks, and the most bytes, that move between a magazine and the slabs at once: see
 * HAK_BATCH_MOST. With fewer bytes, all classes would fill their budget, and more memory would stay
 * in magazines. With more bytes, a few classes of large blocks would use up the budget of all. If
 * nearly each block needs a slab of its own, only BATCH_SLABS move, so that no call takes long.
 */
#define BATCH_BYTES (256u << 10)
#define BATCH_SLABS 2u
#define BATCH_FIT(size)                                                                            \
	(UNITS_PER_SLAB > 1 && (size) > 2 * UNIT_SIZE ? BATCH_SLABS                                \
	 : BATCH_BYTES / (size) > HAK_BATCH_MOST      ? HAK_BATCH_MOST                             \
	 : BATCH_BYTES / (size) < 1u		      ? 1u                                         \
						      : BATCH_BYTES / (size))

/*
 * How long is a slab? Where units are pages, it has no rest, if blocks are larger than 1 KiB.
 * One for blocks up to 8 KiB is as long as it can be, or has four, so that a refill makes few of
 * them. One for larger blocks is as short as it can be, mostly a block, so that nothing else is
 * kept when the block is in use. The sizes above 4 KiB are such that this is at most 16 units.
 */
#define SLAB_SHORTEST(size) ((size) / MIN((size) & -(size_t)(size), UNIT_SIZE))
#define SLAB_REPEAT(units, most)                                                                   \
	((units) > (most) ? (units) : (most) / (units) * (units)) /* the shortest ones, up to */
#define SLAB_FOUR(size) (4 * DIV_ROUND_UP(size, UNIT_SIZE))
#define SLAB_UNITS(size)                                                                           \
	(UNITS_PER_SLAB == 1	   ? 1                                                             \
	 : (size) <= SMALL_MAX	   ? UNITS_PER_SLAB                                                \
	 : (size) < UNIT_SIZE	   ? SLAB_REPEAT(SLAB_SHORTEST(size), UNITS_PER_SLAB)              \
	 : (size) <= 2 * UNIT_SIZE ? SLAB_REPEAT(SLAB_SHORTEST(size), SLAB_FOUR(size))             \
				   : SLAB_SHORTEST(size))

/*
 * How many blocks have so many units? Where the bitmap lies in the descriptors of the units but
 * the first, there are no more than that has bits.
 */
#define SLAB_BITS(units)                                                                           \
	(UNITS_PER_SLAB == 1 ? UINT16_MAX : (units) > 1 ? ((units)-1) * 512u : 128u)
#define SLAB_BLOCKS(size, units) (uint16_t) MIN((units)*UNIT_SIZE / (size), SLAB_BITS(units))

/*
 * How many units has a group of spans (superslab/group.c), and how many spans? As few as leave a
 * sixteenth or less of them unused; 0 if more than seven would be needed. A span is in no group
 * if it would be alone there.
 */
#define HAS_GROUPS	     (HAK_CACHED_MAX && UNITS_PER_SLAB == 1)
#define GROUP_FITS(pages, n) ((n)*PAGES_PER_UNIT % (pages) <= (n))
#define GROUP_UNITS(pages)                                                                         \
	(GROUP_FITS(pages, 1u)	 ? 1u                                                              \
	 : GROUP_FITS(pages, 2u) ? 2u                                                              \
	 : GROUP_FITS(pages, 3u) ? 3u                                                              \
	 : GROUP_FITS(pages, 4u) ? 4u                                                              \
	 : GROUP_FITS(pages, 5u) ? 5u                                                              \
	 : GROUP_FITS(pages, 6u) ? 6u                                                              \
	 : GROUP_FITS(pages, 7u) ? 7u                                                              \
				 : 0u)
#define GROUP_FIT(pages) (GROUP_UNITS(pages) * PAGES_PER_UNIT / (pages))
#define GROUP_SPANS(size)                                                                          \
	(HAS_GROUPS && GROUP_FIT((size) / PAGE_SIZE) > 1 ? GROUP_FIT((size) / PAGE_SIZE) : 0u)

/* See class_block_index(). */
#define CLASS_INVERSE(size) (uint32_t)((((uint64_t)1 << 32) + (size)-1) / (size))

/**
 * struct size_class - what follows from a size
 * @size:     how long a block is, in bytes
 * @inverse:  2^32 / size, rounded up; 0 for spans
 * @blocks:   how many blocks lie in the longest slab, or in a group; 0 for spans that lie alone
 * @capacity: the most blocks in a magazine; 0 if the class has none
 * @batch:    the most blocks that move to or from a magazine at once
 * @units:    how many units the longest slab has, or a group
 */
struct size_class {
	uint32_t size;
	uint32_t inverse;
	uint16_t blocks;
	uint16_t capacity;
	uint16_t batch;
	uint8_t units;
};

extern HAK_HIDDEN const struct size_class size_class[CLASS_SPAN];

/*
 * How many slots a cache has: see cache/slots.c. A magazine begins in near slots. These lie
 * close together, so that a program that allocates little touches few pages. A magazine that
 * may hold more than HAK_MAGAZINE_NEAR blocks moves to far slots. A class has a slot for each
 * block, and one more that stays NULL, here and there.
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

/* The smallest class that a request gets: its blocks are aligned to HAK_MIN_ALIGN. */
#define CLASS_SMALLEST (HAK_MIN_ALIGN > 8 ? CLASS_FIRST + 1 : CLASS_FIRST)

/* The class by size, in steps of SMALL_STEP up to SMALL_MAX, of MEDIUM_STEP up to TABLE_MAX. */
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

/*
 * Larger blocks have no magazines: more than HAK_CACHED_MAX bytes, or than @now with
 * PLATFORM_CACHED_BY_MEMORY. That is SLAB_MAX until the provider says that it has much memory, and
 * becomes @most then: see pages.c. Blocks of CLASS_SPAN stay what they are.
 */
extern HAK_HIDDEN struct cached_max {
	size_t now, most;
} hak_cached_max;

static inline size_t cached_max(void)
{
	return PLATFORM_CACHED_BY_MEMORY ? READ_ONCE(hak_cached_max.now) : HAK_CACHED_MAX;
}

/* The class of TABLE_MAX < @size <= cached_max(). */
static inline size_t class_of_large(size_t size)
{
	unsigned octave = highest_bit(size - 1);

	return CLASS_SPAN_FIRST + NR_PAGE_CLASSES + 4 * (octave - TABLE_OCTAVE) +
	       ((size - 1) >> (octave - 2) & 3);
}

/* The class of any size; CLASS_SPAN above cached_max(). */
static inline unsigned class_of(size_t size)
{
	size_t class;

	if (size > SLAB_MAX && size > cached_max())
		return CLASS_SPAN;
	if (size <= SMALL_MAX)
		class = class_of_small(size);
	else
		class = size <= TABLE_MAX ? class_of_medium(size) : class_of_large(size);
	hak_assert(class < CLASS_SPAN && size <= size_class[class].size);
	return (unsigned)class;
}

/* Is a block of this class a run of whole slabs? */
static inline bool class_is_span(unsigned class)
{
	return class >= CLASS_SPAN_FIRST && class <= CLASS_SPAN;
}

/* Of a class that has magazines: are its blocks spans? */
static inline bool class_has_spans(unsigned class)
{
	return NR_SPAN_CLASSES && class > CLASS_SLAB_LAST;
}

/* Do spans of this class lie side by side in groups? */
static inline bool class_has_groups(unsigned class)
{
	return HAS_GROUPS && class < CLASS_SPAN && class >= CLASS_SPAN_FIRST &&
	       size_class[class].blocks;
}

/* Can gap blocks be made of blocks of this class? Smaller ones would need larger bitmaps. */
static inline bool class_has_gaps(unsigned class)
{
	return HAK_GAPS && class <= CLASS_SLAB_LAST && size_class[class].size >= 32;
}

/*
 * Which block of a slab lies @offset bytes into it? *@start tells whether it begins there.
 *
 * One multiplication does both (Lemire, Kaser and Kurz, "Faster remainder by direct
 * computation", 2019). The quotient is the upper half of the product. The remainder is 0 if
 * and only if the lower half is below the inverse. This is exact as long as @offset * size is
 * below 2^32: an offset is below 2^16, and a size is at most 2^15.
 */
static inline unsigned class_block_index(unsigned class, size_t offset, bool *start)
{
	uint64_t product = (uint64_t)offset * size_class[class].inverse;

	hak_assert(class && class < NR_SLAB_CLASSES && offset < SLAB_SIZE);
	*start = (uint32_t)product < size_class[class].inverse;
	return (unsigned)(product >> 32);
}

/*
 * In which pages of a slab does a block lie? As bits. For an @index behind the last block,
 * bits above those of the slab may be set.
 */
static inline unsigned class_block_pages(unsigned class, unsigned index)
{
	size_t start = (size_t)index * size_class[class].size;
	unsigned first = (unsigned)(start / PAGE_SIZE);
	unsigned last = (unsigned)((start + size_class[class].size - 1) / PAGE_SIZE);

	hak_assert(class && class < NR_SLAB_CLASSES && start < SLAB_SIZE);
	return bit_run(first, last - first + 1);
}

/*
 * Which of the @blocks blocks of a slab lie in a page, wholly or in part? From *@first to *@last.
 * No block lies in the last pages of some slabs: there *@first is above *@last.
 */
static inline void class_page_blocks(unsigned class, unsigned blocks, unsigned page,
				     unsigned *first, unsigned *last)
{
	unsigned most = blocks - 1;
	bool start;

	*first = class_block_index(class, page * PAGE_SIZE, &start);
	*last = class_block_index(class, page * PAGE_SIZE + PAGE_SIZE - 1, &start);
	if (*last > most)
		*last = most;
}

#endif
