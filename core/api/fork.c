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
 * for the caller's own lock: no holder of a lock takes another one. Three kinds of holders do, and
 * are not waited for, or not for ever:
 *
 *	a scan		holds its lock and takes all others. The child does as if the scan had been
 *			killed, which costs it what the scan had claimed.
 *	fork()		of another thread takes all locks. What it has is not half-way changed, so
 *			the child drops these locks as if they were its own thread's.
 *	hak_check()	in debug builds. The child may find a lock held for ever.
 *
 * Only one thread at a time takes locks in such a handler. If two have interrupted malloc, each
 * with a lock held, neither can wait for the other, and what one changes stays half-way in the
 * child of the other. This cannot be helped. Nor can clone(), which copies a process without
 * telling us. Such a child may only call what is async-signal-safe.
 *
 * Lock: all of them, in the order of lock.h. cache_for_each_lock() has the lock of the registry
 * of caches, which has the rank of LOCK_META; no holder of one takes the other.
 */
#include "api/fork.h"

#include "base/lock.h"
#include "cache/cache.h"
#include "pages/meta.h"
#include "pool/pool.h"
#include "reclaim/scan.h"
#include "slab/class.h"
#include "superslab/arena.h"

/* How often to try: for some ms, which is longer than a scan has its lock, as a rule. */
#define FORK_TRIES 50000u

/* this_held() of the thread that forks where it had interrupted the allocator; NULL: none does */
static _Atomic(unsigned *) interrupted;
static unsigned missed; /* locks that it did not get just now */

/* Every lock, in the order of lock.h; the order does not matter when they are dropped. */
static void for_each_lock(void (*visit)(struct lock *lock))
{
	scan_for_each_lock(visit);
	class_for_each_lock(visit);
	pool_for_each_lock(visit);
	arena_for_each_lock(visit);
	cache_for_each_lock(visit);
	meta_for_each_lock(visit);
}

/* Take a lock that is free. One that somebody has for fork() will do, too. */
static NO_SANITIZE_THREAD void try_lock(struct lock *lock)
{
	if (READ_ONCE(lock->forker))
		return;
	if (lock_word_try(lock))
		WRITE_ONCE(lock->forker, this_held());
	else
		missed++;
}

/*
 * The thread that forks holds at most one lock of each rank that it has noted, and does not know
 * which one. For a while it tries to get all locks, since it need not hold what it has noted.
 */
static void prepare_interrupted(unsigned held)
{
	unsigned own = count_bits(held & LOCK_RANKS & ~(1u << LOCK_SCAN)), tries = 0, inner;

	do {
		missed = 0;
		for_each_lock(try_lock);
		inner = missed;
		missed = 0;
		scan_for_each_lock(try_lock);
		inner -= missed; /* those that malloc and free wait for */
	} while ((missed || inner) && ++tries < (inner > own ? 1000 * FORK_TRIES : FORK_TRIES));
}

void fork_prepare(void)
{
	unsigned *held = this_held(), *nobody = NULL, before = *held;

	*held += LOCK_FORK;
	/* a signal handler that forks from here on does not take the locks again */
	atomic_signal_fence(memory_order_seq_cst);
	if (!before)
		for_each_lock(lock_fork_lock);
	else if (before < LOCK_FORK && atomic_compare_exchange_strong(&interrupted, &nobody, held))
		prepare_interrupted(before);
}

/* What another thread had for fork() is the caller's now. */
static void inherit(struct lock *lock)
{
	if (lock->forker)
		lock->forker = this_held();
}

void fork_in_child(void)
{
	for_each_lock(inherit);
	missed = 0;
	scan_for_each_lock(try_lock);
	if (missed && !(*this_held() & 1u << LOCK_SCAN))
		scan_abandon();
	cache_after_fork();
}

void fork_done(void)
{
	unsigned *held = this_held();

	hak_assert(*held >= LOCK_FORK);
	if (*held < 2 * LOCK_FORK) {
		for_each_lock(lock_fork_unlock);
		if (interrupted == held)
			interrupted = NULL;
	}
	atomic_signal_fence(memory_order_seq_cst);
	*held -= LOCK_FORK;
}
