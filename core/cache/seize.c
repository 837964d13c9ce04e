/* SPDX-License-Identifier: MIT */
/*
 * Taking blocks from the magazines of others: the protocol, and why it is right.
 *
 * What an idle thread has in its magazines must not keep pages, and the thread cannot
 * be asked: it may sleep for ever. So others may seize a magazine. From then on what
 * lies in it is theirs, and the owner opens it again when it comes back.
 *
 * The claim
 *
 * Each cache has a claim, a lock word. The owner holds it in its slow path, and waits
 * for it. All others take it by try only, with the lock of the registry (cache.c) held,
 * so that nobody else holds a claim during fork(); they keep it for some thousand
 * instructions. Nobody waits for an owner, so an owner keeps its claim while it goes to
 * the slabs and to the provider. The fast path takes no claim.
 *
 * The steps
 *
 *	1. seize_begin(): limit = 0, then top = MAGAZINE_SEIZED, by an exchange that
 *	   returns the old top
 *	2. hak_host_barrier(): every CPU that runs a thread of the program passes a memory
 *	   barrier, between two of its instructions (membarrier on Linux, non-maskable
 *	   interrupts on bare metal)
 *	3. seize_confirm(): the magazine is seized, unless its top is that of an open
 *	   magazine again. Then the owner had read the old top before step 1, in the one
 *	   instruction that moves it, and wrote a new one after it: it has its magazine
 *	   as before.
 *	4. seize_collect(): the blocks below the old top are taken, the oldest first
 *
 * The race with the fast path
 *
 * A seized magazine sends its owner into the slow path: slot[1] is NULL, and no top is
 * below a limit of 0. But one operation of the fast path may have begun before step 1,
 * and go on at any later time, since its thread may have been stopped in the middle:
 *
 *	malloc has read top and slot[top], and now counts the top down, in one
 *	instruction that tells whether it is 0 then. After step 1 it is: malloc drops
 *	the block and goes the slow way. Before step 1 it is not, and the exchange
 *	returns a top below which the block does not lie.
 *
 *	free has written its block to slot[top + 1], and now counts the top up. After
 *	step 1 it becomes 2, and the owner picks the block up when it opens the magazine.
 *	Others touch no slot above the old top. There is a slot for the block, since free
 *	reads the limit after the top: a limit of an open magazine was not read behind a
 *	top of a seized one.
 *
 * More than one such operation there cannot be, since the next one finds the magazine
 * seized, and only the owner opens it, in its slow path, where it cannot be in the
 * middle of the fast one. So a block may be in sight of two for a moment, and goes to
 * one.
 *
 * What the machine has to do for that: the top is moved by one instruction that
 * interrupts do not divide, though other CPUs may see it as a load and a store; loads
 * are not exchanged; the barrier falls between instructions. Where an emulator makes
 * several steps of the instruction and the barrier falls between them, step 3 proves
 * nothing, and nothing may be taken from others: hak_host_barrier() has to return false.
 *
 * The gap
 *
 * Between the fast path and the slow one the owner holds nothing. If it is interrupted
 * there, the top may be 0, 1 or 2, and slot 0, 1 and 2 are NULL: any reader of that
 * top is sent the slow way, too. So it does no harm if
 *
 *	- a thread is preempted there, another one uses the cache of the CPU, and the first
 *	  goes on with the cache of another CPU (CONFIG_HAK_IRQSAVE: the fast path, and
 *	  the slow path from finding the cache to seize_leave(), run with interrupts off,
 *	  so no thread moves while it has a cache in hand);
 *	- an interrupt handler allocates: it leaves magazines alone (CACHE_NEVER), and what
 *	  it interrupted only lasts longer, which "at any later time" allows for;
 *	- a signal handler forks: the child's thread goes on like the parent's. A cache
 *	  whose claim was held by another thread at that moment may be half-way through a
 *	  change and is left alone for ever (cache_after_fork()).
 *
 * Alternatives: signals that ask the owner would interrupt the system calls of programs.
 * Restartable sequences cost malloc and free two instructions more each. A count of
 * operations begun and ended costs one more in each, and tells nothing of a thread that
 * was stopped between the two.
 *
 * tests/model-check/ has this protocol as a model, which is checked exhaustively.
 *
 * Lock: the claim, as said above.
 */
#include "cache/seize.h"

#include "base/policy.h"
#include "cache/budget.h"
#include "cache/slots.h"

bool seize_try_claim(struct hak_cache *cache)
{
	return lock_word_try(&cache->cold->claim);
}

/* Is this the top of a seized magazine, which at most one operation came too late for? */
static bool is_seized_top(unsigned top)
{
	return top <= MAGAZINE_SEIZED + 1;
}

