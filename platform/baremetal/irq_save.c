/* SPDX-License-Identifier: MIT */
/*
 * Interrupts off, in ring 0. It cannot fail. A kernel whose code runs in ring 3, where `cli`
 * faults, or that keeps interrupts from its handlers in software, defines this function and
 * that of irq_restore.c itself.
 */
#include <hakmem/host.h>

#include <cpu.h>

unsigned long hak_host_irq_save(void)
{
	unsigned long flags = cpu_read_flags();

	cpu_interrupts_off();
	return flags;
}
