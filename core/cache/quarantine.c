/* SPDX-License-Identifier: MIT */
/*
 * The quarantines of all caches, for who flushes them and who looks for blocks that were written
 * to. See quarantine.h. Only the hardened build links this file.
 *
 * Others than the owner only read. An owner changes `random`, and then the slot, before a block
 * leaves, so:
 *
 *	the same random before and after, and the block in its slot  =>  it has not left meanwhile
 *
 * It cannot have come back, since each block that comes changes `random`. If a block was not zero
 * in between, then it was written to after its free. (The order of loads and stores is that of
 * x86_64.)
 *
 * Lock: that of the block's class while it is read, so that its slab stays.
 */
#include "cache/quarantine.h"

#include "base/zero.h"
#include "slab/blocks.h"

/* The blocks go to their slabs. The caller is the owner. Were there any? */
bool quarantine_flush(struct hak_cache *cache)
{
	struct quarantine *quarantine = cache->cold->quarantine;
	bool any = false;

	for (unsigned class = CLASS_FIRST; class <= CLASS_SLAB_LAST; class ++) {
		for (unsigned i = 0; i < quarantine_slots(class); i++) {
			void *block = quarantine->slot[class][i];

			if (!block)
				continue;
			WRITE_ONCE(quarantine->random, quarantine->random + 1);
			WRITE_ONCE(quarantine->slot[class][i], NULL);
			blocks_free(class, &block, 1);
			blocks_count_uncached(class, UNCACHED_FREE);
			any = true;
		}
	}
	return any;
}

/* The same for the caller's own, if it has one. */
bool quarantine_flush_own(void)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	bool any = cache->cold && quarantine_flush(cache);

	cache_irq_restore(irq);
	return any;
}

/* A block of a class that is not zero, or NULL. Under the lock of the class, or by the owner. */
static NO_SANITIZE_THREAD const void *find_in_class(struct quarantine *quarantine, unsigned class,
						    size_t *offset)
{
	size_t size = size_class[class].size;

	for (unsigned i = 0; i < quarantine_slots(class); i++) {
		uint64_t random = READ_ONCE(quarantine->random);
		const void *block;

		COMPILER_BARRIER();
		block = READ_ONCE(quarantine->slot[class][i]);
		if (!block || zero_is(block, size))
			continue;
		*offset = zero_length(block, size);
		COMPILER_BARRIER();
		if (READ_ONCE(quarantine->random) == random &&
		    READ_ONCE(quarantine->slot[class][i]) == block && *offset < size)
			return block;
	}
	return NULL;
}

/* The same in the caller's own quarantine, which no block leaves meanwhile. */
const void *quarantine_find_own(unsigned class, size_t *offset)
{
	struct platform_irq irq = cache_irq_save();
	struct cache_cold *cold = this_cache()->cold;
	const void *block = cold ? find_in_class(cold->quarantine, class, offset) : NULL;

	cache_irq_restore(irq);
	return block;
}

/*
 * A block in any quarantine that is not zero; NULL if there is none. Sets its class, and which of
 * its bytes is the first.
 */
const void *quarantine_find(struct cache_cold *cold, unsigned *class, size_t *offset)
{
	for (*class = CLASS_FIRST; *class <= CLASS_SLAB_LAST; ++*class) {
		struct slab_class *sc = class_find(*class);
		const void *block = NULL;

		if (!sc)
			continue;
		class_lock(sc);
		block = find_in_class(cold->quarantine, *class, offset);
		class_unlock(sc);
		if (block)
			return block;
	}
	return NULL;
}
