/* SPDX-License-Identifier: MIT */
/*
 * How much memory there still is, and how large a block may be. What is told is never too much:
 * hak_malloc() of hak_largest() bytes succeeds, if nobody else allocates.
 *
 * A large block takes a run of unused units, or new SuperSlabs. These need a descriptor each, and
 * leaves of the page map, and if there is no memory for these besides, it is taken from the run.
 * Where neither is left, a free block of a class will do.
 *
 * Nothing is walked but the classes and a few runs.
 *
 * Lock: that of the arena, for some hundred instructions. What else is read may move meanwhile.
 */
#include <hakmem/hakmem.h>

#include <hakmem/host.h>

#include "base/policy.h"
#include "base/usage.h"
#include "cache/cache.h"
#include "diag/stats.h"
#include "pages/meta.h"
#include "pages/pagemap.h"
#include "slab/class.h"
#include "superslab/arena.h"
#include "superslab/runs.h"

/* So many runs of the longest are looked at. */
#define LONGEST_RUNS 32u

/* Of a chunk for records, what is of use in any case: at its end a record may not fit. */
#define CHUNK_LEAST (POLICY_META_CHUNK - META_ALIGN - sizeof(struct pagemap_leaf) - META_ALIGN)

/* Pages of a SuperSlab that a provider splits for records: it keeps one. */
#define RECORD_PAGES (SUPERSLAB_SIZE / PAGE_SIZE - 1)

/* So many SuperSlabs are split for @n records of so many bytes. */
#define SPLIT_FOR(n, size) DIV_ROUND_UP(n, RECORD_PAGES / DIV_ROUND_UP(size, PAGE_SIZE))

size_t hak_peak(void)
{
	return hak_usage.peak;
}

/* What is read of the arena at once. */
struct arena_free {
	size_t units;	     /* unused ones */
	size_t longest;	     /* run of them */
	const void *reserve; /* an empty SuperSlab that goes back before NULL, or NULL */
};

static size_t longest_unused(void)
{
	size_t longest = 0;
	unsigned left = LONGEST_RUNS;
	uint64_t lists = hak_runs.lists >> 1 << 1; /* without those for metadata */

	if (!lists)
		return 0;
	for (struct list_node *node = hak_runs.list[highest_bit(lists)]; node && left--;
	     node = node->next)
		longest = MAX(longest, list_entry(node, struct slab, node)->run);
	return longest;
}

/* Racy, as the counters of a class are read without its lock. */
NO_SANITIZE_THREAD uint64_t stats_bitmap_slabs(void)
{
	const struct slab_class *small = class_find(CLASS_BITMAP_512);
	const struct slab_class *large = class_find(CLASS_BITMAP_1024);

	return (small ? READ_ONCE(small->units) : 0) + (large ? READ_ONCE(large->units) : 0);
}

static NO_SANITIZE_THREAD void read_arena(struct arena_free *free)
{
	const struct arena_counters *counters = &hak_arena.counters;
	size_t used;

	arena_lock();
	used = counters->units_used - (HAK_METADATA_APART ? stats_bitmap_slabs() : 0);
	free->units = counters->active * UNITS_PER_SUPERSLAB - used;
	free->longest = longest_unused();
	free->reserve = NULL;
	if (hak_arena.counters.reserve)
		free->reserve = (void *)list_entry(hak_arena.empty, struct superslab, node)->base;
	arena_unlock();
}

/* So many SuperSlabs have to be split for the records of @n others. */
static size_t split_for(size_t n, const struct hak_supply *supply)
{
	size_t freed = meta_freed(META_SUPERSLAB), descriptors = n > freed ? n - freed : 0;
	size_t leaves = (n * SUPERSLAB_SIZE >> HAK_LEAF_BITS) + 2;
	size_t cut = leaves * ALIGN_UP(sizeof(struct pagemap_leaf), META_ALIGN);
	size_t uncut = meta_uncut(), waste = POLICY_META_CHUNK - CHUNK_LEAST, chunks;

	if (!meta_is_apart(META_SUPERSLAB)) {
		cut += descriptors * ALIGN_UP(sizeof(struct superslab), META_ALIGN);
		descriptors = 0;
	}
	cut -= MIN(cut, uncut > waste ? uncut - waste : 0);
	chunks = DIV_ROUND_UP(cut, CHUNK_LEAST);
	if (descriptors * sizeof(struct superslab) + chunks * POLICY_META_CHUNK <= supply->records)
		return 0;
	return SPLIT_FOR(descriptors, sizeof(struct superslab)) +
	       SPLIT_FOR(chunks, POLICY_META_CHUNK);
}

