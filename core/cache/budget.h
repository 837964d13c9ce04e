/* SPDX-License-Identifier: MIT */
/*
 * How many blocks each magazine of a cache may hold. See budget.c.
 */
#ifndef HAKMEM_CACHE_BUDGET_H
#define HAKMEM_CACHE_BUDGET_H

#include "cache/layout.h"

HAK_COLD unsigned budget_limit(const struct hak_cache *cache, unsigned class);
HAK_COLD void budget_set_limit(struct hak_cache *cache, unsigned class, unsigned limit);
HAK_COLD void budget_grow(struct hak_cache *cache, unsigned class, unsigned limit);

#endif
