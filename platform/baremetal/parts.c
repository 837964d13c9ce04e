/* SPDX-License-Identifier: MIT */
/*
 * Frames that are not whole, for blocks: the pages of each split are lent to the heap, before any
 * whole frame. So small heaps need no whole frame, and no record of one. Frames that were split
 * when they were whole come last. Of a split that has been lent, split->lent has a bit for each
 * such page until the heap ends. They count as handed out meanwhile.
 *
 * So many pages are not lent as the heap needs for the record of such a part, and for others.
 */
#include "frames_inner.h"

#include <pages/pagemap.h>
#include <superslab/descriptor.h>

/* What a heap may need besides, in bytes: records of classes. */
#define MORE_RECORDS ((size_t)3 * PAGE_SIZE)

/* The split that was lent last: the page map has a leaf for it. */
static const struct split *last_lent;

static uintptr_t leaf_of(const struct split *split)
{
	return split->frame * FRAME_SIZE >> HAK_LEAF_BITS;
}

/* How many bytes of records does a part need at most? */
static size_t records_of(const struct split *split)
{
	size_t first = bits_next(split->free, 0, PAGES_PER_FRAME, true) / 64, end;
	size_t need = offsetof(struct superslab, slab);

	for (end = PAGES_PER_FRAME / 64; !split->free[end - 1];)
		end--;
	need += (end - first) * 64 * sizeof(struct slab);
	if (!last_lent || leaf_of(last_lent) != leaf_of(split))
		need += sizeof(struct pagemap_leaf) + PAGE_SIZE;
	return need;
}

/* How many pages have to stay for @need bytes of records, if there is room for @records? */
static size_t pages_to_keep(size_t need, size_t records)
{
	return records < need + MORE_RECORDS ? DIV_ROUND_UP(need, PAGE_SIZE) + 1 : 0;
}

static bool is_lent(const struct split *split)
{
	return bits_next(split->lent, 0, PAGES_PER_FRAME, true) < PAGES_PER_FRAME;
}

/* One that has not been lent, and is worth its record. Those that were are mostly on LIST_NONE. */
static struct split *find_split(size_t records, size_t *keep)
{
	unsigned end = !frames.may_lend ? LIST_PART : frames.nr_free ? LIST_SPLIT : NR_LISTS;

	for (unsigned list = LIST_PART; list < end; list++)
		for (struct list_node *node = frames.splits[list]; node; node = node->next) {
			struct split *split = list_entry(node, struct split, node);
			size_t need = records_of(split);

			*keep = pages_to_keep(need, records);
			if (!is_lent(split) && split->nr_free * PAGE_SIZE > 2 * need &&
			    split->nr_free > *keep)
				return split;
		}
	frames.may_lend = frames.may_lend && frames.nr_free; /* until there are more */
	return NULL;
}

/* Hand out all free pages but the last @keep. */
static void lend_pages(struct split *split, size_t keep)
{
	size_t left = split->nr_free - keep, page = 0, run;

	for (; left; left -= run, page += run) {
		page = bits_next(split->free, page, PAGES_PER_FRAME, true);
		run = bits_next(split->free, page, MIN(page + left, PAGES_PER_FRAME), false) - page;
		bits_fill(split->lent, page, run, true);
		split_take_pages(split, page, run);
	}
}

static int parts_map(void *ctx, size_t records, void **base, const uint64_t **pages)
{
	struct split *split;
	size_t keep;
	int error = -1;

	(void)ctx;
	frames_lock();
	split = find_split(records, &keep);
	if (!split)
		goto out;
	lend_pages(split, keep);
	last_lent = split;
	*base = split_page(split, 0);
	*pages = split->lent;
	error = 0;
out:
	frames_unlock();
	return error;
}

static void parts_unmap(void *ctx, void *base)
{
	struct split *split;
	size_t page = 0, run;

	(void)ctx;
	frames_lock();
	split = split_of(address_of(base) / FRAME_SIZE);
	while ((page = bits_next(split->lent, page, PAGES_PER_FRAME, true)) < PAGES_PER_FRAME) {
		run = bits_next(split->lent, page, PAGES_PER_FRAME, false) - page;
		bits_fill(split->lent, page, run, false);
		split_free_pages(split, page, run);
	}
	split_settle(split);
	last_lent = NULL;
	frames_unlock();
}

void hak_frames_use_parts(void)
{
	static const struct hak_parts parts = { .map = parts_map, .unmap = parts_unmap };

	frames.lends = true;
	hak_parts_enable(&parts);
}
