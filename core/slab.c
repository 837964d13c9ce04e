/* SPDX-License-Identifier: MIT */
/*
 * Blocks of one size class in slabs of 64 KiB. A bitmap says which blocks of a
 * slab are free; the blocks themselves are never touched.
 *
 * Slabs with free blocks are on one of the lists of their class, by how much
 * of them is free, and refills take from the fullest: the emptiest are left to
 * become empty. A slab without free blocks is on no list; one without live
 * blocks goes back to its SuperSlab at once.
 *
 * Pages that have no memory behind them, because nobody has touched them yet or
 * because they were purged, are kept account of. All blocks that lie in such a
 * page, wholly or in part, are free; they are withheld: not in the bitmap until
 * the slabs of the class have nothing else to offer. So memory that is there is
 * used before memory that is not, no page is purged twice, and taking blocks
 * knows of nothing but bits.
 *
 *	free      =  bits set in the bitmap
 *	withheld  =  blocks in pages of `purged`; none of these is in the bitmap
 *	on a list  <=>  free + withheld > 0
 *	taken - put  =  sum over the class's slabs of (blocks - free - withheld)
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
 * What there is of a class is made with its first slab: a program need not pay for
 * classes that it does not use.
 *
 * Lock: one per class, LOCK_CLASS, taken once per batch. New slabs and bitmaps
 * are fetched with it dropped, and what changed meanwhile is looked at again. A
 * slab becomes one of a class before it is on a list, and leaves it under the lock.
 *
 * Failure: slab_take() returns fewer blocks than asked for, 0 if there are
 * none. slab_put() cannot fail; a block that cannot be freed is a bug of the
 * program, reported with the lock dropped.
 */
#include "slab.h"

#include <cpu.h>

#include "lock.h"
#include "meta.h"
#include "pagemap.h"
#include "sizeclass.h"

/* By quarters that are free, and those slabs all of whose blocks are withheld. */
#define NR_QUARTERS 4u
#define QUARTER	    (SLAB_SIZE / NR_QUARTERS)
#define NR_BUCKETS  5u

struct class_heap {
	struct lock lock;
	struct list_node *partial[NR_BUCKETS]; /* the first is taken from first */
	uint64_t taken, put, slabs, retouched; /* see counters.h */
	_Atomic uint64_t bypass[2];
	uint64_t withheld; /* blocks of its slabs */
} __attribute__((aligned(64)));

/* Each is made when its class gets the first slab, and is there until slab_fini(). */
static struct class_heap *_Atomic class_heap[NR_SLAB_CLASSES];

/* Taken to enter one, and before all of theirs by fork(), which must not miss a new one. */
static struct lock class_lock;

/* NULL if the class never had a slab. */
static struct class_heap *heap_of(unsigned class)
{
	/* acquire: pairs with the release in make_heap() */
	return atomic_load_explicit(&class_heap[class], memory_order_acquire);
}

static struct class_heap *make_heap(unsigned class)
{
	struct class_heap *heap = heap_of(class), *made;

	if (heap)
		return heap;
	made = meta_alloc(META_CLASS, sizeof(*made));
	if (!made)
		return NULL;
	if (*this_held() >= LOCK_FORK)
		lock_fork_acquire(&made->lock); /* as all others are */
	lock_acquire(&class_lock, LOCK_CLASS);
	heap = heap_of(class);
	if (!heap)
		atomic_store_explicit(&class_heap[class], made, memory_order_release);
	lock_release(&class_lock, LOCK_CLASS);
	if (!heap)
		return made;
	meta_free(META_CLASS, made); /* somebody else was faster */
	return heap;
}

#define for_each_heap(class, heap)                                                                 \
	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; ++class)                       \
		for (struct class_heap *heap = heap_of(class); heap; heap = NULL)

/* Free blocks, withheld ones too. */
static unsigned all_free(const struct slab *slab)
{
	return (unsigned)slab->free + slab->withheld;
}

/* On which list a slab belongs that has free blocks. */
static unsigned bucket_of(const struct slab *slab)
{
	size_t bytes = all_free(slab) * (size_t)size_class[slab->class].size;
	unsigned quarters = (unsigned)(bytes / QUARTER);

	if (!slab->free)
		return NR_BUCKETS - 1;
	return quarters < NR_QUARTERS ? quarters : NR_QUARTERS - 1;
}

