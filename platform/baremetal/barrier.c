/* SPDX-License-Identifier: MIT */
/*
 * Nothing is known here of how to reach other CPUs, so blocks are taken out of
 * the caller's own magazines only. That is all there are on a single CPU. A
 * kernel with several that wants those of idle CPUs back defines this function
 * itself (arch/x86_64/boot/smp.c does, with non-maskable interrupts). Owns nothing.
 */
#include <hakmem/host.h>

bool hak_host_barrier(void)
{
	return false;
}
