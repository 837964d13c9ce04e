/* SPDX-License-Identifier: MIT */
/* Which library a program runs with. Lock: none. */
#include <hakmem/hakmem.h>

const char *hak_version(void)
{
	return HAK_VERSION;
}
