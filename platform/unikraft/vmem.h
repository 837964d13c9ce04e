/* SPDX-License-Identifier: MIT */
/*
 * Where the heap gets its pages: from the library's frames, or from vmem.c.
 */
#ifndef UNIKRAFT_VMEM_H
#define UNIKRAFT_VMEM_H

#include <frames.h>
#include <hakmem/provider.h>

#ifdef CONFIG_LIBHAKMEM_PURGE
extern const struct hak_provider hakmem_provider;
#else
#define hakmem_provider hak_frames_provider
#endif

#endif
