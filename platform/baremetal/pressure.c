/* SPDX-License-Identifier: MIT */
/*
 * Memory is out, and there is nothing to free. A kernel that has something defines this function
 * itself.
 */
#include <hakmem/host.h>

bool hak_host_pressure(size_t bytes)
{
	(void)bytes;
	return false;
}
