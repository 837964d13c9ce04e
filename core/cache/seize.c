/* SPDX-License-Identifier: MIT */
/*
 * Taking blocks from the magazines of others: the protocol, and why it is right.
 *
 * The blocks in the magazines of an idle thread must not keep pages, and the thread cannot be
 * asked for them: it may sleep for ever. So others may seize a magazine. From then on its
 * blocks are theirs, until the owner comes back and opens it again.
 *
 * The claim
 *
 * Each cache has a claim, a lock word. The owner takes it in its slow path, and waits for it
 * if need be. Others only try to take it, with the lock of the registry (cache.c) held, and
 * keep it for some thousand instructions. fork() takes that lock, so only owners may hold a
 * claim at the moment of the copy. Nobody waits for an owner, so an owner keeps its claim
 * while it goes to the slabs and to the provider. The fast path takes no claim.
 *
 * The steps
 *
 *	1. seize_begin(): limit = 0, then top = MAGAZINE_SEIZED, by an exchange that
 *	   returns the old top
 *	2. hak_host_barrier(): every CPU that runs a thread of the program passes a memory
 *	   barrier, between two of its instructions (membarrier on Linux, non-maskable
 *	   interrupts on bare metal)
 *	3. seize_confirm(): the magazine is seized, unless its top is that of an open
 *	   magazine again. In that case the one instruction that moves the top was under
 *	   way in step 1: the owner read the old top before the exchange, and wrote a new
 *	   one after it. The owner has its magazine as before.
 *	4. seize_collect(): the blocks up to the old top are taken, the oldest first
 *
 * The race with the fast path
 *
 * A seized magazine sends its owner into the slow path: slot[1] is NULL, and no top is
 * below a limit of 0. But one operation of the fast path may have begun before step 1,
 * and go on at any later time, since its thread may have been stopped in the middle:
 *
 *	malloc has read top and slot[top], and now counts the top down, in one
 *	instruction that tells whether the top is 0 after it. After step 1 it is: malloc
 *	drops the block and takes the slow path. Before step 1 it is not, and the exchange
 *	returns the top without the block.
 *
 *	free has written its block to slot[top + 1], and now counts the top up. After
 *	step 1 the top becomes 2, free succeeds, and the owner picks the block up when it
 *	opens the magazine. Others touch no slot above the old top. The slot exists: step 1
 *	clears the limit before the top, and free reads the top before the limit. So a free
 *	that has read 0, 1 or 2 as its top finds a limit of 0.
 *
 * There is no second operation of this kind. The next one finds the magazine seized, and only
 * the owner opens it, in its slow path, where it cannot be in the middle of the fast one. So
 * for a moment two may see a block, but only one gets it.
 *
 * In step 1, stores of the owner may still be on their way. Then the exchange returns a top that
 * is not the owner's latest. These stores arrive before the barrier is over, and overwrite what
 * the exchange has stored. So step 3 finds the top of an open magazine, and nothing is taken.
 *
 * A block that is freed twice in a row
 *
 * free compares its block with slot[top]. If the magazine was open when the top was read, this is
 * the block that was freed last: only the owner writes to slots from the top on, and what step 4
 * moves goes below the old top. So nothing is missed, and no other word is read, if the magazine
 * is seized in between. If it was seized before, the limit is 0, and the slow path compares.
 *
 * A match in the fast path is a suspicion only, and sends free into the slow path. Since nothing
 * is held in between, the block may have left the magazine when the slow path looks: others took
 * it, or the thread goes on with another cache. Then nothing shows that it is free, somebody may
 * have it already, and it is freed as any other. With the claim, the magazine is open, and
 * nobody else can take a block out of it. If the block lies on top now, it is free, and it is
 * an error to free it. A program that frees each block once is never suspected: a block that it
 * frees lies in no magazine.
 *
 * The machine has to do three things for all that. One instruction moves the top, and interrupts
 * do not divide it, though other CPUs may see it as a load and a store. Loads stay in order,
 * and so do stores. The barrier falls between instructions. An emulator may make several steps
 * of the instruction, with the barrier between them. Then step 3 proves nothing, and nothing
 * may be taken from others: hak_host_barrier() has to return false.
 *
 * The gap
 *
 * Between the fast path and the slow one the owner holds nothing. If it is interrupted there,
 * the top of a seized magazine may be 0, 1 or 2. Slots 0, 1 and 2 are NULL, so each of these
 * tops sends every reader into the slow path. So it does no harm if
 *
 *	- a thread is preempted there, another one uses the cache of the CPU, and the first
 *	  goes on with the cache of another CPU (CONFIG_HAK_IRQSAVE: the fast path, and
 *	  the slow path from finding the cache to seize_leave(), run with interrupts off,
 *	  so no thread moves while it uses a cache);
 *	- an interrupt handler allocates: it uses no magazine (CACHE_NEVER), and the operation
 *	  that it interrupted only lasts longer, which "at any later time" allows for;
 *	- a signal handler forks: the thread goes on in the child as in the parent.
 *
 * In a child, another thread may have held the claim of its cache. That cache may be half-way
 * through a change, and is never used again (cache_disown()). A cache whose owner was in
 * the fast path can be used again. A block on its way into or out of it may be lost, since the
 * thread that had it in hand is not there. If a signal handler forks in the middle of a scan, and
 * one of another thread as well, the scan has claims in the child of the other. Its thread does not
 * wait for that of its own cache (seize_after_fork()).
 *
 * Alternatives: signals that ask the owner would interrupt the system calls of programs.
 * Restartable sequences cost malloc and free two instructions more each. To count operations
 * that begin and end costs one more in each, and does not help if a thread was stopped
 * between the two.
 *
 * tests/model-check/ has this protocol as a model, which is checked exhaustively.
 *
 * Lock: the claim, as said above.
 */
