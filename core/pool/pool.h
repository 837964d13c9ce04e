/* SPDX-License-Identifier: MIT */
/*
 * One object cache, and all of them. See pool.c and registry.c.
 */
#ifndef HAKMEM_POOL_POOL_H
#define HAKMEM_POOL_POOL_H

#include "pool/layout.h"

/* Nobody else is in the pool: all objects in magazines go to their slabs. */
HAK_COLD void pool_empty(struct hak_pool *pool);

/* In registry.c. */
bool pool_for_each_lock(bool (*visit)(struct lock *lock));
HAK_COLD void pool_visit(void (*visit)(struct hak_pool *pool, void *ctx), void *ctx);

#endif
