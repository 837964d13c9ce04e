/* SPDX-License-Identifier: MIT */
/*
 * The layout of a cache: the magazines of one thread (Linux) or one CPU (bare
 * metal). The fast path is inline, so it stands in a header.
 *
 * A magazine here is not Bonwick's: it is not exchanged as a whole, and no depot
 * stands behind it. It is an array of blocks of one class. Its slab counts these
 * blocks as allocated, and the program counts them as free.
 *
 * Where a field says in brackets who may write it: [owner] is the thread or the
 * CPU whose cache this is, inside its fast path or with the claim; [claim] is
 * the holder of the claim (seize.c); [list] is the lock of the registry in
 * cache.c; [const] is written once, before the cache has an owner.
 */
#ifndef HAKMEM_CACHE_LAYOUT_H
#define HAKMEM_CACHE_LAYOUT_H

#include "base/list.h"
#include "base/lock.h"
#include "base/sizeclass.h"

/*
 * Two indices into the slots of the cache. slot[top] is the block that the next
 * allocation gets. The slot below the lowest block of a magazine is always NULL, so
 * that the block itself tells that a magazine is empty. The limit is the highest
 * index that the top may reach. It is 0 while the magazine is seized.
 */
struct magazine {
	uint16_t top;	/* [owner], and by one exchange of a thread that seizes it */
	uint16_t limit; /* [claim] */
};

/*
 * The top of a seized magazine. At most one operation of the owner may come too late
 * and make it one less or one more. So slots 0, 1 and 2 are NULL for ever, and no open
 * magazine has such a top.
 */
#define MAGAZINE_SEIZED	    1u
#define MAGAZINE_FIRST_BASE 3u

_Static_assert(MAGAZINE_FIRST_BASE + MAGAZINE_SLOTS < UINT16_MAX, "indices of slots are 16 bits");

/* What is counted once for each batch. */
struct magazine_batches {
	uint64_t misses;
	uint64_t refills, refilled;
	uint64_t spills, spilled;
};

/**
 * struct magazine_cold - what the slow path and the scan need of a magazine
 * @batches:      counters [claim]
 * @scan_gone:    blocks that had been popped or spilled by the last scan [claim]
 * @scan_pushes:  blocks that had been pushed by then [claim]
 * @scan_held:    blocks that the magazine held then [claim]
 * @batch_pushes: blocks that had been pushed when the last batch came or went [claim]
 * @batch_held:   blocks that the magazine held after that batch [claim]
 * @missed:       blocks that were spilled after the last refill and not fetched again [claim]
 * @promised:     until so many have been popped, blocks are the owner's: see prefill.c [claim]
 * @base:         index of the NULL below the blocks: @near or @far [claim]
 * @near:         index of the near slots [const]
 * @far:          index of the far slots; 0 if the class has none [const]
 * @seized_top:   the top that the magazine had when it was seized; 0 if it is open [claim]
 * @seized_limit: the limit that it had then [claim]
 * @kept:         blocks that lie in the seized magazine, but for one that a free pushed too
 *		  late [claim]
 * @excess:       how many of these the scan is to take out [claim]
 * @spilled_last: the last batch was a spill [claim]
 */
struct magazine_cold {
	struct magazine_batches batches;
	uint64_t scan_gone, scan_pushes;
	uint64_t batch_pushes;
	uint64_t missed;
	uint64_t promised;
	uint16_t scan_held;
	uint16_t batch_held;
	uint16_t base;
	uint16_t near;
	uint16_t far;
	uint16_t seized_top;
	uint16_t seized_limit;
	uint16_t kept;
	uint16_t excess;
	bool spilled_last;
};

/**
 * struct prefill - what hak_prefill() has promised to an owner: see prefill.c
 * @alloc: as blocks_alloc(); what waits for the owner comes first
 * @free:  as blocks_free(), for the oldest blocks of the magazine; the owner keeps some of them
 * @drop:  forget all promises, and this record
 *
 * These are pointers so that an image which does not call hak_prefill() has nothing of it. All
 * are called with the claim of the cache, but for @drop, which its owner calls.
 */
struct prefill {
	unsigned (*alloc)(struct hak_cache *cache, unsigned class, void **end, unsigned n);
	void (*free)(struct hak_cache *cache, unsigned class, void *const *blocks, unsigned n);
	void (*drop)(struct hak_cache *cache);
};

/*
 * Blocks up to SLAB_MAX that were freed and wait, so that they are not used again soon: see
 * quarantine.h. Only the hardened build has it.
 */
#define QUARANTINE_MOST 64u

/**
 * struct quarantine - what waits, by class
 * @random: is changed whenever a block comes, before anything else [owner]
 * @slot:   a block, or NULL [owner]
 */
