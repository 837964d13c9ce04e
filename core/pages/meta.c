/* SPDX-License-Identifier: MIT */
/*
 * Memory for the allocator's own records: descriptors of SuperSlabs, caches, leaves of the
 * page map, classes. They lie in other mappings than blocks. If each record lay at the start
 * of its SuperSlab, which is aligned to 2 MiB, all would compete for the same sets of the
 * processor's caches. And an overflow of a block must not reach a record: where the platform
 * has HAK_METADATA_APART, guards are at both ends of a mapping.
 *
 * There are a few kinds of records, and all records of a kind have one size. The provider
 * gives chunks, which are cut into records from front to back. A freed record goes on the
 * list of its kind, and the last one that was freed is used first. Chunks stay until
 * hak_fini(). Before that, only meta_purge() gives memory back: pages in the middle of large
 * records. An allocator that can do more would have to be as good as the one it serves, and
 * all records together take about a thousandth of the heap at its largest.
 *
 * Descriptors are not that small where units are pages. There each is a mapping of its own, and
 * meta_trim() unmaps those that are freed, if the provider has @small_records.
 *
 *	next <= end, and both lie in one chunk, or are NULL
 *
 * Lock: LOCK_META. The provider is called with the lock dropped. A chunk is not changed once
 * it is on the list, but for @purgeable, so the list is read without the lock.
 *
 * Failure: meta_alloc() returns NULL, and nothing has changed. Nothing else can fail.
 */
#include "pages/meta.h"

#include <cpu.h>

#include "base/list.h"
#include "base/policy.h"
#include "pages/pagemap.h"
#include "pages/pages.h"

/* Nobody touches so much at both ends of a chunk: see hakmem/provider.h. */
#define GUARD (HAK_METADATA_APART * HAK_GUARD)

/*
 * With guards a chunk is at least as long as all that is mapped divided by the first. Where
 * descriptors are long and lie in chunks, it is the second: a provider of frames uses one for each.
 */
#define MAPPED_PER_CHUNK      1024
#define MAPPED_PER_LONG_CHUNK 16

/* What a chunk begins with, behind its guard; its records follow. */
struct chunk {
	struct chunk *next;
	size_t size;	/* without the guards */
	bool purgeable; /* the provider takes purges of it; cleared without the lock */
};

static struct {
	struct lock lock;
	struct chunk *_Atomic chunks;		/* all of them, the newest first */
	char *next, *end;			/* the part of one of them that is not cut yet, */
	bool zero;				/* and whether it is all zero */
	struct list_node *freed[NR_META_KINDS]; /* a chain of each kind */
	size_t nr_freed[NR_META_KINDS];		/* how many are in it */
} meta;

/* acquire: pairs with the release in add_chunk() */
#define for_each_chunk(chunk)                                                                      \
	for (struct chunk *chunk = atomic_load_explicit(&meta.chunks, memory_order_acquire);       \
	     chunk; chunk = chunk->next)

bool meta_for_each_lock(bool (*visit)(struct lock *lock))
{
	return visit(&meta.lock);
}

/* A freed record of this kind, or NULL. */
static void *meta_reuse(enum meta_kind kind)
{
	struct list_node *object;

	lock_lock(&meta.lock, LOCK_META);
	object = meta.freed[kind];
	if (object) {
		meta.freed[kind] = object->next;
		meta.nr_freed[kind]--;
	}
	lock_unlock(&meta.lock, LOCK_META);
	return object;
}

/* Enter a new chunk. Records are cut from it, unless more is left of the old one. */
static void add_chunk(const struct hak_mapping *mapping, size_t size)
{
	struct chunk *chunk = (struct chunk *)((char *)mapping->base + GUARD);
	char *start = (char *)chunk + META_ALIGN;
	char *end = (char *)chunk + size;

	hak_assert((uintptr_t)chunk % HAK_GRANULE == 0 && size > META_ALIGN);
	chunk->size = size;
	chunk->purgeable = mapping->flags & HAK_PAGES_PURGE;
	lock_lock(&meta.lock, LOCK_META);
	chunk->next = meta.chunks;
	atomic_store_explicit(&meta.chunks, chunk, memory_order_release);
	if (end - start > meta.end - meta.next) {
		meta.next = start;
		meta.end = end;
		meta.zero = mapping->flags & HAK_PAGES_ZERO;
	}
	lock_unlock(&meta.lock, LOCK_META);
}

