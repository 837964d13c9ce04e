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
 * Failure: class_alloc() returns fewer blocks than asked for, 0 if there are
 * none. class_free() cannot fail; a block that cannot be freed is a bug of the
 * program, reported with the lock dropped.
 */
#include "slab/class.h"

#include <cpu.h>

#include "base/lock.h"
#include "pages/meta.h"
#include "pages/pagemap.h"
#include "base/sizeclass.h"

/* By quarters that are free, and those slabs all of whose blocks are withheld. */
#define NR_QUARTERS 4u
#define QUARTER	    (SLAB_SIZE / NR_QUARTERS)
#define NR_BUCKETS  5u

struct slab_class {
	struct lock lock;
	struct list_node *partial[NR_BUCKETS]; /* the first is taken from first */
	uint64_t allocated, freed, slabs, retouched; /* see counters.h */
	_Atomic uint64_t uncached[2];
	uint64_t unbacked_blocks; /* blocks of its slabs */
} __attribute__((aligned(64)));

/* Each is made when its class gets the first slab, and is there until class_fini(). */
static struct slab_class *_Atomic slab_classes[NR_SLAB_CLASSES];

/* Taken to enter one, and before all of theirs by fork(), which must not miss a new one. */
static struct lock class_lock;

/* NULL if the class never had a slab. */
static struct slab_class *slab_class_of(unsigned class)
{
	/* acquire: pairs with the release in slab_class_make() */
	return atomic_load_explicit(&slab_classes[class], memory_order_acquire);
}

static struct slab_class *slab_class_make(unsigned class)
{
	struct slab_class *sc = slab_class_of(class), *made;

	if (sc)
		return sc;
	made = meta_alloc(META_CLASS, sizeof(*made));
	if (!made)
		return NULL;
	if (*this_held() >= LOCK_FORK)
		lock_fork_lock(&made->lock); /* as all others are */
	lock_lock(&class_lock, LOCK_CLASS);
	sc = slab_class_of(class);
	if (!sc)
		atomic_store_explicit(&slab_classes[class], made, memory_order_release);
	lock_unlock(&class_lock, LOCK_CLASS);
	if (!sc)
		return made;
	meta_free(META_CLASS, made); /* somebody else was faster */
	return sc;
}

#define for_each_slab_class(class, sc)                                                                 \
	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; ++class)                       \
		for (struct slab_class *sc = slab_class_of(class); sc; sc = NULL)

/* Free blocks, withheld ones too. */
static unsigned all_free(const struct slab *slab)
{
	return (unsigned)slab->free + slab->unbacked_blocks;
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
static void relist(struct slab_class *sc, struct slab *slab)
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
		list_add(&sc->partial[bucket], &slab->node);
	}
}

static struct slab *first_partial(struct slab_class *sc)
{
	for (unsigned bucket = 0; bucket < NR_BUCKETS; bucket++)
		if (sc->partial[bucket])
			return list_entry(sc->partial[bucket], struct slab, node);
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
	return slab->unbacked && slab->unbacked & class_block_pages(slab->class, index);
}

static bool is_free(const struct slab *slab, unsigned index)
{
	return slab->bitmap[index / 64] >> index % 64 & 1 || is_withheld(slab, index);
}

/* There is no memory behind these pages, and no block of them in use. Returns how many go. */
static unsigned drop_pages_BACKING(struct slab *slab, unsigned pages)
{
	unsigned class = slab->class, first, last, n = 0;

	slab->unbacked |= (uint16_t)pages;
	for (; pages; pages &= pages - 1) {
		class_page_blocks(class, lowest_bit(pages), &first, &last);
		n += change_bits(slab, first, last, false);
	}
	slab->free = (uint16_t)(slab->free - n);
	slab->unbacked_blocks = (uint16_t)(slab->unbacked_blocks + n);
	return n;
}

/*
 * Offer the blocks of these pages again. Those that reach into others without
 * memory wait for these. Returns how many come.
 */
