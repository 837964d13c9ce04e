/* SPDX-License-Identifier: MIT */
/*
 * Samples that stand against a page that faults. See guard.c.
 */
#ifndef HAKMEM_DIAG_GUARD_H
#define HAKMEM_DIAG_GUARD_H

#include "diag/sample.h"

/* @n blocks were allocated, or fetched into a magazine. Is the next one to be guarded? */
void guard_count(unsigned n);
bool guard_is_due(void);

/* Is there a page for a block? If not, that is counted: it spares a trace. */
bool guard_has_page(void);

void *guard_alloc(size_t size, size_t align, const struct trace *trace);
void guard_free(void *block, const struct trace *trace);
enum hak_bug_code guard_inspect(const void *block, size_t *size, size_t *detail);

/* A free, or the like, of @block has just been found wrong. */
void guard_print_misuse(const void *block, const struct trace *trace);

void guard_read(struct hak_samples *samples);
void guard_fini(void);

#endif
