/* SPDX-License-Identifier: MIT */
/*
 * What a scan claims of one SuperSlab, to purge it. See claim.c.
 */
#ifndef HAKMEM_SUPERSLAB_CLAIM_H
#define HAKMEM_SUPERSLAB_CLAIM_H

#include "superslab/descriptor.h"

/**
 * struct claim - what a scan has of one SuperSlab until claim_free()
 * @superslab: which one; it stays as long as anything of it is claimed
 * @unused:    the unused slabs that are claimed, as bits
 * @slack:     the slabs whose slack is claimed, as bits
 * @blocks:    the slabs whose free blocks are claimed, as bits; see slab/class.c
 * @pages:     the pages to purge, by slab
 * @free:      free blocks that are claimed and backed, by slab
 * @unbacked_blocks: free blocks that are claimed and unbacked, by slab
 * @again:     a later scan may find more
 *
 * There is one at a time: reclaim/scan.c holds its lock.
 */
struct claim {
	struct superslab *superslab;
	uint32_t unused;
	uint32_t slack;
	uint32_t blocks;
	uint16_t pages[SLABS_PER_SUPERSLAB];
	uint16_t free[SLABS_PER_SUPERSLAB];
	uint16_t unbacked_blocks[SLABS_PER_SUPERSLAB];
	bool again;
};

HAK_COLD void claim_first(void);
HAK_COLD bool claim_next(struct claim *claim, bool all);
HAK_COLD int claim_purge(const struct claim *claim);
HAK_COLD void claim_free(const struct claim *claim, int flags);

#endif
