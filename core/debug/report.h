/* SPDX-License-Identifier: MIT */
/*
 * What is said of a block that was misused. See report.c.
 */
#ifndef HAKMEM_DEBUG_REPORT_H
#define HAKMEM_DEBUG_REPORT_H

#include "debug/record.h"
#include "pages/bug.h"

/* A byte was changed that should not have been. */
_Noreturn void report_change(const struct record *record, const struct change *change,
			     const char *caller);

/* @block should begin behind a record at @start, but there is none. */
_Noreturn void report_broken(const void *start, const void *block, const char *caller);

/* A pointer is before the block whose record it leads to. */
_Noreturn void report_before(const struct record *record, const void *block, const char *caller);

/* The same as hak_bug(), and what the block is. */
_Noreturn void report_bug(const struct record *record, enum hak_bug_code bug, const void *block,
			  size_t detail, const char *caller);

#endif
