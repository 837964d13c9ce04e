/* SPDX-License-Identifier: MIT */
/*
 * Images that play the kernels to which hakmem is ported: see boot.c.
 */
#ifndef TESTS_KERNELS_H
#define TESTS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* All memory that is not the image's: from a multiple of 1 MiB on, mapped one to one. */
extern uintptr_t kernel_memory;
extern size_t kernel_memory_size;

/* Each image has its own; what it returns is the status of the machine. */
int kernel_main(void);

#endif
