/* SPDX-License-Identifier: MIT */
/*
 * What a scan claims of one window of a SuperSlab, to purge it. See claim.c.
 */
#ifndef HAKMEM_SUPERSLAB_CLAIM_H
#define HAKMEM_SUPERSLAB_CLAIM_H

#include "superslab/descriptor.h"

/* The pages of a window, and of the last slab that begins in it. */
#define CLAIM_PAGES (UNITS_PER_WINDOW * PAGES_PER_UNIT + (UNITS_PER_SLAB > 1) * PAGES_PER_SLAB)

/**
 * struct claim - what a scan has of one window until claim_free()
 * @superslab: which one; it stays as long as anything of it is claimed
 * @window:    of this one; slabs belong to the window that they begin in
 * @unused:    the unused units that are claimed, as bits
 * @slack:     the units whose slack is claimed, as bits
 * @blocks:    the slabs whose free blocks are claimed, as bits; see slab/class.c
 * @pages:     a bit for each page to purge
 * @free:      free blocks that are claimed and backed, by slab
 * @unbacked_blocks: free blocks that are claimed and unbacked, by slab
 * @again:     a later scan may find more
 *
 * There is one at a time: reclaim/scan.c holds its lock. @unused, @slack and @blocks change under
 * the lock of what is claimed. So with all locks held, a claim says exactly what is claimed.
 */
struct claim {
	struct superslab *superslab;
	struct window *window;
	unit_mask unused;
	unit_mask slack;
	unit_mask blocks;
	uint16_t pages[CLAIM_PAGES / 16 + 1];
	uint16_t free[UNITS_PER_WINDOW];
	uint16_t unbacked_blocks[UNITS_PER_WINDOW];
	bool again;
};

/* The first unit of the window. */
static inline struct slab *claim_units(const struct claim *claim)
{
	return superslab_window_units(claim->superslab, claim->window);
}

/* Claim pages of a unit of the window, or of the slab that begins there. */
static inline void claim_add_pages(struct claim *claim, unsigned unit, unsigned pages)
{
	unsigned first = unit * PAGES_PER_UNIT;
	uint32_t bits = (uint32_t)pages << first % 16;

	claim->pages[first / 16] |= (uint16_t)bits;
	claim->pages[first / 16 + 1] |= (uint16_t)(bits >> 16);
}

/* Those of @pages of a unit, or of a slab, that are claimed. */
static inline unsigned claim_pages(const struct claim *claim, unsigned unit, unsigned pages)
{
	unsigned first = unit * PAGES_PER_UNIT;
	const uint16_t *words = &claim->pages[first / 16];

	return (words[0] | (uint32_t)words[1] << 16) >> first % 16 & pages;
}

static inline bool claim_has_any(const struct claim *claim)
{
	return claim->unused || claim->slack || claim->blocks;
}

HAK_COLD void claim_first(void);
HAK_COLD bool claim_next(struct claim *claim, bool all);
HAK_COLD bool claim_finds(const struct claim *claim, unsigned unit, unsigned class);
HAK_COLD int claim_purge(const struct claim *claim);
HAK_COLD void claim_free(struct claim *claim, int flags);

#endif
