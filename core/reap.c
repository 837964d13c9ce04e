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
 * Lock: LOCK_REAP, for a piece at a time. It serialises looks, and keeps fork()
 * from happening in the middle of a piece. malloc and free never wait for it.
 */
#include "reap.h"

#include <hakmem/hakmem.h>

#include "cache.h"
#include "lock.h"
#include "look.h"
#include "pages.h"
#include "slab.h"

_Atomic bool reap_awake;

static struct {
	struct lock lock;
	bool looking; /* a look has begun and is not over */
	bool again;   /* it saw what may be ready next time */
} reap;

/* For fork(). */
void reap_fork_lock(void)
{
	lock_fork_acquire(&reap.lock);
}

void reap_fork_unlock(void)
{
	lock_fork_release(&reap.lock);
}

/* Look at the next SuperSlab; false if there is none. */
static bool look_at_next(bool all)
{
	struct look look;
	int flags;

	if (!look_next(&look, all))
		return false;
	slab_look(&look, all);
	if (look.unused || look.slack || look.blocks) {
		flags = look_purge(&look);
		look_done(&look, flags); /* while the blocks keep it there */
		slab_look_done(&look, flags);
	}
	reap.again |= look.ripening;
	return true;
}

/**
 * reap_step() - do a piece of a look
 * @budget: SuperSlabs that are looked at at most
 */
enum reap_state reap_step(size_t budget)
{
	enum reap_state state = REAP_MORE;

	lock_acquire(&reap.lock, LOCK_REAP);
	if (!reap.looking) {
		reap.again = cache_look(CACHE_LOOK_IDLE);
		look_first();
		reap.looking = true;
	}
	while (budget && look_at_next(false))
		budget--;
	if (budget) {
		reap.again |= heap_age_reserve();
		reap.looking = false;
		state = reap.again ? REAP_AGAIN : REAP_DONE;
	}
	lock_release(&reap.lock, LOCK_REAP);
	return state;
}

/* Bytes that went back to the provider so far. */
uint64_t reap_given_back(void)
{
	struct heap_counters counters;

	heap_read_counters(&counters);
	return counters.released * SUPERSLAB_SIZE + pages_counters.purged;
}

/* SuperSlabs that became empty so far. */
uint64_t reap_count_emptied(void)
{
	struct heap_counters counters;

	heap_read_counters(&counters);
	return counters.emptied;
}

/**
 * reap_all() - give back all that can be, used a moment ago or not
 * @own: of magazines only the caller's
 *
 * Returns bytes, what others gave back meanwhile included.
 */
size_t reap_all(bool own)
{
	uint64_t before = reap_given_back();

	lock_acquire(&reap.lock, LOCK_REAP);
	if (!own)
		cache_look(CACHE_LOOK_ALL);
	else
		cache_flush_own();
	heap_release_reserve(); /* what the provider refuses is purged now */
	look_first();
	while (look_at_next(true))
		;
	reap.looking = false;
	lock_release(&reap.lock, LOCK_REAP);
	return reap_given_back() - before;
}

bool hak_idle(size_t budget)
{
	return reap_step(budget ? budget : 1) != REAP_DONE;
}

/* Nobody looks while the heap goes. */
void reap_fini_begin(void)
{
	lock_acquire(&reap.lock, LOCK_REAP);
}

void reap_fini_end(void)
{
	reap.looking = false;
	lock_release(&reap.lock, LOCK_REAP);
}
