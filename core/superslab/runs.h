/* SPDX-License-Identifier: MIT */
/*
 * Runs of unused units, by their length. See runs.c.
 */
#ifndef HAKMEM_SUPERSLAB_RUNS_H
#define HAKMEM_SUPERSLAB_RUNS_H

#include "superslab/descriptor.h"

#define NR_RUN_LISTS  64u
#define RUNS_EXACT    32u
#define RUNS_METADATA 0u /* the list of all runs in SuperSlabs for metadata */

/* Guarded by the lock of the arena. */
extern HAK_HIDDEN struct runs {
	struct list_node *list[NR_RUN_LISTS]; /* the first unit of each run, through its node */
	uint64_t lists;			      /* a bit for each list that is not empty */
} hak_runs;

/* With the lock of the arena held. */
HAK_COLD unsigned runs_list(bool metadata, size_t units);
HAK_COLD void runs_add(struct superslab *superslab, size_t index, size_t units);
HAK_COLD struct slab *runs_remove(struct superslab *superslab, size_t index, size_t units);
HAK_COLD size_t runs_before(struct superslab *superslab);
HAK_COLD bool runs_have(uintptr_t base, size_t units);
bool runs_is_lowest(uintptr_t base, uintptr_t end);
HAK_COLD uintptr_t runs_skip_unbacked(uintptr_t base, size_t units);
void runs_fini(void);

#endif
