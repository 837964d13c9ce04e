/* SPDX-License-Identifier: MIT */
/* One SuperSlab as a look sees it. See look.c. */
#ifndef HAKMEM_SUPERSLAB_CLAIM_H
#define HAKMEM_SUPERSLAB_CLAIM_H

#include "superslab/superslab.h"

/**
 * struct look - what one look at a SuperSlab found to be given back
 * @superslab: whose memory may be used for another one by now, unless one of
 * @unused:    the unused slabs that are the look's for now,
 * @slack:     the slabs of which it has the pages behind the end of a span, or
 * @blocks:    those of which it has free blocks, is set
 * @pages:     by slab: the pages to purge,
 * @free:      and the blocks that it has: in pages that have memory, free until then,
 * @withheld:  and in those that have none
 * @ripening:  a later look may find more
 *
 * One at a time: looks are serialised by their caller.
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

void claim_first(void);
HAK_COLD bool claim_next(struct claim *claim, bool all);
HAK_COLD int claim_purge(const struct claim *claim);
void claim_free(const struct claim *claim, int flags);

#endif
