/* SPDX-License-Identifier: MIT */
/*
 * What is asked for in the slow path of malloc: see malloc.c.
 */
#ifndef HAKMEM_API_REQUEST_H
#define HAKMEM_API_REQUEST_H

#include "base/base.h"

/**
 * struct request - what is asked for
 * @class:  the class of the block, or CLASS_SPAN
 * @size:   in bytes
 * @align:  a power of two
 * @zeros:  it is to read zero
 * @backed: set if memory stands behind most of a span already
 * @is_gap: set if it got a gap block: nobody knows whether that reads zero
 */
struct request {
	unsigned class;
	size_t size, align;
	bool zeros, backed, is_gap;
};

/* The slow path of every request. NULL if there is no memory, and the host has been told why. */
HAK_COLD void *request_alloc(struct request *request);

/* The same, unless the platform links that of sampled.c, which now and then makes a sample. */
HAK_COLD void *hak_request_alloc(struct request *request);

/**
 * hak_debug_choose() - in the debug build, choose what is done to blocks from now on
 * @text:  as HAKMEM_DEBUG has it (platform/linux/README.md)
 * @apply: false: only say whether it makes sense
 *
 * Returns false if it makes no sense: then nothing has changed. Nobody else is in the allocator.
 */
bool hak_debug_choose(const char *text, bool apply);

/* In the hardened build and the debug build: give up what was freed and waits. Was there any? */
bool hak_layer_reclaim(void);

#endif
