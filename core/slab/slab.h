/* SPDX-License-Identifier: MIT */
/*
 * One slab of a class: which of its blocks are free, and which pages are backed. See slab.c.
 *
 * The functions that run once for each block of a spill are inline, since calls would make a
 * spill slower.
 */
#ifndef HAKMEM_SLAB_SLAB_H
#define HAKMEM_SLAB_SLAB_H

#include "base/sizeclass.h"
#include "pages/bug.h"
#include "superslab/descriptor.h"

/* Free blocks, in unbacked pages as well. */
static inline unsigned slab_all_free(const struct slab *slab)
{
	return (unsigned)slab->free + slab->unbacked_blocks;
}

/* A list for each quarter of a slab that is free, and one for slabs with no backed free block. */
#define SLAB_BUCKETS 5u

/* The list of its class for a slab that has free blocks. */
static inline unsigned slab_bucket(const struct slab *slab)
{
	unsigned blocks = slab->blocks, free = slab_all_free(slab) * 4;

	if (!slab->free)
		return SLAB_BUCKETS - 1;
	return (free >= blocks) + (free >= 2 * blocks) + (free >= 3 * blocks);
}

/* Does a block lie in an unbacked page, wholly or in part? Then it is free. */
static inline bool slab_is_unbacked(const struct slab *slab, unsigned index)
{
	return slab->unbacked && slab->unbacked & class_block_pages(slab->class, index);
}

/* How many words of 64 bits has a bitmap of so many blocks? */
static inline unsigned bitmap_words(unsigned blocks)
{
	return (blocks + 63) / 64;
}

static inline unsigned slab_words(const struct slab *slab)
{
	return bitmap_words(slab->blocks);
}

/* How many blocks of a class has a slab of so many units? */
static inline unsigned slab_fit_blocks(unsigned class, unsigned units)
{
	unsigned blocks = size_class[class].blocks;

	if (UNITS_PER_SLAB > 1 && units < size_class[class].units)
		blocks = SLAB_BLOCKS(size_class[class].size, units);
	return blocks;
}

/* How many words have the descriptors of a slab room for? */
static inline unsigned slab_bitmap_most(unsigned units)
{
	return units > 1 ? (units - 1) * (unsigned)(sizeof(struct slab) / 8) : SLAB_INLINE_WORDS;
}

/* Has the slab gap blocks? */
static inline bool slab_is_mixed(const struct slab *slab)
{
	return HAK_GAPS && slab->gaps;
}

/* The bits of blocks that belong to a gap block which begins before them. */
static inline uint64_t *slab_rest(const struct slab *slab)
{
	return slab->bitmap + slab_words(slab);
}

HAK_COLD bool slab_is_free(const struct slab *slab, unsigned index);
HAK_COLD uint64_t slab_gap_bits(const struct slab *slab, unsigned word);

/*
 * How many of @n blocks lie one behind the other? The first is block @index of a slab, @left
 * blocks before its end. The count ends where the word of the bitmap ends.
 */
static inline unsigned slab_count_neighbours(unsigned class, unsigned index, unsigned left,
					     void *const *blocks, unsigned n)
{
	unsigned word = 64 - index % 64, i = 1;
	size_t size = size_class[class].size;
	uintptr_t next = (uintptr_t)blocks[0] + size;

	if (n == 1 || (uintptr_t)blocks[1] != next)
		return 1;
	n = MIN(n, MIN(left, word));
	for (; i < n && (uintptr_t)blocks[i] == next; i++)
		next += size;
	return i;
}

/*
 * Mark the first of @n blocks free, which lies @offset bytes into the slab. Do the same with
 * those that follow and are its neighbours: blocks that were allocated in order are mostly
 * freed in order. Returns how many; 0 if the first is no block, or is free already.
 */
static inline unsigned slab_free_run(struct slab *slab, size_t offset, void *const *blocks,
				     unsigned n)
{
	unsigned class = slab->class, index, bit, run = 1;
	uint64_t mask, twice, *word;
	bool start;

	index = class_block_index(class, offset, &start);
	if (unlikely(!start || index >= slab->blocks))
		return 0;
	if (likely(!slab->unbacked))
		run = slab_count_neighbours(class, index, slab->blocks - index, blocks, n);
	else if (slab_is_unbacked(slab, index))
		return 0;
	word = &slab->bitmap[index / 64];
	bit = index % 64;
	mask = ~(uint64_t)0 >> (64 - run) << bit;
	twice = *word & mask;
	if (unlikely(slab_is_mixed(slab)))
		twice |= slab_gap_bits(slab, index / 64) & mask;
	if (unlikely(twice)) {
		run = lowest_bit(twice) - bit;
		mask &= (twice & -twice) - 1;
	}
	*word |= mask;
	slab->free = (uint16_t)(slab->free + run);
	slab->changed = true;
	if (index / 64 < slab->hint)
		slab->hint = (uint8_t)(index / 64);
	hak_assert(slab_all_free(slab) <= slab->blocks);
	return run;
}

/*
 * How many words do the bitmaps of a slab take, that of gap blocks included? Where units are
 * small, the bitmaps lie in the descriptors of the other units, and there are gap blocks only
 * if both have room there.
 */
static inline unsigned slab_bitmaps(unsigned class, unsigned blocks, unsigned units)
{
	unsigned words = bitmap_words(blocks);

	if (!class_has_gaps(class))
		return words;
	return UNITS_PER_SLAB == 1 || words * 2 <= slab_bitmap_most(units) ? words * 2 : words;
}

static inline bool slab_may_have_gaps(const struct slab *slab)
{
	return slab_bitmaps(slab->class, slab->blocks, slab_units(slab)) > slab_words(slab);
}

HAK_COLD void slab_init(struct slab *slab, unsigned class, unsigned blocks, uint64_t *bitmap);
unsigned slab_alloc(struct slab *slab, void **end, unsigned n);
HAK_COLD void slab_alloc_gap(struct slab *slab, unsigned first, unsigned n);
HAK_COLD void slab_free_gap(struct slab *slab, unsigned first, unsigned n);
HAK_COLD enum hak_bug_code slab_inspect(const struct slab *slab, unsigned class, size_t offset,
					size_t *detail);

/* Pages, as bits. */
HAK_COLD unsigned slab_free_pages(const struct slab *slab);
HAK_COLD unsigned slab_unback(struct slab *slab, unsigned pages);
HAK_COLD unsigned slab_back(struct slab *slab, unsigned pages);
HAK_COLD unsigned slab_next_unbacked(const struct slab *slab);

#endif
