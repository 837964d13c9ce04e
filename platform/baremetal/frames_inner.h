/* SPDX-License-Identifier: MIT */
/*
 * What frames.c shares with those who work on the same frames and pages: dma.c and
 * region_remove.c. It is not installed. frames.c says what the fields mean.
 *
 * All functions but frames_lock() are called with the lock held.
 */
#ifndef HAK_FRAMES_INNER_H
#define HAK_FRAMES_INNER_H

#include <stdatomic.h>

#include <base/base.h>
#include <base/list.h>

#include "frames.h"

#define FRAME_SIZE	HAK_SUPERSLAB_SIZE
#define PAGE_SIZE	HAK_GRANULE
#define NR_FRAMES	HAK_FRAMES_MAX
#define PAGES_PER_FRAME (FRAME_SIZE / PAGE_SIZE)
#define NONE		((size_t)-1)

/* The symbols have the prefix of all that the archive defines. */
#ifndef FRAMES_PREFIX
#define FRAMES_PREFIX "hak_frames_"
#endif
#define SYMBOL(name) __asm__(FRAMES_PREFIX #name)

/* Zones, the highest first: from 4 GiB on, from 16 MiB on, and from 0 on. */
#define NR_ZONES 3u
#ifndef HIGH_FRAME
#define HIGH_FRAME (((size_t)4 << 30) / FRAME_SIZE)
#endif

static inline size_t zone_first(unsigned zone)
{
	return HIGH_FRAME >> 8 * zone;
}

static inline unsigned zone_of(size_t frame)
{
	return (frame < zone_first(0)) + (frame < zone_first(1));
}

/* The lists of splits: without a free page; partly memory, by zone; the others, by zone. */
enum {
	LIST_NONE,
	LIST_PART,
	LIST_SPLIT = LIST_PART + NR_ZONES,
	NR_LISTS = LIST_SPLIT + NR_ZONES,
};

struct split {
	struct list_node node;
	struct split *child[2]; /* by the bits of the frame's number, the lowest at the root */
	size_t frame;
	size_t nr_known, nr_free;
	bool passing; /* a whole frame that was split for what goes back soon */
	uint64_t known[PAGES_PER_FRAME / 64];
	uint64_t free[PAGES_PER_FRAME / 64];
	uint64_t dma[PAGES_PER_FRAME / 64];  /* handed out by hak_pages_alloc(), for dma.c */
	uint64_t lent[PAGES_PER_FRAME / 64]; /* handed out for blocks, by parts.c */
};

_Static_assert(NR_FRAMES >= 64, "the bitmaps have words");

extern struct frames {
	atomic_flag lock;
	struct platform_irq irq;	    /* what interrupts were before it was taken */
	struct list_node *splits[NR_LISTS]; /* see above */
	struct split *root;
	size_t total, nr_free;
	size_t mark;			    /* fewer free frames are few */
	bool lends, may_lend;		    /* pages of splits for blocks: see parts.c */
	size_t end;			    /* no frame from here on is known */
	const struct hak_frames_host *host; /* NULL: memory never leaves the machine */
	uint64_t known[NR_FRAMES / 64], free[NR_FRAMES / 64];
} frames SYMBOL(state);

HAK_COLD void frames_lock(void) SYMBOL(lock);
void frames_unlock(void) SYMBOL(unlock);

/* The first bit in [@from, @end) that is @set, or @end. */
HAK_COLD size_t bits_next(const uint64_t *bits, size_t from, size_t end, bool set)
	SYMBOL(bits_next);
HAK_COLD void bits_fill(uint64_t *bits, size_t first, size_t count, bool set) SYMBOL(bits_fill);

/* Hand out free frames, or free pages of a split. */
HAK_COLD void frames_take(size_t first, size_t count) SYMBOL(take);
HAK_COLD void split_take_pages(struct split *split, size_t page, size_t count) SYMBOL(take_pages);

/* The split of a frame, or NULL; a new one, whose record is at a page that is in use. */
HAK_COLD struct split *split_of(size_t frame) SYMBOL(split_of);
HAK_COLD struct split *split_create(size_t frame, size_t page) SYMBOL(split_create);
HAK_COLD void split_forget(struct split *split) SYMBOL(split_forget);

/* Pages of a split are free from now on, or are known besides. */
HAK_COLD void split_free_pages(struct split *split, size_t page, size_t count) SYMBOL(free_pages);
HAK_COLD void split_add_pages(struct split *split, size_t page, size_t count) SYMBOL(add_pages);

/* Turn a split of which all pages but that of its record are free into a free frame. */
HAK_COLD void split_settle(struct split *split) SYMBOL(split_settle);

/* Add what is unknown of [@base, @end), which are whole pages; returns how many. */
HAK_COLD size_t add_range(uintptr_t base, uintptr_t end) SYMBOL(add_range);

/* Where frame 0 is, once a frame is known. */
extern uintptr_t window_base SYMBOL(window_base);

static inline uintptr_t frames_window(void)
{
	return IS_ENABLED(CONFIG_HAK_WINDOW) ? window_base : 0;
}

static inline void *pointer_to(uintptr_t address)
{
	return (void *)(frames_window() + address);
}

static inline uintptr_t address_of(const void *pointer)
{
	return (uintptr_t)pointer - frames_window();
}

/*
 * The whole pages of @size bytes at *@base that there may be, counted from the window, but page 0:
 * [*@base, *@end). If there are none, returns what hak_region_add() says of it.
 */
static inline int region_clip(uintptr_t *base, size_t size, uintptr_t *end)
{
	uintptr_t limit = NR_FRAMES * FRAME_SIZE, first = *base - frames_window();

	if (first >= limit)
		return HAK_REGION_RANGE;
	*end = (first + MIN(size, limit - first)) / PAGE_SIZE * PAGE_SIZE;
	*base = ALIGN_UP(MAX(first, 1), PAGE_SIZE);
	return *base < *end ? HAK_REGION_ADDED : HAK_REGION_SMALL;
}

static inline void *split_page(const struct split *split, size_t page)
{
	return pointer_to(split->frame * FRAME_SIZE + page * PAGE_SIZE);
}

static inline size_t page_of(uintptr_t address)
{
	return address % FRAME_SIZE / PAGE_SIZE;
}

#endif
