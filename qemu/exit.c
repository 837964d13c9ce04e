/* SPDX-License-Identifier: MIT */
/*
 * The end of an image of the boot kit: its status goes to QEMU as exit.h says. On a machine
 * without that device all CPUs halt.
 */
#include "exit.h"

#include <boot.h>
#include <cpu.h>
#include <machine.h>

_Noreturn void hak_machine_exit(int status)
{
	qemu_exit(status);
	cpu_interrupts_off();
	smp_stop_others();
	for (;;)
		cpu_halt();
}
