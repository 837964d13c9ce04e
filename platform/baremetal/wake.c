/* SPDX-License-Identifier: MIT */
/*
 * Nobody sleeps for a lock (wait.c), so nobody is woken.
 */
#include <hakmem/host.h>

void hak_host_wake(_Atomic unsigned *word)
{
	(void)word;
}