/* Step 1. */
NO_SANITIZE_THREAD void seize_begin(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];

	hak_assert(!cold->seized_top);
	cold->seized_limit = magazine->limit;
	WRITE_ONCE(magazine->limit, 0);
	/* seq_cst: the exchange comes after the limit and before the barrier */
	cold->seized_top = __atomic_exchange_n(&magazine->top, MAGAZINE_SEIZED, __ATOMIC_SEQ_CST);
	cold->kept = (uint16_t)(cold->seized_top - cold->base);
	hak_assert(!is_seized_top(cold->seized_top));
}

/* Step 3, after the barrier. A magazine that is not seized is as open as it was. */
NO_SANITIZE_THREAD bool seize_confirm(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];

	if (cold->seized_top && !is_seized_top(READ_ONCE(magazine->top))) {
		cold->seized_top = 0;
		WRITE_ONCE(magazine->limit, cold->seized_limit);
	}
	return cold->seized_top;
}

/* Step 4: up to @n blocks of the excess. */
NO_SANITIZE_THREAD unsigned seize_collect(struct hak_cache *cache, unsigned class, void **blocks,
					  unsigned n)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];
	void **slot = &cache->slot[cold->base + 1];

	hak_assert(cold->seized_top && cold->excess <= cold->kept);
	n = MIN(n, cold->excess);
	SANITIZER_ACQUIRE(cache);
	for (unsigned i = 0; i < n; i++)
		blocks[i] = slot[i];
	for (unsigned i = n; i < cold->kept; i++)
		slot[i - n] = slot[i];
	cold->kept = (uint16_t)(cold->kept - n);
	cold->excess = (uint16_t)(cold->excess - n);
	cold->scan_held = (uint16_t)(cold->scan_held > n ? cold->scan_held - n : 0);
	cold->scan_gone += n;
	cold->batches.spills += n > 0;
	cold->batches.spilled += n;
	return n;
}

/* The owner is back. It may hold what was left to it, or as many blocks as at first. */
static void open(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned held = cold->kept, first = policy_first_limit(class);

	if (!seize_confirm(cache, class))
		return; /* who began had no second barrier, and took nothing */
	if (magazine->top == MAGAZINE_SEIZED + 1)
		cache->slot[cold->base + ++held] = cache->slot[cold->seized_top + 1];
	magazine->top = (uint16_t)(cold->base + held);
	magazine->limit = cold->seized_limit;
	cold->seized_top = 0;
	cold->excess = 0;
	cold->spilled_last = false;
	cache->cold->quiet = false;
	hak_assert(magazine->top <= magazine->limit);
	budget_set_limit(cache, class, MAX(held, first));
}

void seize_enter(struct hak_cache *cache, unsigned class)
{
	lock_word_lock(&cache->cold->claim);
	if (cache->cold->magazine[class].seized_top)
		open(cache, class);
}

/* Give the claim up. */
void seize_leave(struct hak_cache *cache)
{
	lock_word_unlock(&cache->cold->claim);
}

/*
 * Step 1, if the owner did not use all of this magazine since the last scan. Notes how much of
 * it is excess: everything, if it was not used at all, or if @all may be taken.
 */
NO_SANITIZE_THREAD void seize_idle(struct hak_cache *cache, unsigned class, bool all)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];
	uint64_t gone = slots_pops(cache, class) + cold->batches.spilled;
	uint64_t pushes = READ_ONCE(cache->pushes[class]); /* the owner counts in push_fast() */
	unsigned held = slots_held(cache, class);
	unsigned excess = policy_excess(cold->scan_held, gone - cold->scan_gone);
	bool idle = gone == cold->scan_gone && pushes == cold->scan_pushes;

	if (all || cold->seized_top || idle)
		excess = held;
	cold->scan_held = (uint16_t)held;
	cold->scan_gone = gone;
	cold->scan_pushes = pushes;
	cold->excess = (uint16_t)excess;
	if (!cold->seized_top && (excess || idle))
		seize_begin(cache, class);
}

/*
 * Step 3 for all magazines of a cache: which of them are seized? Are all of them, and does the
 * scan take everything that is left in them? Then the cache is quiet. @sure: a barrier has
 * passed. Sets @excess of the classes of which there is something to take.
 */
void seize_settle(struct hak_cache *cache, bool sure, bool *excess)
{
	bool quiet = sure;

	hak_assert(READ_ONCE(cache->cold->claim.word));
	for_each_magazine(class)
	{
		struct magazine_cold *cold = &cache->cold->magazine[class];

		if (!sure || !seize_confirm(cache, class))
			cold->excess = 0;
		else
			cold->excess = MIN(cold->excess, cold->kept);
		quiet &= cold->seized_top && cold->excess == slots_held(cache, class);
		excess[class] |= cold->excess > 0;
	}
	cache->cold->quiet = quiet;
}
