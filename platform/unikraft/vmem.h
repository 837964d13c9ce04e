/* SPDX-License-Identifier: MIT */
/*
 * Where the heap gets its pages: from the library's frames, or from vmem.c.
 */
#ifndef UNIKRAFT_VMEM_H
#define UNIKRAFT_VMEM_H

#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/provider.h>

#ifdef CONFIG_LIBHAKMEM_PURGE
extern const struct hak_provider hakmem_provider;
#endif

/* The first memory has been added. */
static inline bool hakmem_make_heap(void)
{
#ifdef CONFIG_LIBHAKMEM_PURGE
	hak_purge_enable();
	return hak_init(&hakmem_provider);
#else
	return hak_init(&hak_frames_provider);
#endif
}

#endif
