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
#include "superslab/claim.h"

#include "pages/pages.h"

/* Looks begin with the first of all SuperSlabs. */
void claim_first(void)
{
	arena_lock();
	hak_arena.next_scanned = arena_first();
	arena_unlock();
}

/* The unused slabs that could be purged, as bits. A reserve that can go ages by itself. */
static uint32_t purgeable_unused(const struct superslab *superslab)
{
	if (superslab->unused == ALL_SLABS && !superslab->refused)
		return 0;
	return superslab->unused & ~superslab->unbacked;
}

/* The slabs in use that have memory behind the end of a span, as bits. */
static uint32_t slabs_with_slack(const struct superslab *superslab)
{
	uint32_t slack = 0;

	for (uint32_t used = ~superslab->unused; used; used &= used - 1) {
		const struct slab *slab = &superslab->slab[lowest_bit(used)];

		if (slab->slack & ~slab->unbacked)
			slack |= used & -used;
	}
	return slack;
}

static void look_locked(struct claim *claim, bool all)
{
	struct superslab *superslab = claim->superslab;
	uint32_t purgeable;

	superslab->unpurged &= !all;
	if (!superslab->purgeable || superslab->unpurged)
		return;
	purgeable = purgeable_unused(superslab);
	claim->unused = all ? purgeable : purgeable & superslab->idle;
	superslab->idle = purgeable & ~claim->unused;
	claim->again = superslab->idle;
	claim->slack = superslab->claimed = slabs_with_slack(superslab);
	for (uint32_t slabs = claim->unused | claim->slack; slabs; slabs &= slabs - 1) {
		const struct slab *slab = &superslab->slab[lowest_bit(slabs)];
		bool used = claim->slack >> slab->index & 1;

		claim->pages[slab->index] = (used ? slab->slack : ALL_PAGES) & ~slab->unbacked;
	}
	if (claim->unused)
		superslab_alloc_part_locked(superslab, claim->unused);
}

/**
 * claim_next() - look at the next SuperSlab
 * @all: also at what was in use a moment ago
 *
 * What can be purged is the look's from here to claim_free(), so that no lock has to be
 * held: unused slabs are taken like any others, and a slab with pages behind the end of
 * a span, if the span is freed, does not become unused. False if there is none left.
 */
bool claim_next(struct claim *claim, bool all)
{
	arena_lock();
	*claim = (struct claim){ .superslab = hak_arena.next_scanned };
	if (hak_arena.next_scanned) {
		hak_arena.next_scanned = arena_next(hak_arena.next_scanned);
		look_locked(claim, all);
	}
	arena_unlock();
	return claim->superslab;
}

/**
 * claim_purge() - purge the pages of a look
 *
 * Neighbours in one call of the provider. Returns the HAK_PAGES_* that hold for
 * all of them, or a negative value if it refused any: then all count as
 * unpurged, and no more is asked for in this SuperSlab.
 */
int claim_purge(const struct claim *claim)
{
	uintptr_t base = claim->superslab->base;
	unsigned page = 0, end = SLABS_PER_SUPERSLAB * PAGES_PER_SLAB;
	int flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;

	while (page < end && flags >= 0) {
		unsigned first = page;

		while (page < end &&
		       claim->pages[page / PAGES_PER_SLAB] >> page % PAGES_PER_SLAB & 1)
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

/* Note how the purge went, and return what is the look's. @flags: of claim_purge(). */
void claim_free(const struct claim *claim, int flags)
{
	struct list_node *chain = NULL, **end = &chain;
	struct superslab *superslab = claim->superslab;
	uint32_t part;

	arena_lock();
	superslab->unpurged = flags < 0;
	superslab->purgeable = flags < 0 || flags & HAK_PAGES_PURGE;
	superslab->zero &= flags < 0 || flags & HAK_PAGES_ZERO;
	for (uint32_t slabs = claim->unused | claim->slack; slabs && flags >= 0; slabs &= slabs - 1) {
		struct slab *slab = &superslab->slab[lowest_bit(slabs)];

		slab->unbacked |= claim->pages[slab->index];
		slab->untouched &= (uint16_t)~claim->pages[slab->index];
	}
	part = claim->unused | (claim->slack & ~superslab->claimed);
	superslab->claimed = 0;
	if (part)
		superslab_free_part_locked(superslab, part, &end);
	arena_unlock();
	arena_release(chain);
}
