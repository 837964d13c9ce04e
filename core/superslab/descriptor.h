/* SPDX-License-Identifier: MIT */
/*
 * The descriptors of SuperSlabs and of their slabs. See descriptor.c.
 *
 * Where a field says in brackets who may write it: [class] is the lock of the class that
 * the slab belongs to (slab/class.c), [arena] is the lock of superslab/arena.c, [owner] is
 * the caller who has allocated the slab: for a class before it lists the slab, or for a span.
 * [const] is written once, before the SuperSlab is entered into the page map.
 *
 * Where units are pages and cannot be purged, a unit that is neither the first of a slab or span,
 * nor the first or last of a run, has no descriptor: what lies there is unknown. It is initialised
 * when the unit becomes one of these, so that a new SuperSlab costs no call much. Of the last of a
 * run only @run is known.
 */
#ifndef HAKMEM_SUPERSLAB_DESCRIPTOR_H
#define HAKMEM_SUPERSLAB_DESCRIPTOR_H

#include "base/list.h"

/* The units that can be allocated in a SuperSlab for metadata; two are its guards. */
#define METADATA_UNITS (ALL_UNITS >> 2 << 1)
_Static_assert(!HAK_METADATA_APART || HAK_GUARD == UNIT_SIZE, "the guards of bitmaps are units");

/* Where units are pages, there may be SuperSlabs of less than 2 MiB: see part.c. */
#define HAS_PARTS (UNITS_PER_SLAB > 1)

/* Bits of a bitmap that need no memory of its own: 128 blocks. */
#define SLAB_INLINE_WORDS 2u

/**
 * struct slab - a slab, which has blocks of one class, or a span, or a unit
 * @node:   on a list of its class while it has free blocks; on a list of runs.c if it is
 *	    the first of a run of unused slabs [class, arena]
 * @bitmap: a bit for each block, 1 if it is free and its pages are backed: @inline_bits, or
 *	    the descriptors of the slab's other units, or a block of CLASS_BITMAP_*. Where there
 *	    may be gap blocks, it is followed by another one, with a bit for each block that is
 *	    not the first of its gap block. Of a span with samples, a struct sample_pool
 *	    (diag/sample.h). [owner]
 * @inline_bits: the bitmap of a class with few blocks [class]; the free spans of the group that
 *	    starts here [arena]
 * @span_pages:  length of the span that starts here, in pages [owner]
 * @span_needed: how many of these its size takes; the rest is room to grow into [owner]
 * @run:    length of the run of unused units that starts or ends here [arena]
 * @blocks: how many blocks there are [owner]
 * @free:   bits set in @bitmap, less the blocks that a scan has claimed [class]
 * @unbacked_blocks: free blocks that are not in @bitmap, since their pages are @unbacked,
 *	    less those that a scan has claimed [class]
 * @unbacked:  pages that no memory stands behind: they were never backed, or they were purged
 *	    or moved [class, arena]
 * @untouched: the unbacked pages that were never backed [class, arena]
 * @idle:   pages that were free at the last scan and not used since [class]; of a span its slack,
 *	    if the last scan saw it [arena]
 * @slack:  where a span ends in this unit: the pages behind its end; of a unit of a group: the
 *	    pages of no span in use; if units are pages, there is no slack [arena]
 * @units:  how many units a slab has, if they are pages: see slab_units() [owner]
 * @hint:   no word of @bitmap below this one has a bit set [class]
 * @relist_at: with so many free blocks the slab belongs on another list, or is empty [class]
 * @class:  its class, CLASS_SPAN_FIRST and up for the first unit of a span or of a group, or
 *	    CLASS_NONE
 *	    [class, owner]
 * @index:  of its first unit among the descriptors of the SuperSlab [const]
 * @bucket: which list of the class @node is on [class]; of a unit of a group, how many units
 *	    behind the first it lies [arena]
 * @changed: there may be free pages that the last scan did not see [class]
 * @gaps:   how many gap blocks there are: see slab/gap.c; SLAB_OF_POOL if it is one of an object
 *	    cache, and @bitmap leads to its record in pool/slabs.c [class, owner]
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
	uint16_t blocks;
	uint16_t free;
	uint16_t unbacked_blocks;
	uint16_t unbacked;
	uint16_t untouched;
	uint16_t idle;
	union {
		uint16_t slack;
		uint16_t units;
	};
	uint16_t relist_at;
	uint16_t gaps;
	uint16_t index;
	uint8_t hint;
	uint8_t class;
	bool changed;
	uint8_t bucket;
};

/* No slab has so many gap blocks. */
#define SLAB_OF_POOL UINT16_MAX

