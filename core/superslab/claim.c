/* SPDX-License-Identifier: MIT */
/*
 * What a scan (reclaim/scan.c) does to one window of a SuperSlab: it claims what is idle, purges
 * it, and frees it. A claim is an allocation: for all others, claimed memory is in use. So no
 * lock has to be held while the provider purges.
 *
 *	unused units are allocated like any others, and freed in the end;
 *	slack of a span is claimed by a bit for its unit: if the span is freed
 *	meanwhile, the unit does not become unused, but belongs to the scan, which frees it;
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

#include "base/policy.h"
#include "pages/pages.h"
#include "superslab/arena.h"
#include "superslab/superslab.h"

/* A scan begins with the first of all SuperSlabs. */
void claim_first(void)
{
	arena_lock();
	hak_arena.next_scanned = arena_first();
	hak_arena.next_window = 0;
	if (PLATFORM_SCANS) {
		hak_arena.is_busy = policy_is_busy(hak_arena.unused, &hak_arena.taken,
						   hak_arena.counters.units_used);
		hak_arena.unused = hak_arena.counters.reserve * UNITS_PER_SUPERSLAB;
	}
	arena_unlock();
}

/*
 * The unused units that could be purged, as bits. An empty SuperSlab that can be unmapped is
 * left to arena_age().
 */
static unit_mask purgeable_unused(const struct claim *claim)
{
	const struct superslab *superslab = claim->superslab;

	if (superslab->unused == UNITS_PER_SUPERSLAB && !superslab->refused)
		return 0;
	return claim->window->unused & ~claim->window->unbacked;
}

/*
 * The units in use whose slack is backed, as bits. @idle gets those of which the last scan saw it,
 * this one sees all. Where units are pages, there is no slack.
 */
static unit_mask purgeable_slack(const struct claim *claim, unit_mask *idle)
{
	struct slab *units = claim_units(claim);
	unit_mask slack = 0;

	for (unit_mask used = ~claim->window->unused; used && PAGES_PER_UNIT > 1;
	     used &= used - 1) {
		struct slab *unit = &units[lowest_bit(used)];

		/* without slack, it may be of a class, whose lock guards these fields then */
		if (unit->slack && unit->slack & ~unit->unbacked) {
			slack |= used & -used;
			*idle |= unit->idle ? used & -used : 0;
			unit->idle = unit->slack;
		}
	}
	return slack;
}

static void claim_window(struct claim *claim, bool all)
{
	struct superslab *superslab = claim->superslab;
	const struct slab *units = claim_units(claim);
	struct window *window = claim->window;
	unit_mask unused, slack, idle = 0;

	hak_assert(!window->claimed);
	superslab->unpurged &= !all || window != superslab->window;
	if (!superslab->purgeable || superslab->unpurged)
		return;
	unused = purgeable_unused(claim);
	slack = purgeable_slack(claim, &idle);
	if (PLATFORM_SCANS)
		hak_arena.unused += count_bits(unused) + count_bits(slack) / 2;
	claim->again = unused | slack;
	window->idle |= all ? unused : 0;
	if (all || !arena_is_busy()) {
		claim->unused = unused & window->idle;
		claim->slack = window->claimed = all ? slack : idle;
		claim->again &= ~(claim->unused | claim->slack);
	}
	window->idle = unused & ~claim->unused;
	for (unit_mask part = claim->unused | claim->slack; part; part &= part - 1) {
		unsigned i = lowest_bit(part);
		bool used = claim->slack >> i & 1;

		claim_add_pages(claim, i,
				(used ? units[i].slack : UNIT_PAGES) & ~units[i].unbacked);
	}
	if (claim->unused)
		superslab_alloc_part(superslab, window, claim->unused);
}

/**
 * claim_next() - claim what is idle of the next window
 * @all: also what was used a moment ago
 *
 * False if there is no SuperSlab left in this scan.
 */
bool claim_next(struct claim *claim, bool all)
{
	arena_lock();
	*claim = (struct claim){ .superslab = hak_arena.next_scanned };
	if (claim->superslab) {
		claim->window = &claim->superslab->window[hak_arena.next_window++];
		if (!claim->superslab->purgeable || hak_arena.next_window == NR_WINDOWS) {
			hak_arena.next_scanned = arena_next(claim->superslab);
			hak_arena.next_window = 0;
		}
		claim_window(claim, all);
	}
	arena_unlock();
	return claim->superslab;
}

/*
 * Does a slab of this class, whose lock is held, begin at a unit of the window, and is it on a
 * list? If slabs have several units, a descriptor may be a part of a bitmap. That does not
 * change while the lock of the arena is held.
 */
bool claim_finds(const struct claim *claim, unsigned unit, unsigned class)
{
	const struct slab *slab = claim_units(claim) + unit;
	unsigned index = (unsigned)(slab - claim->superslab->slab);
	bool found;

	arena_lock();
	found = !superslab_is_unused(claim->superslab, index) &&
		!superslab_back(claim->superslab, index) && slab->class == class &&
		list_has(&slab->node);
	arena_unlock();
	return found;
}

/* In the hardened build, free memory is zero. So such a purge is as good as refused. */
static int clear_pages(uintptr_t base, size_t pages)
{
	__builtin_memset((void *)base, 0, pages * PAGE_SIZE);
	return -1;
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
	const struct superslab *superslab = claim->superslab;
	uintptr_t base = superslab->base + (claim->window - superslab->window) * WINDOW_SIZE;
	unsigned page = 0, end = CLAIM_PAGES;
	int flags = HAK_PAGES_ZERO | HAK_PAGES_PURGE;

	while (page < end && flags >= 0) {
		unsigned first = page;

		while (page < end && claim->pages[page / 16] >> page % 16 & 1)
			page++;
		if (page > first) {
			int now = pages_purge((void *)(base + first * PAGE_SIZE),
					      (page - first) * PAGE_SIZE);

			if (IS_ENABLED(CONFIG_HAK_HARDENED) && now >= 0 && !(now & HAK_PAGES_ZERO))
				now = clear_pages(base + first * PAGE_SIZE, page - first);
			flags = now < 0 ? now : flags & now;
		} else {
			page++;
		}
	}
	return flags;
}

/* Note how the purge went, and free the units that are the scan's. @flags: of claim_purge(). */
void claim_free(struct claim *claim, int flags)
{
	struct list_node *chain = NULL;
	struct superslab *superslab = claim->superslab;
	struct slab *units = claim_units(claim);
	struct window *window = claim->window;
	unit_mask part;

	arena_lock();
	hak_assert(!(window->claimed & ~claim->slack));
	superslab->unpurged = flags < 0;
	superslab->purgeable &= flags < 0 || flags & HAK_PAGES_PURGE;
	superslab->zero &= flags < 0 || flags & HAK_PAGES_ZERO;
	for (part = claim->unused | claim->slack; part && flags >= 0; part &= part - 1) {
		unsigned i = lowest_bit(part), pages = claim_pages(claim, i, UNIT_PAGES);

		units[i].unbacked |= (uint16_t)pages;
		units[i].untouched &= (uint16_t)~pages;
	}
	part = claim->unused | (claim->slack & ~window->claimed);
	window->claimed = claim->unused = claim->slack = 0;
	if (part)
		superslab_free_part(superslab, window, part, &chain);
	arena_unlock();
	arena_release(chain);
}
