/* SPDX-License-Identifier: MIT */
/*
 * Caches and their magazines. The layout is here because the fast path is
 * inline; see magazine.c for how they work.
 */
#ifndef HAKMEM_MAGAZINE_H
#define HAKMEM_MAGAZINE_H

#include "base.h"
#include "list.h"
#include "sizeclass.h"

/*
 * Two indices into the slots of the cache. slot[top] is the block that the
 * next allocation gets; below the lowest block of a magazine lies a slot that
 * is always NULL, so that "empty" is seen in the block itself. `limit` is the
 * highest index that `top` may reach.
 */
struct magazine {
	uint16_t top;
	uint16_t limit;
};

_Static_assert(1 + MAGAZINE_SLOTS <= UINT16_MAX, "indices of slots are 16 bits");

/* What happens once per batch. */
struct magazine_batches {
	uint64_t misses;
	uint64_t refills, refilled;
	uint64_t spills, spilled;
};

/* What only the slow path needs of a cache. */
struct cache_cold {
	struct hak_cache *cache;
	struct list_node node; /* on the list of caches in use */
	struct magazine_batches batches[CLASS_LAST + 1];
	uint16_t base[CLASS_LAST + 1];	   /* index of the NULL below each magazine */
	bool spilled_last[CLASS_LAST + 1]; /* was the last batch a spill? */
};

/**
 * struct hak_cache - the magazines of one thread or one CPU
 * @magazine: by class; those of no users' class stay {0, 0}: always empty
 *	      (slot[0] is NULL) and always full
 * @pops:     blocks taken from magazines, by class
 * @cold:     the rest; NULL if this is nobody's cache but an empty stand-in
 * @slot:     the blocks of all magazines, one behind the other
 *
 * Only its owner writes to it.
 */
struct hak_cache {
	struct magazine magazine[NR_CLASSES];
	uint64_t pops[NR_CLASSES];
	struct cache_cold *cold;
	void *slot[];
};

#define CACHE_SIZE                                                                                 \
	(sizeof(struct hak_cache) + (1 + MAGAZINE_SLOTS) * sizeof(void *) +                        \
	 sizeof(struct cache_cold))

_Static_assert(CACHE_SIZE <= 24 << 10, "a cache has to fit on small machines, once per CPU");

/*
 * The stand-in of those who have no cache yet: all its magazines are empty and
 * full at once, so that the first call of a thread is an ordinary miss.
 */
extern HAK_HIDDEN struct hak_cache hak_cache_none;

/* Sums over caches, those that are gone included. */
struct cache_counters {
	uint64_t pops;
	struct magazine_batches batches;
	uint64_t blocks; /* in magazines now */
};

struct hak_cache *cache_attach(void);
bool cache_flush(struct hak_cache *cache);
void hak_cache_detach(struct hak_cache *cache);

void *magazine_pop(struct hak_cache *cache, unsigned class);
void magazine_push(struct hak_cache *cache, unsigned class, void *block);
bool magazine_has(const struct hak_cache *cache, unsigned class, const void *block);

/* Why the limit of a magazine is looked at. */
enum magazine_event {
	MAGAZINE_REFILL,
	MAGAZINE_SPILL,	      /* the first after a refill */
	MAGAZINE_SPILL_AGAIN, /* nothing but frees since the last one */
};
unsigned magazine_next_limit(unsigned limit, unsigned capacity, enum magazine_event event);

uint64_t cache_count(void);
void cache_read_counters(unsigned class, struct cache_counters *sum);
const char *cache_check(void);
void cache_lock_word(void);
void cache_unlock_word(void);
void cache_fini(void);

#endif
