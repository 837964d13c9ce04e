/* SPDX-License-Identifier: MIT */
/*
 * What is said of a broken block. See report.c.
 */
#ifndef HAKMEM_HARDEN_REPORT_H
#define HAKMEM_HARDEN_REPORT_H

#include "base/base.h"

/* A block of @capacity bytes was written to behind its end. */
_Noreturn void report_overflow(const void *block, size_t capacity, const char *caller);

/* A free block was written to, at @offset. */
_Noreturn void report_written(const void *block, size_t capacity, size_t offset,
			      const char *caller);

/* What lies at a place, and beside it, for crimes that hak_bug() words. */
void report_place(const void *block, size_t capacity);

#endif
