/* SPDX-License-Identifier: MIT */
/*
 * The private area of the boot CPU, which GS points to, and the cache in it.
 *
 * GS rather than an array indexed by the CPU's number: this_cache() is one
 * instruction, and an interrupt between two cannot make it answer for another
 * CPU. Only the owner writes an area, so there is no lock. Nothing can fail.
 */
#include "machine.h"

#include <cpu.h>
#include <platform.h>

#define MSR_GS_BASE 0xc0000101

/* What a CPU that has none yet allocates through (core/magazine.h). */
extern struct hak_cache hak_cache_none;

static struct hak_cpu boot_cpu;

void hak_cpu_init(void)
{
	boot_cpu.self = &boot_cpu;
	boot_cpu.cache = &hak_cache_none;
	cpu_write_msr(MSR_GS_BASE, (uintptr_t)&boot_cpu);
}