static unsigned offer(struct slab *slab, unsigned pages)
{
	unsigned class = slab->class, n = 0;

	slab->unbacked &= (uint16_t)~pages;
	slab->untouched &= (uint16_t)~pages;
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
	slab->unbacked_blocks = (uint16_t)(slab->unbacked_blocks - n);
	return n;
}

/* Nothing but withheld blocks is left: offer at least @n of them, if there are so many. */
static void offer_blocks(struct slab_class *sc, struct slab *slab, unsigned n)
{
	while (slab->free < n && slab->unbacked_blocks) {
		unsigned first, last, pages;

		class_page_blocks(slab->class, lowest_bit(slab->unbacked), &first, &last);
		pages = slab->unbacked & class_block_pages(slab->class, first);
		sc->retouched += count_bits(pages & ~slab->untouched);
		sc->unbacked_blocks -= offer(slab, pages);
	}
}

/* Take up to @n blocks, the lowest first, into end[-1], end[-2] ... */
static unsigned slab_alloc(struct slab *slab, void **end, unsigned n)
{
	size_t size = size_class[slab->class].size;
	uintptr_t base = slab_base(slab);
	unsigned word = slab->hint, allocated = 0;

	if (n > slab->free)
		n = slab->free;
	while (allocated < n) {
		uint64_t bits = slab->bitmap[word];

		/* a whole word, as in new slabs, and where all was freed */
		if (bits == ~(uint64_t)0 && n - allocated >= 64) {
			uintptr_t block = base + word * 64 * size;

			for (unsigned i = 0; i < 64; i++, block += size)
				end[-(ptrdiff_t)++allocated] = (void *)block;
			bits = 0;
		}
		for (; bits && allocated < n; bits &= bits - 1)
			end[-(ptrdiff_t)++allocated] =
				(void *)(base + (word * 64 + lowest_bit(bits)) * size);
		slab->bitmap[word] = bits;
		if (!bits)
			word++;
	}
	slab->hint = (uint16_t)word;
	slab->free = (uint16_t)(slab->free - allocated);
	/* what ripened and was not taken begins anew; a full slab has nothing to see */
	slab->changed = (slab->changed || slab->idle) && all_free(slab);
	slab->idle = 0;
	return allocated;
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
		if (!class_alloc(bitmap_class(class), &block + 1, 1, ALLOC_ANY))
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
	bool all = !slab->unbacked;

	if (!init_bitmap(slab, class, all))
		return false;
	slab->class = (uint8_t) class;
	slab->free = all ? blocks : 0;
	slab->unbacked_blocks = all ? 0 : blocks;
	slab->hint = 0;
	slab->idle = 0;
	slab->changed = false;
	if (!all)
		offer(slab, ALL_PAGES & ~slab->unbacked);
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
			class_free(bitmap_class(class), &bitmap, 1);
	}
	superslab_free_slabs(chain);
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
		superslab_free_slabs(*link);
	*link = NULL;
	return chain;
}

static unsigned alloc_and_relist(struct slab_class *sc, struct slab *slab, void **end, unsigned n)
{
	unsigned allocated;

	if (!slab->free)
		offer_blocks(sc, slab, n);
	allocated = slab_alloc(slab, end, n);
	relist(sc, slab);
	sc->allocated += allocated;
	return allocated;
}

/*
 * Get the class new slabs, and take from them at once: an empty slab on a list
 * would have nobody to return it. False if there is no memory for any.
 */
static bool add_slabs(unsigned class, void **end, unsigned n, enum alloc_which which, unsigned *allocated)
{
	unsigned slabs = (n - *allocated) / size_class[class].blocks;
	struct slab_class *sc = slab_class_make(class);
	struct list_node *chain;
	bool any;

	if (!sc)
		return false;
	chain = init_slabs(superslab_alloc_slabs(slabs ? slabs : 1, which), class);
	any = chain;
	lock_lock(&sc->lock, LOCK_CLASS);
	/* somebody else may have been faster */
	while (chain && !first_partial(sc)) {
		struct slab *slab = list_entry(chain, struct slab, node);

		chain = chain->next;
		sc->slabs++;
		sc->unbacked_blocks += slab->unbacked_blocks;
		*allocated += alloc_and_relist(sc, slab, end - *allocated, n - *allocated);
	}
	leave_class(chain);
	lock_unlock(&sc->lock, LOCK_CLASS);
	return_slabs(chain, class);
	return any;
}

