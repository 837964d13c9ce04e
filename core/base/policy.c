/* SPDX-License-Identifier: MIT */
/*
 * The policy: how much memory is kept for speed, and when it goes back. The layers ask, and
 * act on the answer. The functions depend on their arguments, and on one word, the mode.
 *
 * A block in a magazine, a page of a slab or an unused slab is idle if a scan (reclaim/scan.c)
 * found it free and nobody has used it since. What the next scan finds idle goes back. So does the
 * slack of a span. (A span that is soon freed leaves it to the next one.)
 *
 * What is kept beyond that is a working set: what was needed in this interval or in the one
 * before. An interval is one scan or more. It is told by two words for each stock.
 *
 *	Of empty SuperSlabs one is like the other, so those are not needed that were there all
 *	the time: the least level of the last two intervals. (The depots of illumos, umem.c, do the
 *	same.) So a program that grows and shrinks faster than that does not pay for page faults.
 *
 *	Unused slabs are not alike: short runs wait until they are part of a longer one. They are
 *	needed, and slack and empty SuperSlabs with them, if no fewer slabs were allocated in an
 *	interval than are unused: policy_is_busy().
 *
 * Where no scans run, a single empty SuperSlab is kept: that is enough for a program that frees
 * and allocates across the edge of a SuperSlab.
 *
 * Lock: none. The mode is one word, read relaxed: a caller may act on the one before.
 */
#include "base/policy.h"

#include "base/sizeclass.h"

static _Atomic unsigned release_mode;

void policy_set_mode(enum release_mode mode)
{
	atomic_store_explicit(&release_mode, mode, memory_order_relaxed);
}

/* Should a SuperSlab that has just become empty stay, if @reserve of @active others do already? */
bool policy_keeps(size_t reserve, size_t active)
{
	switch (atomic_load_explicit(&release_mode, memory_order_relaxed)) {
	case RELEASE_NEVER:
		return true;
	case RELEASE_LATER:
		return !reserve || reserve < MAX(active / 4, POLICY_RESERVE_MOST);
	default:
		return !reserve;
	}
}

/* May a large block of so many units wait for the next one? Only where a scan comes by. */
bool policy_waits(size_t units)
{
	return units <= POLICY_RESERVE_MOST * UNITS_PER_SUPERSLAB &&
	       atomic_load_explicit(&release_mode, memory_order_relaxed) == RELEASE_LATER;
}

/*
 * May what is idle stay, since the program will soon want it? @unused slabs are backed and unused,
 * and so many were taken into use in this interval and in the one before. If these are more, then
 * what is unused now is next, or will soon be part of a run that is. That holds only for as much
 * as a busy heap may have beside what it uses.
 */
bool policy_is_busy(size_t unused, const struct two_intervals *taken, size_t in_use)
{
	return unused && unused <= MIN(MAX(taken->now, taken->before), in_use / 4);
}

/*
 * May an owner that ends leave blocks in its cache for the next owner? Where no scans run,
 * only if at most one SuperSlab is in use: such blocks may keep none but the one that stays
 * anyway.
 */
bool policy_keeps_blocks(size_t in_use)
{
	return in_use <= 1 ||
	       atomic_load_explicit(&release_mode, memory_order_relaxed) != RELEASE_AT_ONCE;
}

/*
 * How much may the caches of all owners hold together, of what they may hold beyond the first
 * limits, when @live bytes are in blocks? At least @least bytes.
 */
uint64_t policy_caches(uint64_t least, uint64_t live)
{
	return MAX(least, live / 8);
}

/* A batch is at most this part of the heap, but it may always have so many blocks. */
#define BATCH_PART  64u
#define BATCH_LEAST 32u

/*
 * How many blocks of @size bytes may a batch have when no more than @peak bytes were ever live?
 * What a refill brings is memory that the program may never use, in each class. In a small heap
 * that would soon be more than the program has.
 */
unsigned policy_batch(size_t size, uint64_t peak)
{
	return (unsigned)MIN(MAX(BATCH_LEAST, peak / BATCH_PART / size), UINT16_MAX);
}

/* Bytes of a magazine at first. */
#define FIRST_BYTES 8192u

