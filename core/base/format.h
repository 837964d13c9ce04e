/* SPDX-License-Identifier: MIT */
/*
 * Text without a C library and without memory: a small printf into a callback.
 * Used for the statistics, for the line that reports a bug, and by whatever
 * has to print where there is no stdio.
 */
#ifndef HAKMEM_BASE_FORMAT_H
#define HAKMEM_BASE_FORMAT_H

#include <stdarg.h>
#include <stdbool.h>

#include <hakmem/stats.h>
#include <platform.h>

/* A line for hak_format() to write into; what does not fit is cut off. */
struct hak_line {
	size_t length;
	char text[192];
};

/* The sink of a struct hak_line, @ctx; it stays terminated. */
void hak_line_append(void *ctx, const char *text, size_t length);

/**
 * hak_format() - format text into a sink
 *
 * Knows %s, %p, %d %u %x with the length modifiers l and z, %%, and a width
 * with the flags - and 0. Unknown conversions are printed as they stand. May be called in any context that the sink may.
 */
void hak_format(hak_sink *sink, void *ctx, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
HAK_COLD void hak_vformat(hak_sink *sink, void *ctx, const char *format, va_list args);

#endif