/*
 * Put a slab on the list where it belongs after its free blocks changed. If only
 * more are freed it stays there, and is not empty, until there are `relist_at`.
 */
static void relist(struct class_heap *heap, struct slab *slab)
{
	const struct size_class *shape = &size_class[slab->class];
	bool listed = all_free(slab);
	unsigned bucket = bucket_of(slab);
	size_t left = (bucket + 1) * QUARTER - all_free(slab) * (size_t)shape->size;
	unsigned more = slab->free ? (unsigned)(left * shape->inverse >> 32) : 0;

	slab->relist_at = (uint16_t)(slab->free + (more ? more : 1));
	if (list_has(&slab->node)) {
		if (listed && bucket == slab->bucket)
			return;
		list_del(&slab->node);
	}
	if (listed) {
		slab->bucket = (uint8_t)bucket;
		list_add(&heap->partial[bucket], &slab->node);
	}
}

static struct slab *first_partial(struct class_heap *heap)
{
	for (unsigned bucket = 0; bucket < NR_BUCKETS; bucket++)
		if (heap->partial[bucket])
			return list_entry(heap->partial[bucket], struct slab, node);
	return NULL;
}

/* Which bits of a word of the bitmap are of blocks @first to @last? */
static uint64_t bits_of(unsigned word, unsigned first, unsigned last)
{
	uint64_t bits = ~(uint64_t)0;

	if (word == first / 64)
		bits <<= first % 64;
	if (word == last / 64)
		bits &= ~(uint64_t)0 >> (63 - last % 64);
	return bits;
}

/* Set, or clear, the bits of blocks @first to @last; how many were changed. */
static unsigned change_bits(struct slab *slab, unsigned first, unsigned last, bool set)
{
	unsigned changed = 0;

	for (unsigned word = first / 64; word <= last / 64; word++) {
		uint64_t *bits = &slab->bitmap[word];
		uint64_t mask = bits_of(word, first, last);

		mask &= set ? ~*bits : *bits;
		*bits ^= mask;
		changed += count_bits(mask);
	}
	return changed;
}

static bool is_withheld(const struct slab *slab, unsigned index)
{
	return slab->purged && slab->purged & class_block_pages(slab->class, index);
}

static bool is_free(const struct slab *slab, unsigned index)
{
	return slab->bitmap[index / 64] >> index % 64 & 1 || is_withheld(slab, index);
}

/* There is no memory behind these pages, and no block of them in use. Returns how many go. */
static unsigned withhold(struct slab *slab, unsigned pages)
{
	unsigned class = slab->class, first, last, n = 0;

	slab->purged |= (uint16_t)pages;
	for (; pages; pages &= pages - 1) {
		class_page_blocks(class, lowest_bit(pages), &first, &last);
		n += change_bits(slab, first, last, false);
	}
	slab->free = (uint16_t)(slab->free - n);
	slab->withheld = (uint16_t)(slab->withheld + n);
	return n;
}

/*
 * Offer the blocks of these pages again. Those that reach into others without
 * memory wait for these. Returns how many come.
 */
static unsigned offer(struct slab *slab, unsigned pages)
{
	unsigned class = slab->class, n = 0;

	slab->purged &= (uint16_t)~pages;
	slab->fresh &= (uint16_t)~pages;
	for (; pages; pages &= pages - 1) {
		unsigned first, last;

		class_page_blocks(class, lowest_bit(pages), &first, &last);
		first += is_withheld(slab, first);
		if (first > last)
			continue;
		if (is_withheld(slab, last) && last-- == first)
			continue;
		if (first / 64 < slab->hint)
			slab->hint = (uint16_t)(first / 64);
		n += change_bits(slab, first, last, true);
	}
	slab->free = (uint16_t)(slab->free + n);
	slab->withheld = (uint16_t)(slab->withheld - n);
	return n;
}

