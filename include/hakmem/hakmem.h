/* SPDX-License-Identifier: MIT */
/*
 * The allocator.
 *
 * Sizes are in bytes. Blocks are aligned to 16. On bare metal a block of at most 8 bytes is
 * aligned to 8. Any thread may free what any other thread has allocated.
 *
 * Each function needs at most 1.5 KiB of stack on bare metal; on Linux 2 KiB, if it is built
 * for release. What is called of a provider or a host that is not the library's comes on top.
 * This holds for the other headers, too, where they do not say otherwise.
 *
 * None of these functions may be called from a signal handler. On bare metal an interrupt
 * handler may call those that allocate, free, or tell something of a block: see
 * hak_interrupt_enter() in machine.h. The caller holds no lock that the provider or the host
 * would need.
 *
 * A function that finds no memory returns NULL, and nothing has changed. On Linux errno is
 * ENOMEM then. The same happens if a size is above PTRDIFF_MAX.
 *
 * A pointer that is not that of a block in use stops the program, with one line that names
 * it. If it points outside of the heap, or into a slab that is not in use, that happens at
 * once. If it points behind the start of a block, or the block was freed already, it happens
 * when the pointer leaves the magazine that it was put into, unless the block has been
 * allocated again before. If the library was built with DEBUG=1, it always happens at once.
 */
#ifndef HAK_HAKMEM_H
#define HAK_HAKMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* The version of these headers; as a number 10000 * major + 100 * minor + patch. */
#define HAK_VERSION	   "1.0.0"
#define HAK_VERSION_NUMBER 10000

struct hak_provider;

/**
 * hak_init() - give the allocator its source of pages
 * @provider: stays valid until hak_fini(); NULL for the provider of the platform
 *
 * Not needed on Linux, where the first allocation does it. Returns false if there is a
 * provider already, if the platform has none, or if @provider lacks map().
 */
HAK_API bool hak_init(const struct hak_provider *provider);

/* Have blocks of 32 KiB to 1 MiB magazines, too? */
enum hak_large {
	HAK_LARGE_BY_MEMORY, /* on Linux; elsewhere once the provider says that it has 32 MiB */
	HAK_LARGE_ALWAYS,
	HAK_LARGE_NEVER,
};

/**
 * struct hak_options - what can be chosen when the heap is made
 * @size:        sizeof(struct hak_options). Fields are added at the end, never moved, and 0 or
 *		 NULL is the default in each. So a library takes what was compiled for an older
 *		 one, and refuses what it does not know.
 * @provider:    as for hak_init()
 * @window_base: the lowest address that the heap may have. Needs CONFIG_HAK_WINDOW, unless the
 *		 window lies below 2^HAK_ADDRESS_BITS.
 * @window_size: how far the heap may reach from there on, in bytes; 0 if it does not matter.
 *		 A library for more than 2^HAK_ADDRESS_BITS bytes is built with another value.
 * @large:       an enum hak_large. All but 0 need a library that has both: on bare metal one that
 *		 was built with CONFIG_HAK_LARGE. On Linux blocks up to 1 MiB always have magazines.
 * @debug:       what a debug build does to blocks, in the manner of Linux's slub_debug: "FZPU",
 *		 "FZ,64,128", "P;FZPU,200" (platform/baremetal/README.md). Holds until the next
 *		 hak_init_with() that has it; "-" means nothing. NULL: as it was, at first nothing.
 */
struct hak_options {
	size_t size;
	const struct hak_provider *provider;
	uintptr_t window_base;
	size_t window_size;
	size_t large;
	const char *debug;
};

/* What hak_init_with() says. Below 0, nothing has changed. */
enum hak_init_result {
	HAK_INIT_OPTIONS = -1,	/* @size is too small, or of a newer library */
	HAK_INIT_WINDOW = -2,	/* the library was not built for such a window */
	HAK_INIT_PROVIDER = -3, /* there is a provider already, or this one lacks map() */
	HAK_INIT_LARGE = -4,	/* this library has no such magazines, or always has them */
	HAK_INIT_DEBUG = -5,	/* this is no debug build, or @debug makes no sense */
	HAK_INIT_DONE = 0,
};

