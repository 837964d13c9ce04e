/* SPDX-License-Identifier: MIT */
/*
 * The scan, which gives back what is idle. See scan.c.
 */
#ifndef HAKMEM_RECLAIM_SCAN_H
#define HAKMEM_RECLAIM_SCAN_H

#include "base/lock.h"

enum scan_state {
	SCAN_MORE,  /* this scan is not over */
	SCAN_AGAIN, /* it is over; another one, a while later, may find more to give back */
	SCAN_DONE,  /* nothing is left until somebody calls the allocator again */
};

enum scan_state scan_step(size_t budget, unsigned ages);
size_t scan_all(bool own);
void scan_abandon(void);
uint64_t scan_given_back(void);

/*
 * Does the platform scan at intervals, so that it need not be told that there may be something
 * to give back? The platform sets it.
 */
extern HAK_HIDDEN _Atomic bool scan_awake;

/*
 * A slow path of malloc or free is over, and no lock or claim is held. It made its changes
 * under a lock. So either the platform sees the change before it sleeps, or this function
 * sees that the platform sleeps: see lock_word_unlock().
 */
static inline void scan_note(enum hak_reap_why why)
{
	if (!PLATFORM_SCANS || unlikely(!atomic_load_explicit(&scan_awake, memory_order_seq_cst)))
		platform_note(why);
}

bool scan_for_each_lock(bool (*visit)(struct lock *lock));
void scan_fini_begin(void);
void scan_fini_end(void);

#endif
