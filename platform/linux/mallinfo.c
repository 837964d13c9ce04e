/* SPDX-License-Identifier: MIT */
/*
 * What glibc's programs ask a heap about itself, and how they set it: mallinfo(3),
 * malloc_stats(3), malloc_info(3), mallopt(3). These pages speak of a heap with arenas,
 * bins and mappings. Here
 *
 *	an arena	  is all there is, but for what counts as mapped
 *	a mapped block	  is one that no size class has
 *	a fast-bin block  is one in a magazine
 *	a free block	  is one that is free in a slab of its class
 *	the top		  is the reserve of empty SuperSlabs
 *
 * All figures follow from the statistics (hakmem/stats.h), row by row. Nothing here
 * allocates; only the stream that malloc_info() is given may.
 *
 * Lock: none.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <hakmem/stats.h>

#include "base/format.h"
#include "linux.h"
#include "base/sizeclass.h"
#include "diag/stats.h"

/* Of a struct hak_stats; without a walk over pages or over blocks in magazines. */
#define HEAP_COUNTERS offsetof(struct hak_stats, resident_bytes)

struct summary {
	uint64_t system, system_most; /* bytes */
	uint64_t mapped_blocks, mapped;
	uint64_t fast_blocks, fast;
	uint64_t free_blocks, free;
	uint64_t arena, in_use; /* without what is mapped */
	uint64_t top;
};

/* Blocks of a class that are free in its slabs. What moves while it is read may seem to be less. */
static uint64_t mallinfo_free_blocks(const struct hak_class_stats *row)
{
	uint64_t all =
		row->block_bytes > SLAB_MAX ? 0 : row->slabs * (SLAB_SIZE / row->block_bytes);
	uint64_t taken = row->live_blocks + row->magazine_blocks;

	return all > taken ? all - taken : 0;
}

/* A row of the statistics is part of the summary, and of the total of @rest. */
static void summarise_class(struct summary *out, struct stats_rest *rest, unsigned class,
			    struct hak_class_stats *row)
{
	stats_read_class(class, row);
	stats_add_class(&rest->total, row);
	out->fast_blocks += row->magazine_blocks;
	out->fast += row->magazine_blocks * row->block_bytes;
	out->free_blocks += mallinfo_free_blocks(row);
	out->free += mallinfo_free_blocks(row) * row->block_bytes;
}

/* All rows are part of it. */
static void summarise_rest(struct summary *out, struct stats_rest *rest)
{
	uint64_t live, most;

	stats_read_rest(rest, HEAP_COUNTERS);
	out->system = rest->mapped_bytes;
	out->mapped_blocks = rest->spans.live_blocks;
	out->mapped = rest->spans.live_bytes;
	out->top = rest->superslabs_reserve * SUPERSLAB_SIZE;
	most = rest->superslabs_peak * SUPERSLAB_SIZE + rest->meta_bytes;
	out->system_most = most > out->system ? most : out->system;
	out->arena = out->system > out->mapped ? out->system - out->mapped : 0;
	live = rest->total.live_bytes;
	out->in_use = live > out->mapped ? live - out->mapped : 0;
	if (out->in_use > out->arena)
		out->in_use = out->arena;
}

/* Not inline: what is printed afterwards needs none of this stack. */
static NOINLINE void read_summary(struct summary *out)
{
	struct stats_rest rest = { 0 };
	struct hak_class_stats row;

	*out = (struct summary){ 0 };
	for_each_class(class) summarise_class(out, &rest, class, &row);
	summarise_rest(out, &rest);
}

HAK_API struct mallinfo2 mallinfo2(void)
{
	struct summary summary;

	read_summary(&summary);
	return (struct mallinfo2){
		.arena = summary.arena,
		.ordblks = summary.free_blocks,
		.smblks = summary.fast_blocks,
		.hblks = summary.mapped_blocks,
		.hblkhd = summary.mapped,
		.fsmblks = summary.fast,
		.uordblks = summary.in_use,
		.fordblks = summary.arena - summary.in_use,
		.keepcost = summary.top,
	};
}

static int clamp(size_t n)
{
	return n < INT_MAX ? (int)n : INT_MAX;
}

