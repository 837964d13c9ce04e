/* SPDX-License-Identifier: MIT */
/*
 * The private area of a CPU, which GS points to, and the cache in it.
 *
 * With GS, and not an array indexed by the CPU's number, this_cache() is one instruction,
 * and no interrupt in the middle can make it answer for another CPU. The caller provides
 * the areas, and so decides how many there are. Only its CPU writes an area, so there is
 * no lock. Nothing can fail.
 */
#include "machine.h"

#include <cpu.h>

#define MSR_GS_BASE 0xc0000101

void hak_cpu_init(struct hak_cpu *cpu, unsigned id)
{
	*cpu = (struct hak_cpu){ .self = cpu, .cache = hak_cache_none, .id = id };
	cpu_write_msr(MSR_GS_BASE, (uintptr_t)cpu);
}
