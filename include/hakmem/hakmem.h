/* SPDX-License-Identifier: MIT */
/*
 * The allocator.
 *
 * Sizes are in bytes. A block is aligned to 16, or to 8 if it was asked for
 * with at most 8 bytes on bare metal; the Linux build aligns every block to
 * 16. Any thread may free what any other allocated. None of these functions
 * may be called from a signal handler.
 *
 * When there is no memory for a request it returns NULL (ENOMEM on Linux) and
 * nothing has changed; so does a size above PTRDIFF_MAX. A pointer that is not
 * that of a block in use stops the program with one line that names it: at
 * once if it is not in the heap or in a slab that is not in use; when it leaves
 * the magazine that it was put into if it is inside a block or was freed twice
 * (unless it is allocated again before that); at once too if the library was
 * built with DEBUG=1.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HAK_API	      __attribute__((visibility("default")))
#define HAK_MALLOC(n) __attribute__((malloc, alloc_size(n), warn_unused_result))
#else
#define HAK_API
#define HAK_MALLOC(n)
#endif

struct hak_provider;

/**
 * hak_init() - give the allocator its source of pages
 * @provider: must stay valid until hak_fini(); NULL for the platform's own
 *
 * Optional on Linux, where the first allocation does it. Returns false if
 * there is a provider already, or none to be had, or @provider lacks map().
 */
HAK_API bool hak_init(const struct hak_provider *provider);

/**
 * hak_fini() - give everything back to the provider and forget it
 *
 * All blocks are gone, freed or not. No other thread may be inside the
 * allocator or have a cache: others that used it must have ended (CPUs, on bare
 * metal, call hak_cpu_init() again). Afterwards
 * hak_init() may be called again, with the same provider or another.
 */
HAK_API void hak_fini(void);

/**
 * hak_malloc() - allocate @size bytes; @size 0 gives a unique block
 */
HAK_API void *hak_malloc(size_t size) HAK_MALLOC(1);

/**
 * hak_free() - free a block; NULL does nothing
 *
 * Needs no memory and cannot fail.
 */
HAK_API void hak_free(void *block);

/**
 * hak_zalloc() - allocate @size bytes of zeros
 */
HAK_API void *hak_zalloc(size_t size) HAK_MALLOC(1);

/**
 * hak_calloc() - allocate @n times @size bytes of zeros; NULL on overflow
 */
HAK_API void *hak_calloc(size_t n, size_t size) __attribute__((warn_unused_result));

/**
 * hak_realloc() - make a block @size bytes long, in place or elsewhere
 *
 * The contents are kept up to the smaller size. A large block that has to move
 * to grow gets room for a quarter more, and takes its memory along without a
 * copy where the provider can move it. NULL for @block allocates; 0 for @size
 * frees and returns NULL. If NULL is returned for another size, the
 * old block is as it was.
 */
HAK_API void *hak_realloc(void *block, size_t size) __attribute__((warn_unused_result));

/**
 * hak_aligned_alloc() - allocate @size bytes at a multiple of @align
 * @align: a power of two, else NULL (EINVAL); @size need not be a multiple
 */
HAK_API void *hak_aligned_alloc(size_t align, size_t size) __attribute__((warn_unused_result));

/**
 * hak_free_sized() - free a block whose requested size is known
 *
 * Debug builds report a @size that the block could not have been asked for.
 */
HAK_API void hak_free_sized(void *block, size_t size);

/**
 * hak_free_aligned_sized() - likewise, for a block of hak_aligned_alloc()
 */
HAK_API void hak_free_aligned_sized(void *block, size_t align, size_t size);

/**
 * hak_usable_size() - how many bytes of a block may be used; 0 for NULL
 */
HAK_API size_t hak_usable_size(const void *block);

/**
 * hak_good_size() - the usable size that hak_malloc(@size) would give
 *
 * 0 if no memory can hold @size.
 */
HAK_API size_t hak_good_size(size_t size);

/**
 * hak_owns() - does this address lie in a slab or span that is in use?
 *
 * Takes any address; reads nothing there.
 */
HAK_API bool hak_owns(const void *address);

/**
 * hak_flush() - return the blocks in the caller's magazines to their slabs
 *
 * Slabs and SuperSlabs that become empty by it go back at once, but for the
 * reserve.
 */
HAK_API void hak_flush(void);

/**
 * hak_idle() - give back a piece of what was not used lately
 * @budget: how much at most, in units of 2 MiB of the heap that are looked at;
 *	    what lies in magazines is looked at in one piece besides
 *
 * For the idle loop of a kernel, or a thread that has time. Memory that was free
 * in two looks at the whole heap, and not used between them, goes back: blocks
 * in magazines to their slabs, free 4 KiB pages (where the provider can purge),
 * free slabs and empty SuperSlabs to the provider. Returns whether there may be
 * more to give back: false until somebody has allocated or freed again.
 *
 * Not from an interrupt. On Linux a thread of the library does it.
 */
HAK_API bool hak_idle(size_t budget);

enum hak_trim_level {
	HAK_TRIM_OWN, /* the caller's magazines, and all memory that is free */
	HAK_TRIM_ALL, /* the magazines of all threads or CPUs, too */
};

/**
 * hak_trim() - give back everything that can be, at once
 *
 * Returns the number of bytes that went back to the provider meanwhile. Asks
 * again for what the provider refused before. With HAK_TRIM_ALL each running
 * thread is interrupted for a moment.
 */
HAK_API size_t hak_trim(enum hak_trim_level level);

/**
 * hak_check() - walk the whole heap and compare it with itself
 *
 * Returns NULL, or the name of the first invariant that does not hold. For
 * tests and post-mortems: no other thread may be inside the allocator.
 */
HAK_API const char *hak_check(void);

#ifdef __cplusplus
}
#endif

#endif