/* Take up to @n blocks of the slabs that the class has. */
unsigned class_alloc_partial(unsigned class, void **end, unsigned n)
{
	struct slab_class *sc = slab_class_of(class);
	unsigned allocated = 0;
	struct slab *slab;

	if (unlikely(!sc))
		return 0;
	lock_lock(&sc->lock, LOCK_CLASS);
	while (allocated < n && (slab = first_partial(sc)))
		allocated += alloc_and_relist(sc, slab, end - allocated, n - allocated);
	lock_unlock(&sc->lock, LOCK_CLASS);
	return allocated;
}

/**
 * class_alloc() - take blocks of a class out of slabs
 * @end: the blocks are stored below it: end[-1] first
 * @n:   how many are wanted, at least 1
 * @which: are new slabs without memory wanted?
 *
 * Returns how many there are: at least 1 unless there is no memory. Partial
 * slabs first; a new slab only if not a single block could be had otherwise, or
 * all of its blocks are wanted.
 */
unsigned class_alloc(unsigned class, void **end, unsigned n, enum alloc_which which)
{
	unsigned allocated = 0;

	hak_assert(n);
	do
		allocated += class_alloc_partial(class, end - allocated, n - allocated);
	while ((!allocated || n - allocated >= size_class[class].blocks) &&
	       add_slabs(class, end, n, which, &allocated) && allocated < n);
	return allocated;
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

enum hak_bug_code class_inspect(unsigned class, const void *block, size_t *detail)
{
	struct slab_class *sc = slab_class_of(class);
	enum hak_bug_code bug;

	*detail = 0;
	if (!sc)
		return HAK_BUG_UNUSED;
	lock_lock(&sc->lock, LOCK_CLASS);
	bug = why_not(class, block, detail);
	lock_unlock(&sc->lock, LOCK_CLASS);
	return bug;
}

/* After blocks were freed: an empty slab leaves its list for the chain @emptied. */
static void relist_or_empty(struct slab_class *sc, struct slab *slab, struct list_node **emptied)
{
	if (all_free(slab) < size_class[slab->class].blocks) {
		relist(sc, slab);
		return;
	}
	if (list_has(&slab->node))
		list_del(&slab->node);
	slab->node.next = *emptied;
	*emptied = &slab->node;
	sc->slabs--;
	sc->unbacked_blocks -= slab->unbacked_blocks;
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
	if (likely(!slab->unbacked))
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
	slab->changed = true;
	if (index / 64 < slab->hint)
		slab->hint = (uint16_t)(index / 64);
	return run;
}

/*
 * Free blocks up to the first that cannot be freed; returns how many. (Lists are
 * seen to only when that is due: of 100000 blocks that are freed in random order
 * each takes 8 ns, and 13 if they are after every change of slabs.)
 */
static unsigned free_blocks(struct slab_class *sc, unsigned class, void *const *blocks,
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
			relist_or_empty(sc, slab, emptied);
	}
	sc->freed += done;
	return done;
}

/**
 * class_free() - put blocks of a class back into their slabs
 *
 * Slabs that become empty are returned to their SuperSlabs. A block that is
 * not one, or that is free already, stops the program. Returns how many blocks
 * of the class are outstanding: live, or in anybody's magazine.
 */
