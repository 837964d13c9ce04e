/* SPDX-License-Identifier: MIT */
/*
 * The lock, and the order in which locks may be taken:
 *
 *	LOCK_REAP < LOCK_CLASS < LOCK_SUPERSLAB < LOCK_META
 *
 * A holder of one may take another of a higher rank, never of the same or a
 * lower one; nobody holds any while calling the provider or the host, but for
 * LOCK_REAP, for which malloc and free never wait. Debug builds check both.
 * fork() takes all of them in this order. Which ranks a
 * thread or CPU holds is noted before it takes the lock and after it has
 * dropped it, so that a signal handler can tell whether it interrupted us.
 *
 * The word is 0 when free, 1 when held, 2 when held and somebody may wait
 * (the three-state mutex of Drepper, "Futexes are tricky"). Waiting is the
 * host's: a futex on Linux, a pause on bare metal.
 */
#ifndef HAKMEM_LOCK_H
#define HAKMEM_LOCK_H

#include "base.h"

#include <cpu.h>
#include <hakmem/host.h>

enum lock_rank {
	LOCK_REAP,
	LOCK_CLASS,
	LOCK_SUPERSLAB,
	LOCK_META,
};

struct lock {
	_Atomic unsigned word;
};

#define LOCK_SPINS 100

static inline void lock_word_wait(struct lock *lock)
{
	for (unsigned i = 0; i < LOCK_SPINS; i++) {
		unsigned seen = 0;

		if (atomic_compare_exchange_weak_explicit(
			    &lock->word, &seen, 1, memory_order_acquire, memory_order_relaxed))
			return;
		cpu_relax();
	}
	while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire))
		hak_host_wait(&lock->word, 2);
}

static inline bool lock_word_try(struct lock *lock)
{
	unsigned seen = 0;

	/* acquire: pairs with the release in lock_word_release() */
	return atomic_compare_exchange_strong_explicit(&lock->word, &seen, 1, memory_order_acquire,
						       memory_order_relaxed);
}

/* Without regard to rank: for fork(), which takes all of one rank, in order. */
static inline void lock_word_acquire(struct lock *lock)
{
	if (unlikely(!lock_word_try(lock)))
		lock_word_wait(lock);
}

static inline void lock_word_release(struct lock *lock)
{
	/*
	 * release: what the holder wrote is seen by the next lock_word_acquire();
	 * seq_cst, which costs nothing here, for what reap_note() reads afterwards
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
	return *this_held() & LOCK_RANKS & ~(1u << LOCK_REAP);
}

static inline void lock_acquire(struct lock *lock, enum lock_rank rank)
{
	unsigned *held = this_held();

	if (unlikely(*held >= LOCK_FORK))
		return;
	hak_assert(*held >> rank == 0);
	*held |= 1u << rank;
	atomic_signal_fence(memory_order_seq_cst);
	lock_word_acquire(lock);
}

static inline void lock_release(struct lock *lock, enum lock_rank rank)
{
	unsigned *held = this_held();

	if (unlikely(*held >= LOCK_FORK))
		return;
	lock_word_release(lock);
	atomic_signal_fence(memory_order_seq_cst);
	*held &= ~(1u << rank);
}

#endif
