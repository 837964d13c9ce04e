/* SPDX-License-Identifier: MIT */
/*
 * All object caches: how one comes and goes.
 *
 * Lock: that of the list, LOCK_CLASS. Only fork() holds that of a pool at the same time.
 *
 * Failure: hak_pool_create() returns NULL.
 */
#include "pool/pool.h"

#include <hakmem/host.h>

#include "pages/meta.h"
#include "pool/slabs.h"

static struct {
	struct lock lock;
	struct list_node *list;
} pool_registry;

bool pool_for_each_lock(bool (*visit)(struct lock *lock))
{
	bool all = visit(&pool_registry.lock); /* first, so that no new pool is missed */

	for (struct list_node *node = pool_registry.list; node; node = node->next)
		all = all && visit(&list_entry(node, struct hak_pool, node)->lock);
	return all;
}

static bool pool_is_possible(size_t size, size_t align, unsigned flags)
{
	return size && size <= POOL_SIZE_MOST && is_power_of_two(align) && align <= PAGE_SIZE &&
	       !(flags & ~HAK_POOL_CHECKED);
}

struct hak_pool *hak_pool_create(const char *name, size_t size, size_t align, unsigned flags)
{
	struct hak_pool *pool;
	size_t fit;

	align = align ? MAX(align, 8) : POOL_SIZE_LEAST;
	if (!pool_is_possible(size, align, flags)) {
		hak_host_set_error(HAK_EINVAL);
		return NULL;
	}
	pool = meta_alloc(META_POOL, sizeof(*pool));
	if (!pool) {
		hak_host_set_error(HAK_ENOMEM);
		return NULL;
	}
	size = ALIGN_UP(MAX(size, POOL_SIZE_LEAST), align);
	fit = HAK_MAGAZINE_BYTES / 4 / size;
	pool->size = (uint32_t)size;
	pool->inverse = (uint32_t)((((uint64_t)1 << 32) + size - 1) / size);
	pool->capacity = (uint16_t)MIN(MAX(fit, 4), POOL_MAGAZINE_MOST);
	if (flags & HAK_POOL_CHECKED)
		pool->capacity = 0;
	for (unsigned i = 0; i < CACHE_NUMBERS; i++)
		pool->magazine[i] = POOL_NO_MAGAZINE;
	for (unsigned i = 0; i < HAK_POOL_NAME - 1 && name[i]; i++)
		pool->name[i] = name[i];
	pool_slabs_shape(pool);
	if (PLATFORM_FORKS && *this_held() >= LOCK_FORK)
		lock_fork_lock(&pool->lock, 0); /* as fork() holds all others */
	lock_lock(&pool_registry.lock, LOCK_CLASS);
	list_add(&pool_registry.list, &pool->node);
	lock_unlock(&pool_registry.lock, LOCK_CLASS);
	return pool;
}

size_t hak_pool_destroy(struct hak_pool *pool)
{
	pool_empty(pool);
	if (pool->outstanding)
		return pool->outstanding;
	hak_assert(!pool->all && !pool->partial && !pool->free && !pool->slabs);
	lock_lock(&pool_registry.lock, LOCK_CLASS);
	list_del(&pool->node);
	lock_unlock(&pool_registry.lock, LOCK_CLASS);
	for (unsigned i = 0; i < CACHE_NUMBERS; i++)
		if (pool->magazine[i] != POOL_NO_MAGAZINE)
			meta_free(META_POOL_MAGAZINE, pool->magazine[i]);
	meta_free(META_POOL, pool);
	return 0;
}

/* Call @visit for each pool, the newest first, with the lock of the list held. */
void pool_visit(void (*visit)(struct hak_pool *pool, void *ctx), void *ctx)
{
	lock_lock(&pool_registry.lock, LOCK_CLASS);
	for (struct list_node *node = pool_registry.list; node; node = node->next)
		visit(list_entry(node, struct hak_pool, node), ctx);
	lock_unlock(&pool_registry.lock, LOCK_CLASS);
}
