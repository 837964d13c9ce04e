/* SPDX-License-Identifier: MIT */
/*
 * Groups: spans of one class, side by side. See group.c. All but the first four are called with the
 * lock of the arena held.
 */
#ifndef HAKMEM_SUPERSLAB_GROUP_H
#define HAKMEM_SUPERSLAB_GROUP_H

#include "base/sizeclass.h"
#include "pages/bug.h"
#include "superslab/superslab.h"

uintptr_t group_alloc(unsigned class, enum alloc_which which);
void group_free(unsigned class, uintptr_t span);

/* Of an address whose class byte is that of a class with groups. */
enum hak_bug_code group_inspect(unsigned class, uintptr_t address, size_t *detail);

size_t group_units(unsigned class);
unsigned group_outstanding(const struct slab *head);
unsigned group_spans_in(unsigned class, const struct slab *unit, uintptr_t *first);
const char *group_check(const struct slab *head);
void group_fini(void);

#endif
