/* SPDX-License-Identifier: MIT */
/*
 * hakmem in a unikernel on Solo5.
 */
#ifndef HAKMEM_SOLO5_H
#define HAKMEM_SOLO5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is left to the stack, which begins at the end of the heap and grows down; bytes. */
#ifndef HAK_SOLO5_STACK
#define HAK_SOLO5_STACK ((size_t)1 << 20)
#endif

/**
 * hak_solo5_init() - make the heap of what Solo5 gives
 * @start: heap_start of struct solo5_start_info
 * @size:  heap_size of it, in bytes
 *
 * Called once, before anything is allocated. Of a small heap a quarter is left to the stack.
 * Returns false if there is no memory that blocks could be made of.
 */
bool hak_solo5_init(uintptr_t start, size_t size);

#ifdef __cplusplus
}
#endif

#endif