struct quarantine {
	uint64_t random;
	void *slot[CLASS_SLAB_LAST + 1][QUARANTINE_MOST];
};

/**
 * struct cache_cold - what the slow path and the scan need of a cache
 * @cache:        the hot part, which follows in memory [const]
 * @node:         on the list of all caches [list]
 * @unused:       on the list of caches without an owner [list]
 * @claimed:      on the list of caches that a scan holds [claim]
 * @claim:        who may change the magazines: see seize.c [atomic]
 * @owner:        whose the cache is: see cache.c [list]
 * @thread:       this_held() of the owner [list]
 * @in_use:       in debug builds: the owner uses the cache now [owner]
 * @quiet:        a bit for each part of the magazines: all in it are seized and empty [claim]
 * @far_touched:  the far slots may have memory [claim, list]
 * @victim:       the class whose turn it was last to give up some of its limit [claim]
 * @prefill:      promises to the owner; NULL if there are none [claim]
 * @budget:       bytes by which the limits may still grow, up to two batches each [claim]
 * @burst_budget: bytes by which they may still grow beyond that [claim]
 * @magazine:     by class [claim]
 * @quarantine:   of the hardened build [owner]
 */
struct cache_cold {
	struct hak_cache *cache;
	struct list_node node;
	struct list_node unused;
	struct list_node claimed;
	struct lock claim;
	_Atomic uint64_t owner;
	unsigned *thread;
	bool in_use;
	uint8_t quiet;
	bool far_touched;
	uint8_t victim;
	struct prefill *prefill;
	ptrdiff_t budget;
	ptrdiff_t burst_budget;
	struct magazine_cold magazine[CLASS_LAST + 1];
	struct quarantine quarantine[CONFIG_HAK_HARDENED];
} __attribute__((aligned(64))); /* the hot part follows */

/**
 * struct hak_cache - the magazines of one thread or one CPU
 * @magazine: by class. Those of classes that users have no blocks of stay {0, 0}:
 *	      they are always empty, since slot[0] is NULL, and always full. [claim]
 * @pushes:   blocks put into magazines, by class [owner]
 * @number:   1, 2 and so on below CACHE_NUMBERS; 0 in later ones, and in the stand-ins of
 *	      cache.h [const]
 * @cold:     the rest; NULL in the stand-ins of cache.h [const]
 * @slot:     the blocks of all magazines, one magazine behind the other [owner]
 */
struct hak_cache {
	struct magazine magazine[NR_CLASSES];
	uint64_t pushes[NR_CLASSES];
	struct cache_cold *cold;
	unsigned number;
	void *slot[];
};

/* An object cache has a magazine for each cache that has a number: see pool/pool.c. */
#define CACHE_NUMBERS (UNITS_PER_SLAB > 1 ? 64u : 512u)

#define CACHE_SLOTS (MAGAZINE_FIRST_BASE + MAGAZINE_SLOTS)
#define CACHE_SIZE                                                                                 \
	(sizeof(struct hak_cache) + CACHE_SLOTS * sizeof(void *) + sizeof(struct cache_cold))

/* The owner ends, or wants no promises any more. */
static inline void cache_drop_prefill(struct hak_cache *cache)
{
	if (cache->cold && unlikely(cache->cold->prefill))
		cache->cold->prefill->drop(cache);
}

/* The classes that have magazines. */
#define for_each_magazine(class) for_each_class(class) if (size_class[class].capacity)

void cache_note_use(bool begins);

/*
 * The caller uses its cache between these two calls, and no other code on this CPU may. As a
 * rule none would: a thread has a cache of its own, and interrupt handlers do not use that of
 * their CPU. Only a kernel that may preempt a thread here, and let another thread use the
 * cache, has to keep interrupts off meanwhile (CONFIG_HAK_IRQSAVE). Otherwise debug builds note
 * that it is in use, and report an interrupt handler that comes meanwhile and uses it, too.
 */
static inline struct platform_irq cache_irq_save(void)
{
	if (PLATFORM_HAS_IRQ && IS_ENABLED(CONFIG_HAK_IRQSAVE))
		return platform_irq_save();
	if (PLATFORM_HAS_IRQ && IS_ENABLED(CONFIG_HAK_DEBUG))
		cache_note_use(true);
	return (struct platform_irq){};
}

static inline void cache_irq_restore(struct platform_irq irq)
{
	if (PLATFORM_HAS_IRQ && IS_ENABLED(CONFIG_HAK_IRQSAVE))
		platform_irq_restore(irq);
	else if (PLATFORM_HAS_IRQ && IS_ENABLED(CONFIG_HAK_DEBUG))
		cache_note_use(false);
}

#endif
