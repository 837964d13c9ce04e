/* SPDX-License-Identifier: MIT */
/*
 * The page provider of this platform: 2 MiB frames of physical memory.
 */
#ifndef HAKMEM_FRAMES_H
#define HAKMEM_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/provider.h>

#include "platform.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Why hak_region_add() refused a region. */
enum hak_region_error {
	HAK_REGION_SMALL = -1,	 /* it holds no whole page, or none besides bitmaps */
	HAK_REGION_RANGE = -2,	 /* it is, in part, page 0 or above 2^HAK_ADDRESS_BITS */
	HAK_REGION_OVERLAP = -3, /* a part of it was added before */
};

/**
 * hak_region_add() - let the provider have some memory
 * @base: its address, any alignment
 * @size: in bytes, any
 *
 * The memory must be mapped one to one and have no other user. May be called
 * from an interrupt. Partial pages at its ends are left alone. A region that ends
 * above 1 GiB, and above all before it by more than their bitmaps reach, gives one
 * or two of its first pages for larger bitmaps. Regions may be added in any order
 * and at any time, and adjacent ones become one. Returns 0 or an enum
 * hak_region_error, and has then added nothing.
 */
int hak_region_add(uintptr_t base, size_t size);

/**
 * hak_frames_total() - how many whole frames the regions contain
 */
size_t hak_frames_total(void);

/**
 * hak_frames_free() - how many of them are free
 */
size_t hak_frames_free(void);

/* For hak_init(). It has no zeroed memory and no move, and purges through a balloon only. */
extern const struct hak_provider hak_frames_provider;

/*
 * For code that can give memory to a host: balloon_frames.c, which is linked only
 * where it is wanted, and then calls hak_frames_set_host().
 */

/**
 * struct hak_frames_host - a host that takes memory back
 * @purge:  drop what backs these pages; returns as a provider's purge does
 * @report: likewise of free memory; false if that cannot be done now
 * @absent: bit per frame: it is free, and has been reported
 */
struct hak_frames_host {
	int (*purge)(void *base, size_t size);
	bool (*report)(void *base, size_t size);
	uint64_t *absent;
};

#define HAK_FRAMES_MAX (((size_t)1 << HAK_ADDRESS_BITS) / HAK_SUPERSLAB_SIZE)

void hak_frames_set_host(const struct hak_frames_host *host);
size_t hak_frames_report(size_t most);

#ifdef __cplusplus
}
#endif

#endif
