/* SPDX-License-Identifier: MIT */
/*
 * The slabs of one size class: where blocks come from and go to in batches.
 *
 * A slab with free blocks is on one of the lists of its class, by how much of it is free.
 * Blocks are allocated from the fullest slabs, so that the emptiest may become empty. A slab
 * without free blocks is on no list. A slab that has only free blocks leaves the class, and
 * goes back to its SuperSlab at once.
 *
 *	on a list	   <=>	free + unbacked_blocks > 0
 *	allocated - freed  ==	sum over the slabs of (blocks - free - unbacked_blocks)
 *
 * While a scan purges pages of a slab, it claims all free blocks of the slab, as if it had
 * allocated them. So no other caller can allocate a block in these pages, or back one of them,
 * and the slab does not become empty. As many blocks as are freed meanwhile can be allocated:
 * the bits of claimed blocks stay in the bitmap, but for those in the pages that are purged.
 *
 * Bitmaps of up to 128 bits are in the descriptor. Larger ones are a block of CLASS_BITMAP_512
 * or CLASS_BITMAP_1024. The slabs of these two classes have their own bitmaps in the
 * descriptor, so the recursion ends there. They lie in SuperSlabs for metadata, if the platform
 * keeps these apart.
 *
 * A struct slab_class is made with the first slab of its class: a program does not pay for
 * classes that it does not use.
 *
 * Lock: one for each class, LOCK_CLASS, taken once for each batch. It is dropped while new
 * slabs and bitmaps are fetched, and what may have changed meanwhile is checked again. A slab
 * gets its class before it is on a list, without the lock, and leaves the class under the lock.
 *
 * Failure: class_alloc() returns fewer blocks than asked for, 0 if there are none.
 * class_free() cannot fail. A block that cannot be freed is a bug of the program: it is noted,
 * the blocks behind it are lost, and the callers report it when they hold nothing any more.
 */
#include "slab/class.h"

#include <cpu.h>

#include "base/policy.h"
#include "base/usage.h"
#include "pages/meta.h"
#include "pages/pagemap.h"

/* Each is made when its class gets the first slab, and is there until class_fini(). */
static struct slab_class *_Atomic slab_classes[NR_SLAB_CLASSES];

/* Guards the entries above. fork() takes it first, so that it does not miss a new one. */
static struct lock make_lock;

struct slab_class *class_find(unsigned class)
{
	/* acquire: pairs with the release in class_make() */
	return atomic_load_explicit(&slab_classes[class], memory_order_acquire);
}

static struct slab_class *class_make(unsigned class)
{
	struct slab_class *sc = class_find(class), *made;

	if (sc)
		return sc;
	made = meta_alloc(META_CLASS, sizeof(*made));
	if (!made)
		return NULL;
	if (PLATFORM_FORKS && *this_held() >= LOCK_FORK)
		lock_fork_lock(&made->lock, 0); /* as fork() holds all others */
	lock_lock(&make_lock, LOCK_CLASS);
	sc = class_find(class);
	if (!sc)
		atomic_store_explicit(&slab_classes[class], made, memory_order_release);
	lock_unlock(&make_lock, LOCK_CLASS);
	if (!sc)
		return made;
	meta_free(META_CLASS, made); /* somebody else was faster */
	return sc;
}

#define for_each_slab_class(class, sc)                                                             \
	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; ++class)                       \
		for (struct slab_class *sc = class_find(class); sc; sc = NULL)

bool class_for_each_lock(bool (*visit)(struct lock *lock))
{
	bool all = visit(&make_lock); /* first, so that no new class is missed */

	for_each_slab_class(class, sc) all = all && visit(&sc->lock);
	return all;
}

/*
 * Put a slab on the list where it belongs after its free blocks changed. As long as blocks are
 * only freed, it belongs there and is not empty while `free` is below `relist_at`.
 */
static void relist(struct slab_class *sc, struct slab *slab)
{
	bool listed = slab_all_free(slab);
	unsigned bucket = slab_bucket(slab), next = (bucket + 1) * slab->blocks;
	unsigned more = slab->free ? (next + 3) / 4 - slab_all_free(slab) : 0;

	slab->relist_at = (uint16_t)(slab->free + (more ? more : 1));
	if (list_has(&slab->node)) {
		if (listed && bucket == slab->bucket)
			return;
		list_del(&slab->node);
	}
	if (listed) {
		hak_assert(bucket < SLAB_BUCKETS);
		slab->bucket = (uint8_t)bucket;
		list_add(&sc->partial[bucket], &slab->node);
	}
}

