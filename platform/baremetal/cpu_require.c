/* SPDX-License-Identifier: MIT */
/*
 * Has this CPU been given its private words? Without them a malloc reads what is at address 8, or
 * in an area of the kernel that is something else. Lock: none.
 */
#include "platform.h"

#include <cpu.h>

static bool is_ring_0(void)
{
	unsigned selector;

	__asm__("movl %%cs, %0" : "=r"(selector));
	return !(selector & 3);
}

static HAK_COLD bool is_set(void)
{
	static struct hak_cpu nobody;
	uintptr_t gs;

	if (CONFIG_HAK_CPU_HEADER)
		return this_cpu() && this_cpu()->self == this_cpu();
	if (!is_ring_0())
		return true; /* there is no way to tell */
	gs = cpu_read_msr(MSR_GS_BASE);
	if (gs)
		return gs_for(this_cpu()) == gs;
	hak_cpu_init(&nobody, 0); /* for the panic, which asks for the number of the CPU */
	return false;
}

HAK_COLD void hak_cpu_require(void)
{
	if (!is_set())
		hak_host_panic("hakmem: hak_init() before hak_cpu_init()");
}
