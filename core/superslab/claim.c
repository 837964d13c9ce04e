/* SPDX-License-Identifier: MIT */
/*
 * What a scan (reclaim/scan.c) does to one SuperSlab: it claims what is idle, purges it, and
 * frees it. A claim is an allocation: for all others, claimed memory is in use. So no lock has
 * to be held while the provider purges.
 *
 *	unused slabs are allocated like any others, and freed in the end;
 *	slack of a span is claimed by a bit for its slab: if the span is freed
 *	meanwhile, the slab does not become unused, but belongs to the scan, which frees it;
 *	free blocks of a slab are claimed in slab/class.c.
 *
 * If nothing of a SuperSlab is claimed, it may be unmapped at any time after claim_next(). Its
 * descriptor may then be that of another one: class_claim() checks each slab under a lock.
 *
 * Lock: that of the arena; it is dropped while the provider purges.
 *
 * Failure: what the provider refuses to purge stays backed, and the provider is not asked
 * again before a trim.
 */
#include "superslab/claim.h"

#include "pages/pages.h"
#include "superslab/arena.h"
#include "superslab/superslab.h"

/* A scan begins with the first of all SuperSlabs. */
void claim_first(void)
{
	arena_lock();
	hak_arena.next_scanned = arena_first();
	arena_unlock();
}

/*
 * The unused slabs that could be purged, as bits. An empty SuperSlab that can be unmapped is
 * left to arena_age_reserve().
 */
static uint32_t purgeable_unused(const struct superslab *superslab)
{
	if (superslab->unused == ALL_SLABS && !superslab->refused)
		return 0;
	return superslab->unused & ~superslab->unbacked;
}

/* The slabs in use whose slack is backed, as bits. */
static uint32_t purgeable_slack(const struct superslab *superslab)
{
	uint32_t slack = 0;

	for (uint32_t used = ~superslab->unused; used; used &= used - 1) {
		const struct slab *slab = &superslab->slab[lowest_bit(used)];

		/* without slack, the slab may be of a class, whose lock guards `unbacked` then */
		if (slab->slack && slab->slack & ~slab->unbacked)
			slack |= used & -used;
	}
	return slack;
}

static void claim_superslab(struct claim *claim, bool all)
{
	struct superslab *superslab = claim->superslab;
	uint32_t purgeable;

	hak_assert(!superslab->claimed);
	superslab->unpurged &= !all;
	if (!superslab->purgeable || superslab->unpurged)
		return;
	purgeable = purgeable_unused(superslab);
	claim->unused = all ? purgeable : purgeable & superslab->idle;
	superslab->idle = purgeable & ~claim->unused;
	claim->again = superslab->idle;
	claim->slack = superslab->claimed = purgeable_slack(superslab);
	for (uint32_t slabs = claim->unused | claim->slack; slabs; slabs &= slabs - 1) {
		const struct slab *slab = &superslab->slab[lowest_bit(slabs)];
		bool used = claim->slack >> slab->index & 1;

		claim->pages[slab->index] = (used ? slab->slack : ALL_PAGES) & ~slab->unbacked;
	}
	if (claim->unused)
		superslab_alloc_part(superslab, claim->unused);
}

/**
 * claim_next() - claim what is idle of the next SuperSlab
 * @all: also what was used a moment ago
 *
 * False if there is no SuperSlab left in this scan.
 */
bool claim_next(struct claim *claim, bool all)
{
	arena_lock();
	*claim = (struct claim){ .superslab = hak_arena.next_scanned };
	if (claim->superslab) {
		hak_arena.next_scanned = arena_next(claim->superslab);
		claim_superslab(claim, all);
	}
	arena_unlock();
	return claim->superslab;
}

/**
 * claim_purge() - purge the pages that are claimed
 *
 * Neighbours are purged in one call of the provider. Returns the HAK_PAGES_* that hold for all
 * of them. If the provider refuses a call, no other one is made, and the result is negative:
 * then all pages count as backed, also those that were purged.
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

/* Note how the purge went, and free the slabs that are the scan's. @flags: of claim_purge(). */
void claim_free(const struct claim *claim, int flags)
{
	struct list_node *chain = NULL;
	struct superslab *superslab = claim->superslab;
	uint32_t part;

	arena_lock();
	hak_assert(!(superslab->claimed & ~claim->slack));
	superslab->unpurged = flags < 0;
	superslab->purgeable &= flags < 0 || flags & HAK_PAGES_PURGE;
	superslab->zero &= flags < 0 || flags & HAK_PAGES_ZERO;
	for (uint32_t slabs = claim->unused | claim->slack; slabs && flags >= 0;
	     slabs &= slabs - 1) {
		struct slab *slab = &superslab->slab[lowest_bit(slabs)];

		slab->unbacked |= claim->pages[slab->index];
		slab->untouched &= (uint16_t)~claim->pages[slab->index];
	}
	part = claim->unused | (claim->slack & ~superslab->claimed);
	superslab->claimed = 0;
	if (part)
		superslab_free_part(superslab, part, &chain);
	arena_unlock();
	arena_release(chain);
}
