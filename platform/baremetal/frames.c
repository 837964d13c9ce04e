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
 *	split	has a struct split that does the same for its pages: a frame of
 *		which only a part is memory (below 1 MiB, around the image, at
 *		the end of a region), or a whole one that was split when no
 *		pages of the others were left
 *
 * The struct split lives in a page of its frame, marked known and not free, so
 * there is no table of regions or of splits to overflow, and a split costs
 * 4 KiB of 2 MiB. As soon as all 512 pages of a split are known and all but
 * that one are free, the frame is whole and free again.
 *
 *	frames.nr_free  = bits set in frames.free, a subset of frames.known
 *	split->nr_free  = bits set in split->free, a subset of split->known
 *	split->nr_known = bits set in split->known
 *	frames.total    = bits set in frames.known + splits with all pages known
 *	host->absent    is a subset of frames.free
 *
 * Two flat bitmaps reach from address 0 to the highest frame: 512 bytes for 4 GiB.
 * Those for the first GiB are there from the start; a region that is higher than
 * all before it gives pages of itself for larger ones, which replace them. A table
 * of regions with a bitmap each would be smaller where there are holes, but has to
 * bound their number and join neighbours to find a long run. Search is first fit:
 * low addresses fill up, and long runs stay at the upper end. It reads at most
 * 4 KiB, for calls that are followed by the use of megabytes.
 *
 * Lock: one, which spins, and is held with interrupts off, because a handler
 * that allocates may need a frame. On failure nothing has changed.
 */
#include "frames.h"

#include <base/base.h>
#include <cpu.h>

#define FRAME_SIZE	HAK_SUPERSLAB_SIZE
#define PAGE_SIZE	HAK_GRANULE
#define NR_FRAMES	HAK_FRAMES_MAX
#define PAGES_PER_FRAME (FRAME_SIZE / PAGE_SIZE)
#define FIRST_FRAMES	((size_t)512) /* the first bitmaps are for so many */
#define NONE		((size_t)-1)

struct split {
	struct split *next;
	size_t frame;
	size_t nr_known, nr_free;
	uint64_t known[PAGES_PER_FRAME / 64];
	uint64_t free[PAGES_PER_FRAME / 64];
};

/* Bytes of both bitmaps. */
#define BITMAPS_SIZE(room) DIV_ROUND_UP(2 * (room), 8)

static uint64_t first_bitmaps[BITMAPS_SIZE(FIRST_FRAMES) / sizeof(uint64_t)];

static struct {
	atomic_flag lock;
	struct platform_irq irq; /* what interrupts were before it was taken */
	struct split *splits;	 /* the oldest first */
	size_t total, nr_free;
	size_t end;			    /* no frame from here on is known */
	const struct hak_frames_host *host; /* NULL: memory never leaves the machine */
	size_t room;			    /* bits in each of the bitmaps, at least `end` */
	uint64_t *known, *free;		    /* one behind the other */
} frames = {
	.lock = ATOMIC_FLAG_INIT,
	.room = FIRST_FRAMES,
	.known = first_bitmaps,
	.free = first_bitmaps + FIRST_FRAMES / 64,
};

/* acquire and release pair with each other */
static HAK_COLD void frames_lock(void)
{
	struct platform_irq irq = platform_irq_save();

	while (atomic_flag_test_and_set_explicit(&frames.lock, memory_order_acquire)) {
		platform_irq_restore(irq);
		cpu_relax();
		irq = platform_irq_save();
	}
	frames.irq = irq;
}

static void frames_unlock(void)
{
	struct platform_irq irq = frames.irq;

	atomic_flag_clear_explicit(&frames.lock, memory_order_release);
	platform_irq_restore(irq);
}

/* The first bit in [@from, @end) that is @set, or @end. */
static size_t bits_next(const uint64_t *bits, size_t from, size_t end, bool set)
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

static bool bits_are(const uint64_t *bits, size_t first, size_t count, bool set)
{
	return bits_next(bits, first, first + count, !set) == first + count;
}

static void bits_fill(uint64_t *bits, size_t first, size_t count, bool set)
{
	while (count) {
		size_t here = 64 - first % 64 < count ? 64 - first % 64 : count;
		uint64_t mask = (~(uint64_t)0 >> (64 - here)) << (first % 64);

		bits[first / 64] = set ? bits[first / 64] | mask : bits[first / 64] & ~mask;
		first += here;
		count -= here;
	}
}

