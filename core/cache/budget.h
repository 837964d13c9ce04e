/* SPDX-License-Identifier: MIT */
/*
 * How many blocks each magazine of a cache may hold. See budget.c.
 */
#ifndef HAKMEM_CACHE_BUDGET_H
#define HAKMEM_CACHE_BUDGET_H

#include "cache/layout.h"

/* What all caches may hold beyond their first limits, in bytes. */
extern HAK_HIDDEN _Atomic ptrdiff_t budget_spent;

HAK_COLD unsigned budget_limit(struct hak_cache *cache, unsigned class);
HAK_COLD void budget_set_limit(struct hak_cache *cache, unsigned class, unsigned limit);
HAK_COLD void budget_grow(struct hak_cache *cache, unsigned class, unsigned limit);

#endif
