/* SPDX-License-Identifier: MIT */
/*
 * The hardened build: malloc, free and all of their kind, above those of api/. What they add:
 *
 *	every block		ends with a seal (seal.h), which is read by all calls
 *	free			clears the block, and puts it into quarantine (cache/quarantine.h)
 *	malloc			sees whether the block is zero still; calloc has nothing to do
 *	blocks above SLAB_MAX	have a guard that faults, and fault when they are free (large.c)
 *	the scan		reads seals, and what is in quarantine (verify.c)
 *
 *	all memory of the heap that is free is zero
 *
 * Who gives memory back clears it, then: free() here, pages.c for what the provider has mapped
 * or purged, pool/ for slabs of objects. Blocks that lie among others (CLASS_MIXED) may be samples,
 * or guarded, and are cleared when they are allocated.
 *
 * Two threads that free a block at the very same time may both find its seal. The block is then in
 * quarantine twice, and malloc finds that it is not zero when it gets it the second time.
 *
 * Lock: none. Failure: when there is no memory, what is in quarantine is given up first.
 */
#include <hakmem/hakmem.h>

#include <hakmem/host.h>

#include "api/fastpath.h"
#include "api/request.h"
#include "cache/quarantine.h"
#include "harden/large.h"
#include "harden/raw.h"
#include "harden/report.h"
#include "harden/seal.h"
#include "pages/bug.h"
#include "slab/gap.h"

/* Larger blocks are spans, and those that are aligned to more: slabs begin where units do. */
#define SMALL_MOST (SLAB_MAX - SEAL_SIZE)
#define ALIGN_MOST MIN(UNIT_SIZE, SLAB_MAX)

/* -------------------------------------------------------------------------- malloc */

/* A block that the heap has handed out, which is zero, unless it was written to. */
static inline void *hand_out(void *block, size_t capacity, size_t size)
{
	if (unlikely(!zero_is(block, capacity)))
		report_written(block, capacity, zero_length(block, capacity), "malloc");
	seal_make(block, capacity, size);
	return block;
}

/* The same, of whatever class it is. */
static void *hand_out_any(void *block, size_t size)
{
	unsigned class = block ? pagemap_class((uintptr_t)block) : CLASS_NONE;
	size_t capacity;

	if (!block)
		return NULL;
	if (class != CLASS_MIXED)
		return hand_out(block, size_class[class].size, size);
	capacity = hak_raw_usable_size(block);
	__builtin_memset(block, 0, capacity);
	seal_make(block, capacity, size);
	return block;
}

/* A magazine is empty. What waits in quarantine meanwhile is looked at, too. */
static NOINLINE void *malloc_missed(size_t size)
{
	unsigned class = class_of(size + SEAL_SIZE);
	const void *written;
	size_t offset;

	if (unlikely(!hak_secret[1]))
		hak_secret_make();
	written = quarantine_find_own(class, &offset);
	if (unlikely(written))
		report_written(written, size_class[class].size, offset, "malloc");
	return hand_out_any(hak_malloc_slow(size + SEAL_SIZE), size);
}

NOINLINE void *hak_malloc(size_t size)
{
	size_t class;
	void *block;

	if (size <= SMALL_MAX - SEAL_SIZE)
		class = class_of_small(size + SEAL_SIZE);
	else if (size <= SMALL_MOST)
		class = class_of_medium(size + SEAL_SIZE);
	else
		return large_alloc(1, size, false);
	block = pop_fast(class);
	return likely(block) ? hand_out(block, size_class[class].size, size) : malloc_missed(size);
}

void *hak_zalloc(size_t size)
{
	return size <= SMALL_MOST ? hak_malloc(size) : large_alloc(1, size, true);
}

void *hak_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (unlikely(__builtin_mul_overflow(n, size, &bytes)))
		bytes = SIZE_MAX;
	return hak_zalloc(bytes);
}

void *hak_aligned_alloc(size_t align, size_t size)
{
	if (align <= 8)
		align = is_power_of_two(align) ? 1 : align;
	if (align == 1)
		return hak_malloc(size);
	if (is_power_of_two(align) && (align > ALIGN_MOST || size > SMALL_MOST))
		return large_alloc(align, size, false);
	if (unlikely(!hak_secret[1]))
		hak_secret_make();
	return hand_out_any(hak_raw_aligned_alloc(align, size + SEAL_SIZE), size);
}

/* ---------------------------------------------------------------------------- free */

/* How long is a block of a slab, of this class by the page map? 0 if none begins at the address. */
static inline size_t capacity_of(unsigned class, const void *block)
{
	uintptr_t address = (uintptr_t)block;
	unsigned blocks, index;
	size_t offset;
	bool start;

	if (unlikely(class < CLASS_FIRST || class > CLASS_SLAB_LAST))
		return 0;
	blocks = size_class[class].blocks;
	offset = address % SLAB_SIZE;
	if (UNITS_PER_SLAB > 1) {
		const struct slab *slab = address_to_slab(address);

		if (!slab)
			return 0;
		blocks = slab->blocks;
		offset = slab_offset(slab, address) % SLAB_SIZE;
	}
	index = class_block_index(class, offset, &start);
	return likely(start && index < blocks) ? size_class[class].size : 0;
}

/* The same where blocks are mixed: what is no block is reported. */
static size_t capacity_of_mixed(const void *block, const char *caller)
{
	struct gap gap;
	enum hak_bug_code bug = hak_mixed_inspect(block, &gap);

	if (bug)
		hak_bug(bug, caller, block, gap.size, gap.detail);
	return gap.size;
}