/* After blocks were freed: an empty slab leaves its list for the chain @emptied. */
static void relist_or_empty(struct slab_class *sc, struct slab *slab, struct list_node **emptied)
{
	if (slab_all_free(slab) < slab->blocks) {
		relist(sc, slab);
		return;
	}
	if (list_has(&slab->node))
		list_del(&slab->node);
	slab->node.next = *emptied;
	*emptied = &slab->node;
	hak_assert(sc->units >= slab_units(slab) && sc->unbacked_blocks >= slab->unbacked_blocks);
	sc->units -= slab_units(slab);
	sc->unbacked_blocks -= slab->unbacked_blocks;
}

static struct slab *first_partial(struct slab_class *sc)
{
	for (unsigned bucket = 0; bucket < SLAB_BUCKETS; bucket++)
		if (sc->partial[bucket])
			return list_entry(sc->partial[bucket], struct slab, node);
	return NULL;
}

static unsigned bitmap_class(unsigned words)
{
	return words * 8 <= 512 ? CLASS_BITMAP_512 : CLASS_BITMAP_1024;
}

/* NULL if there is no memory for it. */
static uint64_t *alloc_bitmap(struct slab *slab, unsigned words)
{
	void *block = slab->inline_bits;

	if (words <= SLAB_INLINE_WORDS)
		return block;
	if (UNITS_PER_SLAB > 1)
		return (uint64_t *)(slab + 1);
	if (!class_alloc(bitmap_class(words), &block + 1, 1, ALLOC_METADATA))
		return NULL;
	return block;
}

/* Take the class from empty slabs, which are on no list but this chain. Under the lock. */
static void leave_class(struct list_node *chain)
{
	for (struct list_node *node = chain; node; node = node->next) {
		struct slab *slab = list_entry(node, struct slab, node);

		hak_assert(slab_all_free(slab) == slab->blocks);
		slab->class = CLASS_NONE;
	}
}

static void free_bitmap(struct slab *slab, unsigned class)
{
	void *bitmap = slab->bitmap;
	unsigned words = slab_bitmaps(class, slab->blocks, slab_units(slab));

	if (UNITS_PER_SLAB == 1 && bitmap != slab->inline_bits)
		class_free(bitmap_class(words), &bitmap, 1);
}

/* Free slabs that have left a class. Without the lock. */
static HAK_COLD NOINLINE void free_slabs(struct list_node *chain, unsigned class)
{
	if (!chain)
		return;
	for (struct list_node *node = chain; node; node = node->next)
		free_bitmap(list_entry(node, struct slab, node), class);
	superslab_free_slabs(chain);
}

/* Make a chain of slabs fit for a class. Those for whose bitmaps there is no memory go back. */
static struct list_node *init_slabs(struct list_node *chain, unsigned class)
{
	struct list_node **link = &chain;

	for (; *link; link = &(*link)->next) {
		struct slab *slab = list_entry(*link, struct slab, node);
		unsigned units = slab_units(slab), blocks = slab_fit_blocks(class, units);
		uint64_t *bitmap = alloc_bitmap(slab, slab_bitmaps(class, blocks, units));

		if (!bitmap)
			break;
		slab_init(slab, class, blocks, bitmap);
		pagemap_set_class(slab_base(slab), units, class);
	}
	if (*link)
		superslab_free_slabs(*link);
	*link = NULL;
	return chain;
}

/* No free block is backed: back at least @n blocks, if there are so many. */
static void back_blocks(struct slab_class *sc, struct slab *slab, unsigned n)
{
	while (slab->free < n && slab->unbacked_blocks) {
		unsigned pages = slab_next_unbacked(slab);

		sc->retouched += count_bits(pages & ~slab->untouched);
		sc->unbacked_blocks -= slab_back(slab, pages);
	}
}

/* @n blocks were allocated, or, if it is negative, freed. Bitmaps are no blocks of the program. */
static HAK_COLD NOINLINE void count_bytes(unsigned class, ptrdiff_t n)
{
	if (class <= CLASS_SLAB_LAST)
		usage_add((size_t)n * size_class[class].size);
}

/* @n blocks of a slab were allocated. Under the lock. */
void class_note_allocated(struct slab_class *sc, struct slab *slab, unsigned n)
{
	relist(sc, slab);
	sc->allocated += n;
	count_bytes(slab->class, n);
}

static unsigned alloc_and_relist(struct slab_class *sc, struct slab *slab, void **end, unsigned n)
{
	unsigned done;

	if (!slab->free)
		back_blocks(sc, slab, n);
	done = slab_alloc(slab, end, n);
	class_note_allocated(sc, slab, done);
	return done;
}

