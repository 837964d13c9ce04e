/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_SLAB_H
#define HAKMEM_SLAB_H

#include "base.h"
#include "bug.h"
#include "look.h"
#include "sizeclass.h"

struct slab_counters {
	uint64_t taken;		    /* blocks handed out, ever */
	uint64_t put;		    /* blocks come back, ever */
	uint64_t slabs;		    /* slabs of the class now */
	uint64_t retouched;	    /* purged pages that were handed out again */
	_Atomic uint64_t bypass[2]; /* calls of those without a magazine, by enum bypass */
};

unsigned slab_take(unsigned class, void **end, unsigned n);
unsigned slab_take_partial(unsigned class, void **end, unsigned n);
uint64_t slab_put(unsigned class, void *const *blocks, unsigned n);

/* What is wrong with freeing @block, of this class by the page map? */
enum hak_bug_code slab_inspect(unsigned class, const void *block, size_t *detail);

/* Giving back the free pages of slabs in use; see look_next(). */
void slab_look_first(void);
void slab_look(struct look *look, bool all);
void slab_look_done(const struct look *look, int flags);

uint64_t slab_outstanding(unsigned class);
uint64_t slab_outstanding_in(const struct superslab *superslab);
void slab_count_bypass(unsigned class, enum bypass what);
void slab_read_counters(unsigned class, struct slab_counters *counters);
uint64_t slab_locks(unsigned class); /* times that the lock of the class was taken */
const char *slab_check(void);
void slab_fork_lock(bool must);
void slab_fork_unlock(bool must);
void slab_fini(void);

#endif