#include "cache/seize.h"

#include "base/policy.h"
#include "cache/budget.h"
#include "cache/slots.h"
#include "pages/bug.h"

/* Who has a claim. Only a fork() has to know. */
static inline uintptr_t claim_holder(void)
{
	return PLATFORM_FORKS ? (uintptr_t)this_held() : LOCK_ANYBODY;
}

bool seize_try_claim(struct hak_cache *cache)
{
	return lock_word_try(&cache->cold->claim, claim_holder());
}

/* Is this the top of a seized magazine, perhaps after one operation that came too late? */
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
		return; /* the scan had no second barrier, and took nothing */
	if (magazine->top == MAGAZINE_SEIZED + 1)
		cache->slot[cold->base + ++held] = cache->slot[cold->seized_top + 1];
	magazine->top = (uint16_t)(cold->base + held);
	magazine->limit = cold->seized_limit;
	cold->seized_top = 0;
	cold->excess = 0;
	cold->spilled_last = false;
	cache->cold->quiet = 0;
	budget_set_limit(cache, class, MAX(held, first));
	hak_assert(magazine->top <= magazine->limit);
}

void seize_enter(struct hak_cache *cache, unsigned class)
{
	lock_word_lock(&cache->cold->claim, claim_holder());
	if (cache->cold->magazine[class].seized_top)
		open(cache, class);
}

/* Give the claim up, and report what was found wrong meanwhile. */
void seize_leave(struct hak_cache *cache)
{
	lock_word_unlock(&cache->cold->claim);
	bug_report_noted();
}

/* In the child of a fork() this is the caller's cache. A claim that somebody else had is lost. */
void seize_after_fork(struct hak_cache *cache)
{
	struct lock *claim = &cache->cold->claim;

	if (claim->word && !lock_is_own(claim))
		lock_fork_lose(claim);
}

/* Between the steps, the excess of a magazine that hak_prefill() has promised to the owner. */
#define PROMISED UINT16_MAX

/*
 * Step 1, if the owner did not need all blocks of this magazine since the last scan, or if @all.
 * Notes how many of them are excess: all, if it was not used, if it was seized already, or if @all.
 * What hak_prefill() has promised to the owner stays.
 */
NO_SANITIZE_THREAD void seize_idle(struct hak_cache *cache, unsigned class, bool all)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];
	uint64_t pops = slots_pops(cache, class), gone = pops + cold->batches.spilled;
	uint64_t pushes = READ_ONCE(cache->pushes[class]); /* the owner counts in push_fast() */
	unsigned held = slots_held(cache, class);
	unsigned excess = policy_excess(cold->scan_held, gone - cold->scan_gone);
	bool idle = gone == cold->scan_gone && pushes == cold->scan_pushes;

	if (pops < cold->promised) {
		cold->excess = PROMISED;
		return;
	}
	if (all || cold->seized_top || idle)
		excess = held;
	cold->scan_held = (uint16_t)held;
	cold->scan_gone = gone;
	cold->scan_pushes = pushes;
	cold->excess = (uint16_t)excess;
	if (!cold->seized_top && (all || excess || idle))
		seize_begin(cache, class);
}

/* A seized magazine keeps no more budget than what stays there needs. */
static void settle(struct hak_cache *cache, unsigned class)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned left = cold->kept - MIN(cold->excess, cold->kept);

	cold->excess = (uint16_t)(cold->kept - left);
	if (HAK_CACHES_BYTES)
		budget_set_limit(cache, class, MAX(left, policy_first_limit(class)));
}

/*
 * Step 3. @sure: a barrier has passed, or none is needed. Returns whether the magazine is quiet: it
 * is seized, and the scan is to take all of its blocks, but for those that are promised.
 */
bool seize_settle(struct hak_cache *cache, unsigned class, bool sure)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];

	hak_assert(READ_ONCE(cache->cold->claim.word));
	if (cold->excess == PROMISED) {
		cold->excess = 0;
		return sure;
	}
	if (sure && seize_confirm(cache, class)) {
		settle(cache, class);
		return cold->excess == cold->kept;
	}
	cold->excess = 0;
	return false;
}
