/* SPDX-License-Identifier: MIT */
/*
 * This file does not know how to reach other CPUs, so blocks are taken out of the
 * caller's own magazines only. A single CPU has no others. A kernel with several CPUs
 * that wants the blocks of idle ones back defines this function itself, as
 * arch/x86_64/boot/smp.c does with non-maskable interrupts.
 */
#include <hakmem/host.h>

bool hak_host_barrier(void)
{
	return false;
}
