/* SPDX-License-Identifier: MIT */
/*
 * What hak_check() checks, layer by layer. Each returns NULL, or the first invariant that does
 * not hold. See check.c.
 */
#ifndef HAKMEM_DIAG_CHECK_H
#define HAKMEM_DIAG_CHECK_H

const char *check_arena(void);
const char *check_classes(void);
const char *check_spans(void);
const char *check_cache(void); /* the caller's own */

#endif