/* Nothing but withheld blocks is left: offer at least @n of them, if there are so many. */
static void offer_blocks(struct class_heap *heap, struct slab *slab, unsigned n)
{
	while (slab->free < n && slab->withheld) {
		unsigned first, last, pages;

		class_page_blocks(slab->class, lowest_bit(slab->purged), &first, &last);
		pages = slab->purged & class_block_pages(slab->class, first);
		heap->retouched += count_bits(pages & ~slab->fresh);
		heap->withheld -= offer(slab, pages);
	}
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

		/* a whole word, as in new slabs, and where all was freed */
		if (bits == ~(uint64_t)0 && n - taken >= 64) {
			uintptr_t block = base + word * 64 * size;

			for (unsigned i = 0; i < 64; i++, block += size)
				end[-(ptrdiff_t)++taken] = (void *)block;
			bits = 0;
		}
		for (; bits && taken < n; bits &= bits - 1)
			end[-(ptrdiff_t)++taken] =
				(void *)(base + (word * 64 + lowest_bit(bits)) * size);
		slab->bitmap[word] = bits;
		if (!bits)
			word++;
	}
	slab->hint = (uint16_t)word;
	slab->free = (uint16_t)(slab->free - taken);
	/* what ripened and was not taken begins anew; a full slab has nothing to see */
	slab->unseen = (slab->unseen || slab->ripe) && all_free(slab);
	slab->ripe = 0;
	return taken;
}

static unsigned bitmap_class(unsigned class)
{
	return class_bitmap_words(class) * 8 <= 512 ? CLASS_BITMAP_512 : CLASS_BITMAP_1024;
}

static bool init_bitmap(struct slab *slab, unsigned class, bool offered)
{
	unsigned words = class_bitmap_words(class);
	unsigned rest = size_class[class].blocks % 64u;
	void *block;

	slab->bitmap = slab->inline_bits;
	if (words > SLAB_INLINE_WORDS) {
		if (!slab_take(bitmap_class(class), &block + 1, 1, TAKE_ANY))
			return false;
		slab->bitmap = block;
	}
	for (unsigned i = 0; i < words; i++)
		slab->bitmap[i] = offered ? ~(uint64_t)0 : 0;
	if (rest && offered)
		slab->bitmap[words - 1] = ((uint64_t)1 << rest) - 1;
	return true;
}

/* All blocks are offered, or those in pages that have memory: as a rule few do, if not all. */
static bool init_slab(struct slab *slab, unsigned class)
{
	uint16_t blocks = size_class[class].blocks;
	bool all = !slab->purged;

	if (!init_bitmap(slab, class, all))
		return false;
	slab->class = (uint8_t) class;
	slab->free = all ? blocks : 0;
	slab->withheld = all ? 0 : blocks;
	slab->hint = 0;
	slab->ripe = 0;
	slab->unseen = false;
	if (!all)
		offer(slab, ALL_PAGES & ~slab->purged);
	return true;
}

/* Empty slabs, on no list but this chain, are of no class any more: under its lock. */
static void leave_class(struct list_node *chain)
{
	for (struct list_node *node = chain; node; node = node->next)
		list_entry(node, struct slab, node)->class = CLASS_NONE;
}

/* Give slabs that have left a class back to their SuperSlabs. */
static void return_slabs(struct list_node *chain, unsigned class)
{
	if (!chain)
		return;
	for (struct list_node *node = chain; node; node = node->next) {
		struct slab *slab = list_entry(node, struct slab, node);
		void *bitmap = slab->bitmap;

		if (bitmap != slab->inline_bits)
			slab_put(bitmap_class(class), &bitmap, 1);
	}
	superslab_put_slabs(chain);
}

/* Make a chain of slabs fit for a class, until there is no memory for a bitmap; the others go. */
static struct list_node *init_slabs(struct list_node *chain, unsigned class)
{
	struct list_node **link = &chain;

	for (; *link; link = &(*link)->next) {
		struct slab *slab = list_entry(*link, struct slab, node);

		if (!init_slab(slab, class))
			break;
		pagemap_set_class(slab_base(slab), 1, class);
	}
	if (*link)
		superslab_put_slabs(*link);
	*link = NULL;
	return chain;
}

static unsigned take_and_relist(struct class_heap *heap, struct slab *slab, void **end, unsigned n)
{
	unsigned taken;

	if (!slab->free)
		offer_blocks(heap, slab, n);
	taken = take_from(slab, end, n);
	relist(heap, slab);
	heap->taken += taken;
	return taken;
}

/*
 * Get the class new slabs, and take from them at once: an empty slab on a list
 * would have nobody to return it. False if there is no memory for any.
 */
