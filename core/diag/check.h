/* SPDX-License-Identifier: MIT */
/*
 * What hak_check() checks, layer by layer. Each function returns NULL, or the name of the
 * first equation that does not hold. Nobody else may be inside the allocator. See check.c.
 */
#ifndef HAKMEM_DIAG_CHECK_H
#define HAKMEM_DIAG_CHECK_H

#include "base/base.h"

const char *check_arena(void);
const char *check_classes(void);
const char *check_spans(void);
const char *check_cache(void); /* the caller's own cache */

/* For debug builds. */
HAK_COLD bool check_is_cached(unsigned class, const void *block);
HAK_COLD void check_block(unsigned class, const void *block, const char *caller);

#endif
