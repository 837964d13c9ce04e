/* SPDX-License-Identifier: MIT */
/* See README.md. */
#ifndef HAKMEM_STDDEF_H
#define HAKMEM_STDDEF_H

typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

#ifdef __cplusplus
#define NULL __null
#else
#define NULL ((void *)0)
#endif

#define offsetof(type, member) __builtin_offsetof(type, member)

#endif
