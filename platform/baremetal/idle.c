/* SPDX-License-Identifier: MIT */
/*
 * Giving memory back where an idle loop calls hak_idle(): no thread has to be told that
 * there is something to give back. A kernel that would rather wake a thread for it
 * defines this function itself.
 */
#include <hakmem/host.h>

void hak_host_reap(enum hak_reap_why why)
{
	(void)why;
}