/**
 * hak_init_with() - the same with options
 *
 * Called before any memory is added to the provider of the platform, and before the first
 * allocation. Nobody else is in the allocator meanwhile. Returns an enum hak_init_result.
 */
HAK_API int hak_init_with(const struct hak_options *options);

/**
 * hak_fini() - give everything back to the provider and forget it
 *
 * All blocks are gone, freed or not. No other thread may be inside the allocator or have a
 * cache, so other threads that used it have ended. On bare metal the other CPUs call
 * hak_cpu_init() again. Afterwards hak_init() may be called again, with any provider.
 */
HAK_API void hak_fini(void);

/**
 * hak_malloc() - allocate @size bytes
 *
 * The contents are undefined. A size of 0 gives a block as well, which is different from all
 * others in use.
 */
HAK_API void *hak_malloc(size_t size) HAK_MALLOC(1);

/**
 * hak_free() - free a block
 * @block: a block in use, or NULL: then nothing happens
 *
 * Needs no memory and cannot fail.
 */
HAK_API void hak_free(void *block);

/**
 * hak_zalloc() - allocate @size bytes of zeros
 */
HAK_API void *hak_zalloc(size_t size) HAK_MALLOC(1);

/**
 * hak_calloc() - allocate @n times @size bytes of zeros
 *
 * NULL also if the product overflows.
 */
HAK_API void *hak_calloc(size_t n, size_t size) __attribute__((warn_unused_result));

/**
 * hak_realloc() - make a block @size bytes long, in place or elsewhere
 * @block: a block in use; NULL to allocate one
 * @size:  0 to free the block: then NULL is returned
 *
 * The contents are kept, up to the smaller of the two sizes. A large block that has to move to
 * grow in small steps gets a quarter more to grow into. If the provider can move memory, a
 * large block takes its memory along and is not copied.
 *
 * If NULL is returned for a @size that is not 0, the old block is as it was.
 */
HAK_API void *hak_realloc(void *block, size_t size) __attribute__((warn_unused_result));

/**
 * hak_aligned_alloc() - allocate @size bytes at a multiple of @align
 * @align: in bytes, a power of two; if it is none, NULL is returned (EINVAL on Linux)
 * @size:  need not be a multiple of @align
 */
HAK_API void *hak_aligned_alloc(size_t align, size_t size) __attribute__((warn_unused_result));

/**
 * hak_zalloc_aligned() - allocate @size bytes of zeros at a multiple of @align
 *
 * The rest is as for hak_aligned_alloc().
 */
HAK_API void *hak_zalloc_aligned(size_t align, size_t size) __attribute__((warn_unused_result));

/**
 * hak_realloc_aligned() - make a block @size bytes long, at a multiple of @align
 * @block: a block in use of any alignment; NULL to allocate one
 * @align: as for hak_aligned_alloc()
 * @size:  0 to free the block: then NULL is returned
 *
 * The contents are kept, up to the smaller of the two sizes. If NULL is returned for a @size
 * that is not 0, the old block is as it was.
 */
HAK_API void *hak_realloc_aligned(void *block, size_t align, size_t size)
	__attribute__((warn_unused_result));

/**
 * hak_free_sized() - free a block whose requested size is known
 * @block: as for hak_free()
 * @size:  what it was asked for with
 *
 * Debug builds report a @size that the block cannot have been asked for with.
 */
HAK_API void hak_free_sized(void *block, size_t size);

/**
 * hak_free_aligned_sized() - the same for a block of hak_aligned_alloc() and the like
 */
HAK_API void hak_free_aligned_sized(void *block, size_t align, size_t size);

/**
 * hak_usable_size() - how many bytes of a block may be used?
 *
 * At least as many as were asked for; 0 for NULL.
 */
HAK_API size_t hak_usable_size(const void *block);

/**
 * hak_good_size() - what usable size would hak_malloc(@size) give?
 *
 * 0 if no memory can hold @size.
 */
HAK_API size_t hak_good_size(size_t size);

/**
 * hak_owns() - does an address lie in a slab or a span that is in use?
 * @address: any; nothing is read there
 */
HAK_API bool hak_owns(const void *address);

