/* SPDX-License-Identifier: MIT */
/*
 * What the owner of a cache does with its magazines in the slow path. See magazine.c.
 * All of these wait for the claim of the cache, and may be called by its owner only.
 */
#ifndef HAKMEM_CACHE_MAGAZINE_H
#define HAKMEM_CACHE_MAGAZINE_H

#include "cache/layout.h"
#include "superslab/superslab.h"

HAK_COLD void *magazine_pop(struct hak_cache *cache, unsigned class, enum alloc_which which);
void *magazine_pop_few(struct hak_cache *cache, unsigned class, unsigned n);
HAK_COLD bool magazine_push(struct hak_cache *cache, unsigned class, void *block);
HAK_COLD bool magazine_flush(struct hak_cache *cache, unsigned class);
HAK_COLD void magazine_hand_over(struct hak_cache *cache, unsigned class, unsigned keep);

#endif
