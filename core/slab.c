/* SPDX-License-Identifier: MIT */
/*
 * Blocks of one size class in slabs of 64 KiB. A bitmap says which blocks of a
 * slab are free; the blocks themselves are never touched.
 *
 * Slabs with free blocks are on one of four lists of their class, by how much
 * of them is free, and refills take from the fullest: the emptiest are left to
 * become empty. A slab without free blocks is on no list; one without live
 * blocks goes back to its SuperSlab at once.
 *
 *	free  =  bits set in the bitmap  <=  blocks of the class
 *	on a list  <=>  free > 0
 *	taken - put  =  sum over the class's slabs of (blocks - free)
 *
 * A bitmap of up to 128 bits is in the descriptor. A larger one is a block of
 * CLASS_BITMAP_512 or _1024, classes whose own bitmaps are in the descriptor,
 * so the recursion ends there. They share SuperSlabs with everything else: a
 * small machine has no 2 MiB to spare for them.
 *
 * Free lists threaded through the blocks would need no bitmap, but they would
 * touch every free block, keep its page from being given back, and hand the
 * allocator's memory to whoever overflows a block.
 *
 * Lock: one per class, LOCK_CLASS, taken once per batch. New slabs and bitmaps
 * are fetched with it dropped, and what changed meanwhile is looked at again.
 *
 * Failure: slab_take() returns fewer blocks than asked for, 0 if there are
 * none. slab_put() cannot fail; a block that cannot be freed is a bug of the
 * program, reported with the lock dropped.
 */
#include "slab.h"

#include "lock.h"
#include "pagemap.h"
#include "sizeclass.h"

#define NR_BUCKETS 4u

struct class_heap {
	struct lock lock;
	struct list_node *partial[NR_BUCKETS]; /* fullest first */
	struct slab_counters counters;
} __attribute__((aligned(64)));

static struct class_heap class_heap[NR_SLAB_CLASSES];

/* How much of a slab is free, in quarters rounded down. */
static unsigned bucket_of(unsigned class, unsigned free)
{
	unsigned quarters = (unsigned)(free * size_class[class].size / (SLAB_SIZE / NR_BUCKETS));

	return quarters < NR_BUCKETS ? quarters : NR_BUCKETS - 1;
}

/* Put a slab on the list where it belongs after `free` changed. */
static void relist(struct class_heap *heap, struct slab *slab)
{
	unsigned bucket = bucket_of(slab->class, slab->free);

	if (list_has(&slab->node)) {
		if (slab->free && bucket == slab->bucket)
			return;
		list_del(&slab->node);
	}
	if (slab->free) {
		slab->bucket = (uint8_t)bucket;
		list_add(&heap->partial[bucket], &slab->node);
	}
}

static struct slab *fullest_partial(struct class_heap *heap)
{
	for (unsigned bucket = 0; bucket < NR_BUCKETS; bucket++)
		if (heap->partial[bucket])
			return list_entry(heap->partial[bucket], struct slab, node);
	return NULL;
}

/* Take up to @n blocks, the lowest first, into end[-1], end[-2] ... */
static unsigned take_from(struct slab *slab, void **end, unsigned n)
{
	size_t size = size_class[slab->class].size;
	uintptr_t base = slab_base(slab);
	unsigned word = slab->hint, taken = 0;

	if (n > slab->free)
		n = slab->free;
	while (taken < n) {
		uint64_t bits = slab->bitmap[word];

		for (; bits && taken < n; bits &= bits - 1)
			end[-(ptrdiff_t)++taken] =
				(void *)(base + (word * 64 + lowest_bit(bits)) * size);
		slab->bitmap[word] = bits;
		if (!bits)
			word++;
	}
	slab->hint = (uint16_t)word;
	slab->free = (uint16_t)(slab->free - taken);
	return taken;
}

static unsigned bitmap_class(unsigned class)
{
	return class_bitmap_words(class) * 8 <= 512 ? CLASS_BITMAP_512 : CLASS_BITMAP_1024;
}

static bool init_bitmap(struct slab *slab, unsigned class)
{
	unsigned words = class_bitmap_words(class);
	unsigned rest = size_class[class].blocks % 64u;
	void *block;

	slab->bitmap = slab->inline_bits;
	if (words > SLAB_INLINE_WORDS) {
		if (!slab_take(bitmap_class(class), &block + 1, 1))
			return false;
		slab->bitmap = block;
	}
	for (unsigned i = 0; i < words; i++)
		slab->bitmap[i] = ~(uint64_t)0;
	if (rest)
		slab->bitmap[words - 1] = ((uint64_t)1 << rest) - 1;
	slab->free = size_class[class].blocks;
	slab->hint = 0;
	return true;
}

