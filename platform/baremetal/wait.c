/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a lock where no scheduler can put a thread to sleep: the caller reads the
 * word again soon. The holder is on another CPU, inside a critical section of some
 * hundred instructions; or it scans, for which malloc and free never wait. This file owns
 * nothing. A kernel with a scheduler may do better, and defines this function and that of
 * wake.c itself.
 */
#include <hakmem/host.h>

#include <cpu.h>

void hak_host_wait(_Atomic unsigned *word, unsigned seen)
{
	(void)word;
	(void)seen;
	cpu_relax();
}