_Static_assert(sizeof(struct slab) == 64, "a line of the cache: a slab is found by shifting");

/**
 * struct window - what a few bits say of some units in a row
 * @unused:   a bit for each unit that nobody has allocated [arena]
 * @unbacked: a bit for each unused unit none of whose pages is backed [arena]
 * @idle:     a bit for each unused unit that is backed, and was so at the last scan [arena]
 * @claimed:  a bit for each unit in use whose slack a scan purges. If the span is freed
 *	      meanwhile, the bit is cleared, and the unit is the scan's. [arena]
 * @zeros:    a bit for each unit in use that read zero when it was allocated; its owner reads it
 *	      without the lock [arena]
 */
struct window {
	unit_mask unused;
	unit_mask unbacked;
	unit_mask idle;
	unit_mask claimed;
	unit_mask zeros;
};

/* First, so that a slab is found by shifting; but last where a part has fewer of them. */
#if HAK_UNIT_SIZE == 65536
#define SLABS_FIRST struct slab slab[UNITS_PER_SUPERSLAB];
#define SLABS_LAST
#else
#define SLABS_FIRST
#define SLABS_LAST struct slab slab[UNITS_PER_SUPERSLAB] __attribute__((aligned(64)));
#endif

/**
 * struct superslab - the descriptor of one SuperSlab
 * @node:      on the list of empty SuperSlabs, or in a chain [arena]
 * @all:       on the list of all SuperSlabs [arena]
 * @base:      the address of its first unit [const]
 * @map_id:    the number of the mapping that it is a part of [const]
 * @window:    its units [arena]
 * @unused:    how many units nobody has allocated [arena]
 * @units:     how many can be allocated; what a part lacks counts as used [const]
 * @described: how many have a descriptor: all, but for a part [const]
 * @in_magazines: blocks in magazines, while the statistics count phantoms [arena]
 * @zero:      pages that are unbacked read zero [arena]
 * @purgeable: the provider takes purges of it [arena]
 * @refused:   the provider refused to take it back, and is not asked before a trim [arena]
 * @unpurged:  the provider refused to purge it, and is not asked before a trim [arena]
 * @metadata:  it is for bitmaps, and no block of the program is ever in it [const]
 * @pages:     of a part, a bit for each page of its 2 MiB that there is; else NULL [const]
 * @back:      for each unit of a slab, how many units behind the first it lies; 0 for all
 *	       others. What is not 0 has no other descriptor than that of the first. [arena]
 * @slab:      a descriptor for each unit, of which the first of a slab or span speaks for all
 *	       [const]
 */
struct superslab {
	SLABS_FIRST
	struct list_node node;
	struct list_node all;
	uintptr_t base;
	uint64_t map_id;
	struct window window[NR_WINDOWS];
	uint16_t unused;
	uint16_t units;
	uint16_t described;
	uint32_t in_magazines;
	bool zero;
	bool purgeable;
	bool refused;
	bool unpurged;
	bool metadata;
	const uint64_t *pages;
	uint8_t back[UNITS_PER_SLAB > 1 ? UNITS_PER_SUPERSLAB : 1];
	SLABS_LAST
};

/* How many descriptors of units are there? */
static inline unsigned superslab_described(const struct superslab *superslab)
{
	return HAS_PARTS ? superslab->described : UNITS_PER_SUPERSLAB;
}

static inline bool superslab_is_metadata(const struct superslab *superslab)
{
	return HAK_METADATA_APART && superslab->metadata;
}

/* The units of a window that can be allocated. */
static inline unit_mask superslab_units(const struct superslab *superslab)
{
	return superslab_is_metadata(superslab) ? METADATA_UNITS : ALL_UNITS;
}

static inline bool superslab_is_empty(const struct superslab *superslab)
{
	return superslab->unused == superslab->units;
}

static inline bool superslab_is_unused(const struct superslab *superslab, unsigned index)
{
	unsigned window = index / UNITS_PER_WINDOW % NR_WINDOWS;

	return superslab->window[window].unused >> index % UNITS_PER_WINDOW & 1;
}

/* How many units behind the first of its slab does a unit lie? 0 if it is of none. */
static inline unsigned superslab_back(const struct superslab *superslab, unsigned index)
{
	return UNITS_PER_SLAB > 1 ? superslab->back[index] : 0;
}

static inline struct superslab *slab_superslab(const struct slab *slab)
{
	return list_entry(slab - slab->index, struct superslab, slab);
}

HAK_COLD uintptr_t slab_base(const struct slab *slab);

