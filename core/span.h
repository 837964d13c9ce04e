/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_SPAN_H
#define HAKMEM_SPAN_H

#include "base.h"

struct span_counters {
	uint64_t allocations, frees;
	uint64_t live, live_pages, live_slabs;
};

void *span_alloc(size_t size, size_t align, bool *zero);
void span_free(void *block);
bool span_resize(void *block, size_t size);
void span_note_size(void *block, size_t size);
size_t span_size(const void *block);
const void *span_start(const void *address);
void span_read_counters(struct span_counters *counters);
const char *span_check(void);
void span_fini(void);

#endif
