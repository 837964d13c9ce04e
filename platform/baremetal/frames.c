/* SPDX-License-Identifier: MIT */
/*
 * The page provider for bare metal: all memory that hak_region_add() was told
 * of, in frames of 2 MiB, and in 4 KiB pages where there is no whole frame or
 * where less than a frame is wanted.
 *
 * Every frame of the address space is in one of three states:
 *
 *	unknown	it is not the provider's
 *	whole	bit set in frames.known; free while it is set in frames.free too
 *	split	bit set in frames.known, and has a struct split with two such bitmaps
 *		for its pages: a frame of which only a part is memory (below 1 MiB,
 *		around the image, at the end of a region), or a whole one that was
 *		split when no pages of the others were left
 *
 * The struct split lives in a page of its frame, marked known and not free, so
 * there is no table of regions or of splits to overflow, and a split costs
 * 4 KiB of 2 MiB. As soon as all 512 pages of a split are known and all but
 * that one are free, the frame is whole and free again.
 *
 * The splits are in a tree, in which that of a frame is found by the bits of its
 * number, and in a list: those without a free page; those of frames of which only a
 * part is memory, by zone; and the others, by zone, which become whole if those are used
 * before them. So one page is allocated and freed in constant time, whatever else is
 * split. For more than one, all splits are searched that have some.
 *
 * There are three zones: below 16 MiB, below 4 GiB, and all above. Many a device
 * reaches only the first one or two. So memory comes from the highest zone that has
 * some, and what devices need is left for them: see dma.c.
 *
 *	frames.nr_free  = bits set in frames.free, a subset of frames.known
 *	split->nr_free  = bits set in split->free, a subset of split->known
 *	split->nr_known = bits set in split->known
 *	frames.total    = bits set in frames.known - splits with pages that are unknown
 *	host->absent    is a subset of frames.free
 *
 * Frames are counted from where the window of the heap begins, by default address 0. What
 * is called an address below counts from there as well, except in pointers.
 *
 * Two flat bitmaps reach from address 0 to the last frame that there may be: 8 KiB for
 * 64 GiB. They are static data, so that a region costs nothing, and nothing is written
 * to one before somebody asks for memory, but the records of splits. A table of regions
 * with a bitmap each would be smaller where there are holes, but has to bound their
 * number and join neighbours to find a long run. Search is first fit in each zone: low
 * addresses fill up, and long runs stay at the upper end. It reads at most 4 KiB three
 * times, for calls that are followed by the use of megabytes. A frame is split at the
 * upper end of all: what records get there splits no run of frames.
 *
 * Lock: one, which spins, and is held with interrupts off, because a handler
 * that allocates may need a frame. On failure nothing has changed.
 */
#include "frames_inner.h"

#include <base/policy.h>
#include <cpu.h>
#include <pages/pages.h>

#define FEW_FRAMES  ((size_t)64)
#define FIRST_PAGES (POLICY_META_FIRST / PAGE_SIZE) /* for the records of the first block */

struct frames frames = { .lock = ATOMIC_FLAG_INIT };

uintptr_t window_base;

/* acquire and release pair with each other */
void frames_lock(void)
{
	struct platform_irq irq = platform_irq_save();

	while (atomic_flag_test_and_set_explicit(&frames.lock, memory_order_acquire)) {
		platform_irq_restore(irq);
		cpu_relax();
		irq = platform_irq_save();
	}
	frames.irq = irq;
}

void frames_unlock(void)
{
	struct platform_irq irq = frames.irq;

	atomic_flag_clear_explicit(&frames.lock, memory_order_release);
	platform_irq_restore(irq);
}

size_t bits_next(const uint64_t *bits, size_t from, size_t end, bool set)
{
	uint64_t flip = set ? 0 : ~(uint64_t)0;

	while (from < end) {
		uint64_t word = (bits[from / 64] ^ flip) >> (from % 64);

		if (word) {
			from += lowest_bit(word);
			break;
		}
		from += 64 - from % 64;
	}
	return from < end ? from : end;
}

void bits_fill(uint64_t *bits, size_t first, size_t count, bool set)
{
	while (count) {
		size_t here = 64 - first % 64 < count ? 64 - first % 64 : count;
		uint64_t mask = (~(uint64_t)0 >> (64 - here)) << (first % 64);

		bits[first / 64] = set ? bits[first / 64] | mask : bits[first / 64] & ~mask;
		first += here;
		count -= here;
	}
}

