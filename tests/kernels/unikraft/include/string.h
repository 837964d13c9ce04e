/* SPDX-License-Identifier: MIT */
#ifndef TESTS_STRING_H
#define TESTS_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);

#endif
