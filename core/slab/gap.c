/* SPDX-License-Identifier: MIT */
/*
 * Gap blocks. A slab belongs to one class as long as one block in it lives. So when memory is
 * full, a few survivors of many small blocks may keep most of it from larger blocks. Before
 * such a request fails, it gets a gap: a run of free blocks of a smaller class, in one slab,
 * that is handed out as one block.
 *
 * For the slab, a gap block is n blocks of its class that are allocated, and it is counted so.
 * A second bitmap, behind the first, has a bit for each of them but the first. It is there from
 * the beginning, so no memory is needed when there is none. Classes of 8 and 16 bytes, whose
 * bitmaps have no room for it, take no part; nor do short slabs of small blocks.
 *
 *	bit set in the second bitmap  ==>  the block, and the one before it, are not free
 *	gaps of a slab		      ==   runs of such bits, each with the block before it
 *	gaps of a class		      ==   sum over its slabs
 *	class byte is CLASS_MIXED    <=>   the slab has gap blocks
 *
 * The class byte is written under the lock, before a gap block is handed out. It sends each
 * free in the slab the slow way, which asks the bitmap how long the block is. Ordinary blocks
 * of such a slab that lie in magazines stay what they are: a magazine is of a class, and does
 * not look at the page map. That holds, too, for one whose class was read just before, since it is
 * an ordinary block until it is free in its slab.
 *
 * Pages of gap blocks are in use for a scan, as those of all allocated blocks. A gap is made
 * only of blocks that are backed and that no scan has claimed.
 *
 * Lock: that of the slab's class, taken for one list of slabs at a time.
 *
 * Failure: gap_alloc() returns NULL; then nothing has changed.
 */
#include "slab/gap.h"

#include "pages/pagemap.h"

/*
 * So many words of bitmaps are searched under the lock, with interrupts off on bare metal; and
 * so many slabs of each list at most. A longer search finds little more.
 */
#define GAP_WORDS 64u
#define GAP_SLABS 16u

#define NO_GAP UINT32_MAX

/* From block @index on, the first whose bit is not set; all blocks if there is none. */
static unsigned next_clear(const uint64_t *bitmap, unsigned index, unsigned blocks)
{
	while (index < blocks) {
		uint64_t clear = ~bitmap[index / 64] >> index % 64;

		if (clear)
			return MIN(index + lowest_bit(clear), blocks);
		index = (index | 63) + 1;
	}
	return blocks;
}

/*
 * The bits of a word at which a run of at least @n set bits begins or goes on, which may reach
 * into the next word. @n is at most 64. Each step makes the runs known twice as long.
 */
static uint64_t starts_of_runs(const uint64_t *bitmap, unsigned word, unsigned words, unsigned n)
{
	uint64_t low = bitmap[word], high = word + 1 < words ? bitmap[word + 1] : 0;

	for (unsigned known = 1, step; low && known < n; known += step) {
		step = MIN(known, n - known);
		low &= low >> step | high << (64 - step);
		high &= high >> step;
	}
	return low;
}

/* The first block of the shortest run of at least @n free ones, or NO_GAP. */
static unsigned find_run(const struct slab *slab, unsigned n)
{
	unsigned words = slab_words(slab), blocks = slab->blocks;
	unsigned found = NO_GAP, least = UINT32_MAX, end = slab->hint * 64u;

	while (end < blocks) {
		uint64_t starts = starts_of_runs(slab->bitmap, end / 64, words, MIN(n, 64u));
		unsigned first;

		starts >>= end % 64;
		if (!starts) {
			end = (end | 63) + 1;
			continue;
		}
		first = end + lowest_bit(starts);
		end = next_clear(slab->bitmap, first, blocks);
		if (end - first >= n && end - first < least) {
			least = end - first;
			found = first;
		}
	}
	return found;
}

/* Make a gap block of @n free blocks. Under the lock. */
static void *make_gap(struct slab_class *sc, struct slab *slab, unsigned first, unsigned n)
{
	size_t offset = first * (size_t)size_class[slab->class].size;

	slab_alloc_gap(slab, first, n);
	if (slab->gaps == 1)
		pagemap_set_class(slab_base(slab), slab_units(slab), CLASS_MIXED);
	sc->gaps++;
	sc->gaps_made++;
	class_note_allocated(sc, slab, n);
	atomic_fetch_add_explicit(&sc->uncached[UNCACHED_ALLOC], n, memory_order_relaxed);
	return (void *)(slab_base(slab) + offset);
}

/* Find a gap of @n blocks in one of the lists of a class. */
static void *alloc_from_list(struct slab_class *sc, unsigned bucket, unsigned n)
{
	struct list_node *node;
	void *block = NULL;
	unsigned words = 0;

	class_lock(sc);
	node = sc->partial[bucket];
	for (unsigned i = 0; node && i < GAP_SLABS && words < GAP_WORDS && !block;
	     i++, node = node->next) {
		struct slab *slab = list_entry(node, struct slab, node);
		bool may = slab->free >= n && slab_may_have_gaps(slab);
		unsigned first = may ? find_run(slab, n) : NO_GAP;

		words += slab_words(slab);
		if (first != NO_GAP)
			block = make_gap(sc, slab, first, n);
	}
	class_unlock(sc);
	return block;
}

/* Is a list empty? Read without the lock, so only a hint. */
static NO_SANITIZE_THREAD bool is_list_empty(const struct slab_class *sc, unsigned bucket)
{
	return !READ_ONCE(sc->partial[bucket]);
}

