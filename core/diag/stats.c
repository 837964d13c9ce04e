/* SPDX-License-Identifier: MIT */
/*
 * The snapshot of the statistics, and its text and JSON. Each layer has its own counters. All
 * other numbers are computed from these, so that counting costs the fast path one instruction:
 *
 *	pops	     ==  refilled + pushes - spilled - in magazines
 *	allocations  ==  pops + uncached allocations
 *	frees	     ==  pushes + uncached frees
 *	hits	     ==  pops - refills, since each refill is followed by one pop
 *	live blocks  ==  allocated from slabs - freed to slabs - in magazines
 *
 * Only failures are counted in this file. All functions go row by row, as the whole of a
 * struct hak_stats is more than the stack of a small thread or kernel has room for.
 *
 * Lock: those of the layers, one after another. Numbers that move while they are read need
 * not agree with each other. A difference of them that would be negative is taken as 0.
 *
 * Counters and slots of caches are read while their owners write them, in the fast path
 * (fastpath.h) and in magazine.c. They are not atomic, so that they cost the owner one plain
 * instruction. They are aligned, so none is torn.
 */
#include "diag/stats.h"

#include <hakmem/stats.h>

#include "base/format.h"
#include "cache/cache.h"
#include "cache/slots.h"
#include "pages/meta.h"
#include "pages/pages.h"
#include "slab/blocks.h"
#include "superslab/arena.h"
#include "superslab/group.h"

#define NR_ROWS (CLASS_SLAB_LAST - CLASS_FIRST + 1 + NR_SPAN_CLASSES)

_Static_assert(HAK_STATS_CLASSES >= NR_ROWS, "one row for each class");

/* By class; CLASS_NONE: gaps not found. */
static PLATFORM_SPARSE _Atomic uint64_t failures[CLASS_SPAN + 1];

void stats_count_failure(unsigned class)
{
	atomic_fetch_add_explicit(&failures[class], 1, memory_order_relaxed);
}

void stats_fini(void)
{
	__builtin_memset(failures, 0, sizeof(failures));
}

/* @a - @b; 0 if it seems to be less, since they moved while they were read. */
static uint64_t difference(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) > 0 ? a - b : 0;
}

/* What add_cache() adds to. */
struct sum_of_caches {
	unsigned class;
	struct cache_counters *sum;
};

static NO_SANITIZE_THREAD void add_cache(struct hak_cache *cache, void *ctx)
{
	const struct sum_of_caches *of = ctx;
	const struct magazine_batches *batches = &cache->cold->magazine[of->class].batches;
	struct cache_counters *sum = of->sum;

	sum->pops += slots_pops(cache, of->class);
	sum->pushes += READ_ONCE(cache->pushes[of->class]);
	sum->blocks += slots_held(cache, of->class);
	sum->batches.misses += READ_ONCE(batches->misses);
	sum->batches.refills += READ_ONCE(batches->refills);
	sum->batches.refilled += READ_ONCE(batches->refilled);
	sum->batches.spills += READ_ONCE(batches->spills);
	sum->batches.spilled += READ_ONCE(batches->spilled);
}

/* The sums over all caches, for a class that has magazines. */
void stats_read_caches(unsigned class, struct cache_counters *sum)
{
	struct sum_of_caches of = { .class = class, .sum = sum };

	*sum = (struct cache_counters){ 0 };
	cache_visit(add_cache, &of);
}

static void read_spans_of(unsigned class, struct class_counters *counters)
{
	unsigned row = class - CLASS_SPAN_FIRST;
	uint64_t freed = hak_spans.freed[row]; /* read first: never more than allocated */
	uint64_t allocated = hak_spans.allocated[row], units = hak_spans.live_units;

	if (class_has_groups(class))
		units = group_units(class);
	else if (class < CLASS_SPAN)
		units = (allocated - freed) * DIV_ROUND_UP(size_class[class].size, UNIT_SIZE);
	*counters = (struct class_counters){
		.allocated = allocated,
		.freed = freed,
		.slabs = units,
		.uncached = { hak_spans.uncached[row][0], hak_spans.uncached[row][1] },
	};
}

