/* SPDX-License-Identifier: MIT */
/*
 * The page provider of this platform: frames of 2 MiB of physical memory. See frames.c.
 */
#ifndef HAK_FRAMES_H
#define HAK_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/provider.h>

#include "machine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What hak_region_add() and hak_region_remove() say. Below 0, nothing has changed. */
enum hak_region_result {
	HAK_REGION_SMALL = -1, /* no whole page is in it */
	HAK_REGION_RANGE = -2, /* all of it is outside of the window, or above 2^HAK_ADDRESS_BITS */
	HAK_REGION_OVERLAP = -3, /* all of it was added before */
	HAK_REGION_HELD = -4,	 /* something in it is in use */
	HAK_REGION_UNKNOWN = -5, /* some of it was never added, or was removed */
	HAK_REGION_REMOVED = 0,	 /* it is the caller's */
	HAK_REGION_ADDED = 0,	 /* there is more memory for blocks now */
	HAK_REGION_WAITS = 1,	 /* added, but of no use for blocks until more comes */
};

/**
 * hak_region_add() - give the provider some memory
 * @base: its address, of any alignment
 * @size: in bytes, any
 *
 * The memory is mapped, and nobody else uses it. The provider takes what it can use, in whole
 * pages: not page 0, nothing above 2^HAK_ADDRESS_BITS, and no page twice. With CONFIG_HAK_WINDOW
 * nothing is taken outside of the window that hak_init_with() was given before. Nothing is
 * written to it now, but a record of one page in each frame of which only a part is memory.
 *
 * Blocks live in whole frames: 2 MiB at a multiple of 2 MiB. Pages of frames that are not whole
 * serve for records of the allocator; when the rest of such a frame is added, it is whole.
 * HAK_REGION_WAITS says that blocks got nothing by this region: no frame became whole, or
 * there is just one and no 64 KiB beside it for the records of a heap. A machine which has
 * nothing else cannot allocate.
 *
 * Regions may be added in any order and at any time, also in an interrupt handler, and
 * adjacent ones become one. Returns an enum hak_region_result.
 */
int hak_region_add(uintptr_t base, size_t size);

/**
 * hak_frames_use_parts() - let blocks lie in frames that are not whole, too
 *
 * Before a request fails that no whole frame is left for, the pages serve blocks that
 * hak_region_add() was given around the image, at the ends of a region, and of regions that are
 * smaller than a frame. A part of a frame in which there are blocks stays the heap's until
 * hak_fini(), so hak_pages_alloc() has fewer pages then. This costs 1.6 KiB of code, and is called
 * once, before hak_init().
 */
void hak_frames_use_parts(void);

/* A static array that hak_heap_add() takes. */
struct hak_heap {
	void *memory;
	size_t size;
};

/**
 * HAK_HEAP_DEFINE() - define a heap in a static array, at the level of a file
 * @name: of a struct hak_heap
 * @size: of the array, in bytes: a constant, at least 32 KiB
 *
 * For a kernel that allocates before it knows which memory there is, or has no other.
 */
