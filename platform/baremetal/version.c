/* SPDX-License-Identifier: MIT */
/* Which library an image is linked with. Lock: none. */
#include <hakmem/hakmem.h>

const char *hak_version(void)
{
	return HAK_VERSION;
}
