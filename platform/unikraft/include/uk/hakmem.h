/* SPDX-License-Identifier: MIT */
/*
 * hakmem as an allocator of Unikraft. There is one heap in an image.
 */
#ifndef UK_HAKMEM_H
#define UK_HAKMEM_H

#include <uk/alloc.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * uk_hakmem_init() - make the heap, and register it as an allocator
 * @base: its first memory, of any alignment, mapped below 64 GiB
 * @size: in bytes, any; uk_alloc_addmem() adds more
 *
 * Called once, on the first CPU, after GS was set. Returns NULL, and nothing is registered, if
 * no page of @base is of use, or if there is a heap already. As long as the heap has no whole
 * frame (2 MiB at a multiple of 2 MiB), only small blocks can be had: 4 KiB of them.
 */
struct uk_alloc *uk_hakmem_init(void *base, __sz size);

#ifdef __cplusplus
}
#endif

#endif