/* How many units has a slab? */
static inline unsigned slab_units(const struct slab *slab)
{
	return UNITS_PER_SLAB > 1 ? slab->units : 1;
}

/* Its pages, as bits. */
static inline unsigned slab_pages(const struct slab *slab)
{
	return (1u << slab_units(slab) * PAGES_PER_UNIT) - 1;
}

/* How far into its slab does an address lie? */
static inline size_t slab_offset(const struct slab *slab, uintptr_t address)
{
	return UNITS_PER_SLAB > 1 ? address - slab_base(slab) : address % SLAB_SIZE;
}

/*
 * The index of the unit at an address in a SuperSlab. A part begins with a window. That of an
 * address which the part lacks leads to no unit that is unused.
 */
static inline unsigned superslab_index(const struct superslab *superslab, uintptr_t address)
{
	if (HAS_PARTS)
		address -= superslab->base;
	return (unsigned)(address / UNIT_SIZE % UNITS_PER_SUPERSLAB);
}

/* Is there a unit, or does a part lack it? */
static inline bool superslab_has(const struct superslab *superslab, unsigned index)
{
	size_t page = superslab->base % SUPERSLAB_SIZE / PAGE_SIZE + index;

	return !superslab->pages || superslab->pages[page / 64] >> page % 64 & 1;
}

/* The slab, the span or the unit at an address in a SuperSlab. */
static inline struct slab *superslab_slab(struct superslab *superslab, uintptr_t address)
{
	unsigned index = superslab_index(superslab, address);

	return &superslab->slab[index - superslab_back(superslab, index)];
}

static inline struct window *superslab_window(struct superslab *superslab, uintptr_t address)
{
	if (HAS_PARTS)
		address -= superslab->base;
	return &superslab->window[address / WINDOW_SIZE % NR_WINDOWS];
}

/* The descriptor of the first unit of a window. */
static inline struct slab *superslab_window_units(struct superslab *superslab,
						  const struct window *window)
{
	return &superslab->slab[(window - superslab->window) * UNITS_PER_WINDOW];
}

/*
 * Is anything noted of the pages of each unit? Then all descriptors are initialised from the
 * beginning. Where units are pages, there is no slack.
 */
static inline bool superslab_has_pages(const struct superslab *superslab)
{
	return PAGES_PER_UNIT > 1 || superslab->purgeable;
}

/* The lowest run of bits. */
static inline unit_mask lowest_run(unit_mask bits)
{
	return bits & ~(bits + (bits & -bits));
}

/* Is nothing noted of the pages of a new one at all? */
static inline bool superslab_is_plain(const struct superslab *superslab)
{
	return UNITS_PER_SLAB > 1 && !PLATFORM_MOVES && !superslab->purgeable && !superslab->zero;
}

/* Does a scan purge the slack of this unit? */
static inline bool slab_is_claimed(const struct slab *unit)
{
	const struct superslab *superslab = slab_superslab(unit);

	return superslab->window[unit->index / UNITS_PER_WINDOW].claimed >>
		       unit->index % UNITS_PER_WINDOW &
	       1;
}

/* Those of some units of a window that are unbacked. @units: the descriptor of its first one. */
static inline unit_mask units_unbacked(const struct slab *units, unit_mask part)
{
	unit_mask unbacked = 0;

	for (; part; part &= part - 1)
		if (units[lowest_bit(part)].unbacked == UNIT_PAGES)
			unbacked |= part & -part;
	return unbacked;
}

/* All pages count as backed from now on. */
static inline void superslab_note_backed(struct superslab *superslab)
{
	for (unsigned i = 0; i < NR_WINDOWS; i++)
		superslab->window[i].unbacked = 0;
	for (unsigned i = 0; i < UNITS_PER_SUPERSLAB && superslab_has_pages(superslab); i++)
		superslab->slab[i].unbacked = superslab->slab[i].untouched = 0;
}

HAK_COLD struct slab *address_to_slab(uintptr_t address);
HAK_COLD struct window *superslab_window_at(uintptr_t address);
HAK_COLD struct slab *superslab_describe(struct slab *unit);
const struct slab *superslab_first(const struct superslab *superslab, unsigned index);
HAK_COLD void descriptor_clear(struct superslab *superslab);
HAK_COLD unit_mask superslab_part(uintptr_t base, size_t units, unsigned *n);
HAK_COLD bool descriptor_reserve_leaves(uintptr_t base, size_t size);
HAK_COLD struct list_node *descriptor_map(size_t count, size_t align, bool metadata);
void descriptor_populate(struct list_node *chain);
HAK_COLD void descriptor_free(struct list_node *chain);
HAK_COLD void descriptor_trim(void);

#endif
