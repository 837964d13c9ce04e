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

/* newlib's values; its headers are not at hand when the library is built */
#define NEWLIB_ENOMEM 12
#define NEWLIB_EINVAL 22

extern int *__errno(void) __attribute__((weak));

void hak_host_set_error(enum hak_error error)
{
	if (__errno && this_cache() != hak_cache_never)
		*__errno() = error == HAK_EINVAL ? NEWLIB_EINVAL : NEWLIB_ENOMEM;
}
