/* SPDX-License-Identifier: MIT */
/*
 * What a look (reap.c) does to one SuperSlab: finds its unused slabs, and the
 * spare pages behind the ends of spans, that have memory and were not used since
 * the last look; purges them, with what slab.c adds; and notes how it went.
 *
 * Lock: that of heap.c, dropped while the provider purges. What is being purged
 * is nobody's meanwhile: unused slabs count as used, and slabs with spare pages
 * are not unused before its end.
 *
 * Failure: what the provider refuses stays as it was, and is not asked for again
 * before a trim.
 */
#include "look.h"

#include "pages.h"

/* Looks begin with the first of all SuperSlabs. */
void look_first(void)
{
	heap_lock();
	hak_heap.look = heap_first();
	heap_unlock();
}

/* The unused slabs that could be purged, as bits. A reserve that can go ages by itself. */
static uint32_t purgeable_unused(const struct superslab *superslab)
{
	if (superslab->unused == ALL_SLABS && !superslab->refused)
		return 0;
	return superslab->unused & ~superslab->clean;
}

/* The slabs in use that have memory behind the end of a span, as bits. */
static uint32_t slabs_with_slack(const struct superslab *superslab)
{
	uint32_t slack = 0;

	for (uint32_t used = ~superslab->unused; used; used &= used - 1) {
		const struct slab *slab = &superslab->slab[lowest_bit(used)];

		if (slab->spare & ~slab->purged)
			slack |= used & -used;
	}
	return slack;
}

static void look_locked(struct look *look, bool all)
{
	struct superslab *superslab = look->superslab;
	uint32_t purgeable;

	superslab->unpurged &= !all;
	if (!superslab->purgeable || superslab->unpurged)
		return;
	purgeable = purgeable_unused(superslab);
	look->unused = all ? purgeable : purgeable & superslab->ripe;
	superslab->ripe = purgeable & ~look->unused;
	look->ripening = superslab->ripe;
	look->slack = superslab->claimed = slabs_with_slack(superslab);
	for (uint32_t slabs = look->unused | look->slack; slabs; slabs &= slabs - 1) {
		const struct slab *slab = &superslab->slab[lowest_bit(slabs)];
		bool used = look->slack >> slab->index & 1;

		look->pages[slab->index] = (used ? slab->spare : ALL_PAGES) & ~slab->purged;
	}
	if (look->unused)
		superslab_take_part_locked(superslab, look->unused);
}

/**
 * look_next() - look at the next SuperSlab
 * @all: also at what was in use a moment ago
 *
 * What can be purged is the look's from here to look_done(), so that no lock has to be
 * held: unused slabs are taken like any others, and a slab with pages behind the end of
 * a span, if the span is freed, does not become unused. False if there is none left.
 */
bool look_next(struct look *look, bool all)
{
	heap_lock();
	*look = (struct look){ .superslab = hak_heap.look };
	if (hak_heap.look) {
		hak_heap.look = heap_next(hak_heap.look);
		look_locked(look, all);
	}
	heap_unlock();
	return look->superslab;
}

/**
 * look_purge() - purge the pages of a look
 *
 * Neighbours in one call of the provider. Returns the HAK_PAGES_* that hold for
 * all of them, or a negative value if it refused any: then all count as
 * unpurged, and no more is asked for in this SuperSlab.
 */
int look_purge(const struct look *look)
{
	uintptr_t base = look->superslab->base;
	unsigned page = 0, end = SLABS_PER_SUPERSLAB * PAGES_PER_SLAB;
	int flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;

	while (page < end && flags >= 0) {
		unsigned first = page;

		while (page < end &&
		       look->pages[page / PAGES_PER_SLAB] >> page % PAGES_PER_SLAB & 1)
			page++;
		if (page > first) {
			int now = pages_purge((void *)(base + first * PAGE_SIZE),
					      (page - first) * PAGE_SIZE);

			flags = now < 0 ? now : flags & now;
		} else {
			page++;
		}
	}
	return flags;
}

/* Note how the purge went, and return what is the look's. @flags: of look_purge(). */
void look_done(const struct look *look, int flags)
{
	struct list_node *chain = NULL, **tail = &chain;
	struct superslab *superslab = look->superslab;
	uint32_t part;

	heap_lock();
	superslab->unpurged = flags < 0;
	superslab->purgeable = flags < 0 || flags & HAK_PAGES_PURGE;
	superslab->zero &= flags < 0 || flags & HAK_PAGES_ZERO;
	for (uint32_t slabs = look->unused | look->slack; slabs && flags >= 0; slabs &= slabs - 1) {
		struct slab *slab = &superslab->slab[lowest_bit(slabs)];

		slab->purged |= look->pages[slab->index];
		slab->fresh &= (uint16_t)~look->pages[slab->index];
	}
	part = look->unused | (look->slack & ~superslab->claimed);
	superslab->claimed = 0;
	if (part)
		superslab_put_part_locked(superslab, part, &tail);
	heap_unlock();
	heap_release(chain);
}
