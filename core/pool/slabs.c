/* SPDX-License-Identifier: MIT */
/*
 * The slabs of an object cache: where its magazines are filled from, and spilled to.
 *
 * A slab is as those of size classes are, with one bitmap, and its units are allocated in the
 * same way. The page map says nothing of it: to free() its objects are memory that is not in
 * use. Its descriptor has no class either, but leads to its record, and SLAB_OF_POOL says so.
 * The bitmap is in the record, so a record has one size for all pools.
 *
 *	on the list `partial`  <=>  free > 0
 *	pool->free	       ==   sum of free
 *	pool->outstanding      ==   sum of (objects - free)
 *
 * A slab that has only free objects leaves the pool at once, unless the pool is to keep them
 * (hak_pool_prefill()).
 *
 * Lock: that of the pool. It is dropped while slabs come and go.
 *
 * Failure: pool_slabs_grow() returns false, and nothing has changed.
 */
#include "pool/slabs.h"

#include "base/usage.h"
#include "pages/meta.h"
#include "superslab/superslab.h"

/* How many objects do so many units hold? */
static unsigned objects_in(const struct hak_pool *pool, unsigned units)
{
	return (unsigned)MIN(units * UNIT_SIZE / pool->size, POOL_SLAB_MOST);
}

/* At least 16 objects, and at most an eighth of the slab left over, if it can be. */
static bool is_good(const struct hak_pool *pool, unsigned units)
{
	unsigned objects = objects_in(pool, units);

	return objects >= 16 &&
	       units * UNIT_SIZE - objects * (size_t)pool->size <= units * UNIT_SIZE / 8;
}

/* How long are the slabs? Where units are pages, small objects fill all bits of a record. */
void pool_slabs_shape(struct hak_pool *pool)
{
	unsigned units = (unsigned)(POOL_SLAB_MOST * (size_t)pool->size / UNIT_SIZE);

	pool->least = (uint8_t)DIV_ROUND_UP(pool->size, UNIT_SIZE);
	if (UNITS_PER_SLAB == 1 || units > UNITS_PER_SLAB)
		for (units = pool->least; units < UNITS_PER_SLAB && !is_good(pool, units);)
			units++;
	pool->units = (uint8_t)units;
}

static struct pool_slab *record_of(struct list_node *node)
{
	return list_entry(node, struct pool_slab, node);
}

/* The record of the slab that an address lies in, of whatever pool; NULL if there is none. */
static const struct pool_slab *slabs_record_at(uintptr_t address)
{
	const struct superslab *superslab = pagemap_superslab(address);
	const struct slab *slab = address_to_slab(address);

	/* units that are unused, or in a span, may have no descriptor */
	if (!slab || pagemap_class(address) != CLASS_NONE ||
	    superslab_is_unused(superslab, superslab_index(superslab, address)))
		return NULL;
	return slab->gaps == SLAB_OF_POOL ? (const struct pool_slab *)slab->bitmap : NULL;
}

/*
 * Which object of the slab begins @offset bytes into it? @objects or more if none does. One
 * multiplication: see class_block_index().
 */
static unsigned index_of(const struct pool_slab *slab, size_t offset)
{
	uint64_t product = (uint64_t)offset * slab->pool->inverse;

	return (uint32_t)product < slab->pool->inverse ? (unsigned)(product >> 32) : UINT16_MAX;
}

/* What is wrong with freeing @object to the pool? Sets @name to the pool that it lies in. */
enum pool_bug pool_slabs_inspect(const struct hak_pool *pool, const void *object, const char **name)
{
	const struct pool_slab *slab = slabs_record_at((uintptr_t)object);
	unsigned index;

	if (!slab)
		return POOL_BUG_FOREIGN;
	*name = slab->pool->name;
	if (slab->pool != pool)
		return POOL_BUG_OTHER;
	index = index_of(slab, (uintptr_t)object - slab_base(slab->slab));
	if (index >= slab->objects)
		return POOL_BUG_INTERIOR;
	return slab->bits[index / 64] >> index % 64 & 1 ? POOL_BUG_TWICE : POOL_BUG_NONE;
}

/* Allocate up to @n objects of a slab, the lowest first, and store them in end[-1], ... */
static unsigned alloc_from(struct pool_slab *slab, void **end, unsigned n)
{
	uintptr_t base = slab_base(slab->slab);
	unsigned done = 0, word = slab->hint;

	n = MIN(n, slab->free);
	while (done < n) {
		uint64_t bits = slab->bits[word];

		for (; bits && done < n; bits &= bits - 1)
			end[-(ptrdiff_t)++done] = (void *)(base + (word * 64 + lowest_bit(bits)) *
									  (size_t)slab->pool->size);
		slab->bits[word] = bits;
		word += !bits;
	}
	slab->hint = (uint16_t)word;
	slab->free = (uint16_t)(slab->free - n);
	return n;
}