#define HAK_HEAP_DEFINE(name, size)                                                                \
	static char name##_memory[size] __attribute__((aligned(HAK_GRANULE)));                     \
	static const struct hak_heap name = { name##_memory, sizeof(name##_memory) }

/**
 * hak_heap_add() - let blocks lie in an array of HAK_HEAP_DEFINE()
 *
 * That is hak_frames_use_parts(), and hak_region_add() for the array. So it is called before
 * hak_init(), more memory can be added at any time, and the result is that of hak_region_add():
 * the array has to be where the heap may be. In so little memory a CPU has no cache, and each
 * call goes the slow path, until there is more.
 */
int hak_heap_add(const struct hak_heap *heap);

/**
 * hak_region_add_counted() - the same, and say how much of it was added
 * @added: set to the bytes that the provider has now and did not have before
 *
 * What is missing to @size was left out, for a reason that is said above.
 */
int hak_region_add_counted(uintptr_t base, size_t size, size_t *added);

/**
 * struct hak_region_held - what keeps a region from being removed
 * @bytes:	 pages of it that are in use or serve the provider, in bytes
 * @block_bytes: blocks of the heap that lie in it, in bytes: those in use, and those in magazines
 *		 that could not be emptied
 * @block:	 one of them; NULL if there is none. Then these are records of the heap or the
 *		 provider, or pages from hak_pages_alloc() or map().
 */
struct hak_region_held {
	size_t bytes;
	size_t block_bytes;
	const void *block;
};

/**
 * hak_region_remove() - take back memory from the provider
 * @base: its address, of any alignment
 * @size: in bytes, any: one or more regions, or a part of one
 * @held: is filled in: what is in the way, if this is why it fails; else zeros
 *
 * Takes what hak_region_add() would add of it: whole pages, not page 0, none above the limit.
 * What is free of it is not handed out any more, and the heap gives back all that it can, as
 * by hak_trim(HAK_TRIM_ALL). If all pages are the provider's and free by then, they are the
 * caller's: HAK_REGION_REMOVED. Else it is HAK_REGION_HELD, or another value below 0, and the
 * provider has what it had before. The caller may free the block, and try again: what lies in the
 * magazines of other CPUs goes back only where hak_host_barrier() works or these empty them.
 *
 * Other CPUs may allocate and free meanwhile, and get no memory of the region that is free; so
 * they may get NULL where the rest is full. One call at a time, and none of hak_region_add(); not
 * in an interrupt handler.
 */
int hak_region_remove(uintptr_t base, size_t size, struct hak_region_held *held);

/**
 * hak_frames_total() - how many whole frames do the regions contain?
 */
size_t hak_frames_total(void);

/**
 * hak_frames_free() - how many of them are free?
 */
size_t hak_frames_free(void);

/**
 * hak_pages_alloc() - allocate pages in one piece of physical memory, for a kernel or a device
 * @count:    pages of HAK_GRANULE bytes, at least 1
 * @below:    all of them lie below this physical address; 0: anywhere
 * @align:    in bytes, of the physical address: a power of two; 0: that of a page
 * @boundary: in bytes: they do not lie on both sides of a multiple of this power of two, which
 *	      is at least as long as they are; 0: they may
 *
 * Their contents are undefined. hak_host_physical() tells where they are for a device.
 * One page takes constant time, if @below is 0 or the address of 4 GiB or 16 MiB. More in a
 * row, or one with other wishes, are searched for with interrupts off, from low addresses up.
 *
 * Whole frames below 16 MiB, and then those below 4 GiB, are handed out last by all functions
 * here, also to the heap. So there is memory for devices until the rest is used. (Of frames that
 * are not whole, records of the heap get pages first.)
 *
 * May be called at any time, before hak_init() or without it, and in an interrupt handler. Takes
 * nothing from the heap: a caller that gets NULL may call hak_trim() and try once more. Returns
 * NULL if there is no such memory (HAK_ENOMEM), or if an argument is wrong (HAK_EINVAL): see
 * hak_host_set_error(). Nothing has changed then.
 */
void *hak_pages_alloc(size_t count, uint64_t below, size_t align, uint64_t boundary);

/**
 * hak_pages_free() - free what hak_pages_alloc() has returned
 * @base:  the first page, or NULL: then nothing happens
 * @count: what it was asked for
 *
 * May be called in an interrupt handler. Returns 0; or -1 if not all of this came from
 * hak_pages_alloc() and is not freed yet (HAK_EINVAL). Nothing has changed then.
 */
int hak_pages_free(void *base, size_t count);

/**
 * hak_low_water() - have hak_host_low_water() called when free memory becomes low
 * @bytes: the mark; 0, which is the default: it is never called
 *
 * The frames that hak_frames_free() counts are compared with the mark whenever some are handed
 * out, to anybody. If they are fewer, hak_host_low_water() is called at the end of the next slow
 * path of malloc or free: once, and again only after they were enough in between. If they are
 * fewer already now, the next frames that are handed out show it. May be called in any context.
 */
void hak_low_water(size_t bytes);

/**
 * hak_frames_supply() - what hak_host_supply() tells, for a kernel that has its own
 *
 * Goes through the bitmap of free frames with interrupts on: some 30 instructions for each run.
 */
void hak_frames_supply(const void *base, struct hak_supply *supply);

/*
 * For hak_init(). Its memory does not read zero, it has no move(), and it purges only if there
 * is a balloon.
 */
extern const struct hak_provider hak_frames_provider;

/*
 * The rest is for balloon_frames.c, which gives memory to a host. It is linked only into
 * images that have a balloon, and then calls hak_frames_set_host().
 */

/**
 * struct hak_frames_host - a host that takes memory back
 * @purge:  drop what is behind some pages in use; returns what a provider's purge() returns
 * @report: drop what is behind some free pages; returns false if that cannot be done now
 * @absent: a bit for each frame: it is free, and was reported
 */
struct hak_frames_host {
	int (*purge)(void *base, size_t size);
	bool (*report)(void *base, size_t size);
	uint64_t *absent;
};

/* So many frames there can be. */
#define HAK_FRAMES_MAX (((size_t)1 << HAK_ADDRESS_BITS) / HAK_SUPERSLAB_SIZE)

uintptr_t hak_frames_base(void); /* the address of the first */

/* For hak_frames_find(): there is none. */
#define HAK_FRAMES_NONE HAK_FRAMES_MAX

void hak_frames_set_host(const struct hak_frames_host *host);
size_t hak_frames_report(size_t most);
size_t hak_frames_find(size_t count, const uint64_t *held, size_t *nr_held);

#ifdef __cplusplus
}
#endif

#endif
