/* SPDX-License-Identifier: MIT */
/*
 * SuperSlabs: 2 MiB of memory, 2 MiB-aligned, cut into 32 slabs that are
 * handed out in runs. See superslab.c.
 */
#ifndef HAKMEM_SUPERSLAB_SUPERSLAB_H
#define HAKMEM_SUPERSLAB_SUPERSLAB_H

#include "base/base.h"
#include "superslab/descriptor.h"
#include "superslab/arena.h"

/* What is behind a run of slabs when it is taken? */
enum run_memory {
	RUN_BACKED, /* memory, for the most part */
	RUN_UNBACKED,   /* none, for the most part */
	RUN_ZERO,   /* none, and what comes is known to read zero */
};

/* Which unused slabs will do. */
enum alloc_which {
	ALLOC_ANY,
	ALLOC_BACKED, /* those that have memory */
};

HAK_COLD uintptr_t superslab_alloc(size_t slabs, unsigned slack, size_t align, enum alloc_which which,
				  enum run_memory *memory);
HAK_COLD struct list_node *superslab_alloc_slabs(unsigned n, enum alloc_which which);
HAK_COLD bool superslab_resize(uintptr_t base, size_t old, size_t slabs, unsigned slack);
size_t remap_move(uintptr_t from, uintptr_t to, size_t size);
void superslab_free(uintptr_t base, size_t slabs);
HAK_COLD void superslab_free_slabs(struct list_node *slabs);

/* Single slabs of one SuperSlab, under the lock; what can be unmapped goes to @tail. */
void superslab_alloc_part_locked(struct superslab *superslab, uint32_t part);
void superslab_free_part_locked(struct superslab *superslab, uint32_t part,
			       struct list_node ***end);

#endif
