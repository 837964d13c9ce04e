/* SPDX-License-Identifier: MIT */
/*
 * Magazines: what makes malloc and free cheap. A cache has one for each class,
 * an array of blocks that are allocated as far as their slabs know and free as
 * far as the program knows. malloc pops, free pushes, without a lock. Blocks
 * move to and from the slabs in batches.
 *
 * How many blocks a magazine may hold adapts: see policy_next_limit(). Up to
 * two batches each, all of one cache together may grow by HAK_CACHE_BYTES; who
 * needs more then takes it from others: see grow(). Beyond that a magazine grows
 * only for a thread that frees much and allocates it again, by turns, and all
 * together by HAK_CACHE_BURST_BYTES. The arrays are as large as the capacities of the
 * classes ask for, and their pages are touched only as far as they are used.
 *
 *	slot[base] == NULL, base <= top <= limit <= base + capacity, or closed
 *	room  =  HAK_CACHE_BYTES - sum of (usual part of limit - first limit) * size
 *	burst_budget  =  HAK_CACHE_BURST_BYTES - sum of (limit - usual part of limit) * size
 *	refilled + pushes  =  pops + spilled + held
 *
 * Batches of 1000 blocks of 4 or 16 KiB, allocated and then freed in any order,
 * so take 8 ns a block; 14 to 31 ns, and 150 to 450 instead of 57 instructions,
 * if all of a cache has 2 MiB. With 32 MiB for whatever asks for it, a thread
 * whose allocations and frees keep pace keeps 16 MiB more of 128 resident.
 *
 * An intrusive list (block -> next block) would need no array and hold any
 * number, but would read and write every free block, which is a cache miss on
 * each of them in the case that matters, and breaks when a program writes to
 * what it has freed.
 *
 * Taking blocks out of the magazine of a thread that may never call again
 *
 * What an idle thread has in its magazines must not keep pages, and the thread
 * cannot be asked. So others may close a magazine, and then it is theirs:
 *
 *	1. limit = 0, and top = MAGAZINE_SEIZED by an atomic exchange that says where
 *	   it was
 *	2. a barrier on all CPUs that run a thread of the program
 *	   (hak_host_barrier(): membarrier on Linux, non-maskable interrupts on
 *	   bare metal)
 *	3. closed, unless top has the value of a full-grown index again: then
 *	   the owner was just between reading and writing it, in the one
 *	   instruction that moves it, and has a magazine as before
 *
 * A closed magazine sends its owner into the slow path: slot[1] is NULL, and no top
 * is below the limit. But at most one operation may have begun before step
 * 1 and go on after it, at any later time. The fast path is made for that:
 *
 *	malloc has read top and slot[top], and now counts top down in one
 *	instruction, which tells that it has become 0: it drops the block and goes
 *	the slow way. If it came before the exchange, the exchange saw its result.
 *
 *	free has written its block into slot[top + 1], and now counts top up:
 *	to 2. The block is picked up when the owner opens the magazine. It is in
 *	nobody's way there, since others touch nothing above the old top; and
 *	there is a slot for it, since top was read before the limit.
 *
 * Between the fast path and the slow one, the owner may be interrupted, or its cache
 * be used by another thread of the CPU (CONFIG_HAK_IRQSAVE): the top that was left
 * behind, 0 or 2, is as good as 1 for whoever reads it then.
 *
 * Only the owner opens a magazine, in its slow path, in which it cannot be in
 * the middle of the fast one. So a block is lent to a race for a moment, but
 * never to two. Signals that interrupt the owner to ask it would break the
 * system calls of programs; restartable sequences cost two more instructions
 * in malloc and in free; a count of operations begun and ended costs one more
 * in each and tells nothing of a thread that was stopped between them.
 *
 * Interrupt handlers leave magazines alone (CACHE_NEVER), so that on a CPU
 * there is one operation under way, too: a handler that comes in the middle of
 * it makes it last longer, and "at any later time" is what the above allows for.
 * A kernel that lets another thread use the CPU's cache in the middle of one
 * sets CONFIG_HAK_IRQSAVE: an operation, and a slow path from finding the cache
 * to leave(), then have interrupts off. So no thread moves to another CPU with
 * a cache in hand, and none finds the claim taken by one that waits for its
 * turn on the same CPU.
 *
 * Lock: none in the fast path. The rest is done by whoever holds the claim of
 * the cache: its owner in the slow path, or, by try only, another that closes
 * magazines or takes blocks out of closed ones, which takes it under the lock of
 * the list of caches (so that it is never held by others during fork()) and
 * keeps it for some thousand instructions at most. Nobody waits for an owner,
 * so an owner keeps the claim when it goes to the slabs and the provider.
 *
 * Failure: refill() returns nothing, magazine_pop() NULL.
 */
