/* SPDX-License-Identifier: MIT */
/*
 * Blocks that are free, and wait before they are used again. See waiting.c.
 */
#ifndef HAKMEM_DEBUG_WAITING_H
#define HAKMEM_DEBUG_WAITING_H

#include "debug/record.h"

/* A block that the caller has, and that is free from now on, comes. */
void waiting_enter(struct record *record);

/* All go to the heap below. Were there any? */
bool waiting_flush(void);

/* Stops the program if one of them was written to. */
void waiting_verify(const char *caller);

/* The heap is gone. */
void waiting_fini(void);

#endif
