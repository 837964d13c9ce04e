/* SPDX-License-Identifier: MIT */
/*
 * The end: one line on the console, then a failing exit. Owns nothing, takes
 * no lock, so that it works wherever it is called from, also in an exception.
 */
#include "machine.h"

#include <hakmem/host.h>

_Noreturn void hak_host_panic(const char *line)
{
	size_t length = 0;

	while (line[length])
		length++;
	hak_console_write(line, length);
	hak_console_write("\n", 1);
	hak_machine_exit(HAK_EXIT_PANIC);
}
