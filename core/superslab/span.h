/* SPDX-License-Identifier: MIT */
/*
 * Spans: blocks that are runs of slabs. See span.c.
 */
#ifndef HAKMEM_SUPERSLAB_SPAN_H
#define HAKMEM_SUPERSLAB_SPAN_H

#include "base/base.h"
#include "base/counters.h"
#include "pages/bug.h"
#include "superslab/superslab.h"

/* Spans of CLASS_SPAN: of exactly as many pages as they need. */
void *span_alloc(size_t size, size_t align, enum alloc_which which, enum run_memory *memory);
HAK_COLD void span_free(void *block);

/* Spans of the other classes, for magazines. */
unsigned span_alloc_batch(unsigned class, void **end, unsigned n, enum alloc_which which);
uint64_t span_free_batch(unsigned class, void *const *blocks, unsigned n);
uint64_t span_outstanding(unsigned class);
enum hak_bug_code span_inspect(unsigned class, const void *block, size_t *detail);

/* Spans of any class. */
HAK_COLD bool span_resize(void *block, size_t size);
size_t span_move(void *from, void *to, size_t size);
HAK_COLD void span_note_size(void *block, size_t size);
HAK_COLD size_t span_size(const void *block);
bool span_fits(const void *block, size_t size);
const void *span_start(const void *address);
void span_count_uncached(unsigned class, enum uncached what);
void span_read_counters(unsigned class, struct class_counters *counters);
uint64_t span_live_pages(void); /* of all of CLASS_SPAN */
void span_fini(void);

#endif
