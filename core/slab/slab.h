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
#define SLAB_QUARTER (SLAB_SIZE / 4)

/* The list of its class for a slab that has free blocks. */
static inline unsigned slab_bucket(const struct slab *slab)
{
	size_t bytes = slab_all_free(slab) * (size_t)size_class[slab->class].size;
	unsigned quarters = (unsigned)(bytes / SLAB_QUARTER);

	if (!slab->free)
		return SLAB_BUCKETS - 1;
	return quarters < SLAB_BUCKETS - 1 ? quarters : SLAB_BUCKETS - 2;
}

/* Does a block lie in an unbacked page, wholly or in part? Then it is free. */
static inline bool slab_is_unbacked(const struct slab *slab, unsigned index)
{
	return slab->unbacked && slab->unbacked & class_block_pages(slab->class, index);
}

/* Has the slab gap blocks? */
static inline bool slab_is_mixed(const struct slab *slab)
{
	return HAK_GAPS && slab->gaps;
}

/* The bits of blocks that belong to a gap block which begins before them. */
static inline uint64_t *slab_rest(const struct slab *slab)
{
	return slab->bitmap + class_bitmap_words(slab->class);
}

HAK_COLD bool slab_is_free(const struct slab *slab, unsigned index);
HAK_COLD uint64_t slab_gap_bits(const struct slab *slab, unsigned word);

/*
 * How many of @n blocks lie one behind the other? The first is block @index of a slab. The
 * count ends where the word of the bitmap ends.
 */
static inline unsigned slab_count_neighbours(unsigned class, unsigned index, void *const *blocks,
					     unsigned n)
{
	unsigned left = size_class[class].blocks - index, word = 64 - index % 64, i = 1;
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
	if (unlikely(!start || index >= size_class[class].blocks))
		return 0;
	if (likely(!slab->unbacked))
		run = slab_count_neighbours(class, index, blocks, n);
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
		slab->hint = (uint16_t)(index / 64);
	hak_assert(slab_all_free(slab) <= size_class[class].blocks);
	return run;
}

HAK_COLD void slab_init(struct slab *slab, unsigned class, uint64_t *bitmap);
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
