/* SPDX-License-Identifier: MIT */
/*
 * The end: one line on the console, with the number of the CPU, then a failing exit. This
 * file owns the word that says which CPU panicked first. It takes no lock, so that it
 * works wherever it is called from, also in an exception.
 *
 * When several CPUs panic, the first one is reported, and the others wait for it to stop
 * the machine. A CPU that panics while it reports may go on.
 */
#include "platform.h"

#include <stdatomic.h>

#include <cpu.h>
#include <base/format.h>
#include <hakmem/host.h>

HAK_COLD _Noreturn void hak_host_panic(const char *line)
{
	static _Atomic unsigned whose; /* the number of the CPU, plus one; 0: none */
	unsigned nobody = 0, mine = this_cpu_id() + 1;

	cpu_interrupts_off();
	if (!atomic_compare_exchange_strong(&whose, &nobody, mine) && nobody != mine)
		for (;;)
			cpu_halt();
	hak_print_text(hak_console_sink, NULL, "cpu ");
	hak_print_number(hak_console_sink, NULL, mine - 1, 10);
	hak_print_text(hak_console_sink, NULL, ": ");
	hak_print_text(hak_console_sink, NULL, line);
	hak_print_text(hak_console_sink, NULL, "\n");
	hak_machine_exit(HAK_EXIT_PANIC);
}
