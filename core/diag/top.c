/* SPDX-License-Identifier: MIT */
/*
 * What each size class has, and what happened since the last time: a table to be printed again
 * and again. On Linux the program hakmem-top prints it, from outside.
 *
 * Lock: none here; the numbers are read as in stats.c.
 */
#include <hakmem/stats.h>

#include "base/format.h"
#include "cache/cache.h"
#include "diag/stats.h"
#include "pages/pages.h"
#include "superslab/arena.h"

/* What was counted at the last call, for each row and for the total. */
static PLATFORM_SPARSE struct {
	uint64_t allocations, frees;
} before[HAK_STATS_CLASSES + 2];

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned)(part * 100 / whole) : 0;
}

/* @i: which row it is. @name: instead of the size. */
static void print_row(hak_sink *sink, void *ctx, unsigned i, const char *name,
		      const struct hak_class_stats *row)
{
	uint64_t memory = row->slabs * UNIT_SIZE;

	if (!row->slabs && !row->allocations)
		return;
	if (name)
		hak_format(sink, ctx, "%10s", name);
	else
		hak_format(sink, ctx, "%10lu", row->block_bytes);
	hak_format(sink, ctx, " %10lu %4u%% %10lu %9lu %4u%% %12lu %12lu\n", row->live_blocks,
		   percent(row->live_bytes, memory), memory >> 10, row->magazine_blocks,
		   percent(row->magazine_hits, row->allocations),
		   row->allocations - before[i].allocations, row->frees - before[i].frees);
	before[i].allocations = row->allocations;
	before[i].frees = row->frees;
}

void hak_top(hak_sink *sink, void *ctx)
{
	struct hak_class_stats row, total = { 0 };
	struct arena_counters arena;
	unsigned i;

	arena_read_counters(&arena);
	hak_format(sink, ctx,
		   "%lu KiB mapped, %lu KiB purged so far, %lu SuperSlabs (%lu in reserve), "
		   "%lu caches\n",
		   pages_counters.mapped >> 10, pages_counters.purged >> 10, arena.active,
		   arena.reserve, (uint64_t)cache_count());
	hak_format(sink, ctx, "%10s %10s %5s %10s %9s %5s %12s %12s\n", "size", "live", "used",
		   "KiB", "cached", "hits", "allocated", "freed");
	for (i = 0; hak_stats_row(i, &row, sizeof(row)); i++) {
		print_row(sink, ctx, i, row.block_bytes ? NULL : "larger", &row);
		stats_add_class(&total, &row);
	}
	print_row(sink, ctx, i, "total", &total);
}