#include "cache/magazine.h"

#include "slab/blocks.h"
#include "pages/pagemap.h"

bool seize_try_claim(struct hak_cache *cache)
{
	return lock_word_try(&cache->cold->claim);
}

static void claim(struct hak_cache *cache)
{
	lock_word_lock(&cache->cold->claim);
}

void seize_unclaim(struct hak_cache *cache)
{
	lock_word_unlock(&cache->cold->claim);
}

/* Is this what becomes of the top of a closed magazine, by at most one operation? */
static bool is_top_of_closed(unsigned top)
{
	return top <= MAGAZINE_SEIZED + 1;
}

/* Step 1. */
NO_SANITIZE_THREAD void seize_begin(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];

	cold->limit = magazine->limit;
	WRITE_ONCE(magazine->limit, 0);
	cold->seized = __atomic_exchange_n(&magazine->top, MAGAZINE_SEIZED, __ATOMIC_SEQ_CST);
	cold->kept = (uint16_t)(cold->seized - cold->base);
}

/* Step 3, after the barrier. If not, it is as open as before. */
NO_SANITIZE_THREAD bool seize_confirm(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];

	if (cold->seized && !is_top_of_closed(READ_ONCE(magazine->top))) {
		cold->seized = 0;
		WRITE_ONCE(magazine->limit, cold->limit);
	}
	return cold->seized;
}

/* Take up to @n blocks, the oldest first, out of a closed magazine. */
NO_SANITIZE_THREAD unsigned seize_take(struct hak_cache *cache, unsigned class, void **blocks,
					  unsigned n)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];
	void **slot = &cache->slot[cold->base + 1];

	if (n > cold->excess)
		n = cold->excess;
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

/* How many blocks a magazine may hold when nothing is known of its use. */
unsigned policy_first_limit(unsigned class)
{
	return class_has_spans(class) ? 1 : MAGAZINE_MIN;
}

static unsigned budget_limit(const struct hak_cache *cache, unsigned class)
{
	return cache->magazine[class].limit - cache->cold->magazine[class].base;
}

/* The blocks of a magazine move to other slots of its class; the limit is the caller's. */
static void move_to(struct hak_cache *cache, unsigned class, unsigned base)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned held = magazine->top - cold->base;

	cache->slot[base] = NULL; /* an owner before may have left anything */
	__builtin_memcpy(&cache->slot[base + 1], &cache->slot[cold->base + 1],
			 held * sizeof(void *));
	magazine->top = (uint16_t)(base + held);
	cold->base = (uint16_t)base;
}

/* Bytes by which a limit is beyond what batches are a reason for. */
static ptrdiff_t burst_of(unsigned class, unsigned limit)
{
	unsigned usual = 2u * size_class[class].batch;

	return HAK_CACHE_BURST_BYTES > 0 && limit > usual
		       ? (ptrdiff_t)(limit - usual) * size_class[class].size
		       : 0;
}

