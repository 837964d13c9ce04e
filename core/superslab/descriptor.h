/* SPDX-License-Identifier: MIT */
/*
 * The descriptors of SuperSlabs and of their slabs. See descriptor.c.
 *
 * Where a field says in brackets who may write it: [class] is the lock of the class that
 * the slab belongs to (slab/class.c), [arena] is the lock of superslab/arena.c, [owner] is
 * the caller who has allocated the slab: for a class before it lists the slab, or for a span.
 * [const] is written once, before the SuperSlab is entered into the page map.
 */
#ifndef HAKMEM_SUPERSLAB_DESCRIPTOR_H
#define HAKMEM_SUPERSLAB_DESCRIPTOR_H

#include "base/list.h"

/* All slabs of a SuperSlab, as bits. */
#define ALL_SLABS 0xffffffffu

/* Those that can be allocated in one for metadata. The first and the last are its guards. */
#define METADATA_SLABS 0x7ffffffeu
_Static_assert(HAK_GUARD == SLAB_SIZE, "the guards of what is mapped for records");

/* Bits of a bitmap that need no memory of its own: 128 blocks. */
#define SLAB_INLINE_WORDS 2u

/**
 * struct slab - 64 KiB for blocks of one class, or a part of a span
 * @node:   on a list of its class while it has free blocks; on a list of runs.c if it is
 *	    the first of a run of unused slabs [class, arena]
 * @bitmap: a bit for each block, 1 if it is free and its pages are backed: @inline_bits, or
 *	    a block of CLASS_BITMAP_*. Where there may be gap blocks, it is followed by
 *	    another one, with a bit for each block that is not the first of its gap block.
 *	    [owner]
 * @inline_bits: the bitmap of a class with few blocks [class]
 * @span_pages:  length of the span that starts here, in pages [owner]
 * @span_needed: how many of these its size takes; the rest is room to grow into [owner]
 * @run:    length of the run of unused slabs that starts or ends here [arena]
 * @free:   bits set in @bitmap, less the blocks that a scan has claimed [class]
 * @unbacked_blocks: free blocks that are not in @bitmap, since their pages are @unbacked,
 *	    less those that a scan has claimed [class]
 * @unbacked:  pages that no memory stands behind: they were never backed, or they were purged
 *	    or moved [class, arena]
 * @untouched: the unbacked pages that were never backed [class, arena]
 * @idle:   pages that were free at the last scan and not used since [class]
 * @slack:  where a span ends in this slab: the pages behind its end [arena]
 * @hint:   no word of @bitmap below this one has a bit set [class]
 * @relist_at: with so many free blocks the slab belongs on another list, or is empty [class]
 * @class:  its class, CLASS_SPAN_FIRST and up for the first slab of a span, or CLASS_NONE
 *	    [class, owner]
 * @index:  its place in the SuperSlab [const]
 * @bucket: which list of the class @node is on [class]
 * @changed: there may be free pages that the last scan did not see [class]
 * @gaps:   how many gap blocks there are: see slab/gap.c [class]
 */
struct slab {
	struct list_node node;
	uint64_t *bitmap;
	union {
		uint64_t inline_bits[SLAB_INLINE_WORDS];
		struct {
			size_t span_pages;
			size_t span_needed;
		};
		size_t run;
	};
	uint16_t free;
	uint16_t unbacked_blocks;
	uint16_t unbacked;
	uint16_t untouched;
	uint16_t idle;
	uint16_t slack;
	uint16_t hint;
	uint16_t relist_at;
	uint8_t class;
	uint8_t index;
	uint8_t bucket;
	bool changed;
	uint16_t gaps;
};

_Static_assert(sizeof(struct slab) == 64, "a line of the cache: a slab is found by shifting");

/**
 * struct superslab - the descriptor of one SuperSlab
 * @slab:      the descriptors of its slabs; first, so that one is found by shifting [const]
 * @node:      on the list of empty SuperSlabs, or in a chain [arena]
 * @all:       on the list of all SuperSlabs [arena]
 * @base:      its address [const]
 * @map_id:    the number of the mapping that it is a part of [const]
 * @unused:    a bit for each slab that nobody has allocated [arena]
 * @unbacked:  a bit for each unused slab none of whose pages is backed [arena]
 * @idle:      a bit for each unused slab that is backed, and was so at the last scan [arena]
 * @claimed:   a bit for each slab in use whose slack a scan purges. If the span is freed
 *	       meanwhile, the bit is cleared, and the slab is the scan's. [arena]
 * @zeros:     a bit for each slab in use that read zero when it was allocated; its owner reads it
 *	       without the lock [arena]
 * @in_magazines: blocks in magazines, while the statistics count phantoms [arena]
 * @zero:      pages that are unbacked read zero [arena]
 * @purgeable: the provider takes purges of it [arena]
 * @refused:   the provider refused to take it back, and is not asked before a trim [arena]
 * @unpurged:  the provider refused to purge it, and is not asked before a trim [arena]
 * @metadata:  it is for bitmaps, and no block of the program is ever in it [const]
 */
struct superslab {
	struct slab slab[SLABS_PER_SUPERSLAB];
	struct list_node node;
	struct list_node all;
	uintptr_t base;
	uint64_t map_id;
	uint32_t unused;
	uint32_t unbacked;
	uint32_t idle;
	uint32_t claimed;
	uint32_t zeros;
	uint32_t in_magazines;
	bool zero;
	bool purgeable;
	bool refused;
	bool unpurged;
	bool metadata;
};

static inline bool superslab_is_metadata(const struct superslab *superslab)
{
	return HAK_METADATA_APART && superslab->metadata;
}

/* The slabs of it that can be allocated, as bits. If all of them are unused, it is empty. */
static inline uint32_t superslab_slabs(const struct superslab *superslab)
{
	return superslab_is_metadata(superslab) ? METADATA_SLABS : ALL_SLABS;
}

static inline struct superslab *slab_superslab(const struct slab *slab)
{
	return (struct superslab *)(slab - slab->index);
}

static inline uintptr_t slab_base(const struct slab *slab)
{
	return slab_superslab(slab)->base + slab->index * SLAB_SIZE;
}

static inline struct slab *superslab_slab(struct superslab *superslab, uintptr_t address)
{
	return &superslab->slab[address / SLAB_SIZE % SLABS_PER_SUPERSLAB];
}

/* Those of the slabs, as bits, that are unbacked. */
static inline uint32_t superslab_unbacked_slabs(const struct superslab *superslab, uint32_t slabs)
{
	uint32_t unbacked = 0;

	for (; slabs; slabs &= slabs - 1)
		if (superslab->slab[lowest_bit(slabs)].unbacked == ALL_PAGES)
			unbacked |= slabs & -slabs;
	return unbacked;
}

HAK_COLD struct slab *address_to_slab(uintptr_t address);
HAK_COLD uint32_t superslab_part(uintptr_t base, size_t slabs);
HAK_COLD struct list_node *descriptor_map(size_t count, size_t align, bool metadata);
HAK_COLD void descriptor_free(struct list_node *chain);

#endif