/**
 * hak_prefill() - see to it that the next @n allocations of @size bytes succeed
 * @size: up to 32 KiB; on Linux up to 1 MiB
 * @n:    how many; what is promised already is part of it
 *
 * The blocks are the caller's, on bare metal those of the CPU, until so many have been allocated
 * there, or until hak_flush() is called there. Neither a scan nor another CPU that has no memory
 * left takes them. As many as the magazine may hold lie in it, and take no more than the fast
 * path: 96 blocks of up to 512 bytes on bare metal, and 48 KiB of larger ones, but at least 8. The
 * rest waits beside it, so that one call in so many takes longer.
 *
 * Returns false if there is not so much memory, or no magazine for this size; then nothing has
 * changed. Not for interrupt handlers, whose allocations are none of these. With
 * CONFIG_HAK_IRQSAVE interrupts are off meanwhile.
 */
HAK_API bool hak_prefill(size_t size, size_t n);

/**
 * hak_flush() - return the blocks in the caller's magazines to their slabs
 *
 * Those of hak_prefill() are not promised any more.
 *
 * Slabs that become empty by this go back to their SuperSlabs. SuperSlabs that become empty go
 * back to the provider, but for those that are kept in reserve.
 */
HAK_API void hak_flush(void);

/**
 * hak_idle() - scan a piece of the heap, and give back what is idle
 * @budget: how much to scan at most, in units of 2 MiB of the heap. The magazines are scanned
 *	    in one piece on top of that.
 *
 * For the idle loop of a kernel, or a thread that has time. Memory is idle if a scan of the
 * whole heap found it free and nobody has used it since. What the next scan finds idle goes
 * back: blocks in magazines to their slabs, 4 KiB pages (if the provider can purge), unused
 * slabs and empty SuperSlabs to the provider.
 *
 * Returns whether there may be more to give back. If not, there will be nothing until
 * somebody allocates or frees.
 *
 * Not from an interrupt handler. On Linux a thread of the library does this.
 */
HAK_API bool hak_idle(size_t budget);

/* What hak_trim() gives back. */
enum hak_trim_level {
	HAK_TRIM_OWN, /* what lies in the caller's magazines, and all memory that is free */
	HAK_TRIM_ALL, /* and what lies in the magazines of all threads or CPUs */
};

/**
 * hak_trim() - give back everything that is free, at once
 *
 * Asks the provider again for what it refused before. With HAK_TRIM_ALL, each thread that runs
 * is interrupted for a moment. Returns how many bytes went back to the provider meanwhile.
 *
 * Not from an interrupt handler.
 */
HAK_API size_t hak_trim(enum hak_trim_level level);

/**
 * hak_available() - how many bytes are there for blocks?
 *
 * What the provider has, slabs that nobody uses, and free blocks in the slabs of each size. Free
 * blocks in magazines are not counted. They may be in pieces, so a single block of that size need
 * not be there. One of hak_largest() bytes is, and that is never more. SIZE_MAX if nothing limits
 * it but the machine, as on Linux without RLIMIT_AS. What the provider has is what
 * hak_host_supply() says.
 *
 * The time is the same however large the heap is, but for what the provider takes: a few thousand
 * instructions. Takes locks, one after another. Not from an interrupt handler.
 */
HAK_API size_t hak_available(void);

/**
 * hak_largest() - how large may a block be?
 *
 * hak_malloc() of so many bytes returns a block, if nobody allocates in between. One of more bytes
 * may, too, if memory has to be got together for it: out of magazines, or of runs of slabs that
 * become longer when empty SuperSlabs go back. SIZE_MAX as for hak_available(). 0 if there is no
 * free memory. For the rest as hak_available().
 */
HAK_API size_t hak_largest(void);

/**
 * hak_peak() - the most bytes that ever were in blocks at once
 *
 * Counts blocks at the size of their class, and spans in pages. Blocks that waited in magazines
 * then are counted as well. Two words are read, in any context.
 */
HAK_API size_t hak_peak(void);

/**
 * hak_version() - the version of the library, as HAK_VERSION is that of the headers
 */
HAK_API const char *hak_version(void);

/**
 * hak_check() - walk the whole heap and compare it with what is counted of it
 *
 * Returns NULL, or the name of the first invariant that does not hold. For tests, and for
 * programs that have crashed: no other thread may be inside the allocator. Not from an
 * interrupt handler.
 */
HAK_API const char *hak_check(void);

#ifdef __cplusplus
}
#endif

#endif
