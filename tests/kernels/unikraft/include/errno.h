/* SPDX-License-Identifier: MIT */
#ifndef TESTS_ERRNO_H
#define TESTS_ERRNO_H

extern int errno;

/* As on Linux. */
#define ENOMEM 12
#define EEXIST 17
#define EINVAL 22
#define ERANGE 34

#endif