static bool add_slabs(unsigned class, void **end, unsigned n, enum take which, unsigned *taken)
{
	unsigned slabs = (n - *taken) / size_class[class].blocks;
	struct class_heap *heap = make_heap(class);
	struct list_node *chain;
	bool any;

	if (!heap)
		return false;
	chain = init_slabs(superslab_take_slabs(slabs ? slabs : 1, which), class);
	any = chain;
	lock_acquire(&heap->lock, LOCK_CLASS);
	/* somebody else may have been faster */
	while (chain && !first_partial(heap)) {
		struct slab *slab = list_entry(chain, struct slab, node);

		chain = chain->next;
		heap->slabs++;
		heap->withheld += slab->withheld;
		*taken += take_and_relist(heap, slab, end - *taken, n - *taken);
	}
	leave_class(chain);
	lock_release(&heap->lock, LOCK_CLASS);
	return_slabs(chain, class);
	return any;
}

/* Take up to @n blocks of the slabs that the class has. */
unsigned slab_take_partial(unsigned class, void **end, unsigned n)
{
	struct class_heap *heap = heap_of(class);
	unsigned taken = 0;
	struct slab *slab;

	if (unlikely(!heap))
		return 0;
	lock_acquire(&heap->lock, LOCK_CLASS);
	while (taken < n && (slab = first_partial(heap)))
		taken += take_and_relist(heap, slab, end - taken, n - taken);
	lock_release(&heap->lock, LOCK_CLASS);
	return taken;
}

/**
 * slab_take() - take blocks of a class out of slabs
 * @end: the blocks are stored below it: end[-1] first
 * @n:   how many are wanted, at least 1
 * @which: are new slabs without memory wanted?
 *
 * Returns how many there are: at least 1 unless there is no memory. Partial
 * slabs first; a new slab only if not a single block could be had otherwise, or
 * all of its blocks are wanted.
 */
unsigned slab_take(unsigned class, void **end, unsigned n, enum take which)
{
	unsigned taken = 0;

	hak_assert(n);
	do
		taken += slab_take_partial(class, end - taken, n - taken);
	while ((!taken || n - taken >= size_class[class].blocks) &&
	       add_slabs(class, end, n, which, &taken) && taken < n);
	return taken;
}

/* Why can this block not be freed? Nothing wrong with it: HAK_BUG_NONE. */
static enum hak_bug_code why_not(unsigned class, const void *block, size_t *detail)
{
	uintptr_t address = (uintptr_t)block;
	const struct slab *slab = address_to_slab(address);
	unsigned index;
	bool start;

	*detail = 0;
	if (!slab)
		return HAK_BUG_FOREIGN;
	index = class_block_index(class, address % SLAB_SIZE, &start);
	if (slab->class != class || index >= size_class[class].blocks)
		return HAK_BUG_UNUSED;
	*detail = address % SLAB_SIZE - index * (size_t)size_class[class].size;
	if (!start)
		return HAK_BUG_INTERIOR;
	if (is_free(slab, index))
		return HAK_BUG_DOUBLE_FREE;
	return HAK_BUG_NONE;
}

enum hak_bug_code slab_inspect(unsigned class, const void *block, size_t *detail)
{
	struct class_heap *heap = heap_of(class);
	enum hak_bug_code bug;

	*detail = 0;
	if (!heap)
		return HAK_BUG_UNUSED;
	lock_acquire(&heap->lock, LOCK_CLASS);
	bug = why_not(class, block, detail);
	lock_release(&heap->lock, LOCK_CLASS);
	return bug;
}

/* After blocks were freed: an empty slab leaves its list for the chain @emptied. */
static void relist_or_empty(struct class_heap *heap, struct slab *slab, struct list_node **emptied)
{
	if (all_free(slab) < size_class[slab->class].blocks) {
		relist(heap, slab);
		return;
	}
	if (list_has(&slab->node))
		list_del(&slab->node);
	slab->node.next = *emptied;
	*emptied = &slab->node;
	heap->slabs--;
	heap->withheld -= slab->withheld;
}

/* The slab of @class that @block lies in, or NULL. */
static struct slab *slab_at(unsigned class, const void *block)
{
	struct superslab *superslab = pagemap_superslab((uintptr_t)block);
	struct slab *slab = superslab ? superslab_slab(superslab, (uintptr_t)block) : NULL;

	return likely(slab) && likely(slab->class == class) ? slab : NULL;
}

/*
 * How many of @n blocks, the first of which is the @index-th of a slab, lie one
 * behind the other, as far as one word of the bitmap goes?
 */
