/* SPDX-License-Identifier: MIT */
/*
 * The magazines of an object cache, and how objects are taken from those of others. This is the
 * protocol of cache/seize.c, where it is proved, with a magazine in the place of a cache's, and the
 * lock of the pool in the place of the claim. The owner's slow path holds that lock as well, so
 * there is no more to it than the steps there: pool_magazine_seize(), the barrier,
 * pool_magazine_confirm(), and pool_magazine_open() by the owner.
 *
 * Lock: that of the pool, which the caller holds, but for pool_magazine_of().
 *
 * Failure: pool_magazine_of() returns POOL_NO_MAGAZINE.
 */
#include "pool/magazine.h"

#include "pages/meta.h"

/* Step 1 of seize.c. */
NO_SANITIZE_THREAD void pool_magazine_seize(struct pool_magazine *magazine)
{
	WRITE_ONCE(magazine->limit, 0);
	/* seq_cst: the exchange comes after the limit and before the barrier */
	magazine->seized_top = __atomic_exchange_n(&magazine->top, POOL_SEIZED, __ATOMIC_SEQ_CST);
	magazine->kept = (uint16_t)(magazine->seized_top - POOL_BASE);
}

static void set_limit(const struct hak_pool *pool, struct pool_magazine *magazine)
{
	WRITE_ONCE(magazine->limit, (uint16_t)(POOL_BASE + pool->capacity));
}

/* Step 3, after the barrier. A magazine that is not seized is as open as it was. */
NO_SANITIZE_THREAD bool pool_magazine_confirm(const struct hak_pool *pool,
					      struct pool_magazine *magazine)
{
	if (magazine->seized_top && READ_ONCE(magazine->top) > POOL_SEIZED + 1) {
		magazine->seized_top = 0;
		set_limit(pool, magazine);
	}
	return magazine->seized_top;
}

/* The owner is back. */
NO_SANITIZE_THREAD void pool_magazine_open(const struct hak_pool *pool,
					   struct pool_magazine *magazine)
{
	unsigned held = magazine->kept;

	if (!pool_magazine_confirm(pool, magazine))
		return;
	if (magazine->top == POOL_SEIZED + 1)
		magazine->slot[POOL_BASE + ++held] = magazine->slot[magazine->seized_top + 1];
	magazine->top = (uint16_t)(POOL_BASE + held);
	magazine->seized_top = 0;
	set_limit(pool, magazine);
}

/*
 * The magazine of a cache, which is made if there is none yet. POOL_NO_MAGAZINE if there is to
 * be none, or no memory.
 */
struct pool_magazine *pool_magazine_of(struct hak_pool *pool, unsigned number)
{
	struct pool_magazine *magazine = POOL_NO_MAGAZINE;

	if (number)
		magazine = pool->magazine[number];
	if (magazine != POOL_NO_MAGAZINE || !number || !pool->capacity)
		return magazine;
	magazine = meta_alloc(META_POOL_MAGAZINE, sizeof(*magazine));
	if (!magazine)
		return POOL_NO_MAGAZINE;
	magazine->top = POOL_BASE;
	set_limit(pool, magazine);
	pool_lock(pool);
	pool->magazine[number] = magazine;
	pool_unlock(pool);
	return magazine;
}
