/* SPDX-License-Identifier: MIT */
/*
 * Accesses that fault, on both platforms: see fault_linux.c and fault_baremetal.c.
 */
#ifndef HAKMEM_TESTS_FAULT_H
#define HAKMEM_TESTS_FAULT_H

#include <stdbool.h>

/* Before the others. */
void fault_init(void);

/* Does a read of this byte fault, or a write? */
bool fault_by_read(const volatile char *byte);
bool fault_by_write(volatile char *byte);

#endif
