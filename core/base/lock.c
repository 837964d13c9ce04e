/* SPDX-License-Identifier: MIT */
/*
 * Locking and unlocking: see lock.h. These functions are not inline, since a lock is taken
 * once for a batch of blocks.
 */
#include "base/lock.h"

#define LOCK_SPINS	100
#define LOCK_FORK_SPINS 10000 /* half a millisecond */

void lock_word_wait(struct lock *lock)
{
	for (unsigned i = 0; i < LOCK_SPINS; i++) {
		if (lock_word_try(lock))
			return;
		cpu_relax();
	}
	while (!lock_word_try_waiting(lock))
		hak_host_wait(&lock->word, 2);
}

/* How a rank is noted: not at all if its holder may be preempted and go on on another CPU. */
static unsigned lock_bit(enum lock_rank rank)
{
	bool moves = PLATFORM_HAS_IRQ && IS_ENABLED(CONFIG_HAK_IRQSAVE) && rank == LOCK_SCAN;

	return moves ? 0 : 1u << rank;
}

static struct platform_irq lock_irq_save(enum lock_rank rank)
{
	return rank == LOCK_SCAN ? (struct platform_irq){} : platform_irq_save();
}

static void lock_irq_restore(enum lock_rank rank, struct platform_irq irq)
{
	if (rank != LOCK_SCAN)
		platform_irq_restore(irq);
}

/*
 * As lock_word_wait(), with interrupts on in between, if they were. They come as if the
 * lock was not waited for, and the CPU may be another one afterwards.
 */
static NOINLINE struct platform_irq lock_wait(struct lock *lock, enum lock_rank rank,
					      struct platform_irq irq)
{
	for (unsigned i = 0;; i++) {
		if (i < LOCK_SPINS ? lock_word_try(lock) : lock_word_try_waiting(lock))
			return irq;
		*this_held() &= ~lock_bit(rank);
		lock_irq_restore(rank, irq);
		if (i < LOCK_SPINS)
			cpu_relax();
		else
			hak_host_wait(&lock->word, 2);
		irq = lock_irq_save(rank);
		*this_held() |= lock_bit(rank);
	}
}

void lock_lock(struct lock *lock, enum lock_rank rank)
{
	struct platform_irq irq = lock_irq_save(rank);
	unsigned *held = this_held();

	if (unlikely(*held >= LOCK_FORK)) {
		lock_irq_restore(rank, irq);
		return;
	}
	hak_assert(this_held_now() >> rank == 0);
	*held |= lock_bit(rank);
	atomic_signal_fence(memory_order_seq_cst);
	if (unlikely(!lock_word_try(lock)))
		irq = lock_wait(lock, rank, irq);
	lock->irq = irq;
	lock->count++;
}

void lock_unlock(struct lock *lock, enum lock_rank rank)
{
	struct platform_irq irq = lock->irq;
	unsigned *held = this_held();

	if (unlikely(*held >= LOCK_FORK))
		return;
	hak_assert(READ_ONCE(lock->word));
	lock_word_unlock(lock);
	atomic_signal_fence(memory_order_seq_cst);
	*held &= ~lock_bit(rank);
	lock_irq_restore(rank, irq);
}

/*
 * If fork() is called where malloc was interrupted, the caller may hold this lock, or
 * keep its holder waiting: then it does without, unless the lock is free in a moment,
 * as most are.
 */
void lock_fork_lock(struct lock *lock)
{
	bool interrupted = this_held_now() & LOCK_RANKS, got = false;

	for (unsigned i = 0; i < LOCK_FORK_SPINS && interrupted && !got; i++) {
		got = lock_word_try(lock);
		cpu_relax();
	}
	if (!interrupted)
		lock_word_lock(lock);
	if (got || !interrupted)
		lock->forker = this_held();
}

void lock_fork_unlock(struct lock *lock)
{
	if (lock->forker != this_held())
		return;
	lock->forker = NULL;
	lock_word_unlock(lock);
}
