/* SPDX-License-Identifier: MIT */
/*
 * Interrupts off, and as they were, in ring 0. Neither function can fail. A kernel whose
 * code runs in ring 3, where `cli` faults, or that keeps interrupts from its handlers in
 * software, defines both functions itself.
 */
#include <hakmem/host.h>

#include <cpu.h>

unsigned long hak_host_irq_save(void)
{
	unsigned long flags = cpu_read_flags();

	cpu_interrupts_off();
	return flags;
}

void hak_host_irq_restore(unsigned long saved)
{
	if (saved & CPU_FLAG_INTERRUPTS)
		cpu_interrupts_on();
}