/* Give an empty slab, on no list, back to its SuperSlab. */
static void return_slab(struct slab *slab)
{
	unsigned class = slab->class;
	void *bitmap = slab->bitmap;

	slab->class = CLASS_NONE;
	if (bitmap != slab->inline_bits)
		slab_put(bitmap_class(class), &bitmap, 1);
	superslab_put(slab_base(slab), 1);
}

/* Get the class a new slab. False if there is no memory for one. */
static bool add_slab(unsigned class)
{
	struct class_heap *heap = &class_heap[class];
	struct slab *slab;
	uintptr_t base;
	bool zero, add;

	base = superslab_take(1, SLAB_SIZE, &zero);
	if (!base)
		return false;
	slab = superslab_slab(pagemap_superslab(base), base);
	if (!init_bitmap(slab, class)) {
		superslab_put(base, 1);
		return false;
	}
	slab->class = (uint8_t) class;
	pagemap_set_class(base, 1, class);

	lock_acquire(&heap->lock, LOCK_CLASS);
	add = !fullest_partial(heap); /* or somebody else was faster */
	if (add) {
		relist(heap, slab);
		heap->counters.slabs++;
	}
	lock_release(&heap->lock, LOCK_CLASS);
	if (!add)
		return_slab(slab);
	return true;
}

/**
 * slab_take() - take blocks of a class out of slabs
 * @end: the blocks are stored below it: end[-1] first
 * @n:   how many are wanted
 *
 * Returns how many there are: at least 1 unless there is no memory. Partial
 * slabs first; a new slab only if not a single block could be had otherwise.
 */
unsigned slab_take(unsigned class, void **end, unsigned n)
{
	struct class_heap *heap = &class_heap[class];
	unsigned taken = 0;

	do {
		struct slab *slab;

		lock_acquire(&heap->lock, LOCK_CLASS);
		while (taken < n && (slab = fullest_partial(heap))) {
			taken += take_from(slab, end - taken, n - taken);
			relist(heap, slab);
		}
		heap->counters.taken += taken;
		lock_release(&heap->lock, LOCK_CLASS);
	} while (!taken && add_slab(class));
	return taken;
}

/* Why can this block not be freed? Nothing wrong with it: HAK_BUG_NONE. */
static enum hak_bug_code why_not(unsigned class, const void *block, size_t *detail)
{
	uintptr_t address = (uintptr_t)block;
	struct superslab *superslab = pagemap_superslab(address);
	const struct slab *slab;
	unsigned index;
	bool start;

	*detail = 0;
	if (!superslab)
		return HAK_BUG_FOREIGN;
	slab = superslab_slab(superslab, address);
	index = class_block_index(class, address % SLAB_SIZE, &start);
	if (slab->class != class || index >= size_class[class].blocks)
		return HAK_BUG_UNUSED;
	*detail = address % SLAB_SIZE - index * (size_t)size_class[class].size;
	if (!start)
		return HAK_BUG_INTERIOR;
	if (slab->bitmap[index / 64] >> index % 64 & 1)
		return HAK_BUG_DOUBLE_FREE;
	return HAK_BUG_NONE;
}

enum hak_bug_code slab_inspect(unsigned class, const void *block, size_t *detail)
{
	enum hak_bug_code bug;

	lock_acquire(&class_heap[class].lock, LOCK_CLASS);
	bug = why_not(class, block, detail);
	lock_release(&class_heap[class].lock, LOCK_CLASS);
	return bug;
}

/*
 * Free blocks up to the first that lies in another slab than blocks[0], or
 * cannot be freed; returns how many. An empty slab leaves its list for the
 * chain @emptied.
 */
static unsigned put_run(struct class_heap *heap, unsigned class, void *const *blocks, unsigned n,
			struct list_node **emptied)
{
	uintptr_t base = (uintptr_t)blocks[0] & ~(uintptr_t)(SLAB_SIZE - 1);
	struct superslab *superslab = pagemap_superslab(base);
	struct slab *slab;
	unsigned done;

	if (unlikely(!superslab))
		return 0;
	slab = superslab_slab(superslab, base);
	if (unlikely(slab->class != class))
		return 0;
	for (done = 0; done < n; done++) {
		size_t offset = (uintptr_t)blocks[done] - base;
		uint64_t bit;
		unsigned index;
		bool start;

		if (offset >= SLAB_SIZE)
			break;
		index = class_block_index(class, offset, &start);
		bit = (uint64_t)1 << index % 64;
		if (unlikely(!start || index >= size_class[class].blocks ||
			     slab->bitmap[index / 64] & bit))
			break;
		slab->bitmap[index / 64] |= bit;
		if (index / 64 < slab->hint)
			slab->hint = (uint16_t)(index / 64);
	}
	slab->free = (uint16_t)(slab->free + done);
	heap->counters.put += done;
	if (done && slab->free == size_class[class].blocks) {
		if (list_has(&slab->node))
			list_del(&slab->node);
		slab->node.next = *emptied;
		*emptied = &slab->node;
		heap->counters.slabs--;
	} else {
		relist(heap, slab);
	}
	return done;
}