/*
 * Of how many blocks of a class would a gap block consist? 0 if none can be made: they do not
 * suffice, or are not aligned so, or one would do. That is then not the last resort.
 */
static unsigned blocks_needed(unsigned class, size_t size, size_t align)
{
	const struct size_class *shape = &size_class[class];
	unsigned n = (unsigned)DIV_ROUND_UP(size, shape->size);

	if (align > UNIT_SIZE || shape->size % align)
		return 0;
	return n > 1 && n <= shape->blocks ? n : 0;
}

/**
 * gap_alloc() - allocate a gap block
 * @class: that of the request, which has no memory left, or one of spans
 * @size:  at most GAP_MAX
 * @align: a power of two
 *
 * The classes next to @class come first, where few blocks make a gap. Slabs that are used least
 * come first, where gaps are longest: they are not those that the class fills.
 */
void *gap_alloc(unsigned class, size_t size, size_t align)
{
	hak_assert(size <= GAP_MAX);
	for (class = MIN(class, CLASS_SLAB_LAST + 1u) - 1; class_has_gaps(class); --class) {
		struct slab_class *sc = class_find(class);
		unsigned n = sc ? blocks_needed(class, size, align) : 0;
		void *block = NULL;

		if (!n)
			continue;
		for (unsigned bucket = SLAB_BUCKETS - 1; bucket-- > 0 && !block;)
			if (!is_list_empty(sc, bucket))
				block = alloc_from_list(sc, bucket, n);
		if (block)
			return block;
	}
	return NULL;
}

/* The class of the slab at @block. Read without the lock, so only a hint for a bad pointer. */
static NO_SANITIZE_THREAD unsigned class_at(const void *block)
{
	const struct slab *slab = address_to_slab((uintptr_t)block);

	return slab ? READ_ONCE(slab->class) : CLASS_NONE;
}

/* What is at @offset in a slab? Under the lock. */
static enum hak_bug_code inspect_locked(const struct slab *slab, size_t offset, struct gap *gap)
{
	enum hak_bug_code bug = slab_inspect(slab, gap->class, offset, &gap->detail);
	size_t size = size_class[gap->class].size;
	unsigned end = (unsigned)(offset / size) + 1;

	if (bug == HAK_BUG_UNUSED)
		return bug;
	gap->first = end - 1;
	if (slab_is_mixed(slab)) {
		const uint64_t *rest = slab_rest(slab);

		end = next_clear(rest, end, slab->blocks);
		while (rest[gap->first / 64] >> gap->first % 64 & 1)
			gap->first--;
	}
	gap->n = end - gap->first;
	gap->size = gap->n * size;
	gap->detail = offset - gap->first * size;
	if (gap->n == 1)
		return bug;
	return gap->detail ? HAK_BUG_INTERIOR : HAK_BUG_NONE;
}

/*
 * The slab that @block lies in, with the lock of its class, or NULL. A slab cannot leave its
 * class while a block of it is in use. If none is, its SuperSlab may go meanwhile.
 */
static struct slab *lock_slab(const void *block, struct gap *gap)
{
	struct slab_class *sc;
	struct slab *slab;

	*gap = (struct gap){ .class = class_at(block) };
	sc = class_has_gaps(gap->class) ? class_find(gap->class) : NULL;
	if (!sc)
		return NULL;
	class_lock(sc);
	slab = address_to_slab((uintptr_t)block);
	if (slab && slab->class == gap->class)
		return slab;
	class_unlock(sc);
	return NULL;
}

/**
 * gap_inspect() - what is wrong with freeing @block?
 * @block: lies in a slab that has gap blocks, by the page map: a gap block or an ordinary one
 * @gap:   what it is
 */
enum hak_bug_code gap_inspect(const void *block, struct gap *gap)
{
	const struct slab *slab = lock_slab(block, gap);
	enum hak_bug_code bug = HAK_BUG_UNUSED;

	if (slab) {
		bug = inspect_locked(slab, slab_offset(slab, (uintptr_t)block), gap);
		class_unlock(class_find(gap->class));
	}
	return bug;
}

/**
 * gap_free() - free a block of a slab that has gap blocks
 * @block: a gap block, or an ordinary one
 *
 * A block that cannot be freed is noted: see bug_note(). Ordinary blocks do not go to a
 * magazine. There they would split what may be the next gap.
 */
void gap_free(void *block)
{
	enum hak_bug_code bug = HAK_BUG_UNUSED;
	struct gap gap;
	struct slab *slab = lock_slab(block, &gap);
	struct slab_class *sc = class_find(gap.class);

	if (slab)
		bug = inspect_locked(slab, slab_offset(slab, (uintptr_t)block), &gap);
	if (unlikely(bug)) {
		if (slab)
			class_unlock(sc);
		bug_note(bug, block, gap.size, gap.detail);
		return;
	}
	slab_free_gap(slab, gap.first, gap.n);
	if (gap.n > 1) {
		sc->gaps--;
		if (!slab->gaps)
			pagemap_set_class(slab_base(slab), slab_units(slab), gap.class);
	}
	atomic_fetch_add_explicit(&sc->uncached[UNCACHED_FREE], gap.n, memory_order_relaxed);
	class_note_freed(sc, slab, gap.n);
}

REPLACEABLE(hak_mixed_inspect, gap_inspect);
