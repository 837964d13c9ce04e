/* SPDX-License-Identifier: MIT */
/*
 * The console as a sink of text. It has a file of its own, so that a kernel with its own
 * hak_console_write() can use it.
 */
#include "machine.h"

void hak_console_sink(void *ctx, const char *text, size_t length)
{
	(void)ctx;
	hak_console_write(text, length);
}
