/* SPDX-License-Identifier: MIT */
/*
 * Every lock there is, in the order of lock.h, for the moment in which a
 * process is copied: nobody is then half-way through a change. Meanwhile the
 * caller may allocate, as the handlers do that other libraries have given to
 * pthread_atfork(); it may also fork again, from a signal handler.
 *
 * A signal handler may have interrupted malloc itself. Then no lock is taken,
 * because the caller may hold it already; it will complete its change when the
 * handler returns, in the child as well. What another thread may have left
 * half-way cannot be helped there, and the child of such a fork may only call
 * what is async-signal-safe anyhow.
 */
#include "fork.h"

#include "cache.h"
#include "lock.h"
#include "meta.h"
#include "reap.h"
#include "slab.h"
#include "superslab.h"

void fork_prepare(void)
{
	unsigned *held = this_held();

	if (*held & LOCK_RANKS)
		return;
	*held += LOCK_FORK;
	atomic_signal_fence(memory_order_seq_cst);
	if (*held > LOCK_FORK)
		return;
	reap_lock_word();
	slab_lock_all();
	heap_lock_word();
	cache_lock_word();
	meta_lock_word();
}

/* In the child, where the caller is alone: before fork_done(). */
void fork_in_child(void)
{
	if (*this_held() == LOCK_FORK)
		cache_after_fork();
}

/* In the parent, and in the child. */
void fork_done(void)
{
	unsigned *held = this_held();

	if (*held & LOCK_RANKS)
		return;
	if (*held == LOCK_FORK) {
		meta_unlock_word();
		cache_unlock_word();
		heap_unlock_word();
		slab_unlock_all();
		reap_unlock_word();
	}
	atomic_signal_fence(memory_order_seq_cst);
	*held -= LOCK_FORK;
}
