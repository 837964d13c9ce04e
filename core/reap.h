/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_REAP_H
#define HAKMEM_REAP_H

#include "base.h"

#include <hakmem/host.h>

enum reap_state {
	REAP_MORE,  /* this look is not over */
	REAP_AGAIN, /* it is; another one a while later may find more to give back */
	REAP_DONE,  /* nothing is left until somebody calls the allocator again */
};

enum reap_state reap_step(size_t budget);
size_t reap_all(bool own);
uint64_t reap_given_back(void);
uint64_t reap_count_emptied(void);

/*
 * Does somebody look at intervals, so that he need not be told that there may
 * be something to give back? Set by the platform.
 */
extern HAK_HIDDEN _Atomic bool reap_awake;

/*
 * A slow path of malloc or free is over; no lock or claim is held. What it
 * changed was changed under a lock, so that either the change is seen by whoever
 * stops looking, or its end is seen here: see lock_word_release().
 */
static inline void reap_note(enum hak_reap_why why)
{
	if (unlikely(!atomic_load_explicit(&reap_awake, memory_order_seq_cst)))
		hak_host_reap(why);
}

void reap_fork_lock(void);
void reap_fork_unlock(void);
void reap_fini_begin(void);
void reap_fini_end(void);

#endif