/* Will all pages of a new slab be used soon? Racy: others change how many slabs there are. */
static NO_SANITIZE_THREAD bool class_grows(const struct slab_class *sc, unsigned class)
{
	return PLATFORM_POPULATES && size_class[class].size <= PAGE_SIZE &&
	       READ_ONCE(sc->units) >= POLICY_GROWING_SLABS * UNITS_PER_SLAB;
}

/*
 * Get new slabs, and allocate from them at once: a slab goes back only when a block of it is
 * freed, so an unused one would stay on its list. Adds to @done. False if there is no memory
 * for any slab.
 */
static bool add_slabs(unsigned class, void **end, unsigned n, enum alloc_which which,
		      unsigned *done)
{
	unsigned slabs = (n - *done) / size_class[class].blocks, least;
	struct slab_class *sc = class_make(class);
	struct list_node *chain;
	bool any;

	if (!sc)
		return false;
	if (which == ALLOC_ANY && class_grows(sc, class))
		which = ALLOC_POPULATED;
	least = (unsigned)DIV_ROUND_UP(size_class[class].size, UNIT_SIZE);
	chain = superslab_alloc_slabs(slabs ? slabs : 1, size_class[class].units, least, which);
	chain = init_slabs(chain, class);
	any = chain;
	lock_lock(&sc->lock, LOCK_CLASS);
	/* somebody else may have been faster */
	while (chain && !first_partial(sc)) {
		struct slab *slab = list_entry(chain, struct slab, node);

		chain = chain->next;
		sc->units += slab_units(slab);
		sc->unbacked_blocks += slab->unbacked_blocks;
		*done += alloc_and_relist(sc, slab, end - *done, n - *done);
	}
	leave_class(chain);
	lock_unlock(&sc->lock, LOCK_CLASS);
	free_slabs(chain, class);
	return any;
}

/* Has the class no slab with free blocks? Read without the lock, so only a hint. */
static NO_SANITIZE_THREAD bool is_full(const struct slab_class *sc)
{
	for (unsigned bucket = 0; bucket < SLAB_BUCKETS; bucket++)
		if (READ_ONCE(sc->partial[bucket]))
			return false;
	return true;
}

/* Allocate up to @n blocks from the slabs that the class has. */
unsigned class_alloc_partial(unsigned class, void **end, unsigned n)
{
	unsigned done = 0, steps = HAK_STEPS_MOST;
	struct slab_class *sc = class_find(class);
	struct slab *slab;

	if (unlikely(!sc) || is_full(sc))
		return 0;
	lock_lock(&sc->lock, LOCK_CLASS);
	while (done < n && (!HAK_STEPS_MOST || steps--) && (slab = first_partial(sc)))
		done += alloc_and_relist(sc, slab, end - done, n - done);
	lock_unlock(&sc->lock, LOCK_CLASS);
	return done;
}

/**
 * class_alloc() - allocate blocks of a class
 * @end:   the blocks are stored below it: end[-1] first
 * @n:     how many are wanted, at least 1
 * @which: which memory new slabs may be made of
 *
 * Returns how many there are: at least 1 unless there is no memory. Partial slabs come first;
 * a new slab only if not a single block could be had otherwise, or all its blocks are wanted.
 */
unsigned class_alloc(unsigned class, void **end, unsigned n, enum alloc_which which)
{
	unsigned done = 0;

	hak_assert(n);
	do
		done += class_alloc_partial(class, end - done, n - done);
	while ((!done || n - done >= size_class[class].blocks) &&
	       add_slabs(class, end, n, which, &done) && done < n);
	hak_assert(done <= n);
	return done;
}

/*
 * The slab of @class that @block lies in, or NULL. If it was freed twice, its slab may have gone
 * meanwhile, and there may be no descriptor any more. Its index would hardly be right then.
 */
static struct slab *slab_at(unsigned class, const void *block)
{
	struct superslab *superslab = pagemap_superslab((uintptr_t)block);
	struct slab *slab = superslab ? superslab_slab(superslab, (uintptr_t)block) : NULL;

	if (unlikely(!slab) || unlikely(slab->class != class))
		return NULL;
	return UNITS_PER_SLAB == 1 || likely(slab->index == slab - superslab->slab) ? slab : NULL;
}

/*
 * Free up to *@n blocks, in so many @steps, and set it to how many. Returns whether the next one
 * can be freed. Most frees do not change where a slab belongs, so it is put on another list only
 * from `relist_at` on.
 */
