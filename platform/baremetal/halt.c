/* SPDX-License-Identifier: MIT */
/*
 * Stopping a machine of which nothing is known: this CPU halts, with interrupts off so
 * that it stays so. The status is lost. An image that knows how to stop its machine
 * defines hak_machine_exit() itself.
 */
#include "machine.h"

#include <cpu.h>

_Noreturn void hak_machine_exit(int status)
{
	(void)status;
	cpu_interrupts_off();
	for (;;)
		cpu_halt();
}