/* What is counted where the blocks of a class come from: slabs, or spans. */
void stats_read_blocks(unsigned class, struct class_counters *counters)
{
	struct slab_class *sc;

	*counters = (struct class_counters){ 0 };
	if (class >= NR_SLAB_CLASSES) {
		read_spans_of(class, counters);
		return;
	}
	sc = class_find(class);
	if (!sc)
		return;
	lock_lock(&sc->lock, LOCK_CLASS);
	*counters = (struct class_counters){
		.allocated = sc->allocated,
		.freed = sc->freed,
		.slabs = sc->units,
		.uncached = { sc->uncached[0], sc->uncached[1] },
		.retouched = sc->retouched,
		.gaps = sc->gaps,
		.gaps_made = sc->gaps_made,
		.locks = sc->lock.count,
	};
	lock_unlock(&sc->lock, LOCK_CLASS);
}

static void read_slab_class(unsigned class, struct hak_class_stats *out)
{
	struct cache_counters cache;
	struct class_counters blocks;

	stats_read_caches(class, &cache);
	stats_read_blocks(class, &blocks);
	*out = (struct hak_class_stats){
		.block_bytes = size_class[class].size,
		.failures = failures[class],
		.magazine_hits = difference(cache.pops, cache.batches.refills),
		.magazine_misses = cache.batches.misses,
		.refills = cache.batches.refills,
		.refilled_blocks = cache.batches.refilled,
		.spills = cache.batches.spills,
		.spilled_blocks = cache.batches.spilled,
		.uncached_allocations = blocks.uncached[UNCACHED_ALLOC],
		.uncached_frees = blocks.uncached[UNCACHED_FREE],
		.magazine_blocks = cache.blocks,
		.slabs = blocks.slabs,
	};
	out->frees = cache.pushes + out->uncached_frees;
	out->allocations =
		out->frees + difference(cache.pops + out->uncached_allocations, out->frees);
	out->live_blocks = difference(blocks.allocated, blocks.freed + cache.blocks);
	out->live_bytes = out->live_blocks * out->block_bytes;
}

static void read_spans(struct hak_class_stats *out)
{
	struct class_counters span;

	stats_read_blocks(CLASS_SPAN, &span);
	*out = (struct hak_class_stats){
		.allocations = span.allocated,
		.frees = span.freed,
		.failures = failures[CLASS_SPAN],
		.live_blocks = span.allocated - span.freed,
		.live_bytes = hak_spans.live_pages * PAGE_SIZE,
		.slabs = span.slabs,
	};
}

void stats_read_class(unsigned class, struct hak_class_stats *row)
{
	if (class == CLASS_SPAN)
		read_spans(row);
	else
		read_slab_class(class, row);
}

/* Add all but the size of a block. */
void stats_add_class(struct hak_class_stats *sum, const struct hak_class_stats *more)
{
	sum->allocations += more->allocations;
	sum->frees += more->frees;
	sum->failures += more->failures;
	sum->magazine_hits += more->magazine_hits;
	sum->magazine_misses += more->magazine_misses;
	sum->refills += more->refills;
	sum->refilled_blocks += more->refilled_blocks;
	sum->spills += more->spills;
	sum->spilled_blocks += more->spilled_blocks;
	sum->uncached_allocations += more->uncached_allocations;
	sum->uncached_frees += more->uncached_frees;
	sum->live_blocks += more->live_blocks;
	sum->magazine_blocks += more->magazine_blocks;
	sum->live_bytes += more->live_bytes;
	sum->slabs += more->slabs;
}

/* Sums over the classes that have slabs, those of bitmaps among them. */
static void read_slabs(struct class_counters *sum)
{
	struct class_counters slab;

	*sum = (struct class_counters){ 0 };
	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; ++class) {
		stats_read_blocks(class, &slab);
		sum->retouched += slab.retouched;
		sum->locks += slab.locks;
		sum->gaps += slab.gaps;
		sum->gaps_made += slab.gaps_made;
	}
}

/* A slot was read while its owner may change it: there need not be a block in it. */
static void count_in_magazine(const void *block)
{
	struct superslab *superslab = pagemap_superslab((uintptr_t)block);

	if (superslab)
		superslab->in_magazines++;
}

static NO_SANITIZE_THREAD void count_in_cache(struct hak_cache *cache, void *ctx)
{
	(void)ctx;
	for_each_magazine(class)
	{
		const struct magazine_cold *cold = &cache->cold->magazine[class];
		unsigned held = slots_held(cache, class), base = READ_ONCE(cold->base);

		if (READ_ONCE(cold->seized_top))
			held = READ_ONCE(cold->kept);
		for (unsigned i = 1; i <= held; i++)
			count_in_magazine(READ_ONCE(cache->slot[base + i]));
	}
}