/* The first run of @count set bits below @end that begins at a multiple of @step. */
static size_t bits_find_run(const uint64_t *bits, size_t end, size_t count, size_t step)
{
	size_t at = 0;

	while (at <= end && count <= end - at) {
		size_t stop = bits_next(bits, at, at + count, false);

		if (stop == at + count)
			return at;
		at = ALIGN_UP(bits_next(bits, stop, end, true), step);
	}
	return NONE;
}

static bool is_whole(size_t frame)
{
	return frame < frames.end && frames.known[frame / 64] >> frame % 64 & 1;
}

static struct split *split_of(size_t frame)
{
	struct split *split = frames.splits;

	while (split && split->frame != frame)
		split = split->next;
	return split;
}

static void *split_page(const struct split *split, size_t page)
{
	return (void *)(split->frame * FRAME_SIZE + page * PAGE_SIZE);
}

static size_t page_of(uintptr_t address)
{
	return address % FRAME_SIZE / PAGE_SIZE;
}

/* Start the record of @frame at @page, which is the only known one so far. */
static struct split *split_create(size_t frame, size_t page)
{
	struct split *split = (struct split *)(frame * FRAME_SIZE + page * PAGE_SIZE);
	struct split **last = &frames.splits;

	*split = (struct split){ .frame = frame, .nr_known = 1 };
	bits_fill(split->known, page, 1, true);
	/* It goes to the end: what was split last is used last, and so becomes whole again. */
	while (*last)
		last = &(*last)->next;
	*last = split;
	return split;
}

static void split_add_pages(struct split *split, size_t page, size_t count)
{
	bits_fill(split->known, page, count, true);
	bits_fill(split->free, page, count, true);
	split->nr_known += count;
	split->nr_free += count;
}

/* Turn a split of which all pages but that of its record are free into a free frame. */
static void split_settle(struct split *split)
{
	struct split **link = &frames.splits;
	size_t frame = split->frame;

	if (split->nr_free != PAGES_PER_FRAME - 1)
		return;
	while (*link != split)
		link = &(*link)->next;
	*link = split->next;
	bits_fill(frames.known, frame, 1, true);
	bits_fill(frames.free, frame, 1, true);
	frames.nr_free++;
	if (frame >= frames.end)
		frames.end = frame + 1;
}

static size_t take_frames(size_t count, size_t step)
{
	size_t first = bits_find_run(frames.free, frames.end, count, step);

	if (first == NONE)
		return NONE;
	bits_fill(frames.free, first, count, false);
	if (frames.host)
		bits_fill(frames.host->absent, first, count, false);
	frames.nr_free -= count;
	return first;
}

static struct split *split_free_frame(void)
{
	size_t frame = take_frames(1, 1);
	struct split *split;

	if (frame == NONE)
		return NULL;
	bits_fill(frames.known, frame, 1, false);
	split = split_create(frame, 0);
	split_add_pages(split, 1, PAGES_PER_FRAME - 1);
	return split;
}

static void *take_pages_of(struct split *split, size_t count, size_t step)
{
	size_t page = bits_find_run(split->free, PAGES_PER_FRAME, count, step);

	if (page == NONE)
		return NULL;
	bits_fill(split->free, page, count, false);
	split->nr_free -= count;
	return split_page(split, page);
}

static void *take_pages(size_t count, size_t step)
{
	struct split *split;
	void *base;

	for (split = frames.splits; split; split = split->next) {
		base = take_pages_of(split, count, step);
		if (base)
			return base;
	}
	split = split_free_frame();
	return split ? take_pages_of(split, count, step) : NULL;
}

/* Are these known, and handed out? */
static bool are_used(const uint64_t *known, const uint64_t *free, size_t first, size_t count)
{
	return bits_are(known, first, count, true) && bits_are(free, first, count, false);
}

/* Less than a frame, and findable in one whose first page holds its record? */
static bool fits_in_pages(size_t size, size_t align)
{
	return size <= FRAME_SIZE / 2 && align <= FRAME_SIZE / 2;
}

static HAK_COLD int frames_map(void *ctx, size_t size, size_t align, enum hak_want want,
			       struct hak_mapping *out)
{
	void *base = NULL;

