/* SPDX-License-Identifier: MIT */
/*
 * The slabs of an object cache. See slabs.c.
 */
#ifndef HAKMEM_POOL_SLABS_H
#define HAKMEM_POOL_SLABS_H

#include "pool/layout.h"

/* What is wrong with freeing an object. */
enum pool_bug {
	POOL_BUG_NONE,
	POOL_BUG_FOREIGN,  /* it is none of any pool */
	POOL_BUG_OTHER,	   /* it is one of another pool */
	POOL_BUG_INTERIOR, /* the pointer does not lead to the start of one */
	POOL_BUG_TWICE,	   /* it is free already */
};

/* With the lock of the pool. */
HAK_COLD unsigned pool_slabs_alloc(struct hak_pool *pool, void **end, unsigned n);
HAK_COLD unsigned pool_slabs_free(struct hak_pool *pool, void *const *objects, unsigned n,
				  struct list_node **emptied);
HAK_COLD void pool_slabs_collect(struct hak_pool *pool, struct list_node **emptied);
HAK_COLD enum pool_bug pool_slabs_inspect(const struct hak_pool *pool, const void *object,
					  const char **name);

/* Without it. */
HAK_COLD void pool_slabs_shape(struct hak_pool *pool);
HAK_COLD bool pool_slabs_grow(struct hak_pool *pool);
HAK_COLD size_t pool_slabs_release(struct list_node *emptied);

#endif
