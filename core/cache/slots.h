/* SPDX-License-Identifier: MIT */
/*
 * What lies in the slots of a cache, and where. See slots.c.
 */
#ifndef HAKMEM_CACHE_SLOTS_H
#define HAKMEM_CACHE_SLOTS_H

#include "cache/layout.h"

HAK_COLD void slots_init(struct cache_cold *cold);
HAK_COLD void slots_move(struct hak_cache *cache, unsigned class, unsigned base);
HAK_COLD unsigned slots_free_some(struct hak_cache *cache, unsigned class, unsigned least,
				  unsigned n);

static inline void slots_free(struct hak_cache *cache, unsigned class, unsigned n)
{
	slots_free_some(cache, class, n, n);
}

/* Of any cache, as it is just now: the owner may be between two steps. */
HAK_COLD unsigned slots_held(const struct hak_cache *cache, unsigned class);
HAK_COLD uint64_t slots_pops(const struct hak_cache *cache, unsigned class);

#endif