/*
 * How many blocks of a SuperSlab are in use, or in a magazine? A span counts as one. With the
 * lock of the arena held. The class of a slab, and what is free of it, may change meanwhile,
 * in slab/class.c.
 */
static NO_SANITIZE_THREAD uint64_t outstanding_in(const struct superslab *superslab)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < superslab_described(superslab); i++) {
		const struct slab *slab = superslab_first(superslab, i);
		unsigned class = slab ? READ_ONCE(slab->class) : CLASS_NONE;

		if (!slab) /* a span that began before this SuperSlab is outstanding here, too */
			sum += !i && pagemap_class(superslab->base) == CLASS_SPAN_REST;
		else if (class >= CLASS_FIRST && class <= CLASS_SLAB_LAST)
			sum += slab->blocks - READ_ONCE(slab->free) -
			       READ_ONCE(slab->unbacked_blocks);
		else if (class_has_groups(class))
			sum += group_outstanding(slab);
		else if (class_is_span(class) || slab->gaps == SLAB_OF_POOL)
			sum++;
	}
	return sum;
}

/*
 * How many phantoms are there: SuperSlabs in which all that is outstanding lies in magazines?
 * Reads every slot and every descriptor, with the lock of the arena held.
 */
uint64_t stats_count_phantoms(void)
{
	uint64_t phantoms = 0;
	struct superslab *superslab;

	arena_lock();
	for (superslab = arena_first(); superslab; superslab = arena_next(superslab))
		superslab->in_magazines = 0;
	cache_visit(count_in_cache, NULL);
	for (superslab = arena_first(); superslab; superslab = arena_next(superslab))
		phantoms += superslab->in_magazines &&
			    superslab->in_magazines == outstanding_in(superslab);
	arena_unlock();
	return phantoms;
}

/* @size is that of a struct hak_stats: what lies beyond is 0, as to walk the heap takes long. */
void stats_read_rest(struct stats_rest *out, size_t size)
{
	struct arena_counters superslab;
	struct class_counters slabs;
	uint64_t used_bytes;

	arena_read_counters(&superslab);
	stats_read_class(CLASS_SPAN, &out->spans);
	stats_add_class(&out->total, &out->spans);
	out->caches = cache_count();
	out->bitmap_slabs = stats_bitmap_slabs();
	out->slabs_used = superslab.units_used - superslab.units_absent;
	out->superslabs_mapped = superslab.mapped;
	out->superslabs_released = superslab.released;
	out->superslabs_active = superslab.active;
	out->superslabs_peak = superslab.peak;
	out->superslabs_reserve = superslab.reserve;
	out->superslabs_emptied = superslab.emptied;
	out->superslabs_refused = superslab.refused;
	used_bytes = (superslab.active - superslab.reserve) * SUPERSLAB_SIZE;
	out->utilisation_permille = used_bytes ? out->total.live_bytes * 1000 / used_bytes : 0;
	out->provider_maps = pages_counters.maps;
	out->provider_unmaps = pages_counters.unmaps;
	out->provider_purges = pages_counters.purges;
	out->provider_failures = pages_counters.failures;
	out->requested_bytes = pages_counters.requested;
	out->mapped_bytes = pages_counters.mapped;
	out->purged_bytes = pages_counters.purged;
	out->meta_bytes = difference(out->mapped_bytes, superslab.active * SUPERSLAB_SIZE);
	out->resident_bytes = size > offsetof(struct hak_stats, resident_bytes)
				      ? stats_resident() + meta_resident()
				      : 0;
	out->provider_purges_refused = pages_counters.purges_refused;
	read_slabs(&slabs);
	out->class_locks = slabs.locks;
	out->superslab_locks = superslab.locks;
	out->retouched_bytes = (superslab.retouched + slabs.retouched) * PAGE_SIZE;
	out->gap_blocks = slabs.gaps;
	out->gaps_made = slabs.gaps_made;
	out->gaps_failed = failures[CLASS_NONE];
	out->peak_bytes = hak_peak();
	out->available_bytes = hak_available();
	out->largest_bytes = hak_largest();
	out->superslabs_phantom =
		size > offsetof(struct hak_stats, superslabs_phantom) ? stats_count_phantoms() : 0;
}

/* What struct stats_rest has of struct hak_stats lies there in the same order. */
_Static_assert(sizeof(struct stats_rest) ==
		       sizeof(struct hak_stats) - offsetof(struct hak_stats, spans),
	       "the end of struct hak_stats");