/* The first run of @count set bits in [@from, @end) that begins at a multiple of @step. */
static size_t bits_find_run(const uint64_t *bits, size_t from, size_t end, size_t count,
			    size_t step)
{
	size_t at = ALIGN_UP(from, step);

	while (at <= end && count <= end - at) {
		size_t stop = bits_next(bits, at, at + count, false);

		if (stop == at + count)
			return at;
		at = ALIGN_UP(bits_next(bits, stop, end, true), step);
	}
	return NONE;
}

/* Where the tree has the split of @frame, or would have it. */
static HAK_COLD NOINLINE struct split **split_link(size_t frame)
{
	struct split **link = &frames.root;

	for (size_t path = frame; *link && (*link)->frame != frame; path >>= 1)
		link = &(*link)->child[path & 1];
	return link;
}

struct split *split_of(size_t frame)
{
	return *split_link(frame);
}

/* A leaf from below takes its place, which is on the way to that leaf. */
void split_forget(struct split *split)
{
	struct split **link = split_link(split->frame), **end = link, *leaf;

	while ((*end)->child[0] || (*end)->child[1])
		end = &(*end)->child[!(*end)->child[0]];
	leaf = *end;
	*end = NULL;
	if (leaf != split) {
		leaf->child[0] = split->child[0];
		leaf->child[1] = split->child[1];
		*link = leaf;
	}
	list_del(&split->node);
}

/* Start the record of @frame at @page, which is the only known one so far. */
struct split *split_create(size_t frame, size_t page)
{
	struct split *split = pointer_to(frame * FRAME_SIZE + page * PAGE_SIZE);

	*split = (struct split){ .frame = frame, .nr_known = 1 };
	bits_fill(split->known, page, 1, true);
	*split_link(frame) = split;
	list_add(&frames.splits[0], &split->node);
	return split;
}

/* Put @split on the list that it belongs to, after a change. */
static HAK_COLD NOINLINE void split_enlist(struct split *split)
{
	unsigned list = zone_of(split->frame);

	list += split->nr_known == PAGES_PER_FRAME ? LIST_SPLIT : LIST_PART;
	list_del(&split->node);
	list_add(&frames.splits[split->nr_free ? list : LIST_NONE], &split->node);
}

void split_free_pages(struct split *split, size_t page, size_t count)
{
	bits_fill(split->free, page, count, true);
	split->nr_free += count;
	frames.may_lend = true;
	split_enlist(split);
}

void split_add_pages(struct split *split, size_t page, size_t count)
{
	bits_fill(split->known, page, count, true);
	split->nr_known += count;
	split_free_pages(split, page, count);
}

/* Turn a split of which all pages but that of its record are free into a free frame. */
void split_settle(struct split *split)
{
	if (split->nr_free != PAGES_PER_FRAME - 1)
		return;
	split_forget(split);
	bits_fill(frames.free, split->frame, 1, true);
	frames.nr_free++;
}

void frames_take(size_t first, size_t count)
{
	bits_fill(frames.free, first, count, false);
	if (frames.host)
		bits_fill(frames.host->absent, first, count, false);
	if (frames.nr_free - frames.mark < count) /* not if it is below already */
		hak_low_due = true;
	frames.nr_free -= count;
}

/* Some frames of a zone, or of those above it, too. */
static size_t take_frames_of(unsigned zone, size_t count, size_t step)
{
	size_t first = bits_find_run(frames.free, zone_first(zone), frames.end, count, step);

	if (first != NONE)
		frames_take(first, count);
	return first;
}

static void *take_whole(size_t count, size_t step)
{
	size_t first = NONE;

	for (unsigned zone = 0; zone < NR_ZONES && first == NONE; zone++)
		first = take_frames_of(zone, count, step);
	return first == NONE ? NULL : pointer_to(first * FRAME_SIZE);
}

