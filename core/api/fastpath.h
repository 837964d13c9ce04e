/* SPDX-License-Identifier: MIT */
/*
 * malloc and free as they mostly go: a class, a magazine, a block. There is no lock, no atomic
 * operation and no call. It is inline, so hak_malloc() and the platform's malloc() are both
 * this very code, and neither calls the other. malloc.c has the slow paths.
 *
 * The fast path does not ask whether the allocator is initialised, whether this thread has a
 * cache, whether the pointer is ours, or whether the block is large. In each of these cases it
 * comes to a magazine that is empty and full at once: one of a stand-in cache, or that of a
 * class which users have no blocks of. So the call ends in the slow path without a test.
 *
 * A magazine may be seized at any moment. seize.c says why the accesses below, in this order,
 * are right nevertheless. They are plain loads and stores of words that others may access:
 *
 *	top		seize_begin() exchanges it
 *	limit		seize_begin() clears it, seize_confirm() restores it
 *	slot[]		seize_collect() reads and moves what lies up to the old top; free compares
 *			its block with slot[top], as it was freed last
 *	pushes[]	the scan and the statistics read it: slots_pops(), stats_read_caches()
 *
 * On x86_64, in the shared library, malloc takes 16 instructions and free 20. Two of these find
 * a block that is freed twice in a row.
 *
 * With CONFIG_HAK_IRQSAVE interrupts are off from where the cache is found until the block is
 * popped or pushed: see cache_irq_save(). The slow paths find the cache again.
 */
#ifndef HAKMEM_API_FASTPATH_H
#define HAKMEM_API_FASTPATH_H

#include <cpu.h>

#include "base/sizeclass.h"
#include "cache/cache.h"
#include "pages/pagemap.h"

/*
 * In malloc.c: requests above TABLE_MAX, requests that the magazine could not serve, and frees
 * that it could not take.
 */
void *malloc_large(size_t size);
HAK_COLD NOINLINE void *malloc_slow(size_t size);
HAK_COLD void free_slow(void *block, const char *caller);

/* The last two, unless the platform links those of sampled.c, which know samples. */
HAK_COLD void *hak_malloc_slow(size_t size);
HAK_COLD void hak_free_slow(void *block, const char *caller);

/*
 * Pop a block. NULL if the magazine is empty or seized, and also if it was seized after the
 * block was read: then the block is not ours.
 */
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

/* malloc(): any size. NULL if there is no memory, and the host has been told why. */
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
	return likely(block) ? block : hak_malloc_slow(size);
}

/*
 * Push a block. False if the magazine is full or seized, and if the block lies on top of it: then
 * it is freed twice in a row, which the slow path has to confirm. See seize.c.
 */
static inline NO_SANITIZE_THREAD bool push_fast(size_t class, void *block)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	size_t top = READ_ONCE(cache->magazine[class].top);
	bool fits;

	/*
	 * The limit is read after the top: see seize.c. x86_64 keeps the order by itself. The
	 * compiler keeps the load between this barrier and that of cpu_increment(). This is
	 * not READ_ONCE(), nor is the slot, since gcc folds only plain loads into comparisons.
	 */
	COMPILER_BARRIER();
	fits = top < cache->magazine[class].limit && likely(cache->slot[top] != block);
	if (likely(fits)) {
		SANITIZER_RELEASE(cache);
		cache->slot[top + 1] = block;
		cpu_increment(&cache->magazine[class].top);
		cache->pushes[class]++;
	}
	cache_irq_restore(irq);
	return fits;
}

/* free(): any pointer; @caller is for reports. In debug builds free_slow() checks it first. */
static inline void free_fast(void *block, const char *caller)
{
	uintptr_t address = (uintptr_t)block;

	if (likely(pagemap_leaf_index(address) < PAGEMAP_LEAVES) && !IS_ENABLED(CONFIG_HAK_DEBUG)) {
		if (likely(push_fast(pagemap_class_in_range(address), block)))
			return;
	}
	hak_free_slow(block, caller);
}

#endif
