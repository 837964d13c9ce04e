/* SPDX-License-Identifier: MIT */
/*
 * SuperSlabs: 2 MiB of memory, 2 MiB-aligned, cut into 32 slabs that are
 * handed out in runs. See superslab.c.
 */
#ifndef HAKMEM_SUPERSLAB_H
#define HAKMEM_SUPERSLAB_H

#include "base.h"
#include "descriptor.h"
#include "heap.h"

/* What is behind a run of slabs when it is taken? */
enum run_memory {
	RUN_FILLED, /* memory, for the most part */
	RUN_BARE,   /* none, for the most part */
	RUN_ZERO,   /* none, and what comes is known to read zero */
};

/* Which unused slabs will do. */
enum take {
	TAKE_ANY,
	TAKE_FILLED, /* those that have memory */
};

HAK_COLD uintptr_t superslab_take(size_t slabs, unsigned spare, size_t align, enum take which,
				  enum run_memory *memory);
HAK_COLD struct list_node *superslab_take_slabs(unsigned n, enum take which);
HAK_COLD bool superslab_resize(uintptr_t base, size_t old, size_t slabs, unsigned spare);
size_t superslab_move(uintptr_t from, uintptr_t to, size_t size);
void superslab_put(uintptr_t base, size_t slabs);
HAK_COLD void superslab_put_slabs(struct list_node *slabs);

/* Single slabs of one SuperSlab, under the lock; what can be unmapped goes to @tail. */
void superslab_take_part_locked(struct superslab *superslab, uint32_t part);
void superslab_put_part_locked(struct superslab *superslab, uint32_t part,
			       struct list_node ***tail);

#endif
