/* SPDX-License-Identifier: MIT */
/*
 * When memory goes back, and which: the policy in one place. The layers ask;
 * what they then do to memory is theirs.
 *
 * Looks (reap.c) come by at intervals. What is free goes when two looks in
 * succession found it free and it was not used between them: a block in a
 * magazine, a page in a slab, an unused slab. So nothing goes that a program
 * takes again at once, and nothing stays longer than two intervals. The pages
 * behind the end of a span go at the first look: the span is there to stay.
 *
 * SuperSlabs that become empty are kept as long as one of the last intervals saw
 * that many in use: a program that grows and shrinks faster than that does not
 * pay for it in page faults. They are kept up to a bound, above which the rest
 * goes at once. Where nobody looks, a single one is kept: enough for a program
 * that frees and allocates across a SuperSlab's edge.
 *
 * Functions of their arguments and of one word, the mode, without a lock.
 */
#include "base/policy.h"

static _Atomic unsigned release_mode;

void policy_set_mode(enum release_mode mode)
{
	atomic_store_explicit(&release_mode, mode, memory_order_relaxed);
}

/*
 * How many empty SuperSlabs are worth keeping, when @in_use are not empty and
 * @peak were not at once since the last look?
 */
size_t policy_reserve(size_t in_use, size_t peak)
{
	size_t most = peak / 4 > RELEASE_RESERVE_MOST ? peak / 4 : RELEASE_RESERVE_MOST;
	size_t lately = peak > in_use ? peak - in_use : 0;

	return lately < most ? lately : most;
}

/*
 * May an owner of magazines that ends leave blocks to the next one? Where nobody
 * looks, not if they could keep more than the single SuperSlab that stays anyway.
 */
bool policy_keeps_blocks(size_t in_use)
{
	return in_use <= 1 ||
	       atomic_load_explicit(&release_mode, memory_order_relaxed) != RELEASE_AT_ONCE;
}

/* Should one that has just become empty stay, when @reserve already do? */
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
