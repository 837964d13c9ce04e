/* SPDX-License-Identifier: MIT */
/*
 * The full walk: every layer is compared with what it counts, and with the layers below it.
 * The equations are those in the heads of the files. The walk goes from the bottom up, so
 * that what it reports first is the cause and not a consequence.
 *
 * Lock: that of a class and that of the arena, one inside the other where slabs of a class
 * are walked; the claim of the caller's cache after that. Between them things may change, so
 * nobody else may be inside the allocator.
 */
#include "base/layered.h"

#include "diag/check.h"

#include <hakmem/hakmem.h>

#include "cache/cache.h"
#include "cache/seize.h"
#include "pages/pagemap.h"
#include "slab/blocks.h"
#include "slab/slab.h"
#include "superslab/arena.h"
#include "superslab/group.h"
#include "superslab/runs.h"

#define for_each_superslab(superslab)                                                              \
	for (struct superslab *superslab = arena_first(); superslab;                               \
	     superslab = arena_next(superslab))

static const char *check_window(struct superslab *superslab, const struct window *window)
{
	const struct slab *units = superslab_window_units(superslab, window);

	if (window->unbacked & ~window->unused)
		return "SuperSlab: unbacked units that are in use";
	if (window->unused & ~superslab_units(superslab))
		return "SuperSlab: a guard that is unused";
	if (window->claimed)
		return "SuperSlab: units that a scan did not free";
	if (window->idle & ~window->unused)
		return "SuperSlab: idle units without anything to purge";
	if (superslab->purgeable && units_unbacked(units, window->unused) != window->unbacked)
		return "SuperSlab: unbacked units and their pages";
	return NULL;
}

/*
 * A unit is unused, the first of a slab or a span, or lies behind one. Of a slab, each unit knows
 * how far.
 */
static const char *check_unit(const struct superslab *superslab, unsigned index)
{
	unsigned back = superslab_back(superslab, index);
	const struct slab *slab = &superslab->slab[index - back];
	bool known = superslab_has_pages(superslab) || back; /* else there may be no descriptor */

	if (known && slab->index != index - back)
		return "SuperSlab: the place of a unit";
	if (known && superslab_is_unused(superslab, index) && slab->class != CLASS_NONE)
		return "slab: has a class and is unused";
	if (superslab_is_unused(superslab, index) &&
	    (back || pagemap_class(superslab->base + index * UNIT_SIZE) != CLASS_NONE))
		return "page map: class of an unused unit";
	if (back && (back >= slab_units(slab) || superslab_back(superslab, index - back)))
		return "SuperSlab: a unit that lies behind its slab";
	return NULL;
}

/* A SuperSlab, and its unused units. Those in use are checked by class, or as spans. */
static const char *check_superslab(struct superslab *superslab)
{
	const char *failed = NULL;
	unsigned unused = 0;

	if (pagemap_superslab(superslab->base) != superslab)
		return "page map: entry of a SuperSlab";
	for (unsigned i = 0; i < NR_WINDOWS && !failed; i++) {
		failed = check_window(superslab, &superslab->window[i]);
		unused += count_bits(superslab->window[i].unused);
	}
	for (unsigned i = 0; i < superslab_described(superslab) && !failed; i++)
		failed = check_unit(superslab, i);
	if (!failed && unused != superslab->unused)
		failed = "SuperSlab: unused units and the count of them";
	return failed;
}

/* The run of unused units from @first on is as long as it can be, and its ends say how long. */
static const char *check_run(const struct slab *first, unsigned list)
{
	uintptr_t base = slab_base(first);
	size_t run = first->run;

	if (runs_list(superslab_is_metadata(slab_superslab(first)), run) != list)
		return "runs: one on the wrong list";
	if (!runs_have(base, run) || runs_have(base - UNIT_SIZE, 1) ||
	    runs_have(base + run * UNIT_SIZE, 1) ||
	    address_to_slab(base + (run - 1) * UNIT_SIZE)->run != run)
		return "runs: the length of one";
	return NULL;
}

/* Every run is on its list, and together they are the @unused units that there are. */
static const char *check_runs(size_t unused)
{
	for (unsigned i = 0; i < NR_RUN_LISTS; i++) {
		if (!hak_runs.list[i] != !(hak_runs.lists >> i & 1))
			return "runs: the mask of lists";
		for (struct list_node *node = hak_runs.list[i]; node; node = node->next) {
			const struct slab *first = list_entry(node, struct slab, node);
			const char *failed = check_run(first, i);

			if (failed)
				return failed;
			unused -= first->run;
		}
	}
	return unused ? "runs: one missing or too many" : NULL;
}

static const char *check_arena_locked(void)
{
	const struct arena_counters *counters = &hak_arena.counters;
	uint64_t active = 0, used = 0, unused = 0, reserve = 0;
	const char *failed;

	for_each_superslab(superslab)
	{
		failed = check_superslab(superslab);
		if (failed)
			return failed;
		active += !superslab_is_metadata(superslab);
		used += superslab->units - superslab->unused;
		unused += superslab->unused;
		reserve += superslab_is_empty(superslab) && !superslab_is_metadata(superslab);
	}
	failed = check_runs(unused);
	if (failed)
		return failed;
	if (active != counters->active || reserve != counters->reserve)
		return "SuperSlab counters: active or reserve";
	return used != counters->units_used ? "SuperSlab counters: units used" : NULL;
}

