/* SPDX-License-Identifier: MIT */
/*
 * The reason for a NULL is stored in errno if the image has a newlib. It is not stored in
 * an interrupt handler, since errno there is that of the code that was interrupted.
 *
 * newlib reaches errno through __errno(). The reference is weak, so that an image
 * without a C library links. In one with newlib, the code that reads errno has brought
 * the function in.
 */
#include "platform.h"

extern int *__errno(void) __attribute__((weak));

HAK_COLD void hak_host_set_error(enum hak_error error)
{
	if (__errno && this_cache() != hak_cache_never)
		*__errno() = error;
}