/**
 * slab_put() - put blocks of a class back into their slabs
 *
 * Slabs that become empty are returned to their SuperSlabs. A block that is
 * not one, or that is free already, stops the program.
 */
void slab_put(unsigned class, void *const *blocks, unsigned n)
{
	struct class_heap *heap = &class_heap[class];
	struct list_node *emptied = NULL;
	enum hak_bug_code bug = HAK_BUG_NONE;
	unsigned done = 0, run;
	size_t detail;

	lock_acquire(&heap->lock, LOCK_CLASS);
	do {
		run = put_run(heap, class, blocks + done, n - done, &emptied);
		done += run;
	} while (run && done < n);
	if (unlikely(done < n))
		bug = why_not(class, blocks[done], &detail);
	lock_release(&heap->lock, LOCK_CLASS);
	if (unlikely(bug))
		hak_bug(bug, "free", blocks[done], size_class[class].size, detail);
	while (emptied) {
		struct slab *slab = list_entry(emptied, struct slab, node);

		emptied = emptied->next;
		return_slab(slab);
	}
}

/* Blocks of a class that are not in slabs: live, or in anybody's magazine. */
uint64_t slab_outstanding(unsigned class)
{
	struct slab_counters counters;

	slab_read_counters(class, &counters);
	return counters.taken - counters.put;
}

void slab_read_counters(unsigned class, struct slab_counters *counters)
{
	struct class_heap *heap = &class_heap[class];

	lock_acquire(&heap->lock, LOCK_CLASS);
	*counters = heap->counters;
	lock_release(&heap->lock, LOCK_CLASS);
}

static const char *check_slab(const struct slab *slab)
{
	const struct size_class *class = &size_class[slab->class];
	unsigned free = 0;

	for (unsigned i = 0; i < class_bitmap_words(slab->class); i++) {
		if (i < slab->hint && slab->bitmap[i])
			return "slab: a free block below the hint";
		free += count_bits(slab->bitmap[i]);
	}
	if (free != slab->free)
		return "slab: bits in the bitmap and the count of free blocks";
	if (free >= class->blocks)
		return "slab: empty and not returned";
	if (list_has(&slab->node) != (free > 0))
		return "slab: on a list without free blocks, or not with them";
	if (free && slab->bucket != bucket_of(slab->class, free))
		return "slab: on the wrong list";
	if (pagemap_class(slab_base(slab)) != slab->class)
		return "page map: class of a slab";
	return NULL;
}

static const char *check_class(unsigned class)
{
	struct class_heap *heap = &class_heap[class];
	uint64_t slabs = 0, outstanding = 0, listed = 0;

	for (struct superslab *superslab = superslab_first(); superslab;
	     superslab = superslab_next(superslab)) {
		for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++) {
			struct slab *slab = &superslab->slab[i];
			const char *failed;

			if (slab->class != class)
				continue;
			if (superslab->unused >> i & 1)
				return "slab: has a class and is unused";
			failed = check_slab(slab);
			if (failed)
				return failed;
			slabs++;
			outstanding += size_class[class].blocks - (unsigned)slab->free;
			listed += slab->free > 0;
		}
	}
	for (unsigned bucket = 0; bucket < NR_BUCKETS; bucket++)
		for (struct list_node *node = heap->partial[bucket]; node; node = node->next)
			listed--;
	if (listed)
		return "class: slabs missing on its lists, or too many";
	if (slabs != heap->counters.slabs)
		return "class: number of slabs";
	if (outstanding != heap->counters.taken - heap->counters.put)
		return "class: blocks taken less blocks put";
	return NULL;
}

/* The equations at the head of this file; NULL, or the one that fails. */
const char *slab_check(void)
{
	const char *failed = NULL;

	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES && !failed; ++class) {
		lock_acquire(&class_heap[class].lock, LOCK_CLASS);
		superslab_lock();
		failed = check_class(class);
		superslab_unlock();
		lock_release(&class_heap[class].lock, LOCK_CLASS);
	}
	return failed;
}

/* For fork(): nobody else may be inside a class while the process is copied. */
void slab_lock_all(void)
{
	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; ++class)
		lock_word_acquire(&class_heap[class].lock);
}

void slab_unlock_all(void)
{
	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; ++class)
		lock_word_release(&class_heap[class].lock);
}

/* The slabs themselves go with superslab_fini(). */
void slab_fini(void)
{
	__builtin_memset(class_heap, 0, sizeof(class_heap));
}
