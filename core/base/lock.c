/* SPDX-License-Identifier: MIT */
/*
 * How a lock is taken, waited for and dropped. lock.h states the order of locks.
 *
 * A waiting caller first spins for a moment, since locks are held for short times, and then
 * lets the host wait. These functions are not inline: a lock is taken once for a whole batch
 * of blocks.
 *
 *	held by the caller  ==>  its rank is noted in *this_held(), and no higher one is
 *	held for fork()	    <=>	 forker is set
 */
#include "base/lock.h"

/* How often a caller tries to take a lock before it waits. */
#define LOCK_SPINS 100

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

/*
 * The bit that notes a rank. With CONFIG_HAK_IRQSAVE, the holder of LOCK_SCAN may be preempted
 * and continue on another CPU. A bit in the word of the first CPU would stay there, so this
 * rank has no bit.
 */
static unsigned lock_bit(enum lock_rank rank)
{
	bool moves = PLATFORM_HAS_IRQ && IS_ENABLED(CONFIG_HAK_IRQSAVE) && rank == LOCK_SCAN;

	return (unsigned)!moves << rank;
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
 * The same as lock_word_wait(), but between two tries interrupts are as they were before, and
 * the rank is not noted: an interrupt or signal handler that comes then finds no lock held.
 * The caller may be on another CPU afterwards. Returns the state of interrupts there.
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
	/* a signal handler sees the note before the lock is taken: see fork_prepare() */
	atomic_signal_fence(memory_order_seq_cst);
	if (unlikely(!lock_word_try(lock)))
		irq = lock_wait(lock, rank, irq);
	hak_assert(!lock->forker);
	lock->irq = irq;
	lock->count++;
}

void lock_unlock(struct lock *lock, enum lock_rank rank)
{
	struct platform_irq irq = lock->irq;
	unsigned *held = this_held();
	bool wake;

	if (unlikely(*held >= LOCK_FORK))
		return;
	hak_assert(this_held_now() >> rank == lock_bit(rank) >> rank);
	wake = lock_word_drop(lock);
	/* a signal handler sees the note until the lock is dropped, not longer: see fork.c */
	atomic_signal_fence(memory_order_seq_cst);
	*held &= ~lock_bit(rank);
	if (unlikely(wake))
		hak_host_wake(&lock->word);
	lock_irq_restore(rank, irq);
}

void lock_fork_lock(struct lock *lock)
{
	lock_word_lock(lock);
	hak_assert(!lock->forker);
	WRITE_ONCE(lock->forker, this_held());
}

/*
 * Drop the lock, if the caller has it for fork(). If it does not, another thread that forks may
 * write the word meanwhile. It never writes this caller's value.
 */
NO_SANITIZE_THREAD void lock_fork_unlock(struct lock *lock)
{
	if (READ_ONCE(lock->forker) != this_held())
		return;
	WRITE_ONCE(lock->forker, NULL);
	lock_word_unlock(lock);
}
