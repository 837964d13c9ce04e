/* SPDX-License-Identifier: MIT */
/*
 * The heap as a picture, for a person at a console: a line for each class, and one for each
 * SuperSlab. Statistics say how much memory there is. The picture says where it is, and so
 * why it does not go back. hak_dump_held() says which blocks keep a piece of memory.
 *
 * Lock: that of the arena, while a few SuperSlabs are drawn. It is dropped to print them, so
 * a SuperSlab that comes or goes meanwhile may be missed, or be printed twice. A single slab is
 * looked at with the lock of its class held, and that of the arena inside.
 */
#include "diag/dump.h"

#include <hakmem/stats.h>

#include "base/format.h"
#include "base/sizeclass.h"
#include "diag/stats.h"
#include "pages/pagemap.h"
#include "slab/class.h"
#include "slab/slab.h"
#include "superslab/arena.h"
#include "superslab/group.h"

#define LETTERS (unsigned)(SUPERSLAB_SIZE / SLAB_SIZE)

/* What is printed about a SuperSlab. */
struct picture {
	uintptr_t base;
	unsigned used, backed, unbacked; /* units: in use, and unused ones */
	unsigned pages;			 /* unbacked pages of the units in use */
	char letters[LETTERS];		 /* one for each 64 KiB */
};

/* The letter of a unit; hak_dump() prints what they mean. */
static char letter_of(const struct superslab *superslab, unsigned index)
{
	const struct window *window = &superslab->window[index / UNITS_PER_WINDOW];
	unsigned class = pagemap_class(superslab->base + index * UNIT_SIZE);
	unsigned bit = index % UNITS_PER_WINDOW;

	if (!superslab_has(superslab, index))
		return ' ';
	if (!(superslab_units(superslab) >> bit & 1))
		return '|';
	if (window->unused >> bit & 1)
		return window->unbacked >> bit & 1 ? '.' : '-';
	if (class == CLASS_SPAN_REST)
		return '=';
	if ((HAK_GAPS || PLATFORM_SAMPLES) && class == CLASS_MIXED)
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
	picture->unbacked = picture->pages = 0;
	for (unsigned i = 0; i < NR_WINDOWS; i++)
		picture->unbacked += count_bits(superslab->window[i].unbacked);
	picture->backed = superslab->unused - picture->unbacked;
	picture->used = superslab->units - superslab->unused -
			(UNITS_PER_SUPERSLAB - superslab_described(superslab));
	__builtin_memset(picture->letters, ' ', sizeof(picture->letters));
	for (unsigned i = 0; i < superslab_described(superslab); i++) {
		char *letter = &picture->letters[i / UNITS_PER_SLAB], now = letter_of(superslab, i);

		picture->used -= !superslab_has(superslab, i);
		*letter = i % UNITS_PER_SLAB == 0 || *letter == now ? now : '+';
		if (superslab_has_pages(superslab) && !superslab_is_unused(superslab, i) &&
		    !superslab_back(superslab, i))
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
	uint64_t bytes = row->slabs * UNIT_SIZE;

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
		   "g: several sizes, +: several of these, b: bitmaps, |: guards, "
		   "#=: large blocks, -: free, .: purged)\n",
		   "SuperSlab", (unsigned long)SMALL_MAX);
	do {
		n = draw_some(done, pictures, ARRAY_SIZE(pictures));
		done += n;
		for (unsigned i = 0; i < n; i++) {
			hak_format(sink, ctx, "0x%016lx  %4u %4u %6u %6u  ",
				   (unsigned long)pictures[i].base, pictures[i].used,
				   pictures[i].backed, pictures[i].unbacked, pictures[i].pages);
			sink(ctx, pictures[i].letters, LETTERS);
			hak_format(sink, ctx, "\n");
		}
	} while (n);
}

/* What hak_dump_held() adds up. */
struct held {
	uintptr_t block; /* the first one */
	size_t bytes;
};

/*
 * The blocks of a slab that the unit at @base is in, if it has that class still. With both locks
 * held. Returns the end of the slab.
 */
static uintptr_t add_slab_of(unsigned class, uintptr_t base, struct held *held)
{
	const struct slab *slab = address_to_slab(base);

	if (!slab || slab->class != class)
		return base + UNIT_SIZE;
	base = slab_base(slab);
	held->bytes += (slab->blocks - slab_all_free(slab)) * (size_t)size_class[class].size;
	for (unsigned i = 0; i < slab->blocks && !held->block; i++)
		if (!slab_is_free(slab, i))
			held->block = base + i * (size_t)size_class[class].size;
	return base + slab_units(slab) * UNIT_SIZE;
}

/* The slab at @base, if its class is one for blocks of users. */
static NO_SANITIZE_THREAD unsigned slab_class_at(uintptr_t base)
{
	unsigned class = pagemap_class(base);
	const struct slab *slab;

	if (class == CLASS_MIXED) {
		arena_lock();
		slab = address_to_slab(base);
		class = slab ? READ_ONCE(slab->class) : CLASS_NONE;
		arena_unlock();
	}
	return class >= CLASS_FIRST && class <= CLASS_SLAB_LAST ? class : CLASS_NONE;
}

/* The part of a span that lies in [@base, @end), if there is one at @base. Returns its end. */
static uintptr_t add_span_part(uintptr_t base, uintptr_t end, struct held *held)
{
	uintptr_t head = base, stop = base + UNIT_SIZE;
	const struct slab *slab;

	arena_lock();
	if (class_has_groups(pagemap_class(base))) {
		slab = address_to_slab(base);
		held->bytes += UNIT_SIZE - count_bits(slab->slack) * PAGE_SIZE;
		if (group_spans_in(pagemap_class(base), slab, &head) && !held->block)
			held->block = head;
		arena_unlock();
		return stop;
	}
	while (head && pagemap_class(head) == CLASS_SPAN_REST)
		head -= UNIT_SIZE;
	slab = pagemap_class(head) ? address_to_slab(head) : NULL;
	if (slab && class_is_span(slab->class)) {
		stop = MIN(end, MAX(stop, head + slab->span_pages * PAGE_SIZE));
		held->bytes += stop - base;
		held->block = held->block ? held->block : head;
	}
	arena_unlock();
	return ALIGN_UP(stop, UNIT_SIZE);
}

/**
 * hak_dump_held() - which blocks are in the slabs of [@base, @end)?
 * @bytes: set to the sum of their lengths; of spans the part in there
 *
 * Blocks in the magazines of other CPUs count as well. Returns one of them, or NULL.
 */
const void *hak_dump_held(uintptr_t base, uintptr_t end, size_t *bytes)
{
	struct held held = { 0 };

	base -= base % UNIT_SIZE;
	while (base < end) {
		unsigned class = slab_class_at(base);
		struct slab_class *sc = class ? class_find(class) : NULL;

		if (!sc) {
			base = add_span_part(base, end, &held);
			continue;
		}
		lock_lock(&sc->lock, LOCK_CLASS);
		arena_lock();
		base = add_slab_of(class, base, &held);
		arena_unlock();
		lock_unlock(&sc->lock, LOCK_CLASS);
	}
	*bytes = held.bytes;
	return (const void *)held.block;
}
