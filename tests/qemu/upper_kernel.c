/* SPDX-License-Identifier: MIT */
/*
 * The kernel of images in the upper half: where memory is, and the end.
 */
#include <cpu.h>
#include <exit.h>
#include <machine.h>

#include "upper.h"

#define CR4_LA57 0x1000ul

uintptr_t upper_direct_map(void)
{
	unsigned long cr4;

	__asm__("movq %%cr4, %0" : "=r"(cr4));
	return cr4 & CR4_LA57 ? 0xff00000000000000 : 0xffff800000000000;
}

uint64_t hak_host_physical(const void *address)
{
	uintptr_t a = (uintptr_t)address, direct = upper_direct_map();

	return a >= UPPER ? a - UPPER : a >= direct ? a - direct : a;
}

/* As qemu/exit.h says. */
_Noreturn void hak_machine_exit(int status)
{
	qemu_exit(status);
	for (;;)
		cpu_halt();
}
