/* SPDX-License-Identifier: MIT */
/*
 * The policy: how much is kept for speed, and when memory goes back. The layers ask, and
 * act on the answer. Functions of their arguments and of one word, the mode; no lock.
 *
 * Scans (reclaim/scan.c) come by at intervals. What is free goes when two scans in
 * succession found it free and it was not used between them: a block in a magazine, a page
 * of a slab, an unused slab. So nothing goes that a program takes again at once, and
 * nothing stays longer than two intervals. The slack behind the end of a span goes at the
 * first scan, since the span is there to stay.
 *
 * SuperSlabs that become empty are kept as long as one of the last intervals saw that many
 * in use: a program that grows and shrinks faster than that does not pay for it in page
 * faults. They are kept up to a bound, and the rest goes at once. Where no scan comes by, a
 * single one is kept: enough for a program that frees and allocates across the edge of a
 * SuperSlab.
 */
#include "base/policy.h"

#include "base/sizeclass.h"

static _Atomic unsigned release_mode;

void policy_set_mode(enum release_mode mode)
{
	atomic_store_explicit(&release_mode, mode, memory_order_relaxed);
}

/*
 * How many empty SuperSlabs are worth keeping, when @in_use are not empty, and at most
 * @peak were not at once lately?
 */
size_t policy_reserve(size_t in_use, size_t peak)
{
	size_t most = peak / 4 > POLICY_RESERVE_MOST ? peak / 4 : POLICY_RESERVE_MOST;
	size_t lately = peak > in_use ? peak - in_use : 0;

	return lately < most ? lately : most;
}

/* Should a SuperSlab that has just become empty stay, when @reserve empty ones do already? */
bool policy_keeps(size_t reserve, size_t in_use, size_t peak)
{
	switch (atomic_load_explicit(&release_mode, memory_order_relaxed)) {
	case RELEASE_NEVER:
		return true;
	case RELEASE_LATER:
		return !reserve || reserve < policy_reserve(in_use, peak);
	default:
		return !reserve;
	}
}

/*
 * May the owner of a cache that ends leave blocks to the next one? Where no scan comes by,
 * not if they could keep more than the single SuperSlab that stays anyway.
 */
bool policy_keeps_blocks(size_t in_use)
{
	return in_use <= 1 ||
	       atomic_load_explicit(&release_mode, memory_order_relaxed) != RELEASE_AT_ONCE;
}

/* How many blocks may a magazine hold when nothing is known of its use? */
unsigned policy_first_limit(unsigned class)
{
	return class_has_spans(class) ? 1 : MAGAZINE_MIN;
}

/*
 * How many blocks stay in the magazine of an owner that ends? Half of what it may hold
 * then: a full one would let go of a batch as soon as something is freed.
 */
unsigned policy_inherited(unsigned class)
{
	return size_class[class].size <= SMALL_MAX ? policy_first_limit(class) / 2 : 0;
}

/* Twice the limit, but not above @most if it is not there already. */
static unsigned doubled(unsigned limit, unsigned most)
{
	if (limit >= most)
		return limit;
	return limit * 2 < most ? limit * 2 : most;
}

/**
 * policy_next_limit() - how many blocks a magazine should be allowed to hold from now on
 * @limit:    how many it may hold so far
 * @capacity: the most that the class allows
 * @batch:    the most that move at once
 *
 * A refill doubles the limit, up to two batches: larger batches make allocation cheaper, and
 * what they fetch is about to be used. If it fetches what was just spilled, it doubles the
 * limit up to the capacity: with room for these blocks, neither had been necessary. When
 * allocations and frees keep pace again, what is beyond two batches goes, a quarter of the
 * limit with each refill. Frees alone take as much with each spill, since nobody waits for
 * what such a magazine collects. A magazine that is freed into gets a batch at least.
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

/*
 * How many of @held blocks does a spill free, if @limit may stay? At most a batch, if @all
 * may go. Else at most half of that and half of the blocks: where they are wanted back,
 * fewer are after some turns, and what is left suffices.
 */
unsigned policy_spill(unsigned held, unsigned limit, unsigned batch, bool all)
{
	unsigned most = batch < held ? batch : held, least = held - limit + 1;

	if (!all)
		most = (batch + 1) / 2 < held - limit / 2 ? (batch + 1) / 2 : held - limit / 2;
	return most > least ? most : least;
}

/**
 * policy_excess() - how many blocks a magazine held and did not need
 * @held: how many it held at the last scan
 * @gone: how many were popped or spilled since
 *
 * A lower bound of its low-water mark. With so many gone it cannot have sunk deeper. As
 * long as frees put back what malloc takes, the mark itself is far higher, but to note it
 * would cost the fast path.
 */
unsigned policy_excess(unsigned held, uint64_t gone)
{
	return gone < held ? held - (unsigned)gone : 0;
}

/*
 * How many bytes more than @size does a span get that has outgrown its @usable bytes? If it
 * grows in small steps, a quarter: else it would be copied at every step.
 */
size_t policy_growth(size_t size, size_t usable)
{
	return size - usable <= usable / 4 ? size / 4 : 0;
}

/* So much is copied before page tables of as much have moved. */
#define MOVE_LEAST ((size_t)128 << 10)

/*
 * Nor does less move than one in so many parts of the heap. What has moved is a mapping of
 * its own, or several, of which Linux lets a process have 65530 (vm.max_map_count).
 */
#define MOVE_PARTS 8192u

/* Do @size bytes move by their page tables, when @mapped bytes are mapped in all? */
bool policy_moves(size_t size, uint64_t mapped)
{
	return size >= MOVE_LEAST && size >= mapped / MOVE_PARTS;
}
