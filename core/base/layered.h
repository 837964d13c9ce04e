/* SPDX-License-Identifier: MIT */
/*
 * In the hardened build, the functions of hakmem.h are those of harden/, and in the debug build
 * those of debug/. They call those of the files below by other names. This is included before
 * hakmem.h by the files that define these.
 */
#ifndef HAKMEM_BASE_LAYERED_H
#define HAKMEM_BASE_LAYERED_H

#include <hakmem/config.h>

#if CONFIG_HAK_HARDENED || CONFIG_HAK_DEBUG
#define hak_malloc	       hak_raw_malloc
#define hak_free	       hak_raw_free
#define hak_zalloc	       hak_raw_zalloc
#define hak_calloc	       hak_raw_calloc
#define hak_realloc	       hak_raw_realloc
#define hak_aligned_alloc      hak_raw_aligned_alloc
#define hak_free_sized	       hak_raw_free_sized
#define hak_free_aligned_sized hak_raw_free_aligned_sized
#define hak_usable_size	       hak_raw_usable_size
#define hak_good_size	       hak_raw_good_size
#define hak_prefill	       hak_raw_prefill
#define hak_flush	       hak_raw_flush
#define hak_idle	       hak_raw_idle
#define hak_trim	       hak_raw_trim
#define hak_check	       hak_raw_check
#define hak_fini	       hak_raw_fini
#define scan_step	       raw_scan_step
#endif

#endif
