/* SPDX-License-Identifier: MIT */
/*
 * Moving memory between addresses without copying it, where the platform can move page tables
 * (PLATFORM_MOVES). The memory of empty SuperSlabs moves to where a long run is needed, and
 * that of a large block moves to its new place when the block grows.
 *
 * So empty SuperSlabs that are no neighbours can serve a run that is longer than one of them.
 * New SuperSlabs are mapped, and get the memory of empty ones, first of those that have no
 * empty neighbour.
 *
 * Lock: that of the arena. It is dropped while the provider moves memory. No other caller can
 * reach that memory then.
 *
 * Failure: less has moved than was asked for.
 */
#include "superslab/remap.h"

#include "pages/pagemap.h"
#include "pages/pages.h"
#include "superslab/arena.h"

/* The memory of one empty SuperSlab, or some of it, is now that of another. */
static void remap_inherit(struct superslab *superslab, const struct superslab *from)
{
	for (unsigned i = 0; i < NR_WINDOWS; i++)
		superslab->window[i].unbacked = from->window[i].unbacked;
	superslab->zero &= from->zero;
	superslab->purgeable &= from->purgeable;
	for (unsigned i = 0; i < UNITS_PER_SUPERSLAB; i++) {
		superslab->slab[i].unbacked = from->slab[i].unbacked;
		superslab->slab[i].untouched = from->slab[i].untouched;
	}
}

/**
 * remap_reserve() - give new SuperSlabs the memory of empty ones
 * @chain: new SuperSlabs, which are in no list yet
 *
 * So their memory need not be got again page by page.
 */
void remap_reserve(struct list_node *chain)
{
	struct superslab *empty;

	if (!PLATFORM_MOVES || !pages_moves())
		return;
	for (; chain && (empty = arena_withdraw_reserve()); chain = chain->next) {
		struct superslab *superslab = list_entry(chain, struct superslab, node);
		unsigned flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;
		size_t moved = pages_move((void *)empty->base, (void *)superslab->base,
					  SUPERSLAB_SIZE, &flags);

		if (moved)
			remap_inherit(superslab, empty);
		if (moved < SUPERSLAB_SIZE) {
			empty->zero &= (bool)(flags & HAK_PAGES_ZERO);
			empty->purgeable &= (bool)(flags & HAK_PAGES_PURGE);
			arena_return_reserve(empty);
			break;
		}
		empty->node.next = NULL;
		arena_release(&empty->node);
	}
}

/* The memory behind these pages of a span has moved. @flags: the HAK_PAGES_* that hold here now. */
static void note_moved(uintptr_t base, size_t size, unsigned flags)
{
	arena_lock();
	for (uintptr_t end = base + size; base < end; base = (base | (UNIT_SIZE - 1)) + 1) {
		struct slab *unit = address_to_slab(base);
		struct superslab *superslab = slab_superslab(unit);
		size_t rest = MIN(end - base, UNIT_SIZE);

		superslab->zero &= (bool)(flags & HAK_PAGES_ZERO);
		superslab->purgeable &= (bool)(flags & HAK_PAGES_PURGE);
		if (superslab->purgeable)
			unit->unbacked |=
				(uint16_t)(UNIT_PAGES >> (PAGES_PER_UNIT - rest / PAGE_SIZE));
	}
	arena_unlock();
}

/**
 * remap_move() - move the memory behind units in use to others
 * @from: the start of a span of the caller's
 * @to:   the start of another one
 * @size: in bytes, whole pages; the contents at @from are lost
 *
 * Returns how many bytes have moved: all, or fewer if the provider refuses.
 */
size_t remap_move(uintptr_t from, uintptr_t to, size_t size)
{
	unsigned flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;
	size_t done = 0;

	hak_assert((from | to | size) % PAGE_SIZE == 0);
	while (done < size) {
		/* not across an edge of a SuperSlab, here or there */
		size_t edge = SUPERSLAB_SIZE -
			      MAX((from + done) % SUPERSLAB_SIZE, (to + done) % SUPERSLAB_SIZE);
		size_t part = MIN(size - done, edge), moved;

		moved = pages_move((void *)(from + done), (void *)(to + done), part, &flags);
		done += moved;
		if (moved < part)
			break;
	}
	note_moved(from, done, flags);
	return done;
}