/* Copy @n bytes to their place in the caller's struct hak_stats of @size bytes. */
static void copy_part(struct hak_stats *stats, size_t size, size_t offset, const void *from,
		      size_t n)
{
	if (offset < size)
		__builtin_memcpy((char *)stats + offset, from,
				 n < size - offset ? n : size - offset);
}

void hak_stats_read(struct hak_stats *stats, size_t size)
{
	const uint32_t head[2] = { HAK_STATS_VERSION, sizeof(*stats) };
	size_t at = offsetof(struct hak_stats, classes);
	struct stats_rest rest = { 0 };
	struct hak_class_stats row;

	copy_part(stats, size, offsetof(struct hak_stats, version), head, sizeof(head));
	for_each_class(class)
	{
		stats_read_class(class, &row);
		stats_add_class(&rest.total, &row);
		copy_part(stats, size, at, &row, sizeof(row));
		at += sizeof(row);
	}
	row = (struct hak_class_stats){ 0 };
	for (; at < offsetof(struct hak_stats, spans); at += sizeof(row))
		copy_part(stats, size, at, &row, sizeof(row));
	stats_read_rest(&rest, size);
	copy_part(stats, size, at, &rest, sizeof(rest));
}

/* A row of the text: a class, or with a @name the spans or the total. */
static void row_text(hak_sink *sink, void *ctx, const char *name, const struct hak_class_stats *row)
{
	uint64_t misses = row->refills ? row->refills : 1, spills = row->spills ? row->spills : 1;

	if (name)
		hak_format(sink, ctx, "%8s", name);
	else
		hak_format(sink, ctx, "%8lu", row->block_bytes);
	hak_format(sink, ctx,
		   " %12lu %12lu %8lu %12lu %10lu %5lu %10lu %5lu %8lu %10lu %8lu %6lu\n",
		   row->allocations, row->frees, row->failures, row->magazine_hits, row->refills,
		   row->refilled_blocks / misses, row->spills, row->spilled_blocks / spills,
		   row->uncached_frees, row->live_blocks, row->magazine_blocks, row->slabs);
}

/* What the columns are. */
static void legend_text(hak_sink *sink, void *ctx)
{
	hak_format(
		sink, ctx,
		"(size: of a block in bytes, spans: larger ones; failures: calls that returned "
		"NULL;\n hits: allocations that found a block in their magazine; refills, spills: "
		"batches that\n came from slabs, that went back, and how many blocks each had; "
		"uncached: frees that no\n magazine took; live: blocks in use; cached: free ones "
		"in magazines; slabs: of %lu KiB)\n",
		(unsigned long)UNIT_SIZE >> 10);
}

static void rest_text(hak_sink *sink, void *ctx, const struct stats_rest *rest)
{
	hak_format(sink, ctx,
		   "SuperSlabs: %lu active (%lu in reserve, %lu phantoms), peak %lu, mapped %lu, "
		   "emptied %lu, released %lu, refused %lu\n",
		   rest->superslabs_active, rest->superslabs_reserve, rest->superslabs_phantom,
		   rest->superslabs_peak, rest->superslabs_mapped, rest->superslabs_emptied,
		   rest->superslabs_released, rest->superslabs_refused);
	hak_format(sink, ctx, "slabs: %lu used, %lu of them for bitmaps; caches: %lu\n",
		   rest->slabs_used, rest->bitmap_slabs, rest->caches);
	hak_format(sink, ctx, "locks: %lu times of a class, %lu times of the SuperSlabs\n",
		   rest->class_locks, rest->superslab_locks);
	if (HAK_GAPS)
		hak_format(sink, ctx, "gap blocks: %lu in use, %lu made, %lu not found\n",
			   rest->gap_blocks, rest->gaps_made, rest->gaps_failed);
	hak_format(sink, ctx, "bytes: peak %lu in blocks", rest->peak_bytes);
	if (rest->available_bytes != SIZE_MAX) /* something limits it */
		hak_format(sink, ctx, ", %lu available, %lu in one piece", rest->available_bytes,
			   rest->largest_bytes);
	hak_format(sink, ctx, "\n");
	hak_format(sink, ctx, "utilisation: %lu.%lu %% of the SuperSlabs in use\n",
		   rest->utilisation_permille / 10, rest->utilisation_permille % 10);
	hak_format(sink, ctx,
		   "provider: %lu maps, %lu unmaps, %lu purges (%lu refused), %lu failures; "
		   "%lu KiB requested, %lu KiB purged, %lu KiB of them used again\n",
		   rest->provider_maps, rest->provider_unmaps, rest->provider_purges,
		   rest->provider_purges_refused, rest->provider_failures,
		   rest->requested_bytes >> 10, rest->purged_bytes >> 10,
		   rest->retouched_bytes >> 10);
	hak_format(sink, ctx,
		   "memory: %lu KiB live, %lu KiB mapped, %lu KiB resident, "
		   "%lu KiB for descriptors\n",
		   rest->total.live_bytes >> 10, rest->mapped_bytes >> 10,
		   rest->resident_bytes >> 10, rest->meta_bytes >> 10);
}

