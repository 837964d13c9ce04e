/* SPDX-License-Identifier: MIT */
/*
 * What images have in common that are linked in the upper half and bring their own boot code,
 * upper.S: see upper_kernel.c. The machine has at least 64 MiB.
 */
#ifndef HAKMEM_TESTS_UPPER_H
#define HAKMEM_TESTS_UPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UPPER	     0xffffffff80000000ul /* where the image has all memory; also in upper.ld */
#define MIB	     ((size_t)1 << 20)
#define UPPER_MEMORY (64 * MIB)

extern char upper_end[];

/* Where upper.S ends. The memory of the loader is as it was left. */
struct pvh_start_info;
_Noreturn void upper_main(const struct pvh_start_info *info);

/* Page tables of the fourth level and, for the first 512 GiB, of the third. */
extern uint64_t upper_pml4[512], upper_pdpt_low[512];

/* Where the direct map of all memory begins. The CPU decides, so that is known at boot only. */
uintptr_t upper_direct_map(void);

#endif
