/* SPDX-License-Identifier: MIT */
/*
 * Memory of the frame provider goes back to the kernel: the opposite of hak_region_add().
 *
 * What is free of the region is withdrawn at once, frame by frame, so that nobody gets it any
 * more. Then the heap is asked to give back all that it can, and what has come back is
 * withdrawn, too. If something is in use after that, all that was withdrawn is added again,
 * so nothing has changed.
 *
 * The record of a split cannot be withdrawn while other pages of its frame are known. If it is
 * in the region, and another page of the frame is free that is not, it moves there.
 *
 * Lock: that of frames.c, for a frame at a time.
 */
#include <hakmem/hakmem.h>

#include <diag/dump.h>

#include "frames_inner.h"

#define TRIES 4u /* CPUs that allocate get some of what a trim frees, less each time */

/* Is each page of [@page, @end) of a frame the provider's? */
static bool is_all_known(size_t frame, size_t page, size_t end)
{
	const struct split *split = split_of(frame);

	if (split)
		return bits_next(split->known, page, end, false) == end;
	return frame < frames.end && bits_next(frames.known, frame, frame + 1, true) == frame;
}

/* Withdraw a free frame; or make a split of it, if only a part of it is to be withdrawn. */
static struct split *withdraw_whole(size_t frame, size_t page, size_t end)
{
	struct split *split;

	frames_take(frame, 1);
	if (end - page == PAGES_PER_FRAME) {
		bits_fill(frames.known, frame, 1, false);
		frames.total--;
		return NULL;
	}
	split = split_create(frame, 0);
	split_add_pages(split, 1, PAGES_PER_FRAME - 1);
	return split;
}

/* The pages from @page on are unknown from now on. They are not free any more. */
static void forget_pages(struct split *split, size_t page, size_t count)
{
	bits_fill(split->known, page, count, false);
	frames.total -= split->nr_known == PAGES_PER_FRAME;
	split->nr_known -= count;
}

/* The record of @split goes to a free page, and its own is unknown from now on. */
static struct split *move_record(struct split *split, size_t page)
{
	struct split old = *split, *moved;

	split_forget(split);
	moved = split_create(old.frame, page);
	old.node = moved->node;
	old.child[0] = moved->child[0];
	old.child[1] = moved->child[1];
	*moved = old;
	forget_pages(moved, page_of((uintptr_t)split), 1);
	split_take_pages(moved, page, 1); /* and onto its list */
	return moved;
}

/* A free page of @split outside of [@page, @end); PAGES_PER_FRAME if there is none. */
static size_t free_outside(const struct split *split, size_t page, size_t end)
{
	size_t below = bits_next(split->free, 0, page, true);

	return below < page ? below : bits_next(split->free, end, PAGES_PER_FRAME, true);
}

/* Withdraw what is free of [@page, @end) of a split. Returns how many pages stay. */
static size_t withdraw_pages(struct split *split, size_t page, size_t end)
{
	size_t record = page_of((uintptr_t)split), stays = 0, other, at, stop;

	for (at = bits_next(split->free, page, end, true); at < end;
	     at = bits_next(split->free, stop, end, true)) {
		stop = bits_next(split->free, at, end, false);
		forget_pages(split, at, stop - at);
		split_take_pages(split, at, stop - at);
	}
	if (record >= page && record < end) {
		other = free_outside(split, page, end);
		if (split->nr_known == 1) {
			split_forget(split);
			bits_fill(frames.known, split->frame, 1, false);
			return 0;
		}
		if (other != PAGES_PER_FRAME)
			split = move_record(split, other);
	}
	for (at = page; at < end; at++)
		stays += split->known[at / 64] >> at % 64 & 1;
	return stays;
}

/* The same for any frame. */
static size_t withdraw_of(size_t frame, size_t page, size_t end)
{
	struct split *split = split_of(frame);

	if (!split && !is_all_known(frame, page, end))
		return 0; /* withdrawn before */
	if (!split && bits_next(frames.free, frame, frame + 1, true) != frame)
		return end - page;
	if (!split)
		split = withdraw_whole(frame, page, end);
	return split ? withdraw_pages(split, page, end) : 0;
}

/* For each frame of [@base, @end), with its pages in there: the sum of what @visit returns. */
static size_t sum_frames(uintptr_t base, uintptr_t end,
			 size_t (*visit)(size_t frame, size_t page, size_t end))
{
	size_t sum = 0, pages;

	for (; base < end; base += pages * PAGE_SIZE) {
		pages = MIN(PAGES_PER_FRAME - page_of(base), (end - base) / PAGE_SIZE);
		frames_lock();
		sum += visit(base / FRAME_SIZE, page_of(base), page_of(base) + pages);
		frames_unlock();
	}
	return sum;
}

static size_t count_unknown(size_t frame, size_t page, size_t end)
{
	return !is_all_known(frame, page, end);
}

/* Returns how many pages are in use. */
static size_t empty(uintptr_t base, uintptr_t end)
{
	size_t stays = sum_frames(base, end, withdraw_of), before = stays + 1;

	for (unsigned i = 0; i < TRIES && stays && stays < before; i++) {
		before = stays;
		hak_trim(HAK_TRIM_ALL);
		stays = sum_frames(base, end, withdraw_of);
	}
	return stays;
}

static void add_again(uintptr_t base, uintptr_t end)
{
	for (uintptr_t next; base < end; base = next) {
		next = MIN(end, ALIGN_UP(base + 1, FRAME_SIZE));
		frames_lock();
		add_range(base, next);
		frames_unlock();
	}
}

int hak_region_remove(uintptr_t base, size_t size, struct hak_region_held *held)
{
	uintptr_t end;
	int result;

	*held = (struct hak_region_held){ 0 };
	result = region_clip(&base, size, &end);
	if (result)
		return result;
	if (sum_frames(base, end, count_unknown))
		return HAK_REGION_UNKNOWN;
	held->bytes = empty(base, end) * PAGE_SIZE;
	if (!held->bytes)
		return HAK_REGION_REMOVED;
	held->block = hak_dump_held((uintptr_t)pointer_to(base), (uintptr_t)pointer_to(end),
				    &held->block_bytes);
	add_again(base, end);
	return HAK_REGION_HELD;
}
