/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_SLAB_CLASS_H
#define HAKMEM_SLAB_CLASS_H

#include "base/base.h"
#include "pages/bug.h"
#include "base/counters.h"
#include "superslab/claim.h"

unsigned class_alloc(unsigned class, void **end, unsigned n, enum alloc_which which);
HAK_COLD unsigned class_alloc_partial(unsigned class, void **end, unsigned n);
uint64_t class_free(unsigned class, void *const *blocks, unsigned n);

/* What is wrong with freeing @block, of this class by the page map? */
enum hak_bug_code class_inspect(unsigned class, const void *block, size_t *detail);

/* Giving back the free pages of slabs in use; see claim_next(). */
HAK_COLD void class_claim(struct claim *claim, bool all);
void class_free_claimed(const struct claim *claim, int flags);

uint64_t class_outstanding(unsigned class);
uint64_t class_outstanding_in(const struct superslab *superslab);
void class_count_uncached(unsigned class, enum uncached what);
void class_read_counters(unsigned class, struct class_counters *counters);
const char *class_check(void);
void class_fork_lock(void);
void class_fork_unlock(void);
void class_fini(void);

#endif
