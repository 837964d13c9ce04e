/* SPDX-License-Identifier: MIT */
/*
 * The magazines of an object cache. See magazine.c.
 */
#ifndef HAKMEM_POOL_MAGAZINE_H
#define HAKMEM_POOL_MAGAZINE_H

#include "pool/layout.h"

/* Without the lock of the pool. */
HAK_COLD struct pool_magazine *pool_magazine_of(struct hak_pool *pool, unsigned number);

/* With it: the owner's slow path, ... */
HAK_COLD void pool_magazine_open(const struct hak_pool *pool, struct pool_magazine *magazine);

/* ... and others, before the barrier, and after it. */
HAK_COLD void pool_magazine_seize(struct pool_magazine *magazine);
HAK_COLD bool pool_magazine_confirm(const struct hak_pool *pool, struct pool_magazine *magazine);

#endif
