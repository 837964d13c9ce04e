/* SPDX-License-Identifier: MIT */
/*
 * What is told of object caches: their statistics, what is in use, and whether they are in order.
 *
 * Lock: that of the list of pools, or that of one pool, or none: see each function. Statistics
 * are read without the lock of the pool, and move meanwhile.
 */
#include "pool/pool.h"

#include "base/format.h"
#include "pool/slabs.h"

static NO_SANITIZE_THREAD void pool_read_stats(struct hak_pool *pool, struct hak_pool_stats *stats)
{
	*stats = (struct hak_pool_stats){ .object_bytes = pool->size };
	__builtin_memcpy(stats->name, pool->name, sizeof(stats->name));
	for (unsigned i = 0; i < CACHE_NUMBERS; i++) {
		const struct pool_magazine *magazine = pool->magazine[i];
		unsigned top = READ_ONCE(magazine->top), seized = READ_ONCE(magazine->seized_top);

		if (magazine == POOL_NO_MAGAZINE)
			continue;
		if (seized)
			top = POOL_BASE + magazine->kept + (top == POOL_SEIZED + 1);
		stats->magazine_objects += top - POOL_BASE;
		stats->frees += READ_ONCE(magazine->pushes);
	}
	stats->frees += READ_ONCE(pool->direct);
	stats->failures = READ_ONCE(pool->failures);
	stats->live_objects = READ_ONCE(pool->outstanding) - stats->magazine_objects;
	stats->allocations = stats->frees + stats->live_objects;
	stats->free_objects = READ_ONCE(pool->free);
	stats->slab_bytes = READ_ONCE(pool->slabs) * UNIT_SIZE;
}

struct search {
	const char *name;
	struct hak_pool_stats *stats;
	bool found;
};

static void pool_compare(struct hak_pool *pool, void *ctx)
{
	struct search *search = ctx;
	unsigned i = 0;

	while (i < HAK_POOL_NAME - 1 && pool->name[i] && pool->name[i] == search->name[i])
		i++;
	if (search->found || (i < HAK_POOL_NAME - 1 && pool->name[i] != search->name[i]))
		return;
	pool_read_stats(pool, search->stats);
	search->found = true;
}

bool hak_pool_stats_read(const char *name, struct hak_pool_stats *stats)
{
	struct search search = { .name = name, .stats = stats };

	pool_visit(pool_compare, &search);
	return search.found;
}

struct text {
	hak_sink *sink;
	void *ctx;
};

static void pool_print(struct hak_pool *pool, void *ctx)
{
	const struct text *text = ctx;
	struct hak_pool_stats stats;

	pool_read_stats(pool, &stats);
	hak_format(text->sink, text->ctx, "%-31s %6lu %10lu %8lu %8lu %10lu\n", stats.name,
		   (unsigned long)stats.object_bytes, (unsigned long)stats.live_objects,
		   (unsigned long)stats.magazine_objects, (unsigned long)stats.free_objects,
		   (unsigned long)stats.slab_bytes);
}

void hak_pool_text(hak_sink *sink, void *ctx)
{
	struct text text = { sink, ctx };

	hak_format(sink, ctx, "%-31s %6s %10s %8s %8s %10s\n", "pool", "size", "live", "cached",
		   "free", "bytes");
	pool_visit(pool_print, &text);
}

static bool is_cached(const struct hak_pool *pool, const void *object)
{
	for (unsigned i = 0; i < CACHE_NUMBERS; i++) {
		const struct pool_magazine *magazine = pool->magazine[i];
		unsigned top = magazine->seized_top ? POOL_BASE + magazine->kept : magazine->top;

		for (; top > POOL_BASE; top--)
			if (magazine->slot[top] == object)
				return true;
		if (magazine->seized_top && magazine->top == POOL_SEIZED + 1 &&
		    magazine->slot[magazine->seized_top + 1] == object)
			return true;
	}
	return false;
}

size_t hak_pool_live(struct hak_pool *pool, void (*visit)(void *ctx, void *object), void *ctx)
{
	size_t live = 0;

	pool_lock(pool);
	for (struct list_node *node = pool->all; node; node = node->next) {
		const struct pool_slab *slab = list_entry(node, struct pool_slab, all);

		for (unsigned i = 0; i < slab->objects; i++) {
			void *object = (void *)(slab_base(slab->slab) + i * (size_t)pool->size);

			if (slab->bits[i / 64] >> i % 64 & 1 || is_cached(pool, object))
				continue;
			live++;
			if (visit)
				visit(ctx, object);
		}
	}
	pool_unlock(pool);
	return live;
}

static const char *check_magazines(const struct hak_pool *pool)
{
	const char *name;

	for (unsigned i = 0; i < CACHE_NUMBERS; i++) {
		const struct pool_magazine *magazine = pool->magazine[i];

		if (magazine == POOL_NO_MAGAZINE || magazine->seized_top)
			continue;
		if (magazine->top < POOL_BASE || magazine->top > magazine->limit ||
		    magazine->limit != POOL_BASE + pool->capacity || magazine->slot[POOL_BASE])
			return "pool: top or limit of a magazine";
		for (unsigned at = POOL_BASE + 1; at <= magazine->top; at++)
			if (pool_slabs_inspect(pool, magazine->slot[at], &name))
				return "pool: an object in a magazine that is none, or is free";
	}
	return NULL;
}

static const char *check_slabs(const struct hak_pool *pool)
{
	size_t free = 0, used = 0, units = 0, listed = 0;

	for (struct list_node *node = pool->all; node; node = node->next) {
		const struct pool_slab *slab = list_entry(node, struct pool_slab, all);
		unsigned n = 0;

		for (unsigned i = 0; i < ARRAY_SIZE(slab->bits); i++) {
			if (i < slab->hint && slab->bits[i])
				return "pool: a free object below the hint";
			n += count_bits(slab->bits[i]);
		}
		if (n != slab->free || !n == list_has(&slab->node))
			return "pool: bits of a slab, the count of them, and its list";
		free += n;
		used += slab->objects - n;
		units += slab_units(slab->slab);
		listed += n > 0;
	}
	for (struct list_node *node = pool->partial; node; node = node->next)
		listed--;
	if (listed || free != pool->free || used != pool->outstanding || units != pool->slabs)
		return "pool: its slabs and its counts";
	return NULL;
}

const char *hak_pool_check(struct hak_pool *pool)
{
	const char *failed;

	pool_lock(pool);
	failed = check_slabs(pool);
	if (!failed)
		failed = check_magazines(pool);
	pool_unlock(pool);
	return failed;
}
