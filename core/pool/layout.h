/* SPDX-License-Identifier: MIT */
/*
 * The records of an object cache. See pool.c.
 *
 * Where a field says in brackets who may write it: [pool] is the lock of the pool, [owner] is
 * the owner of the cache that the magazine belongs to, [const] is written once, before others
 * see the pool.
 */
#ifndef HAKMEM_POOL_LAYOUT_H
#define HAKMEM_POOL_LAYOUT_H

#include <hakmem/pool.h>

#include "base/list.h"
#include "base/lock.h"
#include "cache/layout.h"
#include "pages/pagemap.h"
#include "superslab/descriptor.h"

/* The most objects in a magazine. */
#define POOL_MAGAZINE_MOST 64u

/* A larger object would be alone in its slab. */
#define POOL_SIZE_MOST ((size_t)32768)

/* The most objects in a slab, and the smallest size: so a slab of 64 KiB is used to its end. */
#define POOL_SLAB_MOST	(UNITS_PER_SLAB > 1 ? 512u : 4096u)
#define POOL_SIZE_LEAST ((size_t)16)

/* As in cache/layout.h: tops of a seized magazine, and the NULL below the objects. */
#define POOL_SEIZED 1u
#define POOL_BASE   3u

/**
 * struct pool_magazine - free objects for one cache
 * @top:        index of the slot that the next allocation gets [owner, pool]
 * @limit:      the highest index that the top may reach; 0 while it is seized [pool]
 * @seized_top: the top that the magazine had when it was seized; 0 if it is open [pool]
 * @kept:       objects that lie in the seized magazine [pool]
 * @pushes:     objects that were freed into it [owner]
 * @slot:       the objects; those up to POOL_BASE are NULL [owner]
 */
struct pool_magazine {
	uint16_t top;
	uint16_t limit;
	uint16_t seized_top;
	uint16_t kept;
	uint64_t pushes;
	void *slot[POOL_BASE + 1 + POOL_MAGAZINE_MOST];
};

/* That of callers who have none: empty and full at once. Its zeros are never written. */
#define POOL_NO_MAGAZINE ((struct pool_magazine *)pagemap.absent)

_Static_assert(sizeof(struct pool_magazine) <= LEAF_UNITS, "it lies in the absent leaf");

/**
 * struct hak_pool - an object cache
 * @size:        how far apart objects lie, in bytes [const]
 * @inverse:     2^32 / size, rounded up [const]
 * @capacity:    the most objects in a magazine; 0 if there are no magazines [const]
 * @units:       how many units a slab has, if memory is not short [const]
 * @least:       how many it has at least [const]
 * @lock:        LOCK_CLASS: see pool_lock()
 * @node:        on the list of all pools [list]
 * @partial:     the slabs that have free objects [pool]
 * @all:         all slabs [pool]
 * @free:        free objects in slabs [pool]
 * @keep:        with no more free objects than these, no slab goes back [pool]
 * @outstanding: objects in use or in a magazine [pool]
 * @slabs:       units of all slabs [pool]
 * @direct:      objects that were freed without a magazine [pool]
 * @failures:    calls that found no memory [pool]
 * @name:        for reports [const]
 * @magazine:    by number of the cache; POOL_NO_MAGAZINE where there is none [pool]
 */
struct hak_pool {
	uint32_t size;
	uint32_t inverse;
	uint16_t capacity;
	uint8_t units;
	uint8_t least;
	struct lock lock;
	struct list_node node;
	struct list_node *partial;
	struct list_node *all;
	size_t free;
	size_t keep;
	size_t outstanding;
	size_t slabs;
	uint64_t direct;
	uint64_t failures;
	char name[HAK_POOL_NAME];
	struct pool_magazine *magazine[CACHE_NUMBERS];
};

/**
 * struct pool_slab - a slab of a pool
 * @node:    on the list of slabs with free objects, or in a chain [pool]
 * @all:     on the list of all slabs of the pool [pool]
 * @pool:    whose it is [const]
 * @slab:    the descriptor of its memory [const]
 * @objects: how many objects it has [const]
 * @free:    bits set in @bits [pool]
 * @hint:    no word of @bits below this one has a bit set [pool]
 * @bits:    a bit for each object, 1 if it is free [pool]
 */
struct pool_slab {
	struct list_node node;
	struct list_node all;
	struct hak_pool *pool;
	struct slab *slab;
	uint16_t objects;
	uint16_t free;
	uint16_t hint;
	uint64_t bits[POOL_SLAB_MOST / 64];
};

static inline void pool_lock(struct hak_pool *pool)
{
	lock_lock(&pool->lock, LOCK_CLASS);
}

static inline void pool_unlock(struct hak_pool *pool)
{
	lock_unlock(&pool->lock, LOCK_CLASS);
}

#endif
