/* SPDX-License-Identifier: MIT */
/*
 * Caches and their magazines. The layout is here because the fast path is
 * inline; see magazine.c for how they work.
 */
#ifndef HAKMEM_CACHE_MAGAZINE_H
#define HAKMEM_CACHE_MAGAZINE_H

#include "base/base.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/sizeclass.h"
#include "superslab/superslab.h"

/*
 * Two indices into the slots of the cache. slot[top] is the block that the
 * next allocation gets; below the lowest block of a magazine lies a slot that
 * is always NULL, so that "empty" is seen in the block itself. `limit` is the
 * highest index that `top` may reach, 0 while a magazine is closed.
 */
struct magazine {
	uint16_t top;
	uint16_t limit;
};

/*
 * A closed magazine has this top. At most one operation of the owner comes too late,
 * and makes it one less or one more. So these three slots are NULL for ever, and no
 * open magazine has such a top.
 */
#define MAGAZINE_SEIZED	    1u
#define MAGAZINE_FIRST_BASE 3u

_Static_assert(MAGAZINE_FIRST_BASE + MAGAZINE_SLOTS < UINT16_MAX, "indices of slots are 16 bits");

/* What happens once per batch. */
struct magazine_batches {
	uint64_t misses;
	uint64_t refills, refilled;
	uint64_t spills, spilled;
};

/* What only the slow path, and whoever looks for idle magazines, needs of one. */
struct magazine_cold {
	struct magazine_batches batches;
	uint64_t scan_gone, scan_pushes; /* at the last look: popped or spilled, pushed */
	uint64_t batch_pushes;		 /* pushed when the last batch came or went */
	uint64_t missed;		 /* spilled after the last refill, and not fetched again */
	uint16_t scan_held;
	uint16_t batch_held; /* blocks in it after the last batch */
	uint16_t base;	     /* index of the NULL below the blocks */
	uint16_t near;	     /* that of the near slots, */
	uint16_t far;	     /* and of the far ones; 0: there are none */
	uint16_t seized;     /* the top that it was closed at; 0: it is open */
	uint16_t limit;	     /* the limit that it was closed with */
	uint16_t kept;	     /* blocks in it while it is closed, ... */
	uint16_t excess;    /* ... and how many of these are to be taken out */
	bool spilled_last;   /* was the last batch a spill? */
};

struct cache_cold {
	struct hak_cache *cache;
	struct list_node node;	  /* on the list of all caches */
	struct list_node unused;  /* on that of those without an owner */
	struct list_node claimed; /* on that of close_idle() */
	struct lock claim;	  /* see magazine.c */
	_Atomic uint64_t owner;	  /* see cache.c */
	bool quiet;		  /* all magazines are closed and empty */
	bool far_touched;	  /* far slots have memory */
	uint8_t victim;		  /* the class that lost room last */
	ptrdiff_t budget;		  /* bytes that the limits may still grow by, all together, */
	ptrdiff_t burst_budget;	  /* up to two batches, and beyond */
	struct magazine_cold magazine[CLASS_LAST + 1];
} __attribute__((aligned(64))); /* what follows is the hot part */

/**
 * struct hak_cache - the magazines of one thread or one CPU
 * @magazine: by class; those of no users' class stay {0, 0}: always empty
 *	      (slot[0] is NULL) and always full
 * @pushes:   blocks put into magazines, by class
 * @cold:     the rest; NULL if this is nobody's cache but an empty stand-in
 * @slot:     the blocks of all magazines, one behind the other
 */
struct hak_cache {
	struct magazine magazine[NR_CLASSES];
	uint64_t pushes[NR_CLASSES];
	struct cache_cold *cold;
	void *slot[];
};

#define CACHE_SLOTS (MAGAZINE_FIRST_BASE + MAGAZINE_SLOTS)
#define CACHE_SIZE                                                                                 \
	(sizeof(struct hak_cache) + CACHE_SLOTS * sizeof(void *) + sizeof(struct cache_cold))

/* The classes that have magazines. */
#define for_each_magazine(class) for_each_class(class) if (size_class[class].capacity)

/*
 * From finding the caller's cache to the end of its use: the time in which
 * nobody else may use it. As a rule nobody would: a thread has its own, and so
 * has a CPU whose interrupt handlers keep away from it. Only where a thread can
 * be preempted here, interrupts have to be off (CONFIG_HAK_IRQSAVE).
 */
static inline struct platform_irq cache_irq_save(void)
{
	if (PLATFORM_HAS_IRQ && IS_ENABLED(CONFIG_HAK_IRQSAVE))
		return platform_irq_save();
	return (struct platform_irq){};
}

static inline void cache_irq_restore(struct platform_irq irq)
{
	if (PLATFORM_HAS_IRQ && IS_ENABLED(CONFIG_HAK_IRQSAVE))
		platform_irq_restore(irq);
}

/* The cache is the caller's. */
HAK_COLD void *magazine_pop(struct hak_cache *cache, unsigned class, enum alloc_which which);
HAK_COLD void magazine_push(struct hak_cache *cache, unsigned class, void *block);
HAK_COLD bool magazine_flush(struct hak_cache *cache, unsigned class);
HAK_COLD void magazine_hand_over(struct hak_cache *cache, unsigned class, unsigned keep);
HAK_COLD bool magazine_has(struct hak_cache *cache, unsigned class, const void *block);
const char *magazine_check(struct hak_cache *cache, unsigned class);

/* The cache is anybody's and claimed; the order is magazine.c's to explain. */
bool seize_try_claim(struct hak_cache *cache);
HAK_COLD void seize_unclaim(struct hak_cache *cache);
void seize_begin(struct hak_cache *cache, unsigned class);
bool seize_confirm(struct hak_cache *cache, unsigned class);
HAK_COLD unsigned seize_take(struct hak_cache *cache, unsigned class, void **blocks, unsigned n);

/* Of any cache, as it happens to be just now. */
HAK_COLD unsigned magazine_held(const struct hak_cache *cache, unsigned class);
uint64_t magazine_pops(const struct hak_cache *cache, unsigned class);

/* Why the limit of a magazine is looked at. */
enum magazine_event {
	MAGAZINE_REFILL,
	MAGAZINE_REFILL_MISSED, /* blocks are wanted that were spilled a moment ago */
	MAGAZINE_REFILL_STEADY, /* many were freed since the last batch */
	MAGAZINE_SPILL,
	MAGAZINE_SPILL_AGAIN, /* hardly anything but frees since the last one */
};
HAK_COLD unsigned policy_first_limit(unsigned class);
HAK_COLD unsigned policy_next_limit(unsigned limit, unsigned capacity, unsigned batch,
				      enum magazine_event event);
unsigned policy_excess(unsigned held, uint64_t gone);

#endif