/* The last one that is free, since records stay for ever: so they split no run in the middle. */
static HAK_COLD bool split_free_frame(unsigned zone, bool passing)
{
	size_t i = DIV_ROUND_UP(frames.end, 64), frame;
	struct split *split;

	while (i && !frames.free[i - 1])
		i--;
	if (!i)
		return false;
	frame = (i - 1) * 64 + highest_bit(frames.free[i - 1]);
	if (frame < zone_first(zone))
		return false;
	frames_take(frame, 1);
	split = split_create(frame, 0);
	split->passing = passing;
	split_add_pages(split, 1, PAGES_PER_FRAME - 1);
	return true;
}

void split_take_pages(struct split *split, size_t page, size_t count)
{
	bits_fill(split->free, page, count, false);
	split->nr_free -= count;
	split_enlist(split);
}

/*
 * What goes back soon and what stays are in frames of their own, so that those of the first become
 * whole again: where there are many frames, and while one is free.
 */
static void *take_pages_of(unsigned list, size_t count, size_t step, bool passing)
{
	for (struct list_node *node = frames.splits[list]; node; node = node->next) {
		struct split *split = list_entry(node, struct split, node);
		size_t page = bits_find_run(split->free, 0, PAGES_PER_FRAME, count, step);

		if (page == NONE || (list >= LIST_SPLIT && split->passing != passing &&
				     frames.total > FEW_FRAMES && frames.nr_free))
			continue;
		split_take_pages(split, page, count);
		return split_page(split, page);
	}
	return NULL;
}

/* A split that is new is on the list of its zone, and has enough pages. */
static HAK_COLD void *take_pages(size_t count, size_t step, bool passing)
{
	unsigned list = LIST_PART;
	void *base = NULL;

	while (list < NR_LISTS && !(base = take_pages_of(list, count, step, passing)))
		if (list < LIST_SPLIT || !split_free_frame(list - LIST_SPLIT, passing))
			list++;
	return base;
}

/* Is it known, and handed out? */
static bool is_used(const uint64_t *known, const uint64_t *free, size_t bit)
{
	return (known[bit / 64] & ~free[bit / 64]) >> bit % 64 & 1;
}

/* Less than a frame, and findable in one whose first page holds its record? */
static bool fits_in_pages(size_t size, size_t align)
{
	return size <= FRAME_SIZE / 2 && align <= FRAME_SIZE / 2;
}

static HAK_COLD int frames_map(void *ctx, size_t size, size_t align, enum hak_want want,
			       struct hak_mapping *out)
{
	bool in_pages = want != HAK_WANT_HEAP && fits_in_pages(size, align);
	size_t unit = in_pages ? PAGE_SIZE : FRAME_SIZE;
	size_t count = DIV_ROUND_UP(size, unit), step = MAX(align / unit, 1);
	void *base;

	(void)ctx;
	if (!size || size > NR_FRAMES * FRAME_SIZE || !is_power_of_two(align))
		return -1;
	frames_lock();
	base = in_pages ? take_pages(count, step, want == HAK_WANT_DESCRIPTOR)
			: take_whole(count, step);
	out->left = frames.nr_free * FRAME_SIZE;
	frames_unlock();
	if (!base)
		return -1;
	out->base = base;
	out->flags = frames.host ? HAK_PAGES_PURGE : 0;
	return 0;
}

/* Is all of it handed out? The provider's own pages are not. From a page boundary on. */
static HAK_COLD NOINLINE bool is_in_use(uintptr_t address, size_t size)
{
	uintptr_t limit = frames.end * FRAME_SIZE, end = address + size;

	if (end < address || end > limit)
		return false;
	while (address < end) {
		size_t frame = address / FRAME_SIZE, page = page_of(address);
		const struct split *split = split_of(frame);

		if (!split && is_used(frames.known, frames.free, frame))
			address = (frame + 1) * FRAME_SIZE;
		else if (split && split_page(split, page) != split &&
			 is_used(split->known, split->free, page))
			address += PAGE_SIZE;
		else
			return false;
	}
	return true;
}

/*
 * It refuses what is not in use, so that an error elsewhere breaks nothing here. Frames with
 * a split one among them are refused, since its record is not in use.
 */
