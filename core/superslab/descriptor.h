/* SPDX-License-Identifier: MIT */
/*
 * The descriptors of SuperSlabs and of their slabs, and the mapping of memory
 * that comes with them. See descriptor.c.
 */
#ifndef HAKMEM_SUPERSLAB_DESCRIPTOR_H
#define HAKMEM_SUPERSLAB_DESCRIPTOR_H

#include "base/base.h"
#include "base/list.h"

/* Bits of a bitmap that need no memory of its own: 128 blocks. */
#define SLAB_INLINE_WORDS 2u

/**
 * struct slab - 64 KiB for blocks of one class, or a part of a span
 * @node:   on a list of the class while it has free blocks and is not empty, and on
 *	    that of runs while a run of unused slabs starts here
 * @bitmap: a bit per block, 1 = free: inline_bits, or a block of CLASS_BITMAP_*
 * @free:   bits set in @bitmap
 * @withheld: blocks that are free and not in @bitmap: those in @purged pages
 * @purged: pages without memory behind them, given back or never touched
 * @fresh:  those of @purged that were never touched
 * @ripe:   pages that were wholly free at the last look, if no block was taken
 *	    since
 * @hint:   no word of @bitmap below this one has a bit set
 * @relist_at: with so many blocks in @bitmap it belongs on another list, or is empty
 * @class:  its class, CLASS_SPAN.., or CLASS_NONE while not in use
 * @index:  its place in the SuperSlab
 * @bucket: which list of the class @node is on
 * @unseen: there may be free pages that the last look did not see
 * @spare:  where a span ends in it: the pages behind that
 * @span_pages: pages of the span that starts here (CLASS_SPAN), and
 * @span_needed: how many of them its size takes; the rest is room to grow
 * @run:    slabs of the run of unused ones that starts or ends here
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
};

_Static_assert(sizeof(struct slab) == 64, "about 0.1 % of the heap are descriptors");

/**
 * struct superslab - the descriptor of one SuperSlab
 * @slab:     those of its slabs; first, so that one is found without an addition
 * @node:     on the list of the empty ones, or in a chain
 * @all:      on the list of all SuperSlabs
 * @base:     its address
 * @map_id:   number of the mapping that it came with, maybe with neighbours
 * @unused:   bit per slab: not handed out
 * @clean:    bit per slab: not used since it was mapped or purged
 * @ripe:     bit per slab: unused and not clean, and so it was at the last look
 * @claimed:  bit per slab: a look purges the pages behind the end of the span in it; if
 *	      the span is freed meanwhile the bit goes, and the slab is the look's
 * @zero:     pages without memory behind them read zero
 * @purgeable: the provider takes purges of it
 * @refused:  the provider refused to take it back,
 * @unpurged: or to purge a part of it; it is not asked again before a trim
 * @in_magazines: for cache_count_phantoms()
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
	uint32_t in_magazines;
	bool zero;
	bool purgeable;
	bool refused;
	bool unpurged;
};

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

/* Those of the slabs all of whose pages were given back, or never touched. */
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
HAK_COLD struct list_node *descriptor_map(size_t count, size_t align, struct hak_mapping *mapping);
void descriptor_free(struct list_node *chain);

#endif