static bool class_free_run(struct slab_class *sc, unsigned class, void *const *blocks,
			   unsigned steps, unsigned *n, struct list_node **emptied)
{
	uintptr_t base = (uintptr_t)blocks[0] + SLAB_SIZE; /* so that slab_at() is called first */
	size_t size = SLAB_SIZE;
	unsigned done, run = 1, most = *n;
	struct slab *slab = NULL;

	for (done = 0; done < most && (!HAK_STEPS_MOST || steps--); done += run) {
		uintptr_t address = (uintptr_t)blocks[done];

		if (address - base >= size) {
			slab = slab_at(class, blocks[done]);
			base = address & ~(SLAB_SIZE - 1);
			if (UNITS_PER_SLAB > 1 && likely(slab)) {
				base = slab_base(slab);
				size = slab_units(slab) * UNIT_SIZE;
			}
		}
		run = likely(slab) ? slab_free_run(slab, address - base, blocks + done, most - done)
				   : 0;
		if (unlikely(!run))
			break;
		if (slab->free >= slab->relist_at)
			relist_or_empty(sc, slab, emptied);
	}
	sc->freed += done;
	count_bytes(class, -(ptrdiff_t)done);
	hak_assert(sc->freed <= sc->allocated);
	*n = done;
	return run;
}

/* What is wrong with freeing @block? Under the lock. */
static enum hak_bug_code inspect(unsigned class, const void *block, size_t *detail)
{
	const struct slab *slab = slab_at(class, block);

	*detail = 0;
	return slab ? slab_inspect(slab, class, slab_offset(slab, (uintptr_t)block), detail)
	       : pagemap_superslab((uintptr_t)block) ? HAK_BUG_UNUSED
						     : HAK_BUG_FOREIGN;
}

/* The same, with the lock to take. The page map said that @block is of this class. */
enum hak_bug_code class_inspect(unsigned class, const void *block, size_t *detail)
{
	struct slab_class *sc = class_find(class);
	enum hak_bug_code bug;

	*detail = 0;
	if (!sc)
		return HAK_BUG_UNUSED;
	lock_lock(&sc->lock, LOCK_CLASS);
	bug = inspect(class, block, detail);
	lock_unlock(&sc->lock, LOCK_CLASS);
	return bug;
}

/**
 * class_free_some() - free at least @least of @n blocks of a class, and at least one
 *
 * Slabs that become empty go back to their SuperSlabs. A block that is none, or that is free
 * already, is noted by bug_note(), and stops the program soon. The lock is dropped after each
 * batch. Returns how many blocks are freed: the first ones, at most a batch more than @least.
 */
unsigned class_free_some(unsigned class, void *const *blocks, unsigned least, unsigned n)
{
	struct slab_class *sc = class_find(class);
	unsigned done = 0;

	do {
		unsigned now = MIN(n - done, size_class[class].batch);
		unsigned steps = MAX(least - done, HAK_STEPS_MOST); /* for one or more each */
		struct list_node *emptied = NULL;
		enum hak_bug_code bug = HAK_BUG_NONE;
		size_t detail;

		lock_lock(&sc->lock, LOCK_CLASS);
		if (unlikely(!class_free_run(sc, class, blocks + done, steps, &now, &emptied)))
			bug = inspect(class, blocks[done + now], &detail);
		leave_class(emptied);
		lock_unlock(&sc->lock, LOCK_CLASS);
		done += now;
		if (unlikely(bug)) {
			bug_note(bug, blocks[done], size_class[class].size, detail);
			done = n; /* those behind it are lost */
		}
		free_slabs(emptied, class);
	} while (done < least);
	return done;
}

/* @n blocks of a slab were freed, by gap.c. Under the lock, which is unlocked. */
void class_note_freed(struct slab_class *sc, struct slab *slab, unsigned n)
{
	struct list_node *emptied = NULL;
	unsigned class = slab->class;

	sc->freed += n;
	count_bytes(class, -(ptrdiff_t)n);
	hak_assert(sc->freed <= sc->allocated);
	relist_or_empty(sc, slab, &emptied);
	leave_class(emptied);
	lock_unlock(&sc->lock, LOCK_CLASS);
	free_slabs(emptied, class);
}

/*
 * Is there something for a scan in this slab, and of which class is it? Read without a lock,
 * so only a hint.
 */