void hak_stats_text(hak_sink *sink, void *ctx)
{
	struct stats_rest rest = { 0 };
	struct hak_class_stats row;

	hak_format(sink, ctx, "%8s %12s %12s %8s %12s %10s %5s %10s %5s %8s %10s %8s %6s\n", "size",
		   "allocations", "frees", "failures", "hits", "refills", "each", "spills", "each",
		   "uncached", "live", "cached", "slabs");
	for_each_class(class)
	{
		stats_read_class(class, &row);
		stats_add_class(&rest.total, &row);
		if (row.allocations || row.failures)
			row_text(sink, ctx, NULL, &row);
	}
	stats_read_rest(&rest, sizeof(struct hak_stats));
	row_text(sink, ctx, "spans", &rest.spans);
	row_text(sink, ctx, "total", &rest.total);
	legend_text(sink, ctx);
	rest_text(sink, ctx, &rest);
}

/* The names and offsets of fields, all of 64 bits, as JSON has them. */
struct field {
	const char *name;
	size_t offset;
};

#define CLASS_FIELD(name)                                                                          \
	{                                                                                          \
#name, offsetof(struct hak_class_stats, name)                                      \
	}
#define STATS_FIELD(name) { #name, offsetof(struct stats_rest, name) },

static const struct field class_fields[] = {
	CLASS_FIELD(block_bytes),
	CLASS_FIELD(allocations),
	CLASS_FIELD(frees),
	CLASS_FIELD(failures),
	CLASS_FIELD(magazine_hits),
	CLASS_FIELD(magazine_misses),
	CLASS_FIELD(refills),
	CLASS_FIELD(refilled_blocks),
	CLASS_FIELD(spills),
	CLASS_FIELD(spilled_blocks),
	CLASS_FIELD(uncached_allocations),
	CLASS_FIELD(uncached_frees),
	CLASS_FIELD(live_blocks),
	CLASS_FIELD(magazine_blocks),
	CLASS_FIELD(live_bytes),
	CLASS_FIELD(slabs),
};

static const struct field stats_fields[] = { STATS_REST(STATS_FIELD) };

static void fields_json(hak_sink *sink, void *ctx, const void *from, const struct field *fields,
			size_t n)
{
	for (size_t i = 0; i < n; i++)
		hak_format(sink, ctx, "%s\"%s\":%lu", i ? "," : "", fields[i].name,
			   *(const uint64_t *)((const char *)from + fields[i].offset));
}

static void row_json(hak_sink *sink, void *ctx, const struct hak_class_stats *row)
{
	hak_format(sink, ctx, "{");
	fields_json(sink, ctx, row, class_fields, ARRAY_SIZE(class_fields));
	hak_format(sink, ctx, "}");
}

/* The total comes first, so the rows are read twice. */
void hak_stats_json(hak_sink *sink, void *ctx)
{
	struct stats_rest rest = { 0 };
	struct hak_class_stats row;
	const char *comma = "";

	for_each_class(class)
	{
		stats_read_class(class, &row);
		stats_add_class(&rest.total, &row);
	}
	stats_read_rest(&rest, sizeof(struct hak_stats));
	hak_format(sink, ctx, "{\"version\":%u,", HAK_STATS_VERSION);
	fields_json(sink, ctx, &rest, stats_fields, ARRAY_SIZE(stats_fields));
	hak_format(sink, ctx, ",\"total\":");
	row_json(sink, ctx, &rest.total);
	hak_format(sink, ctx, ",\"spans\":");
	row_json(sink, ctx, &rest.spans);
	hak_format(sink, ctx, ",\"classes\":[");
	for_each_class(class)
	{
		stats_read_class(class, &row);
		if (!row.allocations && !row.failures)
			continue;
		hak_format(sink, ctx, "%s", comma);
		row_json(sink, ctx, &row);
		comma = ",";
	}
	hak_format(sink, ctx, "]}\n");
}