static unsigned count_neighbours(unsigned class, unsigned index, void *const *blocks, unsigned n)
{
	unsigned left = size_class[class].blocks - index, word = 64 - index % 64, i = 1;
	size_t size = size_class[class].size;
	uintptr_t next = (uintptr_t)blocks[0] + size;

	if (n == 1 || (uintptr_t)blocks[1] != next)
		return 1;
	n = n < left ? n : left;
	n = n < word ? n : word;
	for (; i < n && (uintptr_t)blocks[i] == next; i++)
		next += size;
	return i;
}

/*
 * Mark the first of @n blocks free, which lies @offset bytes into the slab, and its
 * neighbours with it: what was allocated in order is mostly freed in order. Returns
 * how many; 0 if it is no block, or free already.
 */
static unsigned free_run(struct slab *slab, size_t offset, void *const *blocks, unsigned n)
{
	unsigned class = slab->class, index, bit, run = 1;
	uint64_t mask, twice, *word;
	bool start;

	index = class_block_index(class, offset, &start);
	if (unlikely(!start || index >= size_class[class].blocks))
		return 0;
	if (likely(!slab->purged))
		run = count_neighbours(class, index, blocks, n);
	else if (is_withheld(slab, index))
		return 0;
	bit = index % 64;
	mask = ~(uint64_t)0 >> (64 - run) << bit;
	word = &slab->bitmap[index / 64];
	twice = *word & mask;
	if (unlikely(twice)) {
		run = lowest_bit(twice) - bit;
		mask &= (twice & -twice) - 1;
	}
	*word |= mask;
	slab->free = (uint16_t)(slab->free + run);
	slab->unseen = true;
	if (index / 64 < slab->hint)
		slab->hint = (uint16_t)(index / 64);
	return run;
}

/*
 * Free blocks up to the first that cannot be freed; returns how many. (Lists are
 * seen to only when that is due: of 100000 blocks that are freed in random order
 * each takes 8 ns, and 13 if they are after every change of slabs.)
 */
static unsigned free_blocks(struct class_heap *heap, unsigned class, void *const *blocks,
			    unsigned n, struct list_node **emptied)
{
	uintptr_t base = (uintptr_t)blocks[0] + SLAB_SIZE; /* another slab's */
	struct slab *slab = NULL;
	unsigned done, run;

	for (done = 0; done < n; done += run) {
		uintptr_t address = (uintptr_t)blocks[done];

		if (address - base >= SLAB_SIZE) {
			slab = slab_at(class, blocks[done]);
			base = address & ~(SLAB_SIZE - 1);
		}
		run = likely(slab) ? free_run(slab, address - base, blocks + done, n - done) : 0;
		if (unlikely(!run))
			break;
		if (slab->free >= slab->relist_at)
			relist_or_empty(heap, slab, emptied);
	}
	heap->put += done;
	return done;
}

/**
 * slab_put() - put blocks of a class back into their slabs
 *
 * Slabs that become empty are returned to their SuperSlabs. A block that is
 * not one, or that is free already, stops the program. Returns how many blocks
 * of the class are outstanding: live, or in anybody's magazine.
 */
uint64_t slab_put(unsigned class, void *const *blocks, unsigned n)
{
	struct class_heap *heap = heap_of(class);
	struct list_node *emptied = NULL;
	enum hak_bug_code bug = HAK_BUG_NONE;
	uint64_t outstanding;
	unsigned done;
	size_t detail;

	lock_acquire(&heap->lock, LOCK_CLASS);
	done = free_blocks(heap, class, blocks, n, &emptied);
	if (unlikely(done < n))
		bug = why_not(class, blocks[done], &detail);
	outstanding = heap->taken - heap->put;
	leave_class(emptied);
	lock_release(&heap->lock, LOCK_CLASS);
	if (unlikely(bug))
		hak_bug(bug, "free", blocks[done], size_class[class].size, detail);
	return_slabs(emptied, class);
	return outstanding;
}

/* Are all blocks of a page free? Only those at its edges can lie in others too. */
static bool page_is_free(const struct slab *slab, unsigned page)
{
	unsigned first, last;

	class_page_blocks(slab->class, page, &first, &last);
	if (first > last)
		return true; /* behind the last block */
	if (!is_free(slab, first) || !is_free(slab, last))
		return false;
	first++; /* from here on those between */
	for (unsigned word = first / 64; first < last && word <= (last - 1) / 64; word++)
		if (~slab->bitmap[word] & bits_of(word, first, last - 1))
			return false;
	return true;
}

