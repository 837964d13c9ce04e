/* SPDX-License-Identifier: MIT */
/*
 * The page provider: the whole boundary between the allocator and the memory
 * of the machine. A provider is one struct of function pointers; only `map`
 * is required. This header stands alone.
 *
 * What the allocator promises: sizes and alignments are multiples of
 * HAK_GRANULE, heap memory is asked for in multiples of HAK_SUPERSLAB_SIZE at
 * that alignment or a larger power of two, and no lock of the allocator is
 * held during a call.
 *
 * What the provider promises: any number of threads or CPUs may be inside it
 * at once, and where interrupt handlers allocate, they too, whatever they have
 * interrupted (so a lock is held with interrupts off); it never calls the
 * allocator; it returns an error on shortage, it does not stop the machine; a
 * mapping overlaps no other that is still mapped, and ends below 2^48 on Linux, 2^36
 * on bare metal: one that does not is refused and unmapped.
 */
#ifndef HAKMEM_PROVIDER_H
#define HAKMEM_PROVIDER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAK_GRANULE	   ((size_t)4096)
#define HAK_SUPERSLAB_SIZE ((size_t)2 << 20)

/* What a mapping is for. */
enum hak_want {
	HAK_WANT_HEAP, /* blocks: SuperSlabs, 2 MiB-aligned and 2 MiB-sized */
	HAK_WANT_META, /* descriptors: small, any multiple of HAK_GRANULE */
};

/* Properties of memory, as map() and purge() report them. */
#define HAK_PAGES_ZERO	1u /* the memory reads zero until it is written */
#define HAK_PAGES_PURGE 2u /* purge() may be called on it */

struct hak_mapping {
	void *base;
	unsigned flags; /* HAK_PAGES_* */
};

/**
 * struct hak_provider - a source of pages
 * @name:  for messages and statistics
 * @ctx:   handed to every operation
 *
 * @map: map @size bytes aligned to @align, contiguous, all or nothing.
 *	Returns 0 and fills @out, or non-zero and leaves nothing mapped.
 *
 * @unmap: give back what one map() returned, or of heap memory a part of it
 *	that is whole SuperSlabs. Returns 0, or non-zero for a refusal: the memory
 *	then stays the allocator's, contents undefined. NULL: memory is never
 *	given back, and freed SuperSlabs are kept for later.
 *
 * @purge: drop what backs the pages of a mapping, keep the addresses. Returns
 *	the HAK_PAGES_* that hold from now on, or a negative value for a
 *	refusal, after which the contents are what they were. May be NULL.
 *
 * @move: let the memory behind the @size bytes at @from, which lie in one
 *	SuperSlab, be behind those at @to instead, in another or the same,
 *	without copying it. Returns the HAK_PAGES_* that hold at @from from now
 *	on, where the contents are gone as after purge(), or a negative value
 *	for a refusal, after which nothing has changed; it is then asked to move
 *	parts, down to a page. May be NULL. On bare metal it is called only with
 *	CONFIG_HAK_MOVE.
 *
 * @resident: how many of the @size bytes at @base are backed by memory.
 *	Returns 0 and sets @bytes, or non-zero if a part of the range is not
 *	mapped at all. Any page-aligned address may be asked about. For
 *	diagnostics only. May be NULL.
 */
struct hak_provider {
	const char *name;
	void *ctx;
	int (*map)(void *ctx, size_t size, size_t align, enum hak_want want,
		   struct hak_mapping *out);
	int (*unmap)(void *ctx, void *base, size_t size);
	int (*purge)(void *ctx, void *base, size_t size);
	int (*move)(void *ctx, void *from, void *to, size_t size);
	int (*resident)(void *ctx, const void *base, size_t size, size_t *bytes);
};

#ifdef __cplusplus
}
#endif

#endif
