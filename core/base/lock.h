/* SPDX-License-Identifier: MIT */
/*
 * The lock, and the order in which locks may be taken:
 *
 *	LOCK_SCAN < LOCK_CLASS < LOCK_ARENA < LOCK_META
 *
 * A holder of one may take another of a higher rank, never of the same or a
 * lower one, and drops them in the opposite order; nobody holds any while
 * calling the provider or the host, but for LOCK_SCAN, for which malloc and
 * free never wait. Debug builds check both. fork() takes all of them in this
 * order. Which ranks a thread or CPU holds is noted before it takes the lock
 * and after it has dropped it, so that a signal handler can tell whether it
 * interrupted us.
 *
 * On bare metal interrupt handlers may allocate, so all locks but LOCK_SCAN,
 * which handlers never take, are held with interrupts off. While one is waited
 * for they are on again, if they were. What they were is kept in the lock,
 * where only the holder reads and writes it.
 *
 * The word is 0 when free, 1 when held, 2 when held and somebody may wait
 * (the three-state mutex of Drepper, "Futexes are tricky"). Waiting is the
 * host's: a futex on Linux, a pause on bare metal.
 */
#ifndef HAKMEM_BASE_LOCK_H
#define HAKMEM_BASE_LOCK_H

#include "base/base.h"

#include <cpu.h>
#include <hakmem/host.h>

enum lock_rank {
	LOCK_SCAN,
	LOCK_CLASS,
	LOCK_ARENA,
	LOCK_META,
};

struct lock {
	_Atomic unsigned word;
	unsigned *forker;	 /* *this_held() of the thread that holds it for fork() */
	struct platform_irq irq; /* what interrupts were before it was taken */
	uint64_t count;		 /* times; the holder's to count */
};

static inline bool lock_word_try(struct lock *lock)
{
	unsigned seen = 0;

	/* acquire: pairs with the release in lock_word_unlock() */
	return atomic_compare_exchange_strong_explicit(&lock->word, &seen, 1, memory_order_acquire,
						       memory_order_relaxed);
}

/* Take it if it is free; if not, note that somebody waits. */
static inline bool lock_word_try_waiting(struct lock *lock)
{
	return atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) == 0;
}

void lock_word_wait(struct lock *lock);

/* Without regard to rank or interrupts. */
static inline void lock_word_lock(struct lock *lock)
{
	if (unlikely(!lock_word_try(lock)))
		lock_word_wait(lock);
}

static inline void lock_word_unlock(struct lock *lock)
{
	/*
	 * release: what the holder wrote is seen by the next lock_word_lock();
	 * seq_cst, which costs nothing here, for what scan_note() reads afterwards
	 */
	if (unlikely(atomic_exchange_explicit(&lock->word, 0, memory_order_seq_cst) == 2))
		hak_host_wake(&lock->word);
}

/*
 * *this_held(): a bit for each rank that the caller, or what it interrupted,
 * holds, and above them how many times it is inside fork(), where it holds all
 * locks and needs no other.
 */
#define LOCK_RANKS 0xffu
#define LOCK_FORK  0x100u

/* Is any held that others may wait for inside malloc and free? */
static inline bool lock_is_any_held(void)
{
	return this_held_now() & LOCK_RANKS & ~(1u << LOCK_SCAN);
}

/* For fork(), which takes all, in order, and drops those that it got. */
void lock_fork_lock(struct lock *lock);
void lock_fork_unlock(struct lock *lock);

HAK_COLD void lock_lock(struct lock *lock, enum lock_rank rank);
HAK_COLD void lock_unlock(struct lock *lock, enum lock_rank rank);

#endif