/* The chunk in which @address lies, or NULL. */
static struct chunk *chunk_of(uintptr_t address)
{
	for_each_chunk(chunk) if (address - (uintptr_t)chunk < chunk->size) return chunk;
	return NULL;
}

/*
 * Get another chunk, from which @need bytes can be cut. If there is no memory for one of the
 * usual size, get the smallest that suffices, but none for a cache. A caller does without one, and
 * so little memory is of more use for blocks. Where chunks have guards, and so are mappings of
 * their own, the first is longer, and later ones grow with what there is.
 */
static bool map_chunk(enum meta_kind kind, size_t need)
{
	size_t least = ALIGN_UP(need + META_ALIGN, HAK_GRANULE);
	size_t more = GUARD ? pages_counters.mapped / MAPPED_PER_CHUNK : 0, size;
	struct hak_mapping mapping;

	if (UNITS_PER_SLAB > 1 && !meta_is_apart(META_SUPERSLAB))
		more = pages_counters.mapped / MAPPED_PER_LONG_CHUNK;
	if (GUARD && !meta.chunks)
		more = POLICY_META_START;
	size = DIV_ROUND_UP(MAX(least, more), POLICY_META_CHUNK) * POLICY_META_CHUNK;
	if (!pages_map(size + 2 * GUARD, HAK_GRANULE, HAK_WANT_META, &mapping)) {
		size = least;
		if (kind == META_CACHE ||
		    !pages_map(size + 2 * GUARD, HAK_GRANULE, HAK_WANT_META, &mapping))
			return false;
	}
	hak_assert(!chunk_of((uintptr_t)mapping.base) && !pagemap_class((uintptr_t)mapping.base));
	add_chunk(&mapping, size);
	return true;
}

/* A new record from a chunk, or NULL. Is it @zero? */
static void *meta_cut(enum meta_kind kind, size_t size, bool *zero)
{
	char *object;

	do {
		lock_lock(&meta.lock, LOCK_META);
		object = meta.next;
		*zero = meta.zero;
		hak_assert(object <= meta.end && (uintptr_t)object % META_ALIGN == 0);
		if ((size_t)(meta.end - object) < size)
			object = NULL;
		else
			meta.next += size;
		lock_unlock(&meta.lock, LOCK_META);
	} while (!object && map_chunk(kind, size));
	return object;
}

/* How long is that mapping? */
static size_t size_apart(size_t size)
{
	return ALIGN_UP(size, HAK_GRANULE);
}

/* A new record that is a mapping of its own, or NULL. */
static void *meta_map(size_t size)
{
	struct hak_mapping mapping;

	return pages_map(size_apart(size), HAK_GRANULE, HAK_WANT_DESCRIPTOR, &mapping)
		       ? mapping.base
		       : NULL;
}

/**
 * meta_alloc() - allocate a record
 * @kind: what it is for
 * @size: how long it is, in bytes; the same for every record of this kind
 *
 * May call the provider, so no lock is held but that of the scan. May be called in an
 * interrupt handler. Returns memory that is aligned to META_ALIGN, or NULL. It is all zero, but for
 * the descriptors of SuperSlabs, which are long: who asks for one clears what has to be.
 */
void *meta_alloc(enum meta_kind kind, size_t size)
{
	bool zero = false;
	void *object;

	hak_assert(kind < NR_META_KINDS && size);
	size = ALIGN_UP(size, META_ALIGN);
	object = meta_reuse(kind);
	if (!object)
		object = meta_is_apart(kind) ? meta_map(size) : meta_cut(kind, size, &zero);
	if (object && !zero && kind > META_PART)
		cpu_clear(object, size);
	return object;
}