/* The seal of a block is not as it should be. */
static _Noreturn NOINLINE void report_seal(const void *block, size_t capacity, const char *caller)
{
	if (*seal_of(block, capacity))
		report_overflow(block, capacity, caller);
	report_place(block, capacity);
	hak_bug(HAK_BUG_DOUBLE_FREE, caller, block, capacity, 0);
}

/* How long is a block that is sealed? Stops the program if it is not. */
static inline size_t size_of(const void *block, size_t capacity, const char *caller)
{
	uint64_t key = seal_key(block);
	size_t size = seal_read(block, capacity, key);

	if (unlikely(size == SEAL_BROKEN) || unlikely(!seal_is_whole(block, capacity, size, key)))
		report_seal(block, capacity, caller);
	return size;
}

/* Clear a block of so many bytes, all of which are zero behind its size and the mark there. */
static inline void clear(void *block, size_t capacity, size_t size)
{
	*seal_of(block, capacity) = 0;
	COMPILER_BARRIER();
	zero_fill(block, MIN(ALIGN_UP(size + SEAL_SIZE, 16), capacity));
}

/* Of no block of a class: NULL, a large block, one among others, or what the heap will report. */
static NOINLINE void free_other(void *block, const char *caller)
{
	struct slab *head = large_head(block);
	size_t capacity;

	if (head) {
		large_free(head, block, caller);
	} else if (pagemap_class((uintptr_t)block) == CLASS_MIXED) {
		capacity = capacity_of_mixed(block, caller);
		clear(block, capacity, size_of(block, capacity, caller));
		hak_free_slow(block, caller);
	} else {
		hak_free_slow(block, caller);
	}
}

/* A block has waited, or there is no quarantine. */
static inline void free_old(unsigned class, void *block)
{
	if (block && !push_fast(class, block))
		hak_free_slow(block, "free");
}

static inline void free_block(void *block, const char *caller)
{
	unsigned class = pagemap_class((uintptr_t)block);
	size_t capacity = capacity_of(class, block);

	if (unlikely(!capacity)) {
		free_other(block, caller);
		return;
	}
	clear(block, capacity, size_of(block, capacity, caller));
	free_old(class, quarantine_swap(class, block));
}

NOINLINE void hak_free(void *block)
{
	free_block(block, "free");
}

/* --------------------------------------------------------------- questions, and realloc */

/**
 * struct place - where a block is
 * @head: of a large one, else NULL
 * @capacity: of another one
 * @size: what was asked for
 */
struct place {
	struct slab *head;
	size_t capacity, size;
};

/* Find a block, which is in use. Stops the program if it is not. */
static struct place place_of(void *block, const char *caller)
{
	unsigned class = pagemap_class((uintptr_t)block);
	struct place place = { .capacity = capacity_of(class, block) };

	if (!place.capacity)
		place.head = large_head(block);
	if (!place.capacity && !place.head && class == CLASS_MIXED)
		place.capacity = capacity_of_mixed(block, caller);
	if (place.head)
		place.size = large_size(place.head, block, caller);
	else if (place.capacity)
		place.size = size_of(block, place.capacity, caller);
	else
		hak_free_slow(block, caller); /* which stops the program: it is no block */
	return place;
}

static void free_checked(void *block, size_t align, size_t size, const char *caller)
{
	struct place place;

	if (!block)
		return;
	place = place_of(block, caller);
	if (place.size != size || (uintptr_t)block & (align - 1))
		hak_bug(HAK_BUG_WRONG_SIZE, caller, block, place.size, size);
	free_block(block, caller);
}

void hak_free_sized(void *block, size_t size)
{
	free_checked(block, 1, size, "free_sized");
}

void hak_free_aligned_sized(void *block, size_t align, size_t size)
{
	free_checked(block, align, size, "free_aligned_sized");
}

size_t hak_usable_size(const void *block)
{
	return block ? place_of((void *)block, "usable_size").size : 0;
}

/* The usable size is just what was asked for; this is how much more would not cost more. */
size_t hak_good_size(size_t size)
{
	if (size > SMALL_MOST)
		return size > SIZE_MAX / 2 ? 0 : ALIGN_UP(size, PAGE_SIZE);
	return hak_raw_good_size(size + SEAL_SIZE) - SEAL_SIZE;
}

/* It stays where it is, unless a block of half its size would do. What it loses is cleared. */
static bool reseal(const struct place *place, void *block, size_t size)
{
	size_t kept = MIN(size, place->size);

	if (place->head)
		return large_resize(place->head, block, size);
	if (size > place->capacity - SEAL_SIZE || size + SEAL_SIZE <= place->capacity / 2)
		return false;
	*seal_of(block, place->capacity) = 0;
	COMPILER_BARRIER();
	__builtin_memset((char *)block + kept, 0, place->capacity - kept);
	seal_make(block, place->capacity, size);
	return true;
}

void *hak_realloc(void *block, size_t size)
{
	struct place place;
	size_t kept, done = 0;
	void *moved;

	if (!block)
		return hak_malloc(size);
	if (!size) {
		free_block(block, "realloc");
		return NULL;
	}
	place = place_of(block, "realloc");
	if (reseal(&place, block, size))
		return block;
	moved = hak_malloc(size);
	if (!moved)
		return NULL;
	kept = MIN(size, place.size);
	if (place.head)
		done = large_move(place.head, block, moved, kept);
	__builtin_memcpy((char *)moved + done, (char *)block + done, kept - done);
	free_block(block, "realloc");
	return moved;
}

/* ------------------------------------------------------------------------- the heap */

bool hak_layer_reclaim(void)
{
	bool flushed = quarantine_flush_own();

	return large_flush() || flushed;
}

bool hak_prefill(size_t size, size_t n)
{
	return hak_raw_prefill(size + SEAL_SIZE, n);
}

void hak_fini(void)
{
	large_fini();
	hak_raw_fini();
}