/*
 * How many blocks may a magazine hold at first, before it is known how it is used? Where all
 * caches share a budget, these are few bytes, which nobody counts.
 */
unsigned policy_first_limit(unsigned class)
{
	if (HAK_CACHES_BYTES)
		return MIN(FIRST_BYTES / size_class[class].size, MAGAZINE_MIN);
	return class_has_spans(class) ? 1 : MAGAZINE_MIN;
}

/*
 * How many blocks stay in the magazine of an owner that ends? Half of what the next owner may
 * hold at first: a full magazine would spill a batch as soon as that one frees a block.
 */
unsigned policy_inherited(unsigned class)
{
	return size_class[class].size <= SMALL_MAX ? policy_first_limit(class) / 2 : 0;
}

/* Twice the limit, at least 1, but at most @most; a limit above @most stays as it is. */
static unsigned doubled(unsigned limit, unsigned most)
{
	return limit < most ? MIN(limit * 2 + (HAK_CACHES_BYTES && !limit), most) : limit;
}

/* A spill makes a limit at least @least, or brings it nearer. See policy_next_limit(). */
static unsigned grown(unsigned limit, unsigned least)
{
	return HAK_CACHES_BYTES ? doubled(limit, least) : MAX(limit, least);
}

/*
 * A quarter less than the limit, but at least @least. What does not fit any more leaves the
 * magazine at once, so where batches are small, it is at most half of one.
 */
static unsigned lowered(unsigned limit, unsigned least, unsigned batch)
{
	unsigned less = limit / 4;

	if (HAK_CACHE_BURST_BYTES == 0)
		less = MIN(less, batch / 2);
	return MAX(limit - less, least);
}

/**
 * policy_next_limit() - how many blocks may a magazine hold from now on?
 * @limit:    how many blocks it may hold so far
 * @capacity: the most that its class allows, in blocks
 * @batch:    the most blocks that move at once
 * @event:    what happened to the magazine
 *
 * A refill doubles the limit, up to the usual one: the blocks are about to be used, and larger
 * batches cost less for each block. A refill that fetches blocks which were spilled a moment
 * ago doubles the limit up to the capacity: with a higher limit, neither would have been
 * necessary. When allocations and frees keep pace again, each refill takes a quarter off the
 * limit, down to two batches. A spill takes a quarter off if the program hardly does anything
 * but free, since it will not use the blocks that such a magazine collects. A spill makes a limit
 * that is lower than a batch, or than half of the capacity if that is less, grow up to it: at
 * once, or twofold where all caches share a budget. There the scan lowers the limit of what it
 * seizes, and soon a free looks whether much can go again.
 *
 * Returns 1 .. @capacity.
 */
unsigned policy_next_limit(unsigned limit, unsigned capacity, unsigned batch,
			   enum magazine_event event)
{
	unsigned usual = policy_usual(capacity, batch);
	unsigned least = MAX(usual / 2, MIN(usual, MAGAZINE_MIN));

	hak_assert(limit <= capacity && batch);
	if (HAK_CACHE_BURST_BYTES == 0 && event < MAGAZINE_SPILL)
		event = MAGAZINE_REFILL; /* all that the others do is for bursts */
	switch (event) {
	case MAGAZINE_REFILL_MISSED:
		limit = doubled(limit, capacity);
		break;
	case MAGAZINE_REFILL_STEADY:
		limit = limit > usual ? lowered(limit, usual, batch) : doubled(limit, usual);
		break;
	case MAGAZINE_REFILL:
		limit = doubled(limit, usual);
		break;
	case MAGAZINE_SPILL_AGAIN:
		if (limit > least || !HAK_CACHES_BYTES)
			limit = lowered(limit, least, batch);
		else
			limit = grown(limit, least);
		break;
	case MAGAZINE_SPILL:
		limit = grown(limit, least);
		break;
	}
	hak_assert(limit && limit <= capacity);
	return limit;
}

