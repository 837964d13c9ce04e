/* SPDX-License-Identifier: MIT */
/*
 * malloc and free as they mostly go: a class, a magazine, a block. No lock, no
 * atomic operation, no call. Inline, so that hak_malloc() and the platform's
 * malloc() are both this very code and neither a call of the other.
 *
 * There is no test for "initialised?", "has this thread a cache?", "is this
 * pointer ours?" or "is it a large block?". The stand-in cache, the page map's
 * absent leaf and the classes that are no users' all have magazines that are
 * empty and full at once, and end in the slow path by themselves.
 *
 * x86_64, gcc, in the shared library: malloc 16 instructions, free 18.
 *
 * With CONFIG_HAK_IRQSAVE whoever uses a cache holds it (core/magazine.h): here
 * from the moment it is found until the block is popped or pushed. The slow
 * paths find it anew, and hold it themselves.
 */
#ifndef HAKMEM_API_FASTPATH_H
#define HAKMEM_API_FASTPATH_H

#include "base/base.h"

#include <cpu.h>

#include "cache/cache.h"
#include "pages/pagemap.h"
#include "base/sizeclass.h"

void *malloc_large(size_t size); /* above TABLE_MAX */
HAK_COLD NOINLINE void *malloc_slow(size_t size);
HAK_COLD void free_slow(void *block);

/* NULL if the magazine is empty, or was closed meanwhile (see magazine.c). */
static inline NO_SANITIZE_THREAD void *pop_fast(size_t class)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	void *block = cache->slot[READ_ONCE(cache->magazine[class].top)];

	if (unlikely(!block) || unlikely(cpu_decrement_to_zero(&cache->magazine[class].top)))
		block = NULL;
	cache_irq_restore(irq);
	return block;
}

static inline void *malloc_fast(size_t size)
{
	size_t class;
	void *block;

	if (likely(size <= SMALL_MAX))
		class = class_of_small(size);
	else if (likely(size <= TABLE_MAX))
		class = class_of_medium(size);
	else
		return malloc_large(size);

	block = pop_fast(class);
	return likely(block) ? block : malloc_slow(size);
}

/* False if the magazine is full, or closed. */
static inline NO_SANITIZE_THREAD bool push_fast(size_t class, void *block)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	size_t top = READ_ONCE(cache->magazine[class].top);
	bool fits;

	/*
	 * The limit is read after the top, as x86_64 does by itself: see magazine.c. Not
	 * READ_ONCE(), which gcc does not fold into the comparison: this barrier and that
	 * of cpu_increment() keep the load between them.
	 */
	COMPILER_BARRIER();
	fits = top < cache->magazine[class].limit;
	if (likely(fits)) {
		SANITIZER_RELEASE(cache);
		cache->slot[top + 1] = block;
		cpu_increment(&cache->magazine[class].top);
		cache->pushes[class]++;
	}
	cache_irq_restore(irq);
	return fits;
}

static inline void free_fast(void *block)
{
	uintptr_t address = (uintptr_t)block;

	if (likely(pagemap_leaf_index(address) < PAGEMAP_LEAVES) && !IS_ENABLED(CONFIG_HAK_DEBUG)) {
		if (likely(push_fast(pagemap_class_in_range(address), block)))
			return;
	}
	free_slow(block);
}

#endif