/* Allocate up to @n objects, and store them in end[-1], end[-2] ... Returns how many. */
unsigned pool_slabs_alloc(struct hak_pool *pool, void **end, unsigned n)
{
	unsigned done = 0;

	while (done < n && pool->partial) {
		struct pool_slab *slab = record_of(pool->partial);

		done += alloc_from(slab, end - done, n - done);
		if (!slab->free)
			list_del(&slab->node);
	}
	pool->free -= done;
	pool->outstanding += done;
	return done;
}

/* If all objects of a slab are free, and the pool need not keep them, it goes to a chain. */
static void slabs_collect(struct hak_pool *pool, struct pool_slab *slab, struct list_node **emptied)
{
	if (slab->free < slab->objects || pool->free - slab->objects < pool->keep)
		return;
	list_del(&slab->node);
	list_del(&slab->all);
	pool->free -= slab->objects;
	pool->slabs -= slab_units(slab->slab);
	slab->node.next = *emptied;
	*emptied = &slab->node;
}

/**
 * pool_slabs_free() - free objects
 * @emptied: slabs that are to go are put in front of this chain, for pool_slabs_release()
 *
 * Returns how many: fewer than @n if the next one cannot be freed.
 */
unsigned pool_slabs_free(struct hak_pool *pool, void *const *objects, unsigned n,
			 struct list_node **emptied)
{
	unsigned done;

	for (done = 0; done < n; done++) {
		uintptr_t address = (uintptr_t)objects[done];
		struct pool_slab *slab = (struct pool_slab *)slabs_record_at(address);
		unsigned index;
		uint64_t bit;

		if (!slab || slab->pool != pool)
			break;
		index = index_of(slab, address - slab_base(slab->slab));
		if (index >= slab->objects)
			break;
		bit = (uint64_t)1 << index % 64;
		if (slab->bits[index / 64] & bit)
			break;
		slab->bits[index / 64] |= bit;
		slab->hint = (uint16_t)MIN(slab->hint, index / 64);
		if (!slab->free++)
			list_add(&pool->partial, &slab->node);
		pool->free++;
		pool->outstanding--;
		slabs_collect(pool, slab, emptied);
	}
	return done;
}

/* All slabs that have only free objects, and need not be kept, go to a chain. */
void pool_slabs_collect(struct hak_pool *pool, struct list_node **emptied)
{
	for (struct list_node *node = pool->partial, *next; node; node = next) {
		next = node->next;
		slabs_collect(pool, record_of(node), emptied);
	}
}

/* Release the slabs of a chain. Returns bytes. */
size_t pool_slabs_release(struct list_node *emptied)
{
	size_t bytes = 0;

	for (struct list_node *next; emptied; emptied = next) {
		struct pool_slab *record = record_of(emptied);
		struct slab *slab = record->slab;

		next = emptied->next;
		bytes += slab_units(slab) * UNIT_SIZE;
		if (IS_ENABLED(CONFIG_HAK_HARDENED)) /* free memory is zero there */
			__builtin_memset((void *)slab_base(slab), 0, slab_units(slab) * UNIT_SIZE);
		slab->gaps = 0;
		slab->bitmap = NULL;
		slab->node.next = NULL;
		superslab_free_slabs(&slab->node);
		meta_free(META_POOL_SLAB, record);
	}
	usage_add(-bytes);
	return bytes;
}

/* A new record describes a new slab, all of whose pages the pool may use from now on. */
static void slabs_init(struct hak_pool *pool, struct pool_slab *record, struct slab *slab)
{
	unsigned objects = objects_in(pool, slab_units(slab));

	record->pool = pool;
	record->slab = slab;
	record->objects = record->free = (uint16_t)objects;
	for (unsigned i = 0; i < objects / 64; i++)
		record->bits[i] = ~(uint64_t)0;
	if (objects % 64)
		record->bits[objects / 64] = ((uint64_t)1 << objects % 64) - 1;
	slab->unbacked = slab->untouched = 0;
	slab->bitmap = (uint64_t *)record;
	slab->gaps = SLAB_OF_POOL;
}

/* Get another slab. False if there is no memory. */
bool pool_slabs_grow(struct hak_pool *pool)
{
	struct pool_slab *record = meta_alloc(META_POOL_SLAB, sizeof(*record));
	struct list_node *chain;

	if (!record)
		return false;
	chain = superslab_alloc_slabs(1, pool->units, pool->least, ALLOC_ANY);
	if (!chain) {
		meta_free(META_POOL_SLAB, record);
		return false;
	}
	slabs_init(pool, record, list_entry(chain, struct slab, node));
	usage_add(slab_units(record->slab) * UNIT_SIZE);
	pool_lock(pool);
	list_add(&pool->partial, &record->node);
	list_add(&pool->all, &record->all);
	pool->free += record->objects;
	pool->slabs += slab_units(record->slab);
	pool_unlock(pool);
	return true;
}