uint64_t class_free(unsigned class, void *const *blocks, unsigned n)
{
	struct slab_class *sc = slab_class_of(class);
	struct list_node *emptied = NULL;
	enum hak_bug_code bug = HAK_BUG_NONE;
	uint64_t outstanding;
	unsigned done;
	size_t detail;

	lock_lock(&sc->lock, LOCK_CLASS);
	done = free_blocks(sc, class, blocks, n, &emptied);
	if (unlikely(done < n))
		bug = why_not(class, blocks[done], &detail);
	outstanding = sc->allocated - sc->freed;
	leave_class(emptied);
	lock_unlock(&sc->lock, LOCK_CLASS);
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
		if (!(slab->unbacked >> page & 1) && page_is_free(slab, page))
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
	bool look = class < NR_SLAB_CLASSES && (all || slab->changed || slab->idle);

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
 * to be purged. Until class_free_claimed() all free blocks of the slab are the look's,
 * as if they had been taken: nobody else can get one of those that go, nor have the
 * memory of another one back meanwhile, and the slab does not become empty.
 */
static unsigned look_at(struct slab_class *sc, struct claim *claim, struct slab *slab, bool all)
{
	const struct superslab *superslab = claim->superslab;
	bool purgeable = superslab->purgeable && !superslab->unpurged;
	unsigned pages = purgeable ? free_pages(slab) : 0;
	unsigned ready = all ? pages : pages & slab->idle;

	slab->changed = false;
	slab->idle = (uint16_t)(pages & ~ready);
	if (ready) {
		sc->unbacked_blocks += drop_pages_BACKING(slab, ready);
		claim->free[slab->index] = slab->free;
		claim->unbacked_blocks[slab->index] = slab->unbacked_blocks;
		slab->free = slab->unbacked_blocks = 0;
		relist(sc, slab);
	}
	return ready;
}

/**
 * class_claim() - look at the slabs in use of a SuperSlab
 * @all: also at pages that were used a moment ago
 */
void class_claim(struct claim *claim, bool all)
{
	for (unsigned i = 0; i < SLABS_PER_SUPERSLAB; i++) {
		struct slab *slab = &claim->superslab->slab[i];
		unsigned class = class_to_look_at(slab, all);
		struct slab_class *sc = slab_class_of(class);

		if (!sc || (claim->unused | claim->slack) >> i & 1)
			continue;
		lock_lock(&sc->lock, LOCK_CLASS);
		if (is_listed(slab, class)) {
			claim->pages[i] = (uint16_t)look_at(sc, claim, slab, all);
			claim->again |= slab->idle;
		}
		lock_unlock(&sc->lock, LOCK_CLASS);
		if (claim->pages[i])
			claim->blocks |= (uint32_t)1 << i;
	}
}

/* Their pages are purged, or if @flags is negative they are not. */
void class_free_claimed(const struct claim *claim, int flags)
{
	for (uint32_t slabs = claim->blocks; slabs; slabs &= slabs - 1) {
		struct slab *slab = &claim->superslab->slab[lowest_bit(slabs)];
		unsigned class = slab->class;
		struct slab_class *sc = slab_class_of(class);
		struct list_node *emptied = NULL;

		lock_lock(&sc->lock, LOCK_CLASS);
		slab->free = (uint16_t)(slab->free + claim->free[slab->index]);
		slab->unbacked_blocks = (uint16_t)(slab->unbacked_blocks + claim->unbacked_blocks[slab->index]);
		if (flags < 0)
			sc->unbacked_blocks -= offer(slab, claim->pages[slab->index]);
		relist_or_empty(sc, slab, &emptied);
		leave_class(emptied);
		lock_unlock(&sc->lock, LOCK_CLASS);
		return_slabs(emptied, class);
	}
}

/* Blocks of a class that are not in slabs: live, or in anybody's magazine. */
uint64_t class_outstanding(unsigned class)
{
	struct class_counters counters;

	class_read_counters(class, &counters);
	return counters.allocated - counters.freed;
}

/* The same of one SuperSlab, under arena_lock(); spans count as a block. For statistics. */
NO_SANITIZE_THREAD uint64_t class_outstanding_in(const struct superslab *superslab)
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
void class_count_uncached(unsigned class, enum uncached what)
{
	atomic_fetch_add_explicit(&slab_class_of(class)->uncached[what], 1, memory_order_relaxed);
}

void class_read_counters(unsigned class, struct class_counters *counters)
{
	struct slab_class *sc = slab_class_of(class);

	*counters = (struct class_counters){ 0 };
	if (!sc)
		return;
	lock_lock(&sc->lock, LOCK_CLASS);
	*counters = (struct class_counters){
		.allocated = sc->allocated,
		.freed = sc->freed,
		.slabs = sc->slabs,
		.uncached = { sc->uncached[0], sc->uncached[1] },
		.retouched = sc->retouched,
		.locks = sc->lock.count,
	};
	lock_unlock(&sc->lock, LOCK_CLASS);
}

static const char *check_slab(const struct slab *slab)
{
	unsigned blocks = size_class[slab->class].blocks, free = 0, unbacked_blocks = 0;

	for (unsigned i = 0; i < class_bitmap_words(slab->class); i++) {
		if (i < slab->hint && slab->bitmap[i])
			return "slab: a free block below the hint";
		free += count_bits(slab->bitmap[i]);
	}
	for (unsigned i = 0; i < blocks; i++) {
		if (is_withheld(slab, i) && slab->bitmap[i / 64] >> i % 64 & 1)
			return "slab: a block offered that lies in a purged page";
		unbacked_blocks += is_withheld(slab, i);
	}
	if (free != slab->free)
		return "slab: bits in the bitmap and the count of free blocks";
	if (unbacked_blocks != slab->unbacked_blocks)
		return "slab: blocks in purged pages and the count of withheld ones";
	if (free + unbacked_blocks >= blocks)
		return "slab: empty and not returned";
	if (list_has(&slab->node) != (free + unbacked_blocks > 0))
		return "slab: on a list without free blocks, or not with them";
	if (list_has(&slab->node) && slab->bucket != bucket_of(slab))
		return "slab: on the wrong list";
	if (pagemap_class(slab_base(slab)) != slab->class)
		return "page map: class of a slab";
	return NULL;
}

static const char *check_class(unsigned class, const struct slab_class *sc)
{
	uint64_t slabs = 0, outstanding = 0, listed = 0, unbacked_blocks = 0;

	for (struct superslab *superslab = arena_first(); superslab;
	     superslab = arena_next(superslab)) {
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
			unbacked_blocks += slab->unbacked_blocks;
		}
	}
	for (unsigned bucket = 0; bucket < NR_BUCKETS; bucket++)
		for (struct list_node *node = sc->partial[bucket]; node; node = node->next)
			listed--;
	if (listed)
		return "class: slabs missing on its lists, or too many";
	if (slabs != sc->slabs)
		return "class: number of slabs";
	if (unbacked_blocks != sc->unbacked_blocks)
		return "class: number of blocks withheld";
	if (outstanding != sc->allocated - sc->freed)
		return "class: blocks taken less blocks put";
	return NULL;
}

/* The equations at the head of this file; NULL, or the one that fails. */
const char *class_check(void)
{
	static const struct slab_class none;
	const char *failed = NULL;

	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES && !failed; ++class) {
		struct slab_class *sc = slab_class_of(class);

		if (sc)
			lock_lock(&sc->lock, LOCK_CLASS);
		arena_lock();
		failed = check_class(class, sc ? sc : &none);
		arena_unlock();
		if (sc)
			lock_unlock(&sc->lock, LOCK_CLASS);
	}
	return failed;
}

/* For fork(). */
void class_fork_lock(void)
{
	lock_fork_lock(&class_lock);
	for_each_slab_class(class, sc) lock_fork_lock(&sc->lock);
}

void class_fork_unlock(void)
{
	for_each_slab_class(class, sc) lock_fork_unlock(&sc->lock);
	lock_fork_unlock(&class_lock);
}

/* The slabs themselves go with arena_fini(), the heaps of classes with meta_fini(). */
void class_fini(void)
{
	__builtin_memset(slab_classes, 0, sizeof(slab_classes));
}