static HAK_COLD int frames_unmap(void *ctx, void *base, size_t size)
{
	uintptr_t address = address_of(base);
	struct split *split;
	size_t unit;
	int error = -1;

	(void)ctx;
	frames_lock();
	split = split_of(address / FRAME_SIZE);
	unit = split ? PAGE_SIZE : FRAME_SIZE;
	size = ALIGN_UP(size, unit);
	if (!size || address % unit || !is_in_use(address, size))
		goto out;
	if (!split) {
		bits_fill(frames.free, address / FRAME_SIZE, size / FRAME_SIZE, true);
		frames.nr_free += size / FRAME_SIZE;
	} else if (size <= FRAME_SIZE - address % FRAME_SIZE) {
		split_free_pages(split, page_of(address), size / PAGE_SIZE);
		split_settle(split);
	} else {
		goto out;
	}
	error = 0;
out:
	frames_unlock();
	return error;
}

static int frames_purge(void *ctx, void *base, size_t size)
{
	(void)ctx;
	return frames.host ? frames.host->purge(base, size) : -1;
}

/* Is there a run of pages for the first records, in a frame of which only a part is memory? */
static HAK_COLD NOINLINE bool has_first_records(void)
{
	for (unsigned list = LIST_PART; list < LIST_SPLIT; list++)
		for (struct list_node *node = frames.splits[list]; node; node = node->next)
			if (bits_find_run(list_entry(node, struct split, node)->free, 0,
					  PAGES_PER_FRAME, FIRST_PAGES, 1) != NONE)
				return true;
	return false;
}

/* Without resident(): all is backed, and of memory that is not the heap's it knows nothing. */
const struct hak_provider hak_frames_provider = {
	.name = "frames",
	.map = frames_map,
	.unmap = frames_unmap,
	.small_records = true,
	.purge = frames_purge,
};

/* They are whole, or have a split. */
static void know_frames(size_t first, size_t count)
{
	bits_fill(frames.known, first, count, true);
	frames.end = MAX(frames.end, first + count);
}

static bool frame_is_known(size_t frame)
{
	return frames.known[frame / 64] >> frame % 64 & 1;
}

/* Add some pages of one frame that are unknown, or are known: the first @count of a kind. */
static HAK_COLD size_t add_pages(size_t frame, size_t page, size_t *count)
{
	struct split *split = split_of(frame);
	size_t run;

	if (!split) {
		split_create(frame, page);
		know_frames(frame, 1);
		return *count = 1;
	}
	run = bits_next(split->known, page, page + *count, true) - page;
	if (!run) {
		*count = bits_next(split->known, page, page + *count, false) - page;
		return 0;
	}
	*count = run;
	split_add_pages(split, page, run);
	if (split->nr_known == PAGES_PER_FRAME)
		frames.total++;
	split_settle(split);
	return run;
}

size_t add_range(uintptr_t base, uintptr_t end)
{
	size_t added = 0, count;

	for (; base < end; base += count * PAGE_SIZE) {
		size_t frame = base / FRAME_SIZE, pages = (end - base) / PAGE_SIZE;
		size_t stop = frame + pages / PAGES_PER_FRAME;

		count = MIN(PAGES_PER_FRAME - page_of(base), pages);
		if (split_of(frame) || (count < PAGES_PER_FRAME && !frame_is_known(frame))) {
			added += add_pages(frame, page_of(base), &count);
		} else if (!frame_is_known(frame)) {
			count = bits_next(frames.known, frame, stop, true) - frame;
			bits_fill(frames.free, frame, count, true);
			know_frames(frame, count);
			frames.nr_free += count;
			frames.total += count;
			count *= PAGES_PER_FRAME;
			added += count;
		}
	}
	return added;
}

/*
 * How many frames are of use? The records of a heap need a run of pages. If they find none
 * beside the only frame, the frame is split for them.
 */
static size_t useful_frames(void)
{
	return frames.total > 1 || has_first_records() ? frames.total : 0;
}

HAK_COLD int hak_region_add_counted(uintptr_t base, size_t size, size_t *added)
{
	uintptr_t end;
	size_t before;
	int result;

	*added = 0;
	if (IS_ENABLED(CONFIG_HAK_WINDOW) && !frames.end)
		window_base = hak_window_base;
	result = region_clip(&base, size, &end);
	if (result)
		return result;
	frames_lock();
	before = useful_frames();
	*added = add_range(base, end) * PAGE_SIZE;
	if (!*added)
		result = HAK_REGION_OVERLAP;
	else if (useful_frames() == before && !frames.lends)
		result = HAK_REGION_WAITS;
	frames_unlock();
	return result;
}

