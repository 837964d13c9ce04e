/* SPDX-License-Identifier: MIT */
/*
 * SuperSlabs: 2 MiB of memory, aligned to 2 MiB, cut into units that are allocated in runs.
 * See superslab.c.
 */
#ifndef HAKMEM_SUPERSLAB_SUPERSLAB_H
#define HAKMEM_SUPERSLAB_SUPERSLAB_H

#include "superslab/descriptor.h"

/* Which memory may be allocated? */
enum alloc_which {
	ALLOC_ANY,	 /* all for blocks of the program, from the provider as well */
	ALLOC_TO_GROW,	 /* the same, for a block that has outgrown its place, and may again */
	ALLOC_POPULATED, /* the same, for slabs of which all pages will be used soon */
	ALLOC_BACKED,	/* only backed units; but any block of the slabs that a class already has */
	ALLOC_METADATA, /* all for bitmaps; the same as ALLOC_ANY without HAK_METADATA_APART */
};

HAK_COLD uintptr_t superslab_alloc(size_t units, unsigned slack, size_t align,
				   enum alloc_which which, bool *backed);
HAK_COLD struct list_node *superslab_alloc_slabs(unsigned n, unsigned units, unsigned least,
						 enum alloc_which which);
HAK_COLD bool superslab_resize(uintptr_t base, size_t old, size_t units, unsigned slack);
HAK_COLD void superslab_free(uintptr_t base, size_t units);
HAK_COLD void superslab_free_slabs(struct list_node *slabs);

/* The pages of a unit of a span that are used, and those that are slack. Likewise locked. */
HAK_COLD void superslab_set_slack(struct slab *unit, unsigned used, unsigned slack);

/* Units of one window, as bits, with the lock of the arena held. */
HAK_COLD void superslab_alloc_part(struct superslab *superslab, struct window *window,
				   unit_mask part);
HAK_COLD void superslab_free_part(struct superslab *superslab, struct window *window,
				  unit_mask part, struct list_node **chain);

#endif