	(void)ctx;
	if (!size || size > NR_FRAMES * FRAME_SIZE || !is_power_of_two(align))
		return -1;
	frames_lock();
	if (want == HAK_WANT_META && fits_in_pages(size, align)) {
		size_t step = align > PAGE_SIZE ? align / PAGE_SIZE : 1;

		base = take_pages(DIV_ROUND_UP(size, PAGE_SIZE), step);
	} else {
		size_t step = align > FRAME_SIZE ? align / FRAME_SIZE : 1;
		size_t first = take_frames(DIV_ROUND_UP(size, FRAME_SIZE), step);

		if (first != NONE)
			base = (void *)(first * FRAME_SIZE);
	}
	frames_unlock();
	if (!base)
		return -1;
	out->base = base;
	out->flags = frames.host ? HAK_PAGES_PURGE : 0;
	return 0;
}

static bool put_pages(struct split *split, uintptr_t base, size_t size)
{
	size_t page = page_of(base);
	size_t count = DIV_ROUND_UP(size, PAGE_SIZE);

	if (base % PAGE_SIZE || count > PAGES_PER_FRAME - page ||
	    !are_used(split->known, split->free, page, count) ||
	    page_of((uintptr_t)split) - page < count)
		return false;
	bits_fill(split->free, page, count, true);
	split->nr_free += count;
	split_settle(split);
	return true;
}

static bool put_frames(uintptr_t base, size_t size)
{
	size_t first = base / FRAME_SIZE;
	size_t count = DIV_ROUND_UP(size, FRAME_SIZE);

	if (base % FRAME_SIZE || first >= frames.end || count > frames.end - first ||
	    !are_used(frames.known, frames.free, first, count))
		return false;
	bits_fill(frames.free, first, count, true);
	frames.nr_free += count;
	return true;
}

/* It refuses what is not in use, so that an error elsewhere breaks nothing here. */
static HAK_COLD int frames_unmap(void *ctx, void *base, size_t size)
{
	uintptr_t address = (uintptr_t)base;
	struct split *split;
	bool done;

	(void)ctx;
	if (!size || address >= NR_FRAMES * FRAME_SIZE || size > NR_FRAMES * FRAME_SIZE)
		return -1;
	frames_lock();
	split = split_of(address / FRAME_SIZE);
	done = split ? put_pages(split, address, size) : put_frames(address, size);
	frames_unlock();
	return done ? 0 : -1;
}

static int frames_purge(void *ctx, void *base, size_t size)
{
	(void)ctx;
	return frames.host ? frames.host->purge(base, size) : -1;
}

/*
 * How many bytes from @address on are handed out, up to the end of the frame or
 * page they are in? The provider's own pages are not handed out.
 */
static size_t in_use_at(uintptr_t address)
{
	size_t frame = address / FRAME_SIZE;
	size_t page = page_of(address);
	const struct split *split;

	if (frame < frames.end && are_used(frames.known, frames.free, frame, 1))
		return FRAME_SIZE - address % FRAME_SIZE;
	split = split_of(frame);
	if (split && page != page_of((uintptr_t)split) &&
	    are_used(split->known, split->free, page, 1))
		return PAGE_SIZE - address % PAGE_SIZE;
	return 0;
}

static HAK_COLD int frames_resident(void *ctx, const void *base, size_t size, size_t *bytes)
{
	uintptr_t address = (uintptr_t)base;
	uintptr_t limit = NR_FRAMES * FRAME_SIZE;
	size_t done = 0, step = 1;

	(void)ctx;
	if (address >= limit || size > limit - address)
		return -1;
	frames_lock();
	while (step && done < size) {
		step = in_use_at(address + done);
		done += step;
	}
	frames_unlock();
	if (!step)
		return -1;
	*bytes = size;
	return 0;
}

const struct hak_provider hak_frames_provider = {
	.name = "frames",
	.map = frames_map,
	.unmap = frames_unmap,
	.purge = frames_purge,
	.resident = frames_resident,
};

/* Is no page of [@base, @end), which lies in one frame, known? */
static bool part_is_unknown(uintptr_t base, uintptr_t end)
{
	const struct split *split = split_of(base / FRAME_SIZE);

	if (base == end)
		return true;
	if (is_whole(base / FRAME_SIZE))
		return false;
	return !split || bits_are(split->known, page_of(base), (end - base) / PAGE_SIZE, false);
}

