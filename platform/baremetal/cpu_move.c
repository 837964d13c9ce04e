/* SPDX-License-Identifier: MIT */
/*
 * The private words of a CPU move. Nobody else knows where they are: a cache keeps the address of
 * its owner's word of locks, but only fork() reads that, and the allocator holds none here.
 *
 * Interrupts are off, since a handler would write to the old words what is copied already.
 */
#include "platform.h"

#include <cpu.h>

void hak_cpu_move(struct hak_cpu *to)
{
	struct platform_irq irq = platform_irq_save();

	*to = *this_cpu();
	to->self = to;
	if (!CONFIG_HAK_CPU_HEADER)
		cpu_write_msr(MSR_GS_BASE, gs_for(to));
	platform_irq_restore(irq);
}