/* The fields are too small for large heaps: they say so by their largest value. */
HAK_API struct mallinfo mallinfo(void)
{
	struct mallinfo2 info = mallinfo2();

	return (struct mallinfo){
		.arena = clamp(info.arena),
		.ordblks = clamp(info.ordblks),
		.smblks = clamp(info.smblks),
		.hblks = clamp(info.hblks),
		.hblkhd = clamp(info.hblkhd),
		.fsmblks = clamp(info.fsmblks),
		.uordblks = clamp(info.uordblks),
		.fordblks = clamp(info.fordblks),
		.keepcost = clamp(info.keepcost),
	};
}

/* glibc's lines first, for those who look for them. */
HAK_API void malloc_stats(void)
{
	struct hak_output out = { .file = STDERR_FILENO };
	struct summary summary;

	read_summary(&summary);
	hak_format(hak_output_append, &out,
		   "Arena 0:\n"
		   "system bytes     = %10lu\n"
		   "in use bytes     = %10lu\n"
		   "Total (incl. mmap):\n"
		   "system bytes     = %10lu\n"
		   "in use bytes     = %10lu\n"
		   "mmap regions     = %10lu\n"
		   "mmap bytes       = %10lu\n",
		   summary.arena, summary.in_use, summary.system, summary.in_use + summary.mapped,
		   summary.mapped_blocks, summary.mapped);
	hak_stats_text(hak_output_append, &out);
	hak_output_flush(&out);
}

static void to_stream(void *stream, const char *text, size_t length)
{
	fwrite(text, 1, length, stream);
}

static void totals_xml(const struct summary *summary, bool mapped, FILE *stream)
{
	uint64_t system = mapped ? summary->system : summary->arena;

	hak_format(to_stream, stream,
		   "<total type=\"fast\" count=\"%lu\" size=\"%lu\"/>\n"
		   "<total type=\"rest\" count=\"%lu\" size=\"%lu\"/>\n",
		   summary->fast_blocks, summary->fast, summary->free_blocks, summary->free);
	if (mapped)
		hak_format(to_stream, stream, "<total type=\"mmap\" count=\"%lu\" size=\"%lu\"/>\n",
			   summary->mapped_blocks, summary->mapped);
	hak_format(to_stream, stream,
		   "<system type=\"current\" size=\"%lu\"/>\n"
		   "<system type=\"max\" size=\"%lu\"/>\n"
		   "<aspace type=\"total\" size=\"%lu\"/>\n"
		   "<aspace type=\"mprotect\" size=\"%lu\"/>\n",
		   system, summary->system_most, system, system);
}

static void write_info(FILE *stream)
{
	struct stats_rest rest = { 0 };
	struct summary summary = { 0 };
	struct hak_class_stats row;
	uint64_t below = 0;

	hak_format(to_stream, stream, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n");
	for_each_class(class)
	{
		uint64_t count;

		summarise_class(&summary, &rest, class, &row);
		count = mallinfo_free_blocks(&row);
		if (count)
			hak_format(
				to_stream, stream,
				"  <size from=\"%lu\" to=\"%lu\" total=\"%lu\" count=\"%lu\"/>\n",
				below + 1, row.block_bytes, count * row.block_bytes, count);
		below = row.block_bytes;
	}
	summarise_rest(&summary, &rest);
	hak_format(to_stream, stream, "</sizes>\n");
	totals_xml(&summary, false, stream);
	hak_format(to_stream, stream, "</heap>\n");
	totals_xml(&summary, true, stream);
	hak_format(to_stream, stream, "</malloc>\n");
}

/* The stream writes, which is a cancellation point otherwise. */
HAK_API int malloc_info(int options, FILE *stream)
{
	int cancel;

	if (options)
		return EINVAL;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	write_info(stream);
	pthread_setcancelstate(cancel, NULL);
	return 0;
}

/* Beyond these bounds of glibc's mallopt() returns 0. */
#define MOST_FAST (80 * (int)sizeof(size_t) / 4)
#define MOST_MMAP (32 << 20)

/*
 * Thresholds, arenas and bins are advice to another heap: it is accepted and has no
 * effect. To fill blocks would be a promise, which is not kept here, so mallopt() returns
 * 0, as for an unknown parameter.
 */
HAK_API int mallopt(int parameter, int value)
{
	switch (parameter) {
	case M_MXFAST:
		return value >= 0 && value <= MOST_FAST;
	case M_MMAP_THRESHOLD:
		return value >= 0 && value <= MOST_MMAP;
	case M_TRIM_THRESHOLD:
	case M_TOP_PAD:
	case M_MMAP_MAX:
	case M_CHECK_ACTION:
	case M_ARENA_TEST:
	case M_ARENA_MAX:
		return 1;
	default:
		return 0;
	}
}
