/* SPDX-License-Identifier: MIT */
/*
 * Text without a C library and without memory: a small printf that calls a sink. The
 * statistics use it, the reports of bugs, and images that have no stdio. See format.c.
 */
#ifndef HAKMEM_BASE_FORMAT_H
#define HAKMEM_BASE_FORMAT_H

#include <stdarg.h>
#include <stdbool.h>

#include <hakmem/stats.h>
#include <platform.h>

/* A line that hak_format() writes into. What does not fit is cut off. */
struct hak_line {
	size_t length;
	char text[192]; /* terminated after each call of hak_line_append() */
};

/* The sink of a struct hak_line, which is its @ctx. */
HAK_COLD void hak_line_append(void *ctx, const char *text, size_t length);

/**
 * hak_format() - format text into a sink
 * @sink:   gets the text, in pieces of any length
 * @ctx:    is handed to the sink
 * @format: as for printf(), but of conversions only %s, %p, %d, %u, %x and %%. The length
 *	    modifiers l and z, a width, and the flags - and 0 may stand before the letter.
 *	    Other conversions are printed as they stand.
 *
 * May be called wherever the sink may be called, also with locks held. It cannot fail.
 */
void hak_format(hak_sink *sink, void *ctx, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
HAK_COLD void hak_vformat(hak_sink *sink, void *ctx, const char *format, va_list args);

/* A string, and a number with a radix of 10 or 16, for who prints nothing else. */
HAK_COLD void hak_print_text(hak_sink *sink, void *ctx, const char *text);
HAK_COLD void hak_print_number(hak_sink *sink, void *ctx, uint64_t value, unsigned radix);

#endif
