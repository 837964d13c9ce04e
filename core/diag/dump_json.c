/* SPDX-License-Identifier: MIT */
/*
 * The heap as a picture, for a program: where each SuperSlab lies, and what is in it, as one
 * JSON object. hakmem-map draws it. See dump.c, which has the same for a person.
 *
 * A SuperSlab is cut into cells: a slab, the part of a large block that lies in it, a row of
 * unused units that are alike. They are printed a few at a time, with the lock dropped. The next
 * ones are then found by the address of the SuperSlab, if it is still of the same mapping. What
 * was mapped later is left out, so the walk ends while others map and unmap.
 *
 * Lock: that of the arena, for a few cells at a time. What is said of a slab is read without the
 * lock of its class, as in dump.c.
 */
#include "diag/dump.h"

#include <hakmem/stats.h>

#include "base/format.h"
#include "base/sizeclass.h"
#include "diag/stats.h"
#include "pages/pagemap.h"
#include "pages/pages.h"
#include "slab/slab.h"
#include "superslab/arena.h"

#define CELLS 16u /* in a piece */

/* What is printed of a cell. */
struct cell {
	const char *kind;
	size_t bytes;	    /* of a block; 0: there are none here */
	uint16_t at, units; /* units: 0 until it is known */
	uint16_t blocks, used;
	uint16_t pages, unbacked;
	bool asks; /* the provider knows better what is backed */
};

/* A place in the walk. */
struct place {
	uintptr_t base;
	uint64_t map_id, newest; /* newest: the last mapping that is printed */
	unsigned next;		 /* unit */
	size_t done;		 /* SuperSlabs */
};

static NO_SANITIZE_THREAD unsigned unbacked_pages(const struct superslab *superslab, unsigned at)
{
	return count_bits(READ_ONCE(superslab->slab[at].unbacked));
}

/* A slab of blocks. Its class may be about to change. */
static NO_SANITIZE_THREAD void draw_blocks(const struct slab *slab, struct cell *cell)
{
	unsigned class = READ_ONCE(slab->class);
	unsigned free = READ_ONCE(slab->free) + READ_ONCE(slab->unbacked_blocks);

	cell->units = (uint16_t)slab_units(slab);
	cell->bytes = class < NR_SLAB_CLASSES ? size_class[class].size : 0;
	cell->blocks = slab->blocks;
	cell->used = (uint16_t)(cell->blocks - MIN(cell->blocks, free));
}

/* What is in use, and has a descriptor of its own. */
static NO_SANITIZE_THREAD void draw_used(const struct superslab *superslab, struct cell *cell)
{
	unsigned class = pagemap_class(superslab->base + cell->at * UNIT_SIZE);
	const struct slab *slab = &superslab->slab[cell->at];

	if ((HAK_GAPS || PLATFORM_SAMPLES) && class == CLASS_MIXED &&
	    class_is_span(READ_ONCE(slab->class))) {
		cell->kind = "samples";
		cell->units = (uint16_t)DIV_ROUND_UP(slab->span_pages * PAGE_SIZE, UNIT_SIZE);
		cell->asks = true;
	} else if (class == CLASS_BITMAP_512 || class == CLASS_BITMAP_1024) {
		cell->kind = "bitmaps";
		draw_blocks(slab, cell);
	} else if (class == CLASS_MIXED || (class && class <= CLASS_SLAB_LAST)) {
		cell->kind = "slab";
		draw_blocks(slab, cell);
	} else if (class_is_span(class)) {
		cell->kind = "large";
		cell->bytes = slab->span_pages * PAGE_SIZE;
		cell->asks = true;
	} else if (class == CLASS_SPAN_REST) {
		cell->kind = "rest"; /* of what begins in another SuperSlab, or waits */
		cell->asks = true;
	} else if (slab->gaps == SLAB_OF_POOL) {
		cell->kind = "pool";
		cell->units = (uint16_t)slab_units(slab);
	}
}

/* A unit that nobody owns, or that cannot be had; NULL if it is in use. */
static const char *kind_of_unused(const struct superslab *superslab, unsigned at)
{
	if (!superslab_has(superslab, at))
		return "absent";
	if (!(superslab_units(superslab) >> at % UNITS_PER_WINDOW & 1))
		return "guard";
	return superslab_is_unused(superslab, at) ? "free" : NULL;
}

/* Units of the same kind, all backed or none of them; or a single one. */
static void draw_unused(const struct superslab *superslab, const char *kind, struct cell *cell)
{
	unsigned each = unbacked_pages(superslab, cell->at), at = cell->at + 1;

	cell->kind = kind;
	if (!each || each == PAGES_PER_UNIT)
		while (at < superslab_described(superslab) &&
		       kind_of_unused(superslab, at) == kind &&
		       unbacked_pages(superslab, at) == each)
			at++;
	cell->units = (uint16_t)(at - cell->at);
	cell->unbacked = (uint16_t)(each * cell->units);
}

