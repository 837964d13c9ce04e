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

/* What hak_region_add() says. Below 0, nothing was added. */
enum hak_region_result {
	HAK_REGION_SMALL = -1,	 /* no whole page is in it, or none is left besides bitmaps */
	HAK_REGION_RANGE = -2,	 /* all of it is above 2^HAK_ADDRESS_BITS */
	HAK_REGION_OVERLAP = -3, /* all of it was added before */
	HAK_REGION_ADDED = 0,	 /* there is more memory for blocks now */
	HAK_REGION_WAITS = 1,	 /* added, but of no use for blocks until more comes */
};

/**
 * hak_region_add() - give the provider some memory
 * @base: its address, of any alignment
 * @size: in bytes, any
 *
 * The memory is mapped one to one, and nobody else uses it. The provider takes what it can use,
 * in whole pages: not page 0, nothing above 2^HAK_ADDRESS_BITS, and no page twice. The
 * provider needs larger bitmaps for the first region that ends above 512 MiB, and again for
 * one that ends beyond their reach. Such a region gives one or two of its pages for them.
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
 * hak_region_add_counted() - the same, and say how much of it was added
 * @added: set to the bytes that the provider has now and did not have before
 *
 * What is missing to @size was left out, for a reason that is said above.
 */
int hak_region_add_counted(uintptr_t base, size_t size, size_t *added);

/**
 * hak_frames_total() - how many whole frames do the regions contain?
 */
size_t hak_frames_total(void);

/**
 * hak_frames_free() - how many of them are free?
 */
size_t hak_frames_free(void);

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

void hak_frames_set_host(const struct hak_frames_host *host);
size_t hak_frames_report(size_t most);

#ifdef __cplusplus
}
#endif

#endif