/* How much room would a magazine take, or give, that may hold @limit blocks? */
static void budget_for(const struct hak_cache *cache, unsigned class, unsigned limit, ptrdiff_t *more,
		     ptrdiff_t *more_burst)
{
	unsigned now = budget_limit(cache, class);

	*more_burst = burst_of(class, limit) - burst_of(class, now);
	*more = ((ptrdiff_t)limit - now) * (ptrdiff_t)size_class[class].size - *more_burst;
}

/*
 * A magazine may hold @limit blocks from now on. If that is more than fit near, it
 * gets the far slots of its class, and keeps them as long as its owner.
 */
static void budget_set_limit(struct hak_cache *cache, unsigned class, unsigned limit)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];
	ptrdiff_t more, more_burst;

	budget_for(cache, class, limit, &more, &more_burst);
	cache->cold->budget -= more;
	cache->cold->burst_budget -= more_burst;
	if (HAS_FAR_SLOTS && limit > HAK_MAGAZINE_NEAR && cold->base != cold->far) {
		move_to(cache, class, cold->far);
		cache->cold->far_touched = true;
	}
	cache->magazine[class].limit = (uint16_t)(cold->base + limit);
}

/* The owner is back, with room for a few more than were left to it. */
static void open(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned held = cold->kept, first = policy_first_limit(class);

	if (!seize_confirm(cache, class))
		return; /* who tried had no second barrier, and took nothing */
	if (magazine->top == MAGAZINE_SEIZED + 1)
		cache->slot[cold->base + ++held] = cache->slot[cold->seized + 1];
	magazine->top = (uint16_t)(cold->base + held);
	magazine->limit = cold->limit;
	budget_set_limit(cache, class, held > first ? held : first);
	cold->seized = 0;
	cold->excess = 0;
	cold->spilled_last = false;
	cache->cold->quiet = false;
}

/* What every function for owners begins with. */
static void enter(struct hak_cache *cache, unsigned class)
{
	claim(cache);
	if (cache->cold->magazine[class].seized)
		open(cache, class);
}

static void leave(struct hak_cache *cache)
{
	seize_unclaim(cache);
}

/* Others read it at any time, between two steps of the owner as well: no more than fit. */
NO_SANITIZE_THREAD unsigned magazine_held(const struct hak_cache *cache, unsigned class)
{
	const struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned top = READ_ONCE(cache->magazine[class].top), most = size_class[class].capacity;
	unsigned late = top == MAGAZINE_SEIZED + 1; /* the block of a free that came late */
	unsigned held = cold->seized ? cold->kept + late : top - cold->base;

	return held < most ? held : most;
}

/* Not counted, since it follows from what is. */
NO_SANITIZE_THREAD uint64_t magazine_pops(const struct hak_cache *cache, unsigned class)
{
	const struct magazine_batches *batches = &cache->cold->magazine[class].batches;

	return batches->refilled + cache->pushes[class] - batches->spilled -
	       magazine_held(cache, class);
}

/* Twice the limit, but not above @most if it is not there already. */
static unsigned doubled(unsigned limit, unsigned most)
{
	if (limit >= most)
		return limit;
	return limit * 2 < most ? limit * 2 : most;
}

/**
 * policy_next_limit() - how many blocks a magazine should hold from now on
 * @limit:    how many it may hold so far
 * @capacity: the most that the class allows
 * @batch:    the most that move at once
 *
 * A refill doubles it, up to two batches: larger ones make allocation cheaper,
 * and what they fetch is about to be used. If that had just been spilled, it
 * doubles up to the capacity: with room for it, neither had been necessary. When
 * allocations and frees keep pace again, what is beyond two batches goes, by a
 * quarter for each refill. Frees alone take as much for each spill: what such a
 * magazine collects nobody is waiting for. Who frees gets room for a batch.
 */
unsigned policy_next_limit(unsigned limit, unsigned capacity, unsigned batch,
			     enum magazine_event event)
{
	unsigned usual = capacity / 2 < batch ? capacity : batch * 2;
	unsigned least = usual / 2;

