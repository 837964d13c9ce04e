/* SPDX-License-Identifier: MIT */
/*
 * All SuperSlabs, one after another. See walk.c.
 */
#ifndef HAKMEM_HARDEN_WALK_H
#define HAKMEM_HARDEN_WALK_H

#include "superslab/descriptor.h"

struct superslab *walk_next(uintptr_t last, uintptr_t *base);
bool walk_has(struct superslab *superslab, unsigned index, unsigned class, uintptr_t base);

#endif
