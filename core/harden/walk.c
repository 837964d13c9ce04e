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
static struct superslab *walk_next(uintptr_t last, uintptr_t *base)
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
 * Visit the units of so many SuperSlabs, from where the last walk has ended; or of all. No lock is
 * held in a visit: the SuperSlab, whose base it was, may have gone.
 */
void walk_some(unsigned superslabs, walk_fn *visit, const char *caller)
{
	static _Atomic uintptr_t last;
	uintptr_t at = superslabs == WALK_ALL ? 0 : last;

	while (superslabs--) {
		uintptr_t base;
		struct superslab *superslab = walk_next(at, &base);

		at = base;
		if (!superslab)
			break;
		for (unsigned i = 0; i < superslab_described(superslab); i++)
			visit(superslab, i, base, caller);
	}
	last = at;
}

/*
 * With the lock held: is the SuperSlab still there, and may a slab or a span begin in this unit?
 * The descriptor of a unit in which none does may never have been written.
 */
bool walk_is_first(const struct superslab *superslab, unsigned index, uintptr_t base)
{
	return pagemap_superslab(base) == superslab && superslab->base == base &&
	       !superslab_is_unused(superslab, index) && !superslab_back(superslab, index);
}

/* A slab of the class whose lock is held stays: is this one? */
bool walk_has(struct superslab *superslab, unsigned index, unsigned class, uintptr_t base)
{
	bool is;

	arena_lock();
	is = walk_is_first(superslab, index, base) && superslab->slab[index].class == class &&
	     pagemap_class(base + index * UNIT_SIZE) == class;
	arena_unlock();
	return is;
}
