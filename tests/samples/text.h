/* SPDX-License-Identifier: MIT */
/*
 * What is printed, to be read by a test.
 */
#ifndef HAKMEM_TESTS_SAMPLES_TEXT_H
#define HAKMEM_TESTS_SAMPLES_TEXT_H

#include <stddef.h>

static char text[8192];
static size_t length;

/* A hak_sink. What does not fit is left out. */
static void collect(void *ctx, const char *piece, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n && length < sizeof(text) - 1; i++)
		text[length++] = piece[i];
	text[length] = '\0';
}

#endif
