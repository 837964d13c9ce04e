/* SPDX-License-Identifier: MIT */
/*
 * The lock, and the order in which locks may be taken. See lock.c.
 *
 *	LOCK_SCAN < LOCK_CLASS < LOCK_ARENA < LOCK_META
 *
 * The holder of a lock may take another one of a higher rank, never one of the same or a
 * lower rank, and drops them in the opposite order. Nobody calls the provider with a lock
 * held, but for LOCK_SCAN, which malloc and free never wait for. Debug builds check all of
 * this. Which functions of the host are called with a lock held is said in host.h.
 *
 * Which ranks a thread or CPU holds is noted in *this_held(): before it takes the lock, and
 * until after it has dropped it. So a signal handler that forks can tell whether it has
 * interrupted the allocator.
 *
 * On bare metal, interrupt handlers may allocate. So all locks but LOCK_SCAN, which handlers
 * never take, are held with interrupts off. While a caller waits for one, interrupts are on
 * again, if they were on before. What they were is kept in the lock, where only the holder
 * reads and writes it.
 *
 * The word is 0 if the lock is free. Otherwise it says who holds it, from the instruction on that
 * takes it: a signal handler that forks has to know the locks of the thread that it interrupted.
 * A flag says that somebody may wait: the mutex of Drepper, "Futexes are tricky" (2004), which has
 * one number for that. The host does the waiting: Linux has a futex for it, bare metal spins.
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

/**
 * struct lock - a lock that is free when it is all zero
 * @word:  0, or this_held() of the holder, and flags [atomic]
 * @low:   the lower half of it, with the flags, for the host
 * @irq:   the state of interrupts before the lock was taken; only the holder uses it
 * @count: how often lock_lock() took it; only the holder writes it
 */
struct lock {
	union {
		_Atomic uintptr_t word;
		hak_lock_word low;
	};
	struct platform_irq irq;
	uint64_t count;
};

/* Flags of a word; this_held() has zeros there. */
#define LOCK_WAITED   ((uintptr_t)1) /* somebody may wait for it */
#define LOCK_FOR_FORK ((uintptr_t)2) /* it is held for fork() */
#define LOCK_STUCK    ((uintptr_t)4) /* a signal handler forks, and has interrupted the holder */
#define LOCK_FLAGS    (LOCK_WAITED | LOCK_FOR_FORK | LOCK_STUCK)

/* The word in the child of a fork(): a holder that is not there was half-way through a change. */
#define LOCK_LOST LOCK_STUCK

/* The holder of a claim, where it need not be known. */
#define LOCK_ANYBODY ((uintptr_t)8)

/*
 * The functions lock_word_*() know nothing of ranks and interrupts. The lock functions below
 * use them, and claims, which have no rank (cache/seize.c). @holder may have flags.
 */
static inline bool lock_word_try(struct lock *lock, uintptr_t holder)
{
	uintptr_t seen = 0;

	/* acquire: pairs with the exchange in lock_word_drop() */
	return atomic_compare_exchange_strong_explicit(&lock->word, &seen, holder,
						       memory_order_acquire, memory_order_relaxed);
}

HAK_COLD void lock_word_wait(struct lock *lock, uintptr_t holder);

static inline void lock_word_lock(struct lock *lock, uintptr_t holder)
{
	if (unlikely(!lock_word_try(lock, holder)))
		lock_word_wait(lock, holder);
}

/* Drop the lock. Does somebody wait for it, who is to be woken? */
static inline bool lock_word_drop(struct lock *lock)
{
	/*
	 * release: pairs with the acquire of the next holder. It is seq_cst, which costs
	 * nothing on top, so that scan_note() may read the state of the platform after it.
	 */
	uintptr_t word = atomic_exchange_explicit(&lock->word, 0, memory_order_seq_cst);

	hak_assert(word);
	return word & LOCK_WAITED;
}

static inline void lock_word_unlock(struct lock *lock)
{
	if (unlikely(lock_word_drop(lock)))
		hak_host_wake(&lock->low);
}

/* The holder was killed. */
static inline void lock_abandon(struct lock *lock)
{
	lock_word_unlock(lock);
}

/*
 * What *this_held() consists of: a bit for each rank that the thread or CPU holds, also if a
 * handler has interrupted it since, and above them how many calls of fork_prepare() still wait
 * for their fork_done(). Between these the thread holds all locks, and takes none.
 */
#define LOCK_RANKS 0xffu
#define LOCK_FORK  0x100u

/* Does the caller hold a lock that others may wait for inside malloc and free? */
static inline bool lock_is_any_held(void)
{
	return this_held_now() & LOCK_RANKS & ~(1u << LOCK_SCAN);
}

/*
 * For fork(): see api/fork.c. lock_fork_note() notes that the caller is stuck, if it is the holder.
 * lock_fork_lock() takes the lock, unless the caller has it. It returns false if the holder is
 * stuck, or does not drop the lock in so many tries. lock_fork_unlock() undoes both. After
 * lock_fork_lose() the lock is never free again.
 */
bool lock_is_own(struct lock *lock);
void lock_fork_note(struct lock *lock);
bool lock_fork_lock(struct lock *lock, unsigned tries);
void lock_fork_unlock(struct lock *lock);
void lock_fork_lose(struct lock *lock);

/**
 * lock_lock() - take a lock, and wait for it if need be
 * @rank: its rank, which is above that of every lock that the caller holds
 *
 * Interrupts are off on return, but for LOCK_SCAN. May be called in an interrupt handler,
 * but for LOCK_SCAN. Inside fork() it does nothing.
 */
HAK_COLD void lock_lock(struct lock *lock, enum lock_rank rank);

/**
 * lock_unlock() - drop a lock that lock_lock() took
 * @rank: as it was given there; the caller holds no lock of a higher rank
 */
HAK_COLD void lock_unlock(struct lock *lock, enum lock_rank rank);

#endif