	if (least < MAGAZINE_MIN)
		least = usual < MAGAZINE_MIN ? usual : MAGAZINE_MIN;
	switch (event) {
	case MAGAZINE_REFILL_MISSED:
		return doubled(limit, capacity);
	case MAGAZINE_REFILL_STEADY:
		if (limit > usual)
			return limit - limit / 4 > usual ? limit - limit / 4 : usual;
		return doubled(limit, usual);
	case MAGAZINE_REFILL:
		return doubled(limit, usual);
	case MAGAZINE_SPILL_AGAIN:
		limit -= limit / 4;
		break;
	case MAGAZINE_SPILL:
		break;
	}
	return limit > least ? limit : least;
}

/**
 * policy_excess() - how many blocks a magazine held and did not need
 * @held: how many it held at the last look
 * @gone: how many were popped since, or spilled
 *
 * A lower bound of its low-water mark, which a fast path that noted it would
 * pay for: with so many gone it cannot have sunk deeper, and as long as frees
 * put back what malloc takes it is far higher.
 */
unsigned policy_excess(unsigned held, uint64_t gone)
{
	return gone < held ? held - (unsigned)gone : 0;
}

/*
 * Give the oldest @n blocks of a magazine back to where they came from. Returns
 * how many of the class are outstanding then, those that the magazine holds
 * included.
 */
static uint64_t give_back(struct hak_cache *cache, unsigned class, unsigned n)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned held = magazine->top - cold->base;
	void **blocks = &cache->slot[cold->base + 1];
	uint64_t outstanding;

	outstanding = blocks_free(class, blocks, n);
	__builtin_memmove(blocks, blocks + n, (held - n) * sizeof(*blocks));
	magazine->top = (uint16_t)(magazine->top - n);
	cold->batches.spills++;
	cold->batches.spilled += n;
	return outstanding;
}

/*
 * Take half of what a magazine may hold beyond its first limit, if it is open and
 * no more than usual. (One that is not there has a limit of 0.)
 */
static void budget_take_from(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned first = policy_first_limit(class), limit = budget_limit(cache, class);
	unsigned held = magazine->top - cold->base;

	if (cold->seized || limit <= first || burst_of(class, limit))
		return;
	limit -= (limit - first + 1) / 2;
	if (held > limit)
		give_back(cache, class, held - limit);
	budget_set_limit(cache, class, limit);
}

/*
 * A magazine wants to hold @limit blocks. If all together have grown as far as
 * they may, another, each in its turn, gives up some of its room; if that does not
 * suffice, it stays as it is, and there is more for the next. (Where all classes
 * want more than there is, asking up to eight for it costs a tenth of all
 * instructions, and none gets more in the end.)
 */
static void grow(struct hak_cache *cache, unsigned class, unsigned limit)
{
	struct cache_cold *cold = cache->cold;
	ptrdiff_t more, more_burst;

	budget_for(cache, class, limit, &more, &more_burst);
	if (more_burst > 0 && more_burst > cold->burst_budget)
		return;
	if (cold->budget < more) {
		cold->victim = (uint8_t)class_after(cold->victim);
		if (cold->victim != class)
			budget_take_from(cache, cold->victim);
	}
	if (more <= 0 || cold->budget >= more)
		budget_set_limit(cache, class, limit);
}

/*
 * Many missed, and few freed since the last batch: that is a swing. By chance
 * allocations and frees that keep pace come near it only in small magazines.
 */
static enum magazine_event refill_event(const struct hak_cache *cache, unsigned class)
{
	const struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned half = budget_limit(cache, class) / 2;

	if (HAK_CACHE_BURST_BYTES == 0)
		return MAGAZINE_REFILL;
	if (cache->pushes[class] - cold->batch_pushes > half)
		return MAGAZINE_REFILL_STEADY;
	return cold->missed > half ? MAGAZINE_REFILL_MISSED : MAGAZINE_REFILL;
}

