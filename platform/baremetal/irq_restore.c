/* SPDX-License-Identifier: MIT */
/*
 * Interrupts as they were, in ring 0: see irq_save.c. It cannot fail.
 */
#include <hakmem/host.h>

#include <cpu.h>

void hak_host_irq_restore(unsigned long saved)
{
	if (saved & CPU_FLAG_INTERRUPTS)
		cpu_interrupts_on();
}
