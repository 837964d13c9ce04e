/* SPDX-License-Identifier: MIT */
/*
 * As in a C library with numbers of its own.
 */
#ifndef TESTS_SOLO5_ERRNO_H
#define TESTS_SOLO5_ERRNO_H

extern int errno;

#define ENOMEM 4
#define EINVAL 6

#endif
