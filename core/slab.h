/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_SLAB_H
#define HAKMEM_SLAB_H

#include "base.h"
#include "bug.h"
#include "counters.h"
#include "look.h"

unsigned slab_take(unsigned class, void **end, unsigned n, enum take which);
HAK_COLD unsigned slab_take_partial(unsigned class, void **end, unsigned n);
uint64_t slab_put(unsigned class, void *const *blocks, unsigned n);

/* What is wrong with freeing @block, of this class by the page map? */
enum hak_bug_code slab_inspect(unsigned class, const void *block, size_t *detail);

/* Giving back the free pages of slabs in use; see look_next(). */
HAK_COLD void slab_look(struct look *look, bool all);
void slab_look_done(const struct look *look, int flags);

uint64_t slab_outstanding(unsigned class);
uint64_t slab_outstanding_in(const struct superslab *superslab);
void slab_count_bypass(unsigned class, enum bypass what);
void slab_read_counters(unsigned class, struct class_counters *counters);
const char *slab_check(void);
void slab_fork_lock(void);
void slab_fork_unlock(void);
void slab_fini(void);

#endif
