/* SPDX-License-Identifier: MIT */
/*
 * fork(): every lock is taken before the process is copied, and dropped after it, in the
 * parent and in the child. So in the child no lock is held by a thread that is not there, and
 * nothing is half-way changed.
 *
 * Between the two the caller may allocate: other libraries do so in the handlers that they
 * gave to pthread_atfork(). It may also call fork() again, from a signal handler.
 *
 * A signal handler may call fork() where it has interrupted malloc. The thread then holds
 * some lock already. When the handler returns, malloc completes its change, in the parent and
 * in the child. The handler tries for a moment to take the other locks, since it must not
 * wait for a thread that may wait for the interrupted one. Only one thread at a time does so.
 * Such a caller may not allocate before it returns from the handler.
 *
 * Two things cannot be helped. Another thread that waits for a lock of the interrupted one
 * may hold a lock itself, and what it changes stays half-way in the child. And clone() copies
 * a process without telling us. Such a child may only call what is async-signal-safe.
 *
 * Lock: all of them, in the order of lock.h. cache_for_each_lock() has the lock of the registry
 * of caches, which has the rank of LOCK_META; no holder of one takes the other.
 */
#include "api/fork.h"

#include "base/lock.h"
#include "cache/cache.h"
#include "pages/meta.h"
#include "reclaim/scan.h"
#include "slab/class.h"
#include "superslab/arena.h"

/* Of the thread that called fork() where it had interrupted the allocator. */
static struct {
	_Atomic(unsigned *) thread; /* its this_held(), or NULL: there is none */
	unsigned depth;		    /* how often it has: handlers can be interrupted, too */
} interrupted;

/* Every lock, in the order of lock.h; the order does not matter when they are dropped. */
static void for_each_lock(void (*visit)(struct lock *lock))
{
	scan_for_each_lock(visit);
	class_for_each_lock(visit);
	arena_for_each_lock(visit);
	cache_for_each_lock(visit);
	meta_for_each_lock(visit);
}

/* If another thread does the same just now, this one takes no locks besides those it holds. */
static void prepare_interrupted(unsigned *held)
{
	unsigned *nobody = NULL;

	if (interrupted.thread == held) {
		interrupted.depth++;
	} else if (atomic_compare_exchange_strong(&interrupted.thread, &nobody, held)) {
		interrupted.depth = 1;
		for_each_lock(lock_fork_lock);
	}
}

static void interrupted_done(unsigned *held)
{
	hak_assert(interrupted.thread != held || interrupted.depth);
	if (interrupted.thread != held || --interrupted.depth)
		return;
	for_each_lock(lock_fork_unlock);
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
	/* a signal handler that forks from here on does not take the locks again */
	atomic_signal_fence(memory_order_seq_cst);
	if (*held == LOCK_FORK)
		for_each_lock(lock_fork_lock);
}

void fork_done(void)
{
	unsigned *held = this_held();

	if (*held & LOCK_RANKS) {
		interrupted_done(held);
		return;
	}
	hak_assert(*held >= LOCK_FORK);
	if (*held == LOCK_FORK)
		for_each_lock(lock_fork_unlock);
	atomic_signal_fence(memory_order_seq_cst);
	*held -= LOCK_FORK;
}