/* The pages of a slab that could be purged. */
static unsigned free_pages(const struct slab *slab)
{
	unsigned pages = 0;

	for (unsigned page = 0; page < PAGES_PER_SLAB; page++)
		if (!(slab->purged >> page & 1) && page_is_free(slab, page))
			pages |= 1u << page;
	return pages;
}

/*
 * Is there something to see in this slab, and of which class is it? Read
 * without a lock, so only a hint.
 */
static NO_SANITIZE_THREAD unsigned class_to_look_at(const struct slab *slab, bool all)
{
	unsigned class = slab->class;
	bool look = class < NR_SLAB_CLASSES && (all || slab->unseen || slab->ripe);

	return look ? class : CLASS_NONE;
}

/*
 * On a list of its class: then it is what it seems to be, and its SuperSlab is
 * there. One that others make a slab of the class meanwhile is on no list before
 * they have the lock; but it may have been on one of unused slabs until then.
 */
static NO_SANITIZE_THREAD bool is_listed(const struct slab *slab, unsigned class)
{
	bool same = slab->class == class;

	atomic_signal_fence(memory_order_acquire); /* this first, as x86_64 reads by itself */
	return same && list_has(&slab->node);
}

/*
 * The pages that were free at the last look and have not been used since are
 * to be purged. Until slab_look_done() all free blocks of the slab are the look's,
 * as if they had been taken: nobody else can get one of those that go, nor have the
 * memory of another one back meanwhile, and the slab does not become empty.
 */
static unsigned look_at(struct class_heap *heap, struct look *look, struct slab *slab, bool all)
{
	const struct superslab *superslab = look->superslab;
	bool purgeable = superslab->purgeable && !superslab->unpurged;
	unsigned pages = purgeable ? free_pages(slab) : 0;
	unsigned ready = all ? pages : pages & slab->ripe;

	slab->unseen = false;
	slab->ripe = (uint16_t)(pages & ~ready);
	if (ready) {
		heap->withheld += withhold(slab, ready);
		look->free[slab->index] = slab->free;
		look->withheld[slab->index] = slab->withheld;
		slab->free = slab->withheld = 0;
		relist(heap, slab);
	}
	return ready;
}

/**
 * slab_look() - look at the slabs in use of a SuperSlab
 * @all: also at pages that were used a moment ago
 */
void slab_look(struct look *look, bool all)
{
	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++) {
		struct slab *slab = &look->superslab->slab[i];
		unsigned class = class_to_look_at(slab, all);
		struct class_heap *heap = heap_of(class);

		if (!heap || (look->unused | look->slack) >> i & 1)
			continue;
		lock_acquire(&heap->lock, LOCK_CLASS);
		if (is_listed(slab, class)) {
			look->pages[i] = (uint16_t)look_at(heap, look, slab, all);
			look->ripening |= slab->ripe;
		}
		lock_release(&heap->lock, LOCK_CLASS);
		if (look->pages[i])
			look->blocks |= (uint32_t)1 << i;
	}
}

/* Their pages are purged, or if @flags is negative they are not. */
void slab_look_done(const struct look *look, int flags)
{
	for (uint32_t slabs = look->blocks; slabs; slabs &= slabs - 1) {
		struct slab *slab = &look->superslab->slab[lowest_bit(slabs)];
		unsigned class = slab->class;
		struct class_heap *heap = heap_of(class);
		struct list_node *emptied = NULL;

		lock_acquire(&heap->lock, LOCK_CLASS);
		slab->free = (uint16_t)(slab->free + look->free[slab->index]);
		slab->withheld = (uint16_t)(slab->withheld + look->withheld[slab->index]);
		if (flags < 0)
			heap->withheld -= offer(slab, look->pages[slab->index]);
		relist_or_empty(heap, slab, &emptied);
		leave_class(emptied);
		lock_release(&heap->lock, LOCK_CLASS);
		return_slabs(emptied, class);
	}
}

/* Blocks of a class that are not in slabs: live, or in anybody's magazine. */
uint64_t slab_outstanding(unsigned class)
{
	struct class_counters counters;

	slab_read_counters(class, &counters);
	return counters.taken - counters.put;
}

