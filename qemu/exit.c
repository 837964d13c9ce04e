/* SPDX-License-Identifier: MIT */
/*
 * Leaving QEMU with a status, through its isa-debug-exit device, which ends
 * QEMU with 2 * value + 1. The image's status is sent plus 16, so that it can
 * be told from the 0 and 1 with which QEMU ends for reasons of its own.
 * run.sh knows this arithmetic too.
 *
 * A status has room from 0 to 111; 101 is that of a panic, so what main()
 * returns should be 0 to 100, and anything else arrives as 111.
 *
 * On a machine without the device the write goes nowhere and all CPUs halt.
 */
#include <boot.h>
#include <cpu.h>
#include <machine.h>

#define DEBUG_EXIT_PORT	  0xf4
#define DEBUG_EXIT_OFFSET 16
#define MAX_STATUS	  111

_Noreturn void hak_machine_exit(int status)
{
	if (status < 0 || status > MAX_STATUS)
		status = MAX_STATUS;
	io_write32(DEBUG_EXIT_PORT, (uint32_t)status + DEBUG_EXIT_OFFSET);
	cpu_interrupts_off();
	smp_stop_others();
	for (;;)
		cpu_halt();
}
