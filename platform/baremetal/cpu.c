/* SPDX-License-Identifier: MIT */
/*
 * The private words of a CPU, to which GS leads, and the cache in them.
 *
 * With GS, and not an array indexed by the CPU's number, this_cache() is one instruction,
 * and no interrupt in the middle can make it answer for another CPU. The caller provides
 * the memory, and so decides for how many CPUs. Only its CPU writes it, so there is
 * no lock. Nothing can fail.
 */
#include "platform.h"

#include <cpu.h>

void hak_cpu_init(struct hak_cpu *cpu, unsigned id)
{
	*cpu = (struct hak_cpu){ .self = cpu, .cache = hak_cache_none, .id = (uint16_t)id };
	if (!CONFIG_HAK_CPU_HEADER)
		cpu_write_msr(MSR_GS_BASE, gs_for(cpu));
}