int hak_region_add(uintptr_t base, size_t size)
{
	size_t added;

	return hak_region_add_counted(base, size, &added);
}

size_t hak_frames_total(void)
{
	size_t total;

	frames_lock();
	total = frames.total;
	frames_unlock();
	return total;
}

size_t hak_frames_free(void)
{
	size_t nr_free;

	frames_lock();
	nr_free = frames.nr_free;
	frames_unlock();
	return nr_free;
}

uintptr_t hak_frames_base(void)
{
	return frames_window();
}

void hak_low_water(size_t bytes)
{
	frames_lock();
	frames.mark = bytes / FRAME_SIZE + !!(bytes % FRAME_SIZE);
	hak_low_due = frames.nr_free < frames.mark;
	frames_unlock();
}

/* The longest run of free frames, with the one at @more. Without the lock, as it may take long. */
static HAK_COLD size_t longest_run(size_t more)
{
	size_t longest = 0, stop, next;

	for (size_t at = 0; at < frames.end; at = more >= stop && more < next ? more : next) {
		stop = bits_next(frames.free, at, frames.end, false);
		if (stop == more)
			stop = bits_next(frames.free, more + 1, frames.end, false);
		longest = MAX(longest, stop - at);
		next = bits_next(frames.free, stop, frames.end, true);
	}
	return longest;
}

void hak_frames_supply(const void *base, struct hak_supply *supply)
{
	frames_lock();
	supply->records = has_first_records() * POLICY_META_FIRST;
	supply->bytes = (frames.nr_free + (base != NULL)) * FRAME_SIZE;
	frames_unlock();
	supply->largest = longest_run(base ? address_of(base) / FRAME_SIZE : NONE) * FRAME_SIZE;
}

/* It is called once, before the heap is used. @host stays for ever. */
void hak_frames_set_host(const struct hak_frames_host *host)
{
	frames_lock();
	frames.host = host;
	frames_unlock();
}

/* The first frame from @from on that is free and has not been reported, or frames.end. */
static size_t next_unreported(size_t from)
{
	for (; from < frames.end; from = (from | 63) + 1) {
		uint64_t word = frames.free[from / 64] & ~frames.host->absent[from / 64];

		word >>= from % 64;
		if (word)
			return from + lowest_bit(word);
	}
	return frames.end;
}

/**
 * hak_frames_report() - report free frames that have not been reported
 * @most: at most so many, which are neighbours
 *
 * It holds the lock meanwhile, so that no caller is refused memory because it is being
 * reported. So others may wait for as long as the host takes. Returns how many.
 */
size_t hak_frames_report(size_t most)
{
	size_t first, count = 0;

	frames_lock();
	first = next_unreported(0);
	while (first + count < frames.end && count < most &&
	       next_unreported(first + count) == first + count)
		count++;
	if (count && frames.host->report(pointer_to(first * FRAME_SIZE), count * FRAME_SIZE))
		bits_fill(frames.host->absent, first, count, true);
	else
		count = 0;
	frames_unlock();
	return count;
}

/**
 * hak_frames_find() - find a run of frames that are free or the host's
 * @count:   how many; not 0
 * @held:    a bit for each frame that the host has
 * @nr_held: set to how many of them it has; the run is one in which they are fewest
 *
 * Returns the first, or HAK_FRAMES_NONE. It goes through all frames, which is for a request that
 * fails otherwise.
 */
size_t hak_frames_find(size_t count, const uint64_t *held, size_t *nr_held)
{
	size_t first = HAK_FRAMES_NONE, run = 0, nr = 0;

	frames_lock();
	for (size_t i = 0; i < frames.end; i++) {
		bool is_held = held[i / 64] >> i % 64 & 1;

		if (i % 64 == 0 && !(held[i / 64] | frames.free[i / 64])) {
			run = nr = 0;
			i += 63;
			continue;
		}
		if (!is_held && !(frames.free[i / 64] >> i % 64 & 1)) {
			run = nr = 0;
			continue;
		}
		nr += is_held;
		if (++run > count)
			nr -= held[(i - count) / 64] >> (i - count) % 64 & 1;
		if (run >= count && (first == HAK_FRAMES_NONE || nr < *nr_held)) {
			first = i + 1 - count;
			*nr_held = nr;
		}
	}
	frames_unlock();
	return first;
}