/**
 * meta_free() - free a record
 * @kind:   as it was given to meta_alloc()
 * @record: not NULL; its contents are lost
 *
 * May be called in an interrupt handler, and with locks of a lower rank held.
 */
void meta_free(enum meta_kind kind, void *record)
{
	struct list_node *object = record;

	hak_assert((uintptr_t)record % META_ALIGN == 0 &&
		   (meta_is_apart(kind) || meta_has(record)));
	lock_lock(&meta.lock, LOCK_META);
	object->next = meta.freed[kind];
	meta.freed[kind] = object;
	meta.nr_freed[kind]++;
	lock_unlock(&meta.lock, LOCK_META);
}

/**
 * meta_trim() - unmap freed descriptors
 * @size: of a descriptor, as it was given to meta_alloc()
 *
 * Does nothing where they are no mappings of their own. Calls the provider, so no lock is held
 * but that of the scan.
 */
void meta_trim(size_t size)
{
	struct list_node *chain, *next;

	if (!meta_is_apart(META_SUPERSLAB))
		return;
	lock_lock(&meta.lock, LOCK_META);
	chain = meta.freed[META_SUPERSLAB];
	meta.freed[META_SUPERSLAB] = NULL;
	meta.nr_freed[META_SUPERSLAB] = 0;
	lock_unlock(&meta.lock, LOCK_META);
	for (; chain; chain = next) {
		next = chain->next;
		if (!pages_unmap(chain, size_apart(size)))
			meta_free(META_SUPERSLAB, chain);
	}
}

/**
 * meta_purge() - release the memory of the whole pages in a part of a record
 * @start: of the part, in bytes, any alignment
 * @end:   of the part
 *
 * The contents between @start and @end are lost. Calls the provider, so no lock is held but
 * that of the scan.
 *
 * Another caller of this function may clear @purgeable meanwhile. Then the provider is asked
 * once more than necessary.
 */
NO_SANITIZE_THREAD void meta_purge(const void *start, const void *end)
{
	uintptr_t base = ALIGN_UP((uintptr_t)start, PAGE_SIZE);
	size_t size = ((uintptr_t)end & ~(uintptr_t)(PAGE_SIZE - 1)) - base;
	struct chunk *chunk;
	int flags;

	if (base >= (uintptr_t)end || !size)
		return;
	chunk = chunk_of(base);
	hak_assert(chunk && base + size <= (uintptr_t)chunk + chunk->size);
	if (!READ_ONCE(chunk->purgeable))
		return;
	flags = pages_purge((void *)base, size);
	if (flags >= 0 && !(flags & HAK_PAGES_PURGE))
		WRITE_ONCE(chunk->purgeable, false);
}

/* Does any address, of a record or not, lie in the memory of the records? */
bool meta_has(const void *address)
{
	return chunk_of((uintptr_t)address);
}

/* How many bytes of the chunks are backed? Asks the provider; if it does not know, all are. */
size_t meta_resident(void)
{
	size_t bytes, sum = 0;

	for_each_chunk(chunk) sum +=
		pages_resident(chunk, chunk->size, &bytes) == PAGES_MAPPED ? bytes : chunk->size;
	return sum;
}

/* How many bytes of new records are there without another chunk? Racy. */
NO_SANITIZE_THREAD size_t meta_uncut(void)
{
	const char *next = READ_ONCE(meta.next), *end = READ_ONCE(meta.end);

	return next < end ? (size_t)(end - next) : 0;
}

/* How many records of a kind are free? Racy. */
NO_SANITIZE_THREAD size_t meta_freed(enum meta_kind kind)
{
	return READ_ONCE(meta.nr_freed[kind]);
}

/*
 * Unmap all chunks, with every record. Descriptors that are apart have been trimmed.
 * Nobody else may be inside the allocator.
 */
void meta_fini(void)
{
	struct chunk *chunk, *next;

	for (chunk = meta.chunks; chunk; chunk = next) {
		next = chunk->next;
		pages_unmap((char *)chunk - GUARD, chunk->size + 2 * GUARD);
	}
	__builtin_memset(&meta, 0, sizeof(meta));
}
