/* SPDX-License-Identifier: MIT */
/*
 * Every lock there is, in the order of lock.h, for the moment in which a
 * process is copied: nobody is then half-way through a change. Meanwhile the
 * caller may allocate, as the handlers do that other libraries have given to
 * pthread_atfork(); it may also fork again, from a signal handler.
 *
 * A signal handler may have interrupted malloc itself, which then holds some
 * lock already, and will complete its change when the handler returns, in the
 * child as well. The other locks are taken if they can be had in a moment, and
 * one thread does so at a time. What another thread that waits for the
 * interrupted one has left half-way cannot be helped, nor what it has when the
 * process is copied without us, by clone(): such a child may only call what is
 * async-signal-safe.
 */
#include "api/fork.h"

#include "base/lock.h"
#include "cache/cache.h"
#include "pages/meta.h"
#include "reclaim/scan.h"
#include "slab/class.h"
#include "superslab/arena.h"

static struct {
	_Atomic(unsigned *) thread; /* who was interrupted, by its this_held() */
	unsigned depth;		    /* handlers can be interrupted by handlers */
} interrupted;

static void lock_all(void)
{
	scan_fork_lock();
	class_fork_lock();
	arena_fork_lock();
	cache_fork_lock();
	meta_fork_lock();
}

static void unlock_all(void)
{
	meta_fork_unlock();
	cache_fork_unlock();
	arena_fork_unlock();
	class_fork_unlock();
	scan_fork_unlock();
}

static void prepare_interrupted(unsigned *held)
{
	unsigned *nobody = NULL;

	if (interrupted.thread == held) {
		interrupted.depth++;
	} else if (atomic_compare_exchange_strong(&interrupted.thread, &nobody, held)) {
		interrupted.depth = 1;
		lock_all();
	}
}

static void interrupted_done(unsigned *held)
{
	if (interrupted.thread != held || --interrupted.depth)
		return;
	unlock_all();
	interrupted.thread = NULL;
}

void fork_prepare(void)
{
	unsigned *held = this_held();

	if (*held & LOCK_RANKS) {
		prepare_interrupted(held);
		return;
	}
	*held += LOCK_FORK;
	atomic_signal_fence(memory_order_seq_cst);
	if (*held == LOCK_FORK)
		lock_all();
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

	if (*held & LOCK_RANKS) {
		interrupted_done(held);
		return;
	}
	if (*held == LOCK_FORK)
		unlock_all();
	atomic_signal_fence(memory_order_seq_cst);
	*held -= LOCK_FORK;
}
