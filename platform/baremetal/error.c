/* SPDX-License-Identifier: MIT */
/*
 * The reason for a NULL: errno if the image has a newlib, else nothing; nor in an
 * interrupt handler, where it would be that of whom it interrupted.
 *
 * newlib reaches errno through __errno(). The reference is weak, so that an
 * image without a C library links; in one with newlib, whoever reads errno has
 * brought the function in.
 */
#include "machine.h"

/* newlib's values; its headers are not at hand when the library is built */
#define NEWLIB_ENOMEM 12
#define NEWLIB_EINVAL 22

extern int *__errno(void) __attribute__((weak));

void hak_host_set_error(enum hak_error error)
{
	if (__errno && this_cache() != hak_cache_never)
		*__errno() = error == HAK_EINVAL ? NEWLIB_EINVAL : NEWLIB_ENOMEM;
}