/* The same of one SuperSlab, under heap_lock(); spans count as a block. For statistics. */
NO_SANITIZE_THREAD uint64_t slab_outstanding_in(const struct superslab *superslab)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++) {
		const struct slab *slab = &superslab->slab[i];

		if (superslab->unused >> i & 1)
			continue;
		if (slab->class >= CLASS_FIRST && slab->class <= CLASS_SLAB_LAST)
			sum += size_class[slab->class].blocks - all_free(slab);
		else if (class_is_span(slab->class) ||
			 (!i && pagemap_class(slab_base(slab)) == CLASS_SPAN_REST))
			sum++;
	}
	return sum;
}

/* One of its blocks was, so there is a heap. */
void slab_count_bypass(unsigned class, enum bypass what)
{
	atomic_fetch_add_explicit(&heap_of(class)->bypass[what], 1, memory_order_relaxed);
}

void slab_read_counters(unsigned class, struct class_counters *counters)
{
	struct class_heap *heap = heap_of(class);

	*counters = (struct class_counters){ 0 };
	if (!heap)
		return;
	lock_acquire(&heap->lock, LOCK_CLASS);
	*counters = (struct class_counters){
		.taken = heap->taken,
		.put = heap->put,
		.slabs = heap->slabs,
		.bypass = { heap->bypass[0], heap->bypass[1] },
		.retouched = heap->retouched,
		.locks = heap->lock.taken,
	};
	lock_release(&heap->lock, LOCK_CLASS);
}

static const char *check_slab(const struct slab *slab)
{
	unsigned blocks = size_class[slab->class].blocks, free = 0, withheld = 0;

	for (unsigned i = 0; i < class_bitmap_words(slab->class); i++) {
		if (i < slab->hint && slab->bitmap[i])
			return "slab: a free block below the hint";
		free += count_bits(slab->bitmap[i]);
	}
	for (unsigned i = 0; i < blocks; i++) {
		if (is_withheld(slab, i) && slab->bitmap[i / 64] >> i % 64 & 1)
			return "slab: a block offered that lies in a purged page";
		withheld += is_withheld(slab, i);
	}
	if (free != slab->free)
		return "slab: bits in the bitmap and the count of free blocks";
	if (withheld != slab->withheld)
		return "slab: blocks in purged pages and the count of withheld ones";
	if (free + withheld >= blocks)
		return "slab: empty and not returned";
	if (list_has(&slab->node) != (free + withheld > 0))
		return "slab: on a list without free blocks, or not with them";
	if (list_has(&slab->node) && slab->bucket != bucket_of(slab))
		return "slab: on the wrong list";
	if (pagemap_class(slab_base(slab)) != slab->class)
		return "page map: class of a slab";
	return NULL;
}

static const char *check_class(unsigned class, const struct class_heap *heap)
{
	uint64_t slabs = 0, outstanding = 0, listed = 0, withheld = 0;

	for (struct superslab *superslab = heap_first(); superslab;
	     superslab = heap_next(superslab)) {
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
			outstanding += size_class[class].blocks - all_free(slab);
			listed += list_has(&slab->node);
			withheld += slab->withheld;
		}
	}
	for (unsigned bucket = 0; bucket < NR_BUCKETS; bucket++)
		for (struct list_node *node = heap->partial[bucket]; node; node = node->next)
			listed--;
	if (listed)
		return "class: slabs missing on its lists, or too many";
	if (slabs != heap->slabs)
		return "class: number of slabs";
	if (withheld != heap->withheld)
		return "class: number of blocks withheld";
	if (outstanding != heap->taken - heap->put)
		return "class: blocks taken less blocks put";
	return NULL;
}

/* The equations at the head of this file; NULL, or the one that fails. */
const char *slab_check(void)
{
	static const struct class_heap none;
	const char *failed = NULL;

	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES && !failed; ++class) {
		struct class_heap *heap = heap_of(class);

		if (heap)
			lock_acquire(&heap->lock, LOCK_CLASS);
		heap_lock();
		failed = check_class(class, heap ? heap : &none);
		heap_unlock();
		if (heap)
			lock_release(&heap->lock, LOCK_CLASS);
	}
	return failed;
}

/* For fork(). */
void slab_fork_lock(void)
{
	lock_fork_acquire(&class_lock);
	for_each_heap(class, heap) lock_fork_acquire(&heap->lock);
}

void slab_fork_unlock(void)
{
	for_each_heap(class, heap) lock_fork_release(&heap->lock);
	lock_fork_release(&class_lock);
}

/* The slabs themselves go with heap_fini(), the heaps of classes with meta_fini(). */
void slab_fini(void)
{
	__builtin_memset(class_heap, 0, sizeof(class_heap));
}
