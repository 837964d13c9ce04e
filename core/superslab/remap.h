/* SPDX-License-Identifier: MIT */
/*
 * Moving memory between addresses without copying it. See remap.c.
 */
#ifndef HAKMEM_SUPERSLAB_REMAP_H
#define HAKMEM_SUPERSLAB_REMAP_H

#include "superslab/descriptor.h"

void remap_reserve(struct list_node *chain);
size_t remap_move(uintptr_t from, uintptr_t to, size_t size);

#endif