/* A unit in use that is none of a slab leads others of its kind. */
static void draw_rest(const struct superslab *superslab, struct cell *cell)
{
	unsigned at = cell->at + 1;

	for (; at < superslab_described(superslab) && !kind_of_unused(superslab, at) &&
	       pagemap_class(superslab->base + at * UNIT_SIZE) == CLASS_SPAN_REST;
	     at++)
		cell->unbacked = (uint16_t)(cell->unbacked + unbacked_pages(superslab, at));
	cell->units = (uint16_t)(at - cell->at);
}

/* The cell that begins with this unit. */
static void draw_cell(const struct superslab *superslab, unsigned at, struct cell *cell)
{
	const char *kind = kind_of_unused(superslab, at);

	*cell = (struct cell){ .kind = "busy", .at = (uint16_t)at };
	if (kind) {
		draw_unused(superslab, kind, cell);
	} else {
		cell->unbacked = (uint16_t)unbacked_pages(superslab, at);
		draw_used(superslab, cell);
		if (!cell->units)
			draw_rest(superslab, cell);
	}
	cell->pages = (uint16_t)(cell->units * PAGES_PER_UNIT);
}

/* Draw up to CELLS more of the SuperSlab at @place. Returns how many: 0 at its end. */
static unsigned draw_cells(struct place *place, struct cell *cells)
{
	const struct superslab *superslab;
	unsigned n = 0;

	arena_lock();
	superslab = pagemap_superslab(place->base);
	if (superslab && superslab->map_id == place->map_id)
		for (; n < CELLS && place->next < superslab_described(superslab); n++) {
			draw_cell(superslab, place->next, &cells[n]);
			place->next += cells[n].units;
		}
	arena_unlock();
	return n;
}

/* Go to the next SuperSlab. Returns false behind the last one. @magazines: blocks of it in them */
static bool next_superslab(struct place *place, unsigned *magazines)
{
	struct superslab *superslab = NULL;
	size_t skip = place->done;

	arena_lock();
	if (place->done)
		superslab = pagemap_superslab(place->base);
	else
		place->newest = hak_arena.maps;
	if (superslab && superslab->map_id == place->map_id)
		superslab = arena_next(superslab);
	else /* it has gone */
		for (superslab = arena_first(); superslab && skip--;)
			superslab = arena_next(superslab);
	while (superslab && superslab->map_id > place->newest)
		superslab = arena_next(superslab);
	if (superslab) {
		place->base = superslab->base;
		place->map_id = superslab->map_id;
		*magazines = superslab->in_magazines;
	}
	arena_unlock();
	place->next = 0;
	place->done++;
	return superslab;
}

static void print_cell(hak_sink *sink, void *ctx, uintptr_t base, struct cell *cell)
{
	const void *start = (const void *)(base + cell->at * UNIT_SIZE);
	size_t bytes;

	if (cell->asks && pages_resident(start, cell->pages * PAGE_SIZE, &bytes) == PAGES_MAPPED)
		cell->unbacked = (uint16_t)(cell->pages - bytes / PAGE_SIZE);
	hak_format(sink, ctx,
		   "%s{\"at\":%u,\"units\":%u,\"kind\":\"%s\",\"pages\":%u,\"unbacked\":%u",
		   cell->at ? "," : "", cell->at, cell->units, cell->kind, cell->pages,
		   cell->unbacked);
	if (cell->bytes)
		hak_format(sink, ctx, ",\"block_bytes\":%zu", cell->bytes);
	if (cell->blocks)
		hak_format(sink, ctx, ",\"blocks\":%u,\"used\":%u", cell->blocks, cell->used);
	hak_format(sink, ctx, "}");
}

/* A SuperSlab is a line, so that other lines on a console do no harm. */
void hak_dump_json(hak_sink *sink, void *ctx)
{
	struct place place = { 0 };
	struct cell cells[CELLS];
	unsigned magazines, n;

	stats_count_phantoms(); /* counts for each SuperSlab what lies in magazines */
	hak_format(sink, ctx,
		   "{\"hakmem_dump\":1,\"unit_bytes\":%lu,\"page_bytes\":%lu,\"superslabs\":[\n",
		   (unsigned long)UNIT_SIZE, (unsigned long)PAGE_SIZE);
	while (next_superslab(&place, &magazines)) {
		hak_format(sink, ctx, "%s{\"base\":\"0x%lx\",\"in_magazines\":%u,\"cells\":[",
			   place.done > 1 ? "," : "", (unsigned long)place.base, magazines);
		while ((n = draw_cells(&place, cells)))
			for (unsigned i = 0; i < n; i++)
				print_cell(sink, ctx, place.base, &cells[i]);
		hak_format(sink, ctx, "]}\n");
	}
	hak_format(sink, ctx, "]}\n");
}
