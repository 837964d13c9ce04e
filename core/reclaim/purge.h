/* SPDX-License-Identifier: MIT */
/*
 * The part of a scan that purges pages of SuperSlabs which stay. See purge.c.
 */
#ifndef HAKMEM_RECLAIM_PURGE_H
#define HAKMEM_RECLAIM_PURGE_H

#include "base/base.h"

/*
 * Purge what is idle of the next window. @first: of the first one there is. @all: also what was
 * used a moment ago. Sets @again if a later scan may find more. False if there is no window left.
 */
typedef bool purge_fn(bool first, bool all, bool *again);

HAK_COLD purge_fn purge_next;

/* The function above once it is linked and wanted; NULL if not. Not used with PLATFORM_PURGES. */
extern HAK_HIDDEN purge_fn *scan_purge;

#endif
