/* SPDX-License-Identifier: MIT */
/*
 * Parts: SuperSlabs that lack some of their 2 MiB. Around an image, at the ends of a region, and in
 * a static array there are pages, and no 2 MiB in one piece. What a part lacks counts as units in
 * use: nobody has them, and nobody frees them. So a part is never empty, is never released, and
 * all that is done with runs of units is done as in any other SuperSlab. Its record has
 * descriptors only from the first window to the last one in which there are pages.
 *
 * No part is purged.
 *
 *	units_used of the arena  ==  units in use of all SuperSlabs, with those that parts lack
 *	bit in pages		<==  the unit is unused, or was allocated
 *
 * Only who calls hak_parts_enable() links this file.
 *
 * Lock: that of the arena, to enter a part.
 *
 * Failure: there is no part, or no memory for its record. Then nothing has changed.
 */
#include "pages/meta.h"
#include "pages/pagemap.h"
#include "pages/pages.h"
#include "superslab/arena.h"
#include "superslab/superslab.h"

static const struct hak_parts *source;

/* How many units has a part? */
static size_t part_units(const uint64_t *pages)
{
	size_t units = 0;

	for (unsigned i = 0; i < NR_WINDOWS; i++)
		units += count_bits(pages[i]);
	return units;
}

/* In the hardened build, free memory is zero. */
static void part_clear(char *base, const uint64_t *pages)
{
	for (unsigned i = 0; i < UNITS_PER_SUPERSLAB; i++)
		if (pages[i / 64] >> i % 64 & 1)
			__builtin_memset(base + i * UNIT_SIZE, 0, UNIT_SIZE);
}

static void part_unmap(void *base, const uint64_t *pages)
{
	size_t size = part_units(pages) * UNIT_SIZE;

	pages_counters.unmaps++;
	pages_counters.mapped -= size;
	source->unmap(source->ctx, base);
}

static void unmap_superslab(const struct superslab *superslab)
{
	part_unmap((void *)(superslab->base & ~(SUPERSLAB_SIZE - 1)), superslab->pages);
}

/* Enter a part whose units are all in use, and then free those that there are. */
static void part_enter(struct superslab *superslab, const uint64_t *pages)
{
	struct list_node *chain = NULL;

	arena_lock();
	superslab->map_id = ++hak_arena.maps;
	hak_arena.counters.mapped++;
	hak_arena.counters.units_used += UNITS_PER_SUPERSLAB;
	arena_enter_used(superslab);
	hak_arena.counters.units_absent += UNITS_PER_SUPERSLAB - part_units(superslab->pages);
	for (unsigned i = 0; i < superslab->described / UNITS_PER_WINDOW; i++)
		superslab_free_part(superslab, &superslab->window[i], pages[i], &chain);
	hak_assert(!chain);
	arena_unlock();
}

/*
 * Make a SuperSlab of another part. False if there is none. Its record is as long as it has to be,
 * and is not freed before hak_fini().
 */
static bool part_add(void)
{
	struct superslab *superslab = NULL;
	unsigned first = 0, end = NR_WINDOWS, units;
	const uint64_t *pages;
	void *memory;
	uintptr_t base;

	if (source->map(source->ctx, meta_uncut(), &memory, &pages))
		return false;
	base = (uintptr_t)memory;
	pages_counters.maps++;
	pages_counters.requested += part_units(pages) * UNIT_SIZE;
	pages_counters.mapped += part_units(pages) * UNIT_SIZE;
	hak_assert(base % SUPERSLAB_SIZE == 0 && part_units(pages));
	if (IS_ENABLED(CONFIG_HAK_HARDENED))
		part_clear(memory, pages);
	while (!pages[first])
		first++;
	while (!pages[end - 1])
		end--;
	units = (end - first) * UNITS_PER_WINDOW;
	if (pages_reach(pages_window(), base, SUPERSLAB_SIZE) &&
	    descriptor_reserve_leaves(base, SUPERSLAB_SIZE))
		superslab = meta_alloc(META_PART, offsetof(struct superslab, slab[units]));
	if (!superslab) {
		part_unmap(memory, pages);
		return false;
	}
	descriptor_clear(superslab);
	superslab->base = base + first * WINDOW_SIZE;
	superslab->units = UNITS_PER_SUPERSLAB;
	superslab->described = (uint16_t)units;
	superslab->pages = pages;
	part_enter(superslab, pages + first);
	return true;
}

void hak_parts_enable(const struct hak_parts *parts)
{
	if (!HAS_PARTS)
		return;
	source = parts;
	arena_parts.add = part_add;
	arena_parts.unmap = unmap_superslab;
}
