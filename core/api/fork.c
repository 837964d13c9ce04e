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
 * a lock already. When the handler returns, malloc completes its change, in the parent and
 * in the child. Such a caller may not allocate before it returns from the handler. It takes the
 * other locks, too. It waits for each holder, who may have lost its CPU, since none of them waits
 * for the caller's own lock: no holder of a lock takes another one. Those that do are not waited
 * for, or not for ever:
 *
 *	fork()		of another thread takes all locks. It finds that the caller is stuck with
 *			its own (LOCK_STUCK), or that it does not get one for long, drops all
 *			others, and begins again.
 *	a scan		holds its lock and takes all others. The child does as if the scan had been
 *			killed. The next one frees what that had claimed (reclaim/purge.c), but for
 *			what it had taken off every list: a batch of blocks, or a chain of slabs.
 *	another handler	that forks where it has interrupted malloc is stuck, as the caller is. What
 *			one changes stays half-way in the child of the other. This cannot be
 *			helped. If the child needs the lock, or the claim of its cache that a scan
 *			has with the lock of the registry, it stops with a message.
 *	hak_check()	in debug builds: the same.
 *
 * Nor can clone() be helped, which copies a process without telling us. Such a child may only call
 * what is async-signal-safe.
 *
 * Lock: all of them, in the order of lock.h. cache_for_each_lock() has the lock of the registry
 * of caches, which has the rank of LOCK_META; no holder of one takes the other.
 */
#include "api/fork.h"

#include "base/lock.h"
#include "cache/cache.h"
#include "diag/trace.h"
#include "pages/meta.h"
#include "pool/pool.h"
#include "reclaim/scan.h"
#include "slab/class.h"
#include "superslab/arena.h"

/* How often to try to get a lock. Most tries last as long as hak_host_wait(). */
#define FORK_TRIES_SCAN 105u
#define FORK_TRIES	300u
#define FORK_TRIES_LONG 1000u

/* The locks that malloc and free wait for, in the order of lock.h. */
static bool for_each_inner_lock(bool (*visit)(struct lock *lock))
{
	return class_for_each_lock(visit) && pool_for_each_lock(visit) &&
	       arena_for_each_lock(visit) && cache_for_each_lock(visit) &&
	       samples_for_each_lock(visit) && meta_for_each_lock(visit);
}

/* Every lock; the order does not matter when they are dropped. */
static bool for_each_lock(bool (*visit)(struct lock *lock))
{
	return scan_for_each_lock(visit) && for_each_inner_lock(visit);
}

static bool note_stuck(struct lock *lock)
{
	lock_fork_note(lock);
	return true;
}

static bool lock_soon(struct lock *lock)
{
	return lock_fork_lock(lock, FORK_TRIES);
}

static bool lock_scan(struct lock *lock)
{
	return lock_fork_lock(lock, FORK_TRIES_SCAN);
}

static bool lock_or_leave(struct lock *lock)
{
	lock_soon(lock);
	return true;
}

/*
 * Nobody but hak_check() waits for the locks of a caller who is stuck. So the caller can be patient
 * with a fork() of another thread, which has all locks, and may lose its CPU for seconds on a busy
 * machine.
 */
static bool lock_patiently(struct lock *lock)
{
	lock_fork_lock(lock, FORK_TRIES_LONG);
	return true;
}

static bool lock_now(struct lock *lock)
{
	return lock_fork_lock(lock, 0);
}

static bool unlock(struct lock *lock)
{
	lock_fork_unlock(lock);
	return true;
}

void fork_begin(void)
{
	if (*this_held() & LOCK_RANKS)
		for_each_lock(note_stuck);
}

bool fork_prepare(bool anyway)
{
	unsigned *held = this_held();

	fork_begin();
	*held += LOCK_FORK;
	/* a signal handler that forks from here on has all locks as well, and keeps them */
	atomic_signal_fence(memory_order_seq_cst);
	if (anyway || *held & LOCK_RANKS) {
		scan_for_each_lock(lock_scan);
		return for_each_inner_lock(*held & LOCK_RANKS ? lock_patiently : lock_or_leave);
	}
	if (scan_for_each_lock(lock_scan) && for_each_inner_lock(lock_soon))
		return true;
	for_each_lock(unlock);
	*held -= LOCK_FORK;
	return false;
}

/* The holder is not there. */
static bool lock_or_lose(struct lock *lock)
{
	if (!lock_now(lock))
		lock_fork_lose(lock);
	return true;
}

void fork_in_child(void)
{
	if (!scan_for_each_lock(lock_now))
		scan_abandon();
	for_each_lock(lock_or_lose);
	cache_after_fork();
}

void fork_done(void)
{
	unsigned *held = this_held();

	hak_assert(*held >= LOCK_FORK);
	*held -= LOCK_FORK;
	/* a signal handler that forks from here on takes all locks again, and drops them */
	atomic_signal_fence(memory_order_seq_cst);
	if (*held < LOCK_FORK)
		for_each_lock(unlock);
}
