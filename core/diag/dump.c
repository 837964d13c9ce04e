/* SPDX-License-Identifier: MIT */
/*
 * The heap as a picture, for a person at a console: a line for each class, and one for each
 * SuperSlab. Statistics say how much memory there is. The picture says where it is, and so
 * why it does not go back.
 *
 * Lock: that of the arena, while a few SuperSlabs are drawn. It is dropped to print them, so
 * a SuperSlab that comes or goes meanwhile may be missed, or be printed twice.
 */
#include <hakmem/stats.h>

#include "base/format.h"
#include "base/sizeclass.h"
#include "diag/stats.h"
#include "pages/pagemap.h"
#include "superslab/arena.h"

/* What is printed about a SuperSlab. */
struct picture {
	uintptr_t base;
	unsigned used, backed, unbacked; /* slabs: in use, and unused ones */
	unsigned pages;			 /* unbacked pages of the slabs in use */
	char slabs[SLABS_PER_SUPERSLAB]; /* a letter for each */
};

/* The letter of a slab; hak_dump() prints what they mean. */
static char letter_of(const struct superslab *superslab, unsigned index)
{
	unsigned class = pagemap_class(superslab->base + index * SLAB_SIZE);

	if (!(superslab_slabs(superslab) >> index & 1))
		return '|';
	if (superslab->unused >> index & 1)
		return superslab->unbacked >> index & 1 ? '.' : '-';
	if (class == CLASS_SPAN_REST)
		return '=';
	if (HAK_GAPS && class == CLASS_MIXED)
		return 'g';
	if (class == CLASS_BITMAP_512 || class == CLASS_BITMAP_1024)
		return 'b';
	if (class && class <= CLASS_SLAB_LAST)
		return size_class[class].size <= SMALL_MAX ? 's' : 'm';
	return class ? '#' : '?';
}

/*
 * With the lock of the arena held. class.c writes the unbacked pages of a slab in use under
 * the lock of its class. They may change while they are read here.
 */
static NO_SANITIZE_THREAD void draw(const struct superslab *superslab, struct picture *picture)
{
	picture->base = superslab->base;
	picture->unbacked = count_bits(superslab->unbacked);
	picture->backed = count_bits(superslab->unused & ~superslab->unbacked);
	picture->used = count_bits(superslab_slabs(superslab) & ~superslab->unused);
	picture->pages = 0;
	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++) {
		picture->slabs[i] = letter_of(superslab, i);
		if (!(superslab->unused >> i & 1))
			picture->pages += count_bits(READ_ONCE(superslab->slab[i].unbacked));
	}
}

/* Draw up to @most SuperSlabs, without the first @skip. Returns how many. */
static unsigned draw_some(size_t skip, struct picture *pictures, unsigned most)
{
	struct superslab *superslab;
	unsigned n = 0;

	arena_lock();
	for (superslab = arena_first(); superslab && n < most; superslab = arena_next(superslab)) {
		if (skip)
			skip--;
		else
			draw(superslab, &pictures[n++]);
	}
	arena_unlock();
	return n;
}

/* A line of the first table: a class, or with a @name the larger blocks. */
static void dump_class(hak_sink *sink, void *ctx, const char *name,
		       const struct hak_class_stats *row)
{
	uint64_t bytes = row->slabs * SLAB_SIZE;

	if (!row->slabs)
		return;
	if (name)
		hak_format(sink, ctx, "%10s", name);
	else
		hak_format(sink, ctx, "%10lu", row->block_bytes);
	hak_format(sink, ctx, " %10lu %8lu %8lu %5lu%%\n", row->live_blocks, row->magazine_blocks,
		   row->slabs, row->live_bytes * 100 / bytes);
}

void hak_dump(hak_sink *sink, void *ctx)
{
	struct hak_class_stats row;
	struct picture pictures[8];
	size_t done = 0;
	unsigned n;

	hak_format(sink, ctx, "%10s %10s %8s %8s %6s\n", "size", "live", "cached", "slabs", "used");
	for_each_class(class)
	{
		stats_read_class(class, &row);
		dump_class(sink, ctx, NULL, &row);
	}
	stats_read_class(CLASS_SPAN, &row);
	dump_class(sink, ctx, "larger", &row);
	hak_format(sink, ctx,
		   "%18s  used free purged  pages  (s m: blocks up to and above %lu bytes, "
		   "g: several sizes, b: bitmaps, |: guards, #=: large blocks, -: free, "
		   ".: purged)\n",
		   "SuperSlab", (unsigned long)SMALL_MAX);
	do {
		n = draw_some(done, pictures, ARRAY_SIZE(pictures));
		done += n;
		for (unsigned i = 0; i < n; i++) {
			hak_format(sink, ctx, "0x%016lx  %4u %4u %6u %6u  ",
				   (unsigned long)pictures[i].base, pictures[i].used,
				   pictures[i].backed, pictures[i].unbacked, pictures[i].pages);
			sink(ctx, pictures[i].slabs, SLABS_PER_SUPERSLAB);
			hak_format(sink, ctx, "\n");
		}
	} while (n);
}
