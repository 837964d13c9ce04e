/* SPDX-License-Identifier: MIT */
/*
 * SuperSlabs: 2 MiB of memory, 2 MiB-aligned, cut into 32 slabs that are
 * handed out in runs. See superslab.c.
 */
#ifndef HAKMEM_SUPERSLAB_H
#define HAKMEM_SUPERSLAB_H

#include "base.h"
#include "list.h"

/* Bits of a bitmap that need no memory of its own: 128 blocks. */
#define SLAB_INLINE_WORDS 2u

/**
 * struct slab - 64 KiB for blocks of one class, or a part of a span
 * @node:   on a list of the class while it has free blocks and is not empty
 * @bitmap: a bit per block, 1 = free: inline_bits, or a block of CLASS_BITMAP_*
 * @free:   bits set in @bitmap
 * @withheld: blocks that are free and not in @bitmap: those in @purged pages
 * @purged: pages without memory behind them, given back or never touched
 * @fresh:  those of @purged that were never touched
 * @ripe:   pages that were wholly free at the last look, if no block was taken
 *	    since
 * @hint:   no word of @bitmap below this one has a bit set
 * @class:  its class, CLASS_SPAN.., or CLASS_NONE while not in use
 * @index:  its place in the SuperSlab
 * @bucket: which list of the class @node is on
 * @unseen: there may be free pages that the last look did not see
 * @busy:   pages of it are being purged, so it is on no list
 * @span_slabs: slabs of the span that starts here (CLASS_SPAN), and
 * @span_needed: how many of them its size takes; the rest is room to grow
 */
struct slab {
	struct list_node node;
	uint64_t *bitmap;
	union {
		uint64_t inline_bits[SLAB_INLINE_WORDS];
		struct {
			size_t span_slabs;
			size_t span_needed;
		};
	};
	uint16_t free;
	uint16_t withheld;
	uint16_t purged;
	uint16_t fresh;
	uint16_t ripe;
	uint16_t hint;
	uint8_t class;
	uint8_t index;
	uint8_t bucket;
	bool unseen;
	bool busy;
};

_Static_assert(sizeof(struct slab) <= 64, "about 0.1 % of the heap are descriptors");

/**
 * struct superslab - the descriptor of one SuperSlab
 * @node:     on the list for the length of its longest free run
 * @all:      on the list of all SuperSlabs
 * @base:     its address
 * @map_base: the mapping that it came with, maybe with neighbours,
 * @map_size: the size of that,
 * @map_id:   and its number, since a later one may have the same base
 * @unused:   bit per slab: not handed out
 * @clean:    bit per slab: not used since it was mapped or purged
 * @ripe:     bit per slab: unused, not clean, and so it was at the last look
 * @run:      length of the longest run of unused slabs; the list of @node
 * @zero:     pages without memory behind them read zero
 * @purgeable: the provider takes purges of it
 * @refused:  the provider refused to take it back,
 * @unpurged: or to purge a part of it; it is not asked again before a trim
 * @in_magazines: for cache_count_phantoms()
 */
struct superslab {
	struct list_node node;
	struct list_node all;
	uintptr_t base;
	uintptr_t map_base;
	size_t map_size;
	uint64_t map_id;
	uint32_t unused;
	uint32_t clean;
	uint32_t ripe;
	uint32_t in_magazines;
	uint8_t run;
	bool zero;
	bool purgeable;
	bool refused;
	bool unpurged;
	struct slab slab[SLABS_PER_SUPERSLAB];
};

struct superslab_counters {
	uint64_t mapped, released, active, peak, reserve, emptied, refused;
	uint64_t slabs_used;
	uint64_t retouched; /* purged pages that were handed out again, in spans */
};

static inline struct superslab *slab_superslab(const struct slab *slab)
{
	return (struct superslab *)((char *)(slab - slab->index) -
				    offsetof(struct superslab, slab));
}

static inline uintptr_t slab_base(const struct slab *slab)
{
	return slab_superslab(slab)->base + slab->index * SLAB_SIZE;
}

static inline struct slab *superslab_slab(struct superslab *superslab, uintptr_t address)
{
	return &superslab->slab[address / SLAB_SIZE % SLABS_PER_SUPERSLAB];
}

uintptr_t superslab_take(size_t slabs, size_t align, bool *zero);
struct slab *superslab_take_slab(void);
bool superslab_take_at(uintptr_t base, size_t slabs);
void superslab_put(uintptr_t base, size_t slabs);
size_t superslab_release_reserve(void);

/**
 * struct superslab_look - what one look at a SuperSlab found to be given back
 * @superslab: whose memory may be used for another one by now, unless one of
 * @unused:    the unused slabs that are the look's for now, or
 * @busy:      the slabs in use that are, is set
 * @pages:     by slab: the pages to purge
 * @ripening:  a later look may find more
 *
 * One at a time: looks are serialised by their caller.
 */
struct superslab_look {
	struct superslab *superslab;
	uint32_t unused;
	uint32_t busy;
	uint16_t pages[SLABS_PER_SUPERSLAB];
	bool ripening;
};

void superslab_look_first(void);
bool superslab_look_next(struct superslab_look *look, bool all);
int superslab_purge(const struct superslab_look *look);
void superslab_look_done(const struct superslab_look *look, int flags);
bool superslab_age_reserve(void);

void superslab_lock(void);
void superslab_unlock(void);
void superslab_lock_word(void);
void superslab_unlock_word(void);
struct superslab *superslab_first(void);
struct superslab *superslab_next(struct superslab *superslab);
void superslab_read_counters(struct superslab_counters *counters);
uint64_t superslab_resident(void);
const char *superslab_check(void);
void superslab_fini(void);

#endif
