/* SPDX-License-Identifier: MIT */
/*
 * The scan: one walk over all magazines, SuperSlabs and slabs that gives back what was free
 * at the last scan and has not been used since (base/policy.c says why). It goes in steps, so
 * that its caller can do something else in between, and nobody waits long.
 *
 * First come the magazines, because the blocks that come out of them make slabs empty. Then
 * come the SuperSlabs, one window after another (purge.c). Last comes the reserve.
 *
 * The platform says when a scan runs: on Linux a thread calls scan_step(), on bare metal the
 * idle loop does, through hak_idle().
 *
 * Lock: LOCK_SCAN, for a step at a time. It serialises scans, and keeps fork() from
 * happening in the middle of a step. malloc and free never wait for it.
 */
#include "base/layered.h"

#include "reclaim/scan.h"

#include <hakmem/hakmem.h>

#include "cache/cache.h"
#include "pages/bug.h"
#include "pages/pages.h"
#include "reclaim/purge.h"
#include "superslab/arena.h"
#include "superslab/span.h"

_Atomic bool scan_awake;

static struct {
	struct lock lock;
	bool begun; /* a scan has begun and is not over */
	bool again; /* it saw something that the next scan may find idle */
} scan;

bool scan_for_each_lock(bool (*visit)(struct lock *lock))
{
	return visit(&scan.lock);
}

/* Purge what is idle of the next window: see purge.c. False if there is none left. */
static bool scan_next(bool first, bool all)
{
	purge_fn *purge = PLATFORM_PURGES ? purge_next : scan_purge;

	return purge && purge(first, all, &scan.again);
}

/**
 * scan_step() - do a step of a scan
 * @budget: how many windows of SuperSlabs it may go through
 * @ages:   how many intervals are over with this scan; more than 2 are as 2
 */
NO_SANITIZE_THREAD enum scan_state scan_step(size_t budget, unsigned ages)
{
	enum scan_state state = SCAN_MORE;
	bool first = false;

	lock_lock(&scan.lock, LOCK_SCAN);
	if (!scan.begun) {
		scan.again = cache_scan(CACHE_SCAN_IDLE);
		if (SPANS_WAIT)
			scan.again |= span_scan();
		first = true;
		scan.begun = true;
	}
	while (budget && scan_next(first, false)) {
		first = false;
		budget--;
	}
	if (budget) {
		for (unsigned i = 0; i < MIN(ages, 2); i++)
			arena_age();
		scan.again |= READ_ONCE(hak_arena.counters.reserve) > 0;
		descriptor_trim();
		scan.begun = false;
		state = scan.again ? SCAN_AGAIN : SCAN_DONE;
	}
	lock_unlock(&scan.lock, LOCK_SCAN);
	bug_report_noted();
	return state;
}

/* Bytes that went back to the provider so far. */
uint64_t scan_given_back(void)
{
	struct arena_counters counters;

	arena_read_counters(&counters);
	return counters.released * SUPERSLAB_SIZE + pages_counters.purged;
}

/**
 * scan_all() - give back all that can be, used a moment ago or not
 * @own: of magazines only the caller's
 *
 * Returns bytes, with those that others gave back meanwhile.
 */
size_t scan_all(bool own)
{
	uint64_t before = scan_given_back();

	lock_lock(&scan.lock, LOCK_SCAN);
	if (SPANS_WAIT)
		span_flush();
	if (own)
		cache_flush_own(CLASS_FIRST);
	else
		cache_scan(CACHE_SCAN_ALL);
	arena_release_reserve(); /* what the provider refuses to unmap is purged now */
	for (bool first = true; scan_next(first, true); first = false)
		;
	descriptor_trim();
	scan.begun = false;
	lock_unlock(&scan.lock, LOCK_SCAN);
	bug_report_noted();
	return scan_given_back() - before;
}

bool hak_idle(size_t budget)
{
	return scan_step(budget ? budget : 1, 1) != SCAN_DONE;
}

/* A thread in the middle of a step was killed. The next scan frees what it had claimed. */
void scan_abandon(void)
{
	scan.begun = false;
	lock_abandon(&scan.lock);
}

/* For hak_fini(): until scan_fini_end() no scan runs. */
void scan_fini_begin(void)
{
	lock_lock(&scan.lock, LOCK_SCAN);
}

void scan_fini_end(void)
{
	scan.begun = false;
	lock_unlock(&scan.lock, LOCK_SCAN);
}
