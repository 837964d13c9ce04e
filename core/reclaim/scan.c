/* SPDX-License-Identifier: MIT */
/*
 * The look: one walk over all magazines, SuperSlabs and slabs that gives back
 * what was free at the last look and has not been used since (see release.c for
 * why). In pieces, so that who does it can do something else in between, and so
 * that nobody waits long.
 *
 * First the magazines, because what comes out of them makes slabs empty; then
 * SuperSlab by SuperSlab its unused slabs and the free pages of its used ones,
 * whose purges are one call of the provider where they are neighbours; last the
 * reserve.
 *
 * Who looks and when is the platform's: a thread on Linux, the idle loop on bare
 * metal through hak_idle().
 *
 * Lock: LOCK_SCAN, for a piece at a time. It serialises looks, and keeps fork()
 * from happening in the middle of a piece. malloc and free never wait for it.
 */
#include "reclaim/scan.h"

#include <hakmem/hakmem.h>

#include "cache/cache.h"
#include "base/lock.h"
#include "superslab/claim.h"
#include "pages/pages.h"
#include "slab/class.h"

_Atomic bool scan_awake;

static struct {
	struct lock lock;
	bool scanning; /* a look has begun and is not over */
	bool again;   /* it saw what may be ready next time */
} scan;

/* For fork(). */
void scan_fork_lock(void)
{
	lock_fork_lock(&scan.lock);
}

void scan_fork_unlock(void)
{
	lock_fork_unlock(&scan.lock);
}

/* Look at the next SuperSlab; false if there is none. */
static bool look_at_next(bool all)
{
	struct claim claim;
	int flags;

	if (!claim_next(&claim, all))
		return false;
	class_claim(&claim, all);
	if (claim.unused || claim.slack || claim.blocks) {
		flags = claim_purge(&claim);
		claim_free(&claim, flags); /* while the blocks keep it there */
		class_free_claimed(&claim, flags);
	}
	scan.again |= claim.again;
	return true;
}

/**
 * scan_step() - do a piece of a look
 * @budget: SuperSlabs that are looked at at most
 */
enum scan_state scan_step(size_t budget)
{
	enum scan_state state = SCAN_MORE;

	lock_lock(&scan.lock, LOCK_SCAN);
	if (!scan.scanning) {
		scan.again = cache_scan(CACHE_SCAN_IDLE);
		claim_first();
		scan.scanning = true;
	}
	while (budget && look_at_next(false))
		budget--;
	if (budget) {
		scan.again |= arena_age_reserve();
		scan.scanning = false;
		state = scan.again ? SCAN_AGAIN : SCAN_DONE;
	}
	lock_unlock(&scan.lock, LOCK_SCAN);
	return state;
}

/* Bytes that went back to the provider so far. */
uint64_t scan_given_back(void)
{
	struct arena_counters counters;

	arena_read_counters(&counters);
	return counters.released * SUPERSLAB_SIZE + pages_counters.purged;
}

/* SuperSlabs that became empty so far. */
uint64_t scan_count_emptied(void)
{
	struct arena_counters counters;

	arena_read_counters(&counters);
	return counters.emptied;
}

/**
 * scan_all() - give back all that can be, used a moment ago or not
 * @own: of magazines only the caller's
 *
 * Returns bytes, what others gave back meanwhile included.
 */
size_t scan_all(bool own)
{
	uint64_t before = scan_given_back();

	lock_lock(&scan.lock, LOCK_SCAN);
	if (!own)
		cache_scan(CACHE_SCAN_ALL);
	else
		cache_flush_own();
	arena_release_reserve(); /* what the provider refuses is purged now */
	claim_first();
	while (look_at_next(true))
		;
	scan.scanning = false;
	lock_unlock(&scan.lock, LOCK_SCAN);
	return scan_given_back() - before;
}

bool hak_idle(size_t budget)
{
	return scan_step(budget ? budget : 1) != SCAN_DONE;
}

/* Nobody looks while the heap goes. */
void scan_fini_begin(void)
{
	lock_lock(&scan.lock, LOCK_SCAN);
}

void scan_fini_end(void)
{
	scan.scanning = false;
	lock_unlock(&scan.lock, LOCK_SCAN);
}
