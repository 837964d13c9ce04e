/* SPDX-License-Identifier: MIT */
/*
 * The units of all SuperSlabs, one after another. See walk.c.
 */
#ifndef HAKMEM_HARDEN_WALK_H
#define HAKMEM_HARDEN_WALK_H

#include "superslab/descriptor.h"

#define WALK_ALL UINT32_MAX

typedef void walk_fn(struct superslab *superslab, unsigned index, uintptr_t base,
		     const char *caller);

void walk_some(unsigned superslabs, walk_fn *visit, const char *caller);
bool walk_is_first(const struct superslab *superslab, unsigned index, uintptr_t base);
bool walk_has(struct superslab *superslab, unsigned index, unsigned class, uintptr_t base);

#endif