static bool frames_are_unknown(size_t first, size_t count)
{
	const struct split *split;

	for (split = frames.splits; split; split = split->next)
		if (split->frame - first < count)
			return false;
	return first >= frames.end ||
	       bits_next(frames.known, first, frames.end, true) - first >= count;
}

static void add_part(uintptr_t base, uintptr_t end)
{
	size_t frame = base / FRAME_SIZE;
	size_t page = page_of(base);
	size_t count = (end - base) / PAGE_SIZE;
	struct split *split = split_of(frame);

	if (!count)
		return;
	if (!split) {
		split = split_create(frame, page);
		page++;
		count--;
	}
	split_add_pages(split, page, count);
	if (split->nr_known == PAGES_PER_FRAME)
		frames.total++;
	split_settle(split);
}

static void add_frames(size_t first, size_t count)
{
	bits_fill(frames.known, first, count, true);
	bits_fill(frames.free, first, count, true);
	frames.nr_free += count;
	frames.total += count;
	if (count && first + count > frames.end)
		frames.end = first + count;
}

/* The whole frames of a region lie between @head_end and @tail. */
static void cut(uintptr_t base, uintptr_t end, uintptr_t *head_end, uintptr_t *tail)
{
	*head_end = ALIGN_UP(base, FRAME_SIZE);
	*tail = end - end % FRAME_SIZE;
	if (*head_end > *tail) /* it lies in one frame and reaches neither end */
		*head_end = *tail = end;
}

static bool is_unknown(uintptr_t base, uintptr_t end)
{
	uintptr_t bitmaps = (uintptr_t)frames.known, head_end, tail;

	cut(base, end, &head_end, &tail);
	return (end <= bitmaps || base >= bitmaps + BITMAPS_SIZE(frames.room)) &&
	       part_is_unknown(base, head_end) && part_is_unknown(tail, end) &&
	       frames_are_unknown(head_end / FRAME_SIZE, (tail - head_end) / FRAME_SIZE);
}

/*
 * If the bitmaps do not reach to the end of a region, it gives pages for larger
 * ones. Returns where the rest of it begins; 0: there is none.
 */
static uintptr_t make_room(uintptr_t base, uintptr_t end)
{
	size_t size = ALIGN_UP(BITMAPS_SIZE(DIV_ROUND_UP(end, FRAME_SIZE)), PAGE_SIZE);
	uint64_t *known = (uint64_t *)base, *free = known + size / 2 / sizeof(*free);

	if (DIV_ROUND_UP(end, FRAME_SIZE) <= frames.room)
		return base;
	if (size >= end - base)
		return 0;
	cpu_clear(known, size);
	__builtin_memcpy(known, frames.known, frames.room / 8);
	__builtin_memcpy(free, frames.free, frames.room / 8);
	frames.known = known;
	frames.free = free;
	frames.room = size / 2 * 8;
	return base + size;
}

static void frames_add(uintptr_t base, uintptr_t end)
{
	uintptr_t head_end, tail;

	cut(base, end, &head_end, &tail);
	add_part(base, head_end);
	add_frames(head_end / FRAME_SIZE, (tail - head_end) / FRAME_SIZE);
	add_part(tail, end);
}

HAK_COLD int hak_region_add(uintptr_t base, size_t size)
{
	uintptr_t end = base + size;
	int error = 0;

	if (end < base || end > NR_FRAMES * FRAME_SIZE || base < PAGE_SIZE)
		return HAK_REGION_RANGE;
	base = ALIGN_UP(base, PAGE_SIZE);
	end -= end % PAGE_SIZE;
	if (base >= end)
		return HAK_REGION_SMALL;
	frames_lock();
	if (!is_unknown(base, end))
		error = HAK_REGION_OVERLAP;
	else if (!(base = make_room(base, end)))
		error = HAK_REGION_SMALL;
	else
		frames_add(base, end);
	frames_unlock();
	return error;
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
	if (count && frames.host->report((void *)(first * FRAME_SIZE), count * FRAME_SIZE))
		bits_fill(frames.host->absent, first, count, true);
	else
		count = 0;
	frames_unlock();
	return count;
}