static void note_batch(struct hak_cache *cache, unsigned class, bool spill)
{
	struct magazine_cold *cold = &cache->cold->magazine[class];

	cold->batch_pushes = cache->pushes[class];
	cold->batch_held = (uint16_t)(cache->magazine[class].top - cold->base);
	cold->spilled_last = spill;
}

/* Has a magazine filled up since the last spill with at least half of what was freed? */
static bool only_frees(const struct hak_cache *cache, unsigned class)
{
	const struct magazine_cold *cold = &cache->cold->magazine[class];
	uint64_t pushes = cache->pushes[class] - cold->batch_pushes;
	unsigned held = cache->magazine[class].top - cold->base;

	return cold->spilled_last && cold->batch_held + pushes / 2 <= held;
}

/* Fill an empty magazine, at most to half of its limit. Pops will rise in address. */
static void refill(struct hak_cache *cache, unsigned class, enum alloc_which which)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned base = cold->base, limit = budget_limit(cache, class), got;
	unsigned capacity = size_class[class].capacity, batch = size_class[class].batch;
	unsigned want = (limit + 1) / 2 < batch ? (limit + 1) / 2 : batch;
	void **blocks = &cache->slot[base + 1];

	got = blocks_alloc(class, blocks + want, want, which);
	if (got < want)
		__builtin_memmove(blocks, blocks + want - got, got * sizeof(*blocks));
	magazine->top = (uint16_t)(base + got);
	grow(cache, class, policy_next_limit(limit, capacity, batch, refill_event(cache, class)));
	cold->missed -= got < cold->missed ? got : cold->missed;
	note_batch(cache, class, false);
	cold->batches.refills += got > 0;
	cold->batches.refilled += got;
}

/*
 * How many of @held blocks go when there may be @limit: a batch at most, if @all
 * may go. Else half of that, and of the blocks: where they are wanted back, fewer
 * are, and what is left suffices after some turns.
 */
static unsigned policy_spill(unsigned held, unsigned limit, unsigned batch, bool all)
{
	unsigned most = batch < held ? batch : held, least = held - limit + 1;

	if (!all)
		most = (batch + 1) / 2 < held - limit / 2 ? (batch + 1) / 2 : held - limit / 2;
	return most > least ? most : least;
}

/*
 * Make room in a full magazine for a block: it is allowed more, or some of the
 * older half go, or a batch if nothing but frees is seen.
 *
 * Where nothing but frees is seen, the end of them is watched for. With `others`
 * blocks of the class left besides those in the magazine and the one that is
 * coming, the limit is set so that the free of the last one ends here again.
 * Then all of them go, and no slab is kept by blocks that nobody has a use for.
 */
static void spill(struct hak_cache *cache, unsigned class)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned held = magazine->top - cold->base, limit = budget_limit(cache, class);
	unsigned batch = size_class[class].batch, n = 0;
	bool again = only_frees(cache, class);
	uint64_t outstanding = 0, others;

	grow(cache, class,
	     policy_next_limit(limit, size_class[class].capacity, batch,
				 again ? MAGAZINE_SPILL_AGAIN : MAGAZINE_SPILL));
	limit = budget_limit(cache, class);
	if (held >= limit) {
		n = policy_spill(held, limit, batch, again);
		outstanding = give_back(cache, class, n);
	} else if (again) {
		outstanding = blocks_outstanding(class);
	}
	cold->missed = again ? cold->missed + n : n;
	held = magazine->top - cold->base;
	others = again ? outstanding - held - 1 : UINT64_MAX;
	if (!others && held)
		give_back(cache, class, held);
	held = magazine->top - cold->base;
	if (others < limit - held)
		budget_set_limit(cache, class, held + (unsigned)others);
	note_batch(cache, class, true);
}

/**
 * magazine_pop() - take a block out of a magazine, which is refilled if empty
 * @which: is memory wanted that was not there before?
 *
 * Returns NULL if there is none.
 */