/**
 * policy_spill() - how many blocks of a full magazine does a spill free?
 * @held:  how many blocks the magazine holds, at least @limit
 * @limit: how many it may hold
 * @batch: the most blocks that move at once
 * @all:   the program frees and hardly allocates: nothing of this will be wanted back
 *
 * If @all, or if batches are small, that is a batch. If not, it is half of a batch, or a quarter of
 * the limit if that is more, but at most as many as leave half of the limit: a program that wants
 * blocks back then still finds some, and after a few turns spills no more. In any case it is so
 * many that one more block fits.
 *
 * Returns 1 .. @held.
 */
unsigned policy_spill(unsigned held, unsigned limit, unsigned batch, bool all)
{
	unsigned most = MIN(batch, held), least = held - limit + 1;

	hak_assert(held && limit <= held);
	if (!all && HAK_CACHE_BURST_BYTES > 0)
		most = MIN(MAX((batch + 1) / 2, limit / 4), held - limit / 2);
	hak_assert(most <= held && least <= held);
	return MAX(most, least);
}

/**
 * policy_last_limit() - how many blocks may a magazine hold, if the program may soon free the last?
 * @limit:  how many it might hold otherwise
 * @held:   how many it holds; one more is about to be pushed
 * @others: how many blocks of the class are not free, and are none of these
 * @batch:  the most blocks that move at once
 *
 * So many that the free of the last of them spills. Where batches are short, each free before that
 * comes to spill, too, once the others are so few that no less than that empties the magazine.
 *
 * Returns @held if there are no others; else more. Less says that the magazine has to spill now.
 */
unsigned policy_last_limit(unsigned limit, unsigned held, uint64_t others, unsigned batch)
{
	unsigned fewer = (batch > HAK_STEPS_MOST ? HAK_STEPS_MOST : batch) - 1; /* by a spill */

	if (others > limit)
		return limit;
	if (HAK_STEPS_MOST && others)
		others = others * fewer > held ? (others * fewer - held) / (fewer + 1) : 0;
	return (unsigned)MIN(limit, held + others);
}

/**
 * policy_excess() - how many blocks did a magazine hold all the time and not need?
 * @held: how many blocks it held at the last scan
 * @gone: how many were popped or spilled since
 *
 * The answer is a lower bound: with @gone blocks gone, the magazine cannot have sunk below
 * @held - @gone. Where frees push what malloc pops, it never sank near that. But to note its
 * lowest level would cost the fast path.
 *
 * Returns 0 .. @held.
 */
unsigned policy_excess(unsigned held, uint64_t gone)
{
	return gone < held ? held - (unsigned)gone : 0;
}

/* Smaller blocks than this find a new slab without a search. They fill it, so it is well used. */
#define GAP_FIRST_LEAST ((size_t)1024)

/* Does a block of @size bytes get a gap before a new slab, where slabs are scarce? */
bool policy_gap_first(size_t size)
{
	return size > GAP_FIRST_LEAST;
}

/* Of @all units that there are, or could be had. Are the @unused too few for small blocks? */
bool policy_is_scarce(uint64_t unused, uint64_t all)
{
	return unused < all / 10;
}

/*
 * A span has outgrown its @usable bytes and gets @size. How many more bytes does it get, as
 * room to grow into? A quarter of @size, if it grows in small steps: otherwise it would be
 * copied at every step.
 */
size_t policy_growth(size_t size, size_t usable)
{
	hak_assert(size > usable);
	return size - usable <= usable / 4 ? size / 4 : 0;
}

/*
 * A span has outgrown its place and needs @size pages, when @live pages are in spans of any
 * length. Does it get the longest run there is, so that it need not move again soon? Not if
 * there are many such spans: they would take the long runs from each other.
 */
bool policy_grows_on(size_t size, uint64_t live)
{
	return size >= live / 16;
}

/* Less than so much is copied faster than its page tables can be moved. */
#define MOVE_LEAST ((size_t)128 << 10)

/*
 * A span is copied, too, if it is smaller than all mapped memory divided by this. After a
 * move, its memory is a mapping of its own, or a few, and Linux lets a process have 65530
 * mappings (vm.max_map_count).
 */
#define MOVE_PARTS 512u

/* Do @size bytes move by their page tables, when @mapped bytes are mapped in all? */
bool policy_moves(size_t size, uint64_t mapped)
{
	return size >= MOVE_LEAST && size >= mapped / MOVE_PARTS;
}
