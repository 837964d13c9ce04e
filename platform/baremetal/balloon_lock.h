/* SPDX-License-Identifier: MIT */
/*
 * The locks of the balloon: 0, or 1 if somebody has it. A caller waits for as long as
 * a device may take, and then gives up. See balloon.c.
 */
#ifndef HAKMEM_BALLOON_LOCK_H
#define HAKMEM_BALLOON_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>

bool hak_balloon_try_lock(_Atomic unsigned *lock);
bool hak_balloon_lock(_Atomic unsigned *lock);
void hak_balloon_unlock(_Atomic unsigned *lock);

#endif