static NO_SANITIZE_THREAD unsigned class_to_scan(const struct superslab *superslab,
						 const struct slab *slab, bool all)
{
	unsigned class = READ_ONCE(slab->class);
	bool due;

	/* not the first unit of a slab: this may be a part of a bitmap, or no descriptor */
	if (UNITS_PER_SLAB > 1 && (READ_ONCE(superslab->back[slab - superslab->slab]) ||
				   !READ_ONCE(superslab->purgeable)))
		return CLASS_NONE;
	due = class < NR_SLAB_CLASSES && (all || READ_ONCE(slab->changed) || READ_ONCE(slab->idle));

	return due ? class : CLASS_NONE;
}

/*
 * Is this slab on a list of the class, whose lock is held? Then it stays of the class, and its
 * SuperSlab stays. Until now the SuperSlab may have been unmapped: its descriptor is then
 * free, or that of another one. A slab that gets this class just now is on no list before the
 * lock is taken for it; but when it had no class yet, it may have been on a list of runs.c.
 */
static NO_SANITIZE_THREAD bool is_listed(const struct slab *slab, unsigned class)
{
	bool same = READ_ONCE(slab->class) == class;

	COMPILER_BARRIER(); /* the class is read first, as x86_64 does by itself */
	return same && list_has(&slab->node);
}

/* Claim the pages of a slab that were free at the last scan and not used since. */
static void claim_slab(struct slab_class *sc, struct claim *claim, struct slab *slab, bool all)
{
	const struct superslab *superslab = claim->superslab;
	unsigned i = slab->index % UNITS_PER_WINDOW;
	bool purgeable = READ_ONCE(superslab->purgeable) && !superslab->unpurged;
	unsigned pages = purgeable ? slab_free_pages(slab) : 0;
	unsigned ready = all ? pages : pages & slab->idle;

	slab->changed = false;
	slab->idle = (uint16_t)(pages & ~ready);
	claim->again |= slab->idle;
	if (!ready)
		return;
	sc->unbacked_blocks += slab_unback(slab, ready);
	claim_add_pages(claim, i, ready);
	claim->free[i] = slab->free;
	claim->unbacked_blocks[i] = slab->unbacked_blocks;
	claim->blocks |= (unit_mask)1 << i;
	slab->free = slab->unbacked_blocks = 0;
	relist(sc, slab);
}

/**
 * class_claim() - claim the idle pages of the slabs of a window
 * @all: also pages that were used a moment ago
 */
void class_claim(struct claim *claim, bool all)
{
	for (unsigned i = 0; i < UNITS_PER_WINDOW; i++) {
		struct slab *slab = claim_units(claim) + i;
		unsigned class = class_to_scan(claim->superslab, slab, all);
		struct slab_class *sc = class_find(class);

		if (!sc || (claim->unused | claim->slack) >> i & 1)
			continue;
		lock_lock(&sc->lock, LOCK_CLASS);
		if (UNITS_PER_SLAB > 1 ? claim_finds(claim, i, class) : is_listed(slab, class))
			claim_slab(sc, claim, slab, all);
		lock_unlock(&sc->lock, LOCK_CLASS);
	}
}

/* Free what class_claim() claimed. @flags: of claim_purge(); negative if nothing was purged. */
void class_free_claimed(struct claim *claim, int flags)
{
	while (claim->blocks) {
		unsigned i = lowest_bit(claim->blocks);
		struct slab *slab = claim_units(claim) + i;
		unsigned class = slab->class;
		struct slab_class *sc = class_find(class);
		struct list_node *emptied = NULL;

		lock_lock(&sc->lock, LOCK_CLASS);
		slab->free = (uint16_t)(slab->free + claim->free[i]);
		slab->unbacked_blocks =
			(uint16_t)(slab->unbacked_blocks + claim->unbacked_blocks[i]);
		if (flags < 0)
			sc->unbacked_blocks -=
				slab_back(slab, claim_pages(claim, i, slab_pages(slab)));
		slab->changed = true; /* an allocation meanwhile saw none of these blocks */
		claim->blocks &= claim->blocks - 1;
		relist_or_empty(sc, slab, &emptied);
		leave_class(emptied);
		lock_unlock(&sc->lock, LOCK_CLASS);
		free_slabs(emptied, class);
	}
}

/* Blocks of a class that are in use, or in a magazine. Racy: others change that at any time. */
NO_SANITIZE_THREAD uint64_t class_outstanding(unsigned class)
{
	const struct slab_class *sc = class_find(class);
	uint64_t freed = sc ? READ_ONCE(sc->freed) : 0; /* first: never more than allocated */

	return sc ? READ_ONCE(sc->allocated) - freed : 0;
}

/* The slabs themselves go with arena_fini(), the memory of struct slab_class with meta_fini(). */
void class_fini(void)
{
	__builtin_memset(slab_classes, 0, sizeof(slab_classes));
}
