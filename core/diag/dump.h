/* SPDX-License-Identifier: MIT */
/*
 * What lies in a piece of memory, for the platforms. See dump.c.
 */
#ifndef HAKMEM_DIAG_DUMP_H
#define HAKMEM_DIAG_DUMP_H

#include <stddef.h>
#include <stdint.h>

const void *hak_dump_held(uintptr_t base, uintptr_t end, size_t *bytes);

#endif