void *magazine_pop(struct hak_cache *cache, unsigned class, enum alloc_which which)
{
	struct magazine *magazine = &cache->magazine[class];
	void *block;

	enter(cache, class);
	block = cache->slot[magazine->top];
	if (!block) {
		refill(cache, class, which);
		block = cache->slot[magazine->top];
		cache->cold->magazine[class].batches.misses += block || which == ALLOC_ANY;
	}
	if (block)
		magazine->top--;
	leave(cache);
	return block;
}

/**
 * magazine_push() - put a block into a magazine, which is spilled if full
 */
void magazine_push(struct hak_cache *cache, unsigned class, void *block)
{
	struct magazine *magazine = &cache->magazine[class];

	enter(cache, class);
	if (magazine->top >= magazine->limit)
		spill(cache, class);
	cache->slot[++magazine->top] = block;
	cache->pushes[class]++;
	if (unlikely(magazine->top > magazine->limit)) {
		/* no others: see spill() */
		give_back(cache, class, 1);
		budget_set_limit(cache, class, policy_first_limit(class));
	}
	leave(cache);
}

/* Return all blocks to their slabs; were there any? */
NO_SANITIZE_THREAD bool magazine_flush(struct hak_cache *cache, unsigned class)
{
	unsigned held;

	if (cache->magazine[class].top == cache->cold->magazine[class].base)
		return false; /* open and empty: most are, and who closes it now finds nothing */
	enter(cache, class);
	held = magazine_held(cache, class);
	if (held)
		give_back(cache, class, held);
	leave(cache);
	return held;
}

/**
 * magazine_hand_over() - the owner of a magazine ends
 *
 * For the next one it is as a first one, with @keep blocks at most in it, which are
 * no more than such a one may hold.
 */
NO_SANITIZE_THREAD void magazine_hand_over(struct hak_cache *cache, unsigned class, unsigned keep)
{
	struct magazine *magazine = &cache->magazine[class];
	struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned first = policy_first_limit(class), held;

	if (magazine->top == cold->near && magazine->limit == cold->near + first)
		return; /* that is what it is: most are */
	enter(cache, class);
	held = magazine->top - cold->base;
	if (held > keep)
		give_back(cache, class, held - keep);
	budget_set_limit(cache, class, first);
	if (HAS_FAR_SLOTS && cold->base != cold->near) {
		move_to(cache, class, cold->near);
		magazine->limit = (uint16_t)(cold->near + first);
	}
	cold->missed = 0;
	note_batch(cache, class, false);
	leave(cache);
}

/* Does @block lie in the caller's magazine, free already? For debug builds. */
bool magazine_has(struct hak_cache *cache, unsigned class, const void *block)
{
	bool has = false;

	enter(cache, class);
	for (unsigned i = cache->magazine[class].top; cache->slot[i] && !has; i--)
		has = cache->slot[i] == block;
	leave(cache);
	return has;
}

static const char *check_open(const struct hak_cache *cache, unsigned class)
{
	const struct magazine *magazine = &cache->magazine[class];
	const struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned base = cold->base;
	unsigned most =
		base != cold->far && cold->far ? HAK_MAGAZINE_NEAR : size_class[class].capacity;

	if (cache->slot[base])
		return "magazine: a block below the first";
	if (magazine->top < base || magazine->top > magazine->limit ||
	    magazine->limit > base + most)
		return "magazine: its top or limit";
	for (unsigned i = base + 1; i <= magazine->top; i++) {
		size_t detail;

		if (pagemap_class((uintptr_t)cache->slot[i]) != class ||
		    blocks_inspect(class, cache->slot[i], &detail))
			return "magazine: a block that is not one, or is free in its slab";
	}
	return NULL;
}

/* NULL, or what is wrong with a magazine of the caller's. */
const char *magazine_check(struct hak_cache *cache, unsigned class)
{
	const char *failed;

	enter(cache, class);
	failed = check_open(cache, class);
	leave(cache);
	return failed;
}