/*
 * How many of @n SuperSlabs can be had, if records for them have to come from them, or from
 * @others? As many as there can be: if one more SuperSlab is free, no fewer can be had.
 */
static size_t without_records(size_t n, size_t others, const struct hak_supply *supply)
{
	size_t split = split_for(n, supply), most = n - MIN(n, split - MIN(split, others));

	/* fewer need fewer records */
	while (most < n && most + 1 + split_for(most + 1, supply) <= n + others)
		most++;
	return most;
}

/* How many SuperSlabs of those that are not mapped can be had in a row? */
static size_t in_a_row(const struct hak_supply *supply)
{
	size_t n = supply->largest / SUPERSLAB_SIZE, others = 0;

	if (n > POLICY_EARLY_DESCRIPTORS) /* they are made last */
		others = (supply->bytes - supply->largest) / SUPERSLAB_SIZE;
	return without_records(n, others, supply);
}

/* The free blocks of a class, or a few more if some slabs are short. Racy: others change that. */
static NO_SANITIZE_THREAD uint64_t free_blocks(unsigned class)
{
	const struct slab_class *sc = class_find(class);
	uint64_t used, all;

	if (!sc)
		return 0;
	used = class_outstanding(class);
	all = READ_ONCE(sc->units) * size_class[class].blocks / size_class[class].units;
	return all > used ? all - used : 0;
}

/* Has a slab of the class a free block? Racy, too. */
static NO_SANITIZE_THREAD bool has_free_block(unsigned class)
{
	const struct slab_class *sc = class_find(class);
	bool any = false;

	for (unsigned bucket = 0; sc && bucket < SLAB_BUCKETS; bucket++)
		any |= READ_ONCE(sc->partial[bucket]) != NULL;
	return any;
}

/* The size of the largest class of which there is a free block. */
static NO_SANITIZE_THREAD size_t largest_block(void)
{
	const struct hak_cache *cache = this_cache();

	for (unsigned class = CLASS_SLAB_LAST; class >= CLASS_SMALLEST; --class)
		if (cache->slot[READ_ONCE(cache->magazine[class].top)] || has_free_block(class))
			return size_class[class].size;
	return 0;
}

/* A block that has a class is as long as its class says: the longest that @bytes suffice for. */
static size_t without_rounding(size_t bytes)
{
	unsigned class = CLASS_LAST;

	if (bytes > SLAB_MAX && bytes > cached_max())
		return bytes;
	while (size_class[class].size > bytes)
		class = class == CLASS_SPAN_FIRST ? CLASS_SLAB_LAST : class - 1;
	return size_class[class].size;
}

/* The longest run of unused units, of which a slab may use what lies in one SuperSlab. */
static size_t usable_run(size_t units)
{
	return units * UNIT_SIZE > SLAB_MAX ? units : DIV_ROUND_UP(units, 2);
}

size_t hak_available(void)
{
	struct hak_supply supply;
	struct arena_free free;
	uint64_t bytes;

	read_arena(&free);
	bytes = free.units * UNIT_SIZE;
	hak_host_supply(NULL, &supply);
	if (supply.bytes == SIZE_MAX)
		return SIZE_MAX;
	bytes += without_records(supply.bytes / SUPERSLAB_SIZE, 0, &supply) * SUPERSLAB_SIZE;
	for (unsigned class = CLASS_FIRST; class <= CLASS_SLAB_LAST; class ++)
		bytes += free_blocks(class) * size_class[class].size;
	/* one may lie in the caller's magazine */
	return bytes < SLAB_MAX ? MAX(bytes, largest_block()) : bytes;
}

size_t hak_largest(void)
{
	struct hak_supply supply;
	struct arena_free free;
	size_t bytes;

	read_arena(&free);
	hak_host_supply(free.reserve, &supply);
	if (supply.largest == SIZE_MAX)
		return SIZE_MAX;
	bytes = in_a_row(&supply) * SUPERSLAB_SIZE;
	bytes = MAX(bytes, usable_run(free.longest) * UNIT_SIZE);
	if (bytes > SLAB_MAX)
		return without_rounding(bytes);
	return MAX(bytes ? without_rounding(bytes) : 0, largest_block());
}
