/* SPDX-License-Identifier: MIT */
/*
 * How a lock is taken, waited for and dropped. lock.h states the order of locks.
 *
 * A waiting caller first spins for a moment, since locks are held for short times, and then
 * lets the host wait. These functions are not inline: a lock is taken once for a whole batch
 * of blocks.
 *
 *	held by the caller  ==>  its rank is noted in *this_held(), and no higher one is, or
 *				 the word has LOCK_FOR_FORK
 */
#include "base/lock.h"

/* How often a caller tries to take a lock before it waits. */
#define LOCK_SPINS 100

/* The word of a lock that is taken with the try @i: another one may wait, too. */
static uintptr_t lock_word_of(uintptr_t holder, unsigned i)
{
	return holder | (i > LOCK_SPINS);
}

/* The try @i has failed. */
static HAK_COLD void lock_word_pause(struct lock *lock, unsigned i)
{
	uintptr_t word = lock->word;

	if (PLATFORM_FORKS && unlikely(word == LOCK_LOST))
		hak_host_panic("hakmem: this process was forked while a signal handler had "
			       "interrupted malloc in another thread");
	if (i < LOCK_SPINS)
		cpu_relax();
	else if (word && atomic_compare_exchange_strong(&lock->word, &word, word | LOCK_WAITED))
		hak_host_wait(&lock->low, (unsigned)(word | LOCK_WAITED));
}

void lock_word_wait(struct lock *lock, uintptr_t holder)
{
	for (unsigned i = 0; !lock_word_try(lock, lock_word_of(holder, i)); i++)
		lock_word_pause(lock, i);
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
	for (unsigned i = 0; !lock_word_try(lock, lock_word_of((uintptr_t)this_held(), i)); i++) {
		*this_held() &= ~lock_bit(rank);
		lock_irq_restore(rank, irq);
		lock_word_pause(lock, i);
		irq = lock_irq_save(rank);
		*this_held() |= lock_bit(rank);
		atomic_signal_fence(memory_order_seq_cst);
	}
	return irq;
}

void lock_lock(struct lock *lock, enum lock_rank rank)
{
	struct platform_irq irq = lock_irq_save(rank);
	unsigned *held = this_held();

	if (PLATFORM_FORKS && unlikely(*held >= LOCK_FORK)) {
		lock_irq_restore(rank, irq);
		return;
	}
	hak_assert(this_held_now() >> rank == 0);
	*held |= lock_bit(rank);
	/* a signal handler sees the note before the lock is taken: see fork_begin() */
	atomic_signal_fence(memory_order_seq_cst);
	if (unlikely(!lock_word_try(lock, (uintptr_t)held)))
		irq = lock_wait(lock, rank, irq);
	lock->irq = irq;
	lock->count++;
}

void lock_unlock(struct lock *lock, enum lock_rank rank)
{
	struct platform_irq irq = lock->irq;
	unsigned *held = this_held();
	bool wake;

	if (PLATFORM_FORKS && unlikely(*held >= LOCK_FORK))
		return;
	hak_assert(this_held_now() >> rank == lock_bit(rank) >> rank);
	wake = lock_word_drop(lock);
	/* a signal handler sees the note until the lock is dropped */
	atomic_signal_fence(memory_order_seq_cst);
	*held &= ~lock_bit(rank);
	if (unlikely(wake))
		hak_host_wake(&lock->low);
	lock_irq_restore(rank, irq);
}

bool lock_is_own(struct lock *lock)
{
	return (lock->word & ~LOCK_FLAGS) == (uintptr_t)this_held();
}

void lock_fork_note(struct lock *lock)
{
	if (lock_is_own(lock) && !(lock->word & LOCK_FOR_FORK))
		lock->word |= LOCK_STUCK;
}

/* A lock that passes from hand to hand can be had: only tries while it does not move count. */
NO_SANITIZE_THREAD bool lock_fork_lock(struct lock *lock, unsigned tries)
{
	uintptr_t holder = (uintptr_t)this_held() | LOCK_FOR_FORK;
	uint64_t count = READ_ONCE(lock->count); /* the holder writes it in lock_lock() */

	hak_assert(!((uintptr_t)this_held() & LOCK_FLAGS));
	for (unsigned i = 0; !lock_is_own(lock) && lock->word != LOCK_LOST; i++) {
		if (lock_word_try(lock, lock_word_of(holder, i)))
			break;
		if (i == tries || lock->word & LOCK_STUCK)
			return false;
		lock_word_pause(lock, i);
		if (count != READ_ONCE(lock->count)) {
			count = READ_ONCE(lock->count);
			i = MIN(i, LOCK_SPINS);
		}
	}
	return true;
}

/* A signal handler may do the same meanwhile, and somebody else then take the lock. */
void lock_fork_unlock(struct lock *lock)
{
	uintptr_t word = lock->word, left;

	do {
		if (!lock_is_own(lock))
			return;
		left = word & LOCK_FOR_FORK ? 0 : word & ~LOCK_STUCK;
	} while (!atomic_compare_exchange_strong(&lock->word, &word, left));
	if (!left && word & LOCK_WAITED)
		hak_host_wake(&lock->low);
}

void lock_fork_lose(struct lock *lock)
{
	lock->word = LOCK_LOST;
}