const char *check_arena(void)
{
	const char *failed;

	arena_lock();
	failed = check_arena_locked();
	arena_unlock();
	return failed;
}

/* The gap blocks of a slab: the second bitmap agrees with the first and with the class byte. */
static const char *check_gaps(const struct slab *slab)
{
	unsigned gaps = 0, blocks = slab_may_have_gaps(slab) ? slab->blocks : 0;
	bool was_rest = false;

	for (unsigned i = 0; i < blocks; i++) {
		bool is_rest = slab_rest(slab)[i / 64] >> i % 64 & 1;

		if (is_rest && (!i || slab_is_free(slab, i) || slab_is_free(slab, i - 1)))
			return "slab: a part of a gap block that is free";
		gaps += is_rest && !was_rest;
		was_rest = is_rest;
	}
	if (gaps != slab->gaps)
		return "slab: gap blocks and the count of them";
	for (unsigned i = 0; i < slab_units(slab); i++)
		if (pagemap_class(slab_base(slab) + i * UNIT_SIZE) !=
		    (gaps ? CLASS_MIXED : slab->class))
			return "page map: class of a slab";
	return NULL;
}

/* A slab of a class: its bitmap, its pages, its counts and its list agree. */
static const char *check_slab(const struct slab *slab)
{
	unsigned blocks = slab->blocks, free = 0, unbacked = 0;
	bool listed = list_has(&slab->node);

	if (blocks != slab_fit_blocks(slab->class, slab_units(slab)))
		return "slab: how many blocks it has";
	for (unsigned i = 0; i < slab_words(slab); i++) {
		if (i < slab->hint && slab->bitmap[i])
			return "slab: a free block below the hint";
		free += count_bits(slab->bitmap[i]);
	}
	for (unsigned i = 0; i < blocks; i++) {
		if (slab_is_unbacked(slab, i) && slab->bitmap[i / 64] >> i % 64 & 1)
			return "slab: a block in the bitmap that lies in an unbacked page";
		unbacked += slab_is_unbacked(slab, i);
	}
	if (free != slab->free)
		return "slab: bits in the bitmap and the count of free blocks";
	if (unbacked != slab->unbacked_blocks)
		return "slab: blocks in unbacked pages and the count of them";
	if (free + unbacked >= blocks)
		return "slab: empty and not returned";
	if (listed != (free + unbacked > 0))
		return "slab: on a list without free blocks, or not with them";
	if (listed && slab->bucket != slab_bucket(slab))
		return "slab: on the wrong list";
	return check_gaps(slab);
}

/* What the slabs of a class add up to. */
struct slab_sums {
	uint64_t units, outstanding, listed, unbacked, gaps;
};

/* Check a slab, and count it. */
static const char *add_slab(const struct slab *slab, struct slab_sums *sums)
{
	sums->units += slab_units(slab);
	sums->outstanding += slab->blocks - slab_all_free(slab);
	sums->listed += list_has(&slab->node);
	sums->unbacked += slab->unbacked_blocks;
	sums->gaps += slab->gaps;
	return check_slab(slab);
}

/* All slabs of a class. With its lock and that of the arena held. */
static const char *check_class_locked(unsigned class, const struct slab_class *sc)
{
	struct slab_sums sums = { 0 };
	const char *failed = NULL;

	for_each_superslab(superslab)
	{
		for (unsigned i = 0; i < superslab_described(superslab) && !failed; i++)
			if (superslab->slab[i].class == class && superslab_first(superslab, i))
				failed = add_slab(&superslab->slab[i], &sums);
	}
	for (unsigned bucket = 0; bucket < SLAB_BUCKETS; bucket++)
		for (struct list_node *node = sc->partial[bucket]; node; node = node->next)
			sums.listed--;
	if (failed)
		return failed;
	if (sums.listed)
		return "class: slabs missing on its lists, or too many";
	if (sums.units != sc->units)
		return "class: number of units";
	if (sums.unbacked != sc->unbacked_blocks)
		return "class: number of unbacked blocks";
	if (sums.gaps != sc->gaps)
		return "class: number of gap blocks";
	if (sums.outstanding != sc->allocated - sc->freed)
		return "class: blocks allocated less blocks freed";
	return NULL;
}

const char *check_classes(void)
{
	static struct slab_class none; /* a class without slabs has no struct */
	const char *failed = NULL;

	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES && !failed; ++class) {
		struct slab_class *sc = class_find(class) ? class_find(class) : &none;

		lock_lock(&sc->lock, LOCK_CLASS);
		arena_lock();
		failed = check_class_locked(class, sc);
		arena_unlock();
		lock_unlock(&sc->lock, LOCK_CLASS);
	}
	return failed;
}

