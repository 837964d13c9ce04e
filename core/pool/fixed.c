/* SPDX-License-Identifier: MIT */
/*
 * A fixed number of objects in an array of the program: a stack of the free ones, which all CPUs
 * share. It has no magazines, since an object in a magazine of one CPU could not be had by
 * another, and an allocation might fail while fewer objects are in use than there are.
 *
 * The stack is one word: the index of its top, plus 1, in the lower half, and in the upper half
 * how often it was changed, so that a caller notices when it has become the same again in between
 * (Treiber, "Systems Programming: Coping with Parallelism", 1986). Objects that were never
 * allocated are not on it, so that an array of zeros is right.
 *
 *	next[i] == FIXED_USED  <=>  object i is in use
 *	untouched	       ==   objects from this one on were never allocated; it only grows
 *
 * Lock: none.
 */
#include <hakmem/pool.h>

#include <hakmem/host.h>

#include "base/base.h"
#include "base/format.h"

#define FIXED_USED UINT32_MAX

/* The word after one more change, with another top. */
static inline uint64_t fixed_changed(uint64_t head, uint32_t index_plus_1)
{
	return ((head >> 32) + 1) << 32 | index_plus_1;
}

static inline void *fixed_use(struct hak_pool_fixed *pool, uint32_t index)
{
	__atomic_store_n(&pool->next[index], FIXED_USED, __ATOMIC_RELAXED);
	return pool->objects + (size_t)index * pool->size;
}

/*
 * The stack is empty: take an object that was never allocated. If there is none any more, and the
 * stack is found empty after that, all objects were in use at that moment.
 */
static HAK_COLD NOINLINE void *fixed_alloc_untouched(struct hak_pool_fixed *pool)
{
	uint32_t untouched = __atomic_load_n(&pool->untouched, __ATOMIC_ACQUIRE);

	while (untouched < pool->count)
		if (__atomic_compare_exchange_n(&pool->untouched, &untouched, untouched + 1, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return fixed_use(pool, untouched);
	if ((uint32_t)__atomic_load_n(&pool->head, __ATOMIC_ACQUIRE))
		return hak_pool_fixed_alloc(pool);
	return NULL;
}

void *hak_pool_fixed_alloc(struct hak_pool_fixed *pool)
{
	uint64_t head = __atomic_load_n(&pool->head, __ATOMIC_ACQUIRE);

	while (likely((uint32_t)head)) {
		uint32_t index = (uint32_t)head - 1;
		/* others may have allocated the object by now; then the head has changed */
		uint32_t next = __atomic_load_n(&pool->next[index], __ATOMIC_RELAXED);

		if (likely(__atomic_compare_exchange_n(&pool->head, &head,
						       fixed_changed(head, next), false,
						       __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)))
			return fixed_use(pool, index);
	}
	return fixed_alloc_untouched(pool);
}

static HAK_COLD _Noreturn void fixed_report(const struct hak_pool_fixed *pool, const void *object,
					    bool start)
{
	struct hak_line line = { 0 };

	hak_format(hak_line_append, &line, "hakmem: hak_pool_fixed_free(%p): ", object);
	if (start)
		hak_format(hak_line_append, &line, "double free of an object");
	else
		hak_format(hak_line_append, &line, "not an object");
	hak_format(hak_line_append, &line, " (pool %s)", pool->name);
	hak_host_panic(line.text);
}

/*
 * One multiplication tells which object it is, and whether it begins there: see
 * class_block_index(). Offsets are below 2^32.
 */
void hak_pool_fixed_free(struct hak_pool_fixed *pool, void *object)
{
	size_t offset = (size_t)((unsigned char *)object - pool->objects);
	unsigned __int128 product = (unsigned __int128)offset * pool->inverse;
	uint32_t index = (uint32_t)(product >> 64);
	uint64_t head;

	if (unlikely(!object))
		return;
	if (unlikely(offset >= pool->bytes) || unlikely((uint64_t)product >= pool->inverse))
		fixed_report(pool, object, false);
	if (unlikely(__atomic_load_n(&pool->next[index], __ATOMIC_RELAXED) != FIXED_USED))
		fixed_report(pool, object, true);
	head = __atomic_load_n(&pool->head, __ATOMIC_RELAXED);
	do
		__atomic_store_n(&pool->next[index], (uint32_t)head, __ATOMIC_RELAXED);
	while (unlikely(!__atomic_compare_exchange_n(&pool->head, &head,
						     fixed_changed(head, index + 1), false,
						     __ATOMIC_RELEASE, __ATOMIC_RELAXED)));
}

size_t hak_pool_fixed_live(const struct hak_pool_fixed *pool)
{
	uint32_t untouched = __atomic_load_n(&pool->untouched, __ATOMIC_ACQUIRE);
	size_t live = 0;

	for (uint32_t i = 0; i < untouched; i++)
		live += __atomic_load_n(&pool->next[i], __ATOMIC_RELAXED) == FIXED_USED;
	return live;
}
