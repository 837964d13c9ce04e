/* SPDX-License-Identifier: MIT */
/*
 * Small memory for the allocator's own records: descriptors of SuperSlabs,
 * caches, page-map leaves, heaps of classes. They live far from the blocks,
 * because records at the start of 2 MiB-aligned memory would all compete for the
 * same cache sets, and because an overflow of a block must not reach them.
 *
 * Chunks come from the provider and are cut from front to back; what is freed
 * is kept on a list of its kind, last in, first out, and used again. No chunk
 * returns to the provider before hak_fini(), only pages inside a large record that
 * has no use for them: the sum of all records is about 0.1 % of the heap at its
 * largest.
 *
 * A general allocator here would have to be as good as the one it serves;
 * a few kinds of one size each do not need one.
 *
 * Lock: one, LOCK_META. Failure: NULL, nothing changed.
 */
#include "pages/meta.h"

#include <cpu.h>

#include "base/lock.h"
#include "pages/pagemap.h"
#include "pages/pages.h"

#define META_CHUNK ((size_t)64 << 10)

struct chunk {
	struct chunk *next;
	size_t size;
	bool purgeable;
};

struct free_object {
	struct free_object *next;
};

static struct {
	struct lock lock;
	struct chunk *chunks; /* all, newest first */
	char *next, *end;     /* what is left of one of them */
	bool zero;	      /* ... and whether it reads zero */
	size_t bytes;
	struct free_object *freed[NR_META_KINDS];
} meta;

/* For fork(). */
void meta_fork_lock(void)
{
	lock_fork_lock(&meta.lock);
}

void meta_fork_unlock(void)
{
	lock_fork_unlock(&meta.lock);
}

static void *meta_reuse(enum meta_kind kind, size_t size)
{
	struct free_object *object = meta.freed[kind];

	if (object) {
		meta.freed[kind] = object->next;
		cpu_clear(object, size);
	}
	return object;
}

static void *meta_cut(size_t size)
{
	void *object = meta.next;

	if ((size_t)(meta.end - meta.next) < size)
		return NULL;
	meta.next += size;
	if (!meta.zero)
		cpu_clear(object, size);
	return object;
}

/* Cut from the new chunk, or go on with the old one, whichever is longer. */
static void add_chunk(const struct hak_mapping *mapping, size_t size)
{
	struct chunk *chunk = mapping->base;
	char *start = (char *)chunk + META_ALIGN;
	char *end = (char *)chunk + size;

	chunk->size = size;
	chunk->purgeable = mapping->flags & HAK_PAGES_PURGE;
	chunk->next = meta.chunks;
	meta.chunks = chunk;
	meta.bytes += size;
	if (end - start > meta.end - meta.next) {
		meta.next = start;
		meta.end = end;
		meta.zero = mapping->flags & HAK_PAGES_ZERO;
	}
}

/* The chunk that has @address, or NULL. */
static struct chunk *chunk_of(uintptr_t address)
{
	struct chunk *chunk;

	lock_lock(&meta.lock, LOCK_META);
	chunk = meta.chunks;
	while (chunk && address - (uintptr_t)chunk >= chunk->size)
		chunk = chunk->next;
	lock_unlock(&meta.lock, LOCK_META);
	return chunk;
}

static bool map_chunk(size_t need)
{
	size_t least = ALIGN_UP(need + META_ALIGN, HAK_GRANULE);
	size_t size = ALIGN_UP(least, META_CHUNK);
	struct hak_mapping mapping;

	if (!pages_map(size, HAK_GRANULE, HAK_WANT_META, &mapping)) {
		size = least;
		if (!pages_map(size, HAK_GRANULE, HAK_WANT_META, &mapping))
			return false;
	}
	hak_assert(!chunk_of((uintptr_t)mapping.base) &&
		   !pagemap_superslab((uintptr_t)mapping.base));
	lock_lock(&meta.lock, LOCK_META);
	add_chunk(&mapping, size);
	lock_unlock(&meta.lock, LOCK_META);
	return true;
}

/**
 * meta_alloc() - a record, all zero and aligned to META_ALIGN
 * @size: the size of every record of this kind
 *
 * Takes no lock that a caller may hold; calls the provider.
 */
void *meta_alloc(enum meta_kind kind, size_t size)
{
	void *object;

	size = ALIGN_UP(size, META_ALIGN);
	for (;;) {
		lock_lock(&meta.lock, LOCK_META);
		object = meta_reuse(kind, size);
		if (!object)
			object = meta_cut(size);
		lock_unlock(&meta.lock, LOCK_META);
		if (object || !map_chunk(size))
			return object;
	}
}

void meta_free(enum meta_kind kind, void *record)
{
	struct free_object *object = record;

	lock_lock(&meta.lock, LOCK_META);
	object->next = meta.freed[kind];
	meta.freed[kind] = object;
	lock_unlock(&meta.lock, LOCK_META);
}

/**
 * meta_purge() - give back what is behind the whole pages of a part of a record
 * @start: what is between this
 * @end:   and this may be anything afterwards
 */
void meta_purge(const void *start, const void *end)
{
	uintptr_t base = ALIGN_UP((uintptr_t)start, PAGE_SIZE);
	size_t size = ((uintptr_t)end & ~(uintptr_t)(PAGE_SIZE - 1)) - base;
	struct chunk *chunk;
	int flags;

	if (base >= (uintptr_t)end || !size)
		return;
	chunk = chunk_of(base);
	if (!chunk->purgeable)
		return;
	flags = pages_purge((void *)base, size);
	if (flags >= 0 && !(flags & HAK_PAGES_PURGE))
		chunk->purgeable = false;
}

bool meta_has(const void *address)
{
	return chunk_of((uintptr_t)address);
}

size_t meta_bytes(void)
{
	size_t bytes;

	lock_lock(&meta.lock, LOCK_META);
	bytes = meta.bytes;
	lock_unlock(&meta.lock, LOCK_META);
	return bytes;
}

/* Chunks are never unmapped, so the list may be walked with the lock dropped. */
size_t meta_resident(void)
{
	struct chunk *chunk;
	size_t bytes, sum = 0;

	lock_lock(&meta.lock, LOCK_META);
	chunk = meta.chunks;
	lock_unlock(&meta.lock, LOCK_META);
	for (; chunk; chunk = chunk->next)
		sum += pages_resident(chunk, chunk->size, &bytes) == PAGES_MAPPED ? bytes
										  : chunk->size;
	return sum;
}

/* Every record is gone after this. */
void meta_fini(void)
{
	struct chunk *chunk, *next;

	for (chunk = meta.chunks; chunk; chunk = next) {
		next = chunk->next;
		pages_unmap(chunk, chunk->size);
	}
	__builtin_memset(&meta, 0, sizeof(meta));
}
