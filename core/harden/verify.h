/* SPDX-License-Identifier: MIT */
/*
 * Blocks that nobody frees are looked at, too. See verify.c.
 */
#ifndef HAKMEM_HARDEN_VERIFY_H
#define HAKMEM_HARDEN_VERIFY_H

#include "harden/walk.h"

/* Look at some SuperSlabs, or at all. Stops the program if a block is broken. */
void verify_some(unsigned superslabs, const char *caller);
#define VERIFY_STEP    2u
#define VERIFY_AT_EXIT 64u
#define VERIFY_ALL     WALK_ALL

#endif
