/* SPDX-License-Identifier: MIT */
/*
 * A walk through all SuperSlabs, for verify.c, by their addresses, as they come and go.
 *
 * Lock: that of the arena.
 */
#include "harden/walk.h"

#include "pages/pagemap.h"
#include "superslab/arena.h"

/* The SuperSlab with the lowest address above @last; its base is *@base. NULL if there is none. */
struct superslab *walk_next(uintptr_t last, uintptr_t *base)
{
	struct superslab *next = NULL;

	arena_lock();
	for (struct superslab *superslab = arena_first(); superslab;
	     superslab = arena_next(superslab))
		if (superslab->base > last && (!next || superslab->base < next->base) &&
		    !superslab_is_metadata(superslab))
			next = superslab;
	*base = next ? next->base : 0;
	arena_unlock();
	return next;
}

/*
 * A slab of the class whose lock is held stays: is this one? The descriptor of a unit that is none
 * may never have been written.
 */
bool walk_has(struct superslab *superslab, unsigned index, unsigned class, uintptr_t base)
{
	bool is;

	arena_lock();
	is = pagemap_superslab(base) == superslab && superslab->base == base &&
	     !superslab_is_unused(superslab, index) && !superslab_back(superslab, index) &&
	     superslab->slab[index].class == class &&
	     pagemap_class(base + index * UNIT_SIZE) == class;
	arena_unlock();
	return is;
}