/* How many units does a span take? */
static size_t units_of(const struct slab *head)
{
	return DIV_ROUND_UP(head->span_pages, PAGES_PER_UNIT);
}

/* The page map has each unit of a span, and its class fits its length. Samples lie in some. */
static const char *check_span(const struct slab *head)
{
	uintptr_t base = slab_base(head);
	bool samples = pagemap_class(base) == CLASS_MIXED && head->class == CLASS_SPAN;

	if (class_has_groups(head->class))
		return group_check(head);
	if (pagemap_class(base) != head->class && !samples)
		return "page map: class of a span";
	if (head->class != CLASS_SPAN &&
	    head->span_pages * PAGE_SIZE != size_class[head->class].size)
		return "span: not as long as its class says";
	for (size_t i = 1; i < units_of(head); i++)
		if (pagemap_class(base + i * UNIT_SIZE) != CLASS_SPAN_REST && !samples)
			return "page map: class of the rest of a span";
	return NULL;
}

/* What the spans add up to. */
struct span_sums {
	uint64_t number[NR_SPAN_CLASSES + 1], pages, units;
};

/* Check all spans, and count them. With the lock of the arena held. */
static const char *add_spans(struct span_sums *sums)
{
	const char *failed = NULL;

	for_each_superslab(superslab)
	{
		for (unsigned i = 0; i < superslab_described(superslab) && !failed; i++) {
			const struct slab *slab = &superslab->slab[i];

			if (!class_is_span(slab->class) || !superslab_first(superslab, i))
				continue;
			failed = check_span(slab);
			sums->number[slab->class - CLASS_SPAN_FIRST] +=
				class_has_groups(slab->class) ? group_outstanding(slab) : 1;
			if (slab->class != CLASS_SPAN)
				continue;
			sums->pages += slab->span_pages;
			sums->units += units_of(slab);
		}
	}
	return failed;
}

const char *check_spans(void)
{
	struct span_sums sums = { 0 };
	const char *failed;

	arena_lock();
	failed = add_spans(&sums);
	arena_unlock();
	for (unsigned i = 0; i < ARRAY_SIZE(sums.number) && !failed; i++)
		if (sums.number[i] != span_outstanding(CLASS_SPAN_FIRST + i))
			failed = "span counters: live";
	if (!failed && (sums.pages != hak_spans.live_pages || sums.units != hak_spans.live_units))
		failed = "span counters: pages or units";
	return failed;
}

/* May the page map say this of a block of @class in a magazine? */
static bool is_class_byte(unsigned byte, unsigned class)
{
	return byte == class || (class_has_gaps(class) && byte == CLASS_MIXED);
}

/* An open magazine: its top and limit, and each of its blocks. */
static const char *check_magazine(const struct hak_cache *cache, unsigned class)
{
	const struct magazine *magazine = &cache->magazine[class];
	const struct magazine_cold *cold = &cache->cold->magazine[class];
	unsigned base = cold->base;
	unsigned most =
		base != cold->far && cold->far ? HAK_MAGAZINE_NEAR : size_class[class].capacity;

	if (cache->slot[base])
		return "magazine: a block below the first";
	if (magazine->top < base || magazine->top > magazine->limit ||
	    magazine->limit > base + most)
		return "magazine: its top or limit";
	for (unsigned i = base + 1; i <= magazine->top; i++) {
		size_t detail;

		if (!is_class_byte(pagemap_class((uintptr_t)cache->slot[i]), class) ||
		    blocks_inspect(class, cache->slot[i], &detail))
			return "magazine: a block that is not one, or is free in its slab";
	}
	return NULL;
}

/* Opens the magazines that are seized: only an open one can be checked. */
const char *check_cache(void)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	const char *failed = NULL;

	for_each_magazine(class)
	{
		if (!cache->cold || failed)
			break;
		seize_enter(cache, class);
		failed = check_magazine(cache, class);
		seize_leave(cache);
	}
	cache_irq_restore(irq);
	return failed;
}

const char *hak_check(void)
{
	static const char *(*const checks[])(void) = { check_arena, check_classes, check_spans,
						       check_cache };
	const char *failed = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(checks) && !failed; i++)
		failed = checks[i]();
	return failed;
}

/* Does @block lie in the caller's magazine, free already? */
bool check_is_cached(unsigned class, const void *block)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	bool is_cached = false;

	if (cache->cold) {
		seize_enter(cache, class);
		for (unsigned i = cache->magazine[class].top; cache->slot[i] && !is_cached; i--)
			is_cached = cache->slot[i] == block;
		seize_leave(cache);
	}
	cache_irq_restore(irq);
	return is_cached;
}

/* Stops the program if this block of a class is free, or in the caller's magazine. */
void check_block(unsigned class, const void *block, const char *caller)
{
	enum hak_bug_code bug;
	size_t detail;

	bug = blocks_inspect(class, block, &detail);
	if (!bug && check_is_cached(class, block))
		bug = HAK_BUG_DOUBLE_FREE;
	if (bug)
		hak_bug(bug, caller, block, size_class[class].size, detail);
}
