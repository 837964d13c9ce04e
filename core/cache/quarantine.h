/* SPDX-License-Identifier: MIT */
/*
 * Freed blocks wait before they go into a magazine, so that nobody knows when they are used again,
 * and never at once. A block that is freed takes the place of a random one of its class, which
 * goes. So a block waits for as many others, on average, as there are slots: 64 of small classes,
 * 4 of the largest, 32 KiB of those in between.
 *
 * Blocks in quarantine are zero. They count as allocated, for magazines and slabs.
 */
#ifndef HAKMEM_CACHE_QUARANTINE_H
#define HAKMEM_CACHE_QUARANTINE_H

#include "cache/layout.h"

/*
 * A secret, which the platform makes before the first block is handed out, and never changes. Both
 * words are odd then, and the second one is written last.
 */
extern HAK_HIDDEN uint64_t hak_secret[];
void hak_secret_make(void);

/* How many slots has a class? The inverse of its size is 2^32 / size. */
static inline unsigned quarantine_slots(unsigned class)
{
	unsigned slots = size_class[class].inverse >> 17;

	return slots < 4 ? 4 : MIN(slots, QUARANTINE_MOST);
}

/*
 * A block comes. Returns the one that goes; NULL if there is none. Who has no cache has no
 * quarantine either: then @block itself goes. (Knuth, The Art of Computer Programming, volume 2,
 * has the multiplier. Of the sum only the upper half is used.)
 */
static inline void *quarantine_swap(unsigned class, void *block)
{
	struct platform_irq irq = cache_irq_save();
	struct cache_cold *cold = this_cache()->cold;
	struct quarantine *quarantine;
	uint64_t random;
	void **slot, *old = block;

	if (likely(cold)) {
		quarantine = cold->quarantine;
		random = quarantine->random * 6364136223846793005u + hak_secret[0];
		WRITE_ONCE(quarantine->random, random);
		slot = &quarantine->slot[class][(random >> 32) * quarantine_slots(class) >> 32];
		old = *slot;
		WRITE_ONCE(*slot, block);
	}
	cache_irq_restore(irq);
	return old;
}

bool quarantine_flush(struct hak_cache *cache);
bool quarantine_flush_own(void);
const void *quarantine_find_own(unsigned class, size_t *offset);
const void *quarantine_find(struct cache_cold *cold, unsigned *class, size_t *offset);

#endif
