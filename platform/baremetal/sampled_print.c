/* SPDX-License-Identifier: MIT */
/*
 * What samples print goes to the console. The addresses of instructions are those of the image.
 */
#include "platform.h"

#include "diag/sampled.h"

/* The panic of the library brings it along. Who has no console prints nothing. */
extern __typeof__(hak_console_write) hak_console_write __attribute__((weak));

void hak_sampled_name(struct hak_line *line, void *frame)
{
	(void)line;
	(void)frame;
}

void hak_sampled_print(void *ctx, const char *text, size_t length)
{
	(void)ctx;
	if (hak_console_write)
		hak_console_write(text, length);
}
