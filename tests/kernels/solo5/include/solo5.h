/* SPDX-License-Identifier: MIT */
/*
 * What the port uses of Solo5, declared as there.
 */
#ifndef TESTS_SOLO5_H
#define TESTS_SOLO5_H

#include <stddef.h>
#include <stdint.h>

struct solo5_start_info {
	const char *cmdline;
	uintptr_t heap_start;
	size_t heap_size; /* with the first stack at its end */
};

int solo5_app_main(const struct solo5_start_info *info);

void solo5_console_write(const char *text, size_t size);
void solo5_abort(void) __attribute__((noreturn));

#endif
