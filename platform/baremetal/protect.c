/* SPDX-License-Identifier: MIT */
/*
 * Pages cannot be made to fault: the library knows nothing of page tables. A kernel that has some
 * defines this function itself.
 */
#include <hakmem/host.h>

bool hak_host_protect(void *base, size_t size, bool faults)
{
	(void)base;
	(void)size;
	(void)faults;
	return false;
}
