/* SPDX-License-Identifier: MIT */
/*
 * How many blocks each magazine of a cache may hold. See budget.c.
 */
#ifndef HAKMEM_CACHE_BUDGET_H
#define HAKMEM_CACHE_BUDGET_H

#include "cache/layout.h"

unsigned budget_limit(const struct hak_cache *cache, unsigned class);
void budget_set_limit(struct hak_cache *cache, unsigned class, unsigned limit);
void budget_grow(struct hak_cache *cache, unsigned class, unsigned limit);

#endif
