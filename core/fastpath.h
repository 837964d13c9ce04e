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
 */
#ifndef HAKMEM_FASTPATH_H
#define HAKMEM_FASTPATH_H

#include "base.h"

#include <cpu.h>

#include "magazine.h"
#include "pagemap.h"
#include "sizeclass.h"

void *malloc_large(size_t size); /* above TABLE_MAX */
void *malloc_slow(size_t size);
void free_slow(void *block);

/* NULL if the magazine is empty, or was closed meanwhile (see magazine.c). */
static inline NO_SANITIZE_THREAD void *pop_fast(struct hak_cache *cache, size_t class)
{
	void *block = cache->slot[cache->magazine[class].top];

	if (unlikely(!block) || unlikely(cpu_decrement_borrows(&cache->magazine[class].top)))
		return NULL;
	return block;
}

static inline NO_SANITIZE_THREAD void *malloc_fast(size_t size)
{
	struct hak_cache *cache = this_cache();
	size_t class;
	void *block;

	if (likely(size <= SMALL_MAX))
		class = class_of_small(size);
	else if (likely(size <= TABLE_MAX))
		class = class_of_medium(size);
	else
		return malloc_large(size);

	block = pop_fast(cache, class);
	return likely(block) ? block : malloc_slow(size);
}

static inline NO_SANITIZE_THREAD void free_fast(void *block)
{
	struct hak_cache *cache = this_cache();
	uintptr_t address = (uintptr_t)block;

	if (likely(pagemap_leaf_index(address) < PAGEMAP_LEAVES) && !IS_ENABLED(CONFIG_HAK_DEBUG)) {
		size_t class = pagemap_class_in_range(address);
		size_t top = cache->magazine[class].top;

		if (likely(top < cache->magazine[class].limit)) {
			SANITIZER_RELEASE(cache);
			cache->slot[top + 1] = block;
			cpu_increment(&cache->magazine[class].top);
			cache->pushes[class]++;
			return;
		}
	}
	free_slow(block);
}

#endif
