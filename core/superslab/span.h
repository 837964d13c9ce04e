/* SPDX-License-Identifier: MIT */
/*
 * Spans: blocks that are runs of units. See span.c.
 */
#ifndef HAKMEM_SUPERSLAB_SPAN_H
#define HAKMEM_SUPERSLAB_SPAN_H

#include "base/sizeclass.h"
#include "pages/bug.h"
#include "superslab/group.h"
#include "superslab/superslab.h"

/**
 * struct spans - what is counted of spans, by class from CLASS_SPAN_FIRST on
 * @allocated:  how many were handed out, ever [atomic]
 * @freed:      how many came back, ever [atomic]
 * @uncached:   calls without a cache, by enum uncached [atomic]
 * @live_pages: lengths of those of CLASS_SPAN that are in use [atomic]
 * @live_units: units that these take [atomic]
 */
extern HAK_HIDDEN struct spans {
	_Atomic uint64_t allocated[NR_SPAN_CLASSES + 1], freed[NR_SPAN_CLASSES + 1];
	_Atomic uint64_t uncached[NR_SPAN_CLASSES + 1][NR_UNCACHED];
	_Atomic uint64_t live_pages, live_units;
} hak_spans;

/* Spans of CLASS_SPAN: of exactly as many pages as they need. */
void *span_alloc(size_t size, size_t align, enum alloc_which which, bool *backed);
HAK_COLD void span_free(void *block);

/* The one that was freed last waits for a while: where spans have magazines, and scans come by. */
#define SPANS_WAIT (NR_SPAN_CLASSES && PLATFORM_SCANS)
void span_free_later(void *block);
void *span_reuse(size_t size, size_t align);
bool span_flush(void);
bool span_scan(void);
size_t span_waiting(void);

/* Spans of the other classes, for magazines. */
unsigned span_alloc_batch(unsigned class, void **end, unsigned n, enum alloc_which which);
void span_free_batch(unsigned class, void *const *blocks, unsigned n);
uint64_t span_outstanding(unsigned class);
enum hak_bug_code span_inspect(unsigned class, const void *block, size_t *detail);

/* Spans of any class. */
HAK_COLD bool span_note_growth(void *block, size_t size);
HAK_COLD bool span_resize(void *block, size_t size);
HAK_COLD void span_clear(uintptr_t base, size_t size);
size_t span_move(void *from, void *to, size_t size);
HAK_COLD void span_note_size(void *block, size_t size);
HAK_COLD size_t span_size(const void *block);
bool span_fits(const void *block, size_t size);

/* Does a span of this class begin at @address, which has its class byte? */
static inline bool span_begins(unsigned class, uintptr_t address)
{
	size_t detail;

	return class_has_groups(class) ? group_inspect(class, address, &detail) != HAK_BUG_INTERIOR
				       : address % UNIT_SIZE == 0;
}

HAK_COLD const void *span_start(const void *address);
void span_fini(void);

#endif
