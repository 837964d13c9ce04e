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

/**
 * uk_hakmem_irq_enter() - a handler of an interrupt begins that may allocate or free
 *
 * Until uk_hakmem_irq_leave() the heap works past the magazines of the CPU, so the handler may
 * have interrupted anything. Returns what uk_hakmem_irq_leave() needs. Handlers may nest.
 */
void *uk_hakmem_irq_enter(void);
void uk_hakmem_irq_leave(void *previous);

#ifdef __cplusplus
}
#endif

#endif
