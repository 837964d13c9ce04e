/* SPDX-License-Identifier: MIT */
/*
 * Overflows of blocks that nobody frees, and writes to blocks that wait in quarantine: found by
 * every scan (a few SuperSlabs at a time, one after another), and by hak_check() and hak_trim() in
 * all of the heap.
 *
 * The seals of a slab are read under the lock of its class, without which no slab leaves the class.
 * The owners of the blocks know nothing of that. But a block is made and unmade only between the
 * clearing of its seal and its making (seal.h). So
 *
 *	neither 0 nor a seal		  ==>  it was written to
 *	a seal before and after, no mark  ==>  it was written to, unless it was freed and allocated
 *					       with the same size in between. Who sees this again
 *					       and again does not see that.
 *
 * Free blocks are not read for what else is in them: malloc does that.
 *
 * Lock: that of a class, for one slab at a time.
 */
#include "harden/verify.h"

#include "cache/cache.h"
#include "harden/report.h"
#include "harden/seal.h"
#include "harden/walk.h"
#include "pages/pagemap.h"
#include "slab/class.h"

#define TRIES 1000u /* before a missing mark is believed */

static NO_SANITIZE_THREAD bool is_broken(const char *block, size_t capacity)
{
	uint64_t key = seal_key(block), word = *seal_of(block, capacity);
	size_t size;

	for (unsigned i = 0; word && i < TRIES; i++) {
		size = seal_read(block, capacity, key);
		COMPILER_BARRIER();
		if (size != SEAL_BROKEN && seal_is_whole(block, capacity, size, key))
			return false;
		COMPILER_BARRIER();
		if (*seal_of(block, capacity) != word)
			return false;
	}
	return word;
}

/* A broken block of a slab, or NULL. */
static const char *find_in_slab(const struct slab *slab)
{
	size_t size = size_class[slab->class].size;

	for (unsigned i = 0; i < slab->blocks; i++) {
		const char *block = (const char *)slab_base(slab) + i * size;

		if (!slab_is_unbacked(slab, i) && is_broken(block, size))
			return block;
	}
	return NULL;
}

static NO_SANITIZE_THREAD void verify_slab(struct superslab *superslab, unsigned index,
					   uintptr_t base, const char *caller)
{
	unsigned class = READ_ONCE(superslab->slab[index].class);
	struct slab_class *sc;
	const char *broken = NULL;

	if (class < CLASS_FIRST || class > CLASS_SLAB_LAST)
		return;
	sc = class_find(class);
	if (!sc)
		return;
	class_lock(sc);
	if (walk_has(superslab, index, class, base))
		broken = find_in_slab(&superslab->slab[index]);
	class_unlock(sc);
	if (broken)
		report_overflow(broken, size_class[class].size, caller);
}

static void note_first(struct hak_cache *cache, void *ctx)
{
	struct list_node **first = ctx;

	if (!*first)
		*first = &cache->cold->node;
}

/* Read what is in quarantine. The list of caches stays when its lock is dropped. */
static void verify_quarantines(const char *caller)
{
	struct list_node *node = NULL;
	const void *written = NULL;
	unsigned class;
	size_t offset;

	cache_visit(note_first, &node);
	for (; node && !written; node = node->next)
		written =
			quarantine_find(list_entry(node, struct cache_cold, node), &class, &offset);
	if (written)
		report_written(written, size_class[class].size, offset, caller);
}

void verify_some(unsigned superslabs, const char *caller)
{
	if (!hak_secret[1])
		return; /* nobody has ever allocated */
	verify_quarantines(caller);
	walk_some(superslabs, verify_slab, caller);
}
