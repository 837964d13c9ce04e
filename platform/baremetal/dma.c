/* SPDX-License-Identifier: MIT */
/*
 * Pages for a kernel and its devices: in one piece of physical memory, below an address,
 * aligned, and not across a boundary.
 *
 * Each zone of frames.c is searched from the highest that a device reaches down to the lowest:
 * first its splits, then its free frames, of which the last one is split if not all of it is
 * needed. The first page behind those that were asked for has the record then, so that
 * frames can be had at any alignment. So one page takes constant time if all memory of a zone
 * will do, that is below 16 MiB, below 4 GiB or anywhere. Else what will not do is searched.
 *
 * Where memory is, hak_host_physical() says, page by page. A zone is that of the address,
 * as memory that is low for a device is at low addresses.
 *
 * This file owns a bit for each page of a split and one for each frame: it was handed out here.
 * So hak_pages_free() frees nothing else. On failure nothing has changed.
 */
#include <hakmem/host.h>

#include "frames_inner.h"

static uint64_t dma_frames[NR_FRAMES / 64];

struct request {
	size_t count;
	uint64_t last; /* the highest address */
	uint64_t align, boundary;
};

/* Is it what was asked for? */
static bool fits(const struct request *request, const char *base)
{
	size_t size = request->count * PAGE_SIZE;
	uint64_t first = hak_host_physical(base), last = first + size - 1;

	if (last < first || last > request->last || first & (request->align - 1) ||
	    (first ^ last) & ~(request->boundary - 1))
		return false;
	for (size_t done = PAGE_SIZE; done < size; done += PAGE_SIZE)
		if (hak_host_physical(base + done) != first + done)
			return false;
	return true;
}

/* The first run of @count set bits in [@from, @end) that fits: bit 0 is at @base. */
static size_t find_fitting(const struct request *request, const uint64_t *bits, size_t from,
			   size_t end, size_t count, uintptr_t base, size_t unit)
{
	size_t at = bits_next(bits, from, end, true);

	for (; at < end && count <= end - at; at = bits_next(bits, at + 1, end, true)) {
		size_t stop = bits_next(bits, at, at + count, false);

		if (stop == at + count && fits(request, pointer_to(base + at * unit)))
			return at;
		if (stop != at + count)
			at = stop;
	}
	return NONE;
}

static void *take_from_splits(const struct request *request, struct list_node *list)
{
	for (; list; list = list->next) {
		struct split *split = list_entry(list, struct split, node);
		size_t page = find_fitting(request, split->free, 0, PAGES_PER_FRAME, request->count,
					   split->frame * FRAME_SIZE, PAGE_SIZE);

		if (page == NONE)
			continue;
		split_take_pages(split, page, request->count);
		bits_fill(split->dma, page, request->count, true);
		return split_page(split, page);
	}
	return NULL;
}

/* The first @count pages of a frame were asked for. The others are free, but for a record. */
static void split_rest(size_t frame, size_t count)
{
	struct split *split = split_create(frame, count);

	bits_fill(split->known, 0, PAGES_PER_FRAME, true);
	split->nr_known = PAGES_PER_FRAME;
	bits_fill(split->dma, 0, count, true);
	split_free_pages(split, count + 1, PAGES_PER_FRAME - count - 1);
}

static void *take_from_frames(const struct request *request, unsigned zone)
{
	size_t end = MIN(frames.end, request->last / FRAME_SIZE + 1);
	size_t rest = request->count % PAGES_PER_FRAME, whole = request->count / PAGES_PER_FRAME;
	size_t count = whole + !!rest;
	size_t first =
		find_fitting(request, frames.free, zone_first(zone), end, count, 0, FRAME_SIZE);

	if (first == NONE)
		return NULL;
	frames_take(first, count);
	bits_fill(dma_frames, first, whole, true);
	if (rest)
		split_rest(first + whole, rest);
	return pointer_to(first * FRAME_SIZE);
}

static void *take(const struct request *request)
{
	size_t frame = MIN(request->last / FRAME_SIZE, NR_FRAMES);
	void *base = NULL;

	for (unsigned zone = zone_of(frame); zone < NR_ZONES && !base; zone++) {
		base = take_from_splits(request, frames.splits[LIST_PART + zone]);
		if (!base)
			base = take_from_splits(request, frames.splits[LIST_SPLIT + zone]);
		if (!base)
			base = take_from_frames(request, zone);
	}
	return base;
}

void *hak_pages_alloc(size_t count, uint64_t below, size_t align, uint64_t boundary)
{
	struct request request = {
		.count = count,
		.last = below - 1,
		.align = align ? align : 1,
		.boundary = boundary,
	};
	void *base = NULL;

	if (!count || !is_power_of_two(request.align) ||
	    (boundary && (!is_power_of_two(boundary) || boundary / PAGE_SIZE < count))) {
		hak_host_set_error(HAK_EINVAL);
		return NULL;
	}
	if (count <= NR_FRAMES * PAGES_PER_FRAME) {
		frames_lock();
		base = take(&request);
		frames_unlock();
	}
	if (!base)
		hak_host_set_error(HAK_ENOMEM);
	return base;
}

static bool has_bit(const uint64_t *bits, size_t bit)
{
	return bits[bit / 64] >> bit % 64 & 1;
}

/* How many of @count pages at @address may be freed, all in one frame? 0: this one may not. */
static size_t freeable_at(uintptr_t address, size_t count)
{
	const struct split *split = split_of(address / FRAME_SIZE);
	size_t page = page_of(address), end = MIN(page + count, PAGES_PER_FRAME);

	if (split)
		return bits_next(split->dma, page, end, false) - page;
	return end - page == PAGES_PER_FRAME && has_bit(dma_frames, address / FRAME_SIZE)
		       ? PAGES_PER_FRAME
		       : 0;
}

static void free_at(uintptr_t address, size_t count)
{
	size_t frame = address / FRAME_SIZE, page = page_of(address);
	struct split *split = split_of(frame);

	if (split) {
		bits_fill(split->dma, page, count, false);
		split_free_pages(split, page, count);
		split_settle(split);
		return;
	}
	bits_fill(dma_frames, frame, 1, false);
	bits_fill(frames.free, frame, 1, true);
	frames.nr_free++;
}

/* Are all of these pages handed out here? */
static bool are_freeable(uintptr_t address, size_t count)
{
	uintptr_t limit = NR_FRAMES * FRAME_SIZE;
	size_t here;

	if (address % PAGE_SIZE || address >= limit || count > (limit - address) / PAGE_SIZE)
		return false;
	for (; count; count -= here, address += here * PAGE_SIZE) {
		here = freeable_at(address, count);
		if (!here)
			return false;
	}
	return true;
}

int hak_pages_free(void *base, size_t count)
{
	uintptr_t address = address_of(base);
	size_t here;
	int error = -1;

	if (!base)
		return 0;
	frames_lock();
	if (count && are_freeable(address, count)) {
		for (; count; count -= here, address += here * PAGE_SIZE) {
			here = freeable_at(address, count);
			free_at(address, here);
		}
		error = 0;
	}
	frames_unlock();
	if (error)
		hak_host_set_error(HAK_EINVAL);
	return error;
}
