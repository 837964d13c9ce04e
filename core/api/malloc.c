/* SPDX-License-Identifier: MIT */
/*
 * The API behind the fast path. It reads downwards: the slow path of malloc, that of free,
 * the other ways to ask for memory, realloc, and questions about blocks.
 *
 * A request is for a block of a class or for a span of any length (CLASS_SPAN). A caller has
 * a cache, or works without one, block by block. It has none if there is no memory for one,
 * at the end of a thread, and in an interrupt handler.
 *
 * Lock: none.
 */
#include "base/layered.h"

#include <hakmem/hakmem.h>

#include <hakmem/host.h>

#include "api/fastpath.h"
#include "api/request.h"
#include "base/policy.h"
#include "cache/cache.h"
#include "cache/magazine.h"
#include "diag/check.h"
#include "diag/sample.h"
#include "diag/stats.h"
#include "pages/bug.h"
#include "pages/meta.h"
#include "reclaim/scan.h"
#include "slab/blocks.h"
#include "slab/gap.h"
#include "superslab/arena.h"

NOINLINE void *hak_malloc(size_t size)
{
	return malloc_fast(size);
}

NOINLINE void hak_free(void *block)
{
	free_fast(block, "free");
}

#define SIZE_LIMIT (SIZE_MAX / 2) /* PTRDIFF_MAX, which headers of kernels often lack */

static void *fail(enum hak_error error)
{
	hak_host_set_error(error);
	return NULL;
}

static void *try_class(unsigned class, enum alloc_which which)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = cache_get();
	void *block = NULL;

	if (likely(cache))
		block = magazine_pop(cache, class, which);
	else if (blocks_alloc(class, &block + 1, 1, which))
		blocks_count_uncached(class, UNCACHED_ALLOC);
	cache_irq_restore(irq);
	return block;
}

static void *try_alloc(struct request *request, enum alloc_which which)
{
	if (request->class != CLASS_SPAN)
		return try_class(request->class, which);
	return span_alloc(request->size, request->align, which, &request->backed);
}

/*
 * Give up what is only kept for speed, and costs nobody else anything: the blocks in the caller's
 * magazines, and the reserve. Returns whether there was anything.
 */
static bool reclaim(void)
{
	bool flushed = cache_flush_own(CLASS_FIRST);

	if (SPANS_WAIT)
		flushed |= span_flush();
	if (IS_ENABLED(HAK_LAYERED))
		flushed |= hak_layer_reclaim();
	return arena_release_reserve() || flushed;
}

/* Is any block larger than the class of its size says? */
static _Atomic bool is_any_larger;

static void *keep_larger(void *block)
{
	is_any_larger = true;
	return block;
}

/* No slab is left, so free blocks of a smaller class have to do. */
static void *try_gap(struct request *request)
{
	void *block;

	if (!HAK_GAPS || request->size > GAP_MAX)
		return NULL;
	block = gap_alloc(request->class, request->size, request->align);
	if (!block) {
		stats_count_failure(CLASS_NONE);
		return NULL;
	}
	request->backed = request->is_gap = true;
	return keep_larger(block);
}

/* A block of a slab that the class has already, past the magazine. */
static void *try_partial(unsigned class)
{
	void *block;

	if (!class_alloc_partial(class, &block + 1, 1))
		return NULL;
	blocks_count_uncached(class, UNCACHED_ALLOC);
	return block;
}

/*
 * Unused slabs have become few, and there will be no more: they are left to blocks for which
 * there is no gap.
 */
static void *try_without_new_slab(struct request *request)
{
	void *block = NULL;

	if (request->class <= CLASS_SLAB_LAST)
		block = try_partial(request->class);
	return block ? block : try_gap(request);
}

/*
 * Neither is there a gap, so a free block of a larger class has to do. Spans are not tried, since
 * they are made of slabs.
 */
static void *try_larger_class(unsigned class, size_t align)
{
	void *block;

	while (++class <= CLASS_SLAB_LAST) {
		if (size_class[class].size % align)
			continue;
		block = try_partial(class);
		if (block)
			return keep_larger(block);
	}
	return NULL;
}

/* There is no memory for another group, so the span lies alone. */
static void *try_alone(struct request *request)
{
	void *block = span_alloc(request->size, request->align, ALLOC_ANY, &request->backed);

	return block ? keep_larger(block) : NULL;
}

/* A large block that waits, or whatever is backed already. */
static void *try_backed(struct request *request)
{
	void *block = NULL;

	if (SPANS_WAIT && request->class == CLASS_SPAN && !request->zeros)
		block = span_reuse(request->size, request->align);
	if (!block)
		return try_alloc(request, ALLOC_BACKED);
	request->backed = true;
	return block;
}

/*
 * The slow path of every request. Before it takes memory that is not backed yet, it frees the
 * spans in the caller's magazines, and the one that waits. There they serve only requests for just
 * their length. Once they are free, slabs and other spans can be made of them. (A program whose
 * arrays grow leaves a span of each length behind.)
 */
static void *alloc(struct request *request)
{
	bool gap_first = HAK_GAPS && policy_gap_first(request->size) && arena_is_scarce();
	void *block = NULL;

	if (gap_first) {
		block = try_without_new_slab(request);
	} else if (NR_SPAN_CLASSES) {
		block = try_backed(request);
		if (SPANS_WAIT && !block)
			span_flush();
		if (!block && cache_has_own_spans())
			cache_flush_own(CLASS_SPAN_FIRST);
	}
	if (!block)
		block = try_alloc(request, ALLOC_ANY);
	if (unlikely(!block) && reclaim()) {
		block = try_alloc(request, ALLOC_ANY);
		gap_first = false; /* there may be a gap now */
	}
	if (unlikely(!block) && !gap_first)
		block = try_gap(request);
	if (unlikely(!block) && class_has_groups(request->class))
		block = try_alone(request);
	else if (unlikely(!block) && request->class != CLASS_SPAN)
		block = try_larger_class(request->class, request->align);
	return block;
}

/*
 * At last, the blocks in all magazines are taken, where the host has a barrier. That interrupts all
 * CPUs, and they have to fill their magazines again. While others are in the middle of something,
 * it is tried again. An interrupt handler does not: that would take longer than it may.
 */
static void *alloc_with_all(struct request *request)
{
	void *block = alloc(request);
	bool busy = this_cache() != CACHE_NEVER;

	for (unsigned tries = POLICY_SCAN_TRIES; unlikely(!block) && busy && tries; tries--) {
		busy = cache_scan(CACHE_SCAN_ALL);
		block = alloc(request);
	}
	return block;
}

/* Before NULL, with no lock or claim held, the host is asked to free something. */
void *request_alloc(struct request *request)
{
	bool possible = (request->size | request->align) <= SIZE_LIMIT;
	void *block = possible ? alloc_with_all(request) : NULL;
	unsigned tries = possible ? POLICY_TRIES : 1;

	while (unlikely(!block) && --tries && platform_ask(request->size))
		block = alloc(request);
	if (unlikely(!block)) {
		stats_count_failure(request->class);
		return fail(HAK_ENOMEM);
	}
	scan_note(HAK_REAP_MALLOC);
	return block;
}

REPLACEABLE(hak_request_alloc, request_alloc);

void *malloc_slow(size_t size)
{
	struct request request = { .class = class_of(size), .size = size, .align = 1 };

	return request_alloc(&request);
}

REPLACEABLE(hak_malloc_slow, malloc_slow);

void *malloc_large(size_t size)
{
	void *block = NULL;

	if (HAK_CACHED_MAX > TABLE_MAX && size <= cached_max())
		block = pop_fast(class_of_large(size));
	return likely(block) ? block : hak_malloc_slow(size);
}

/* @block is no block of the program. Say what it is, and stop the program. */
static _Noreturn void report(unsigned class, const void *block, const char *caller)
{
	uintptr_t address = (uintptr_t)block;
	enum hak_bug_code bug = HAK_BUG_FOREIGN;
	const void *start;

	if (class_is_span(class) || class == CLASS_SPAN_REST) {
		start = span_start(block);
		if (SPANS_WAIT && !class_is_span(pagemap_class((uintptr_t)start))) /* it waits */
			hak_bug(HAK_BUG_UNUSED, caller, block, 0, 0);
		hak_bug(HAK_BUG_INTERIOR, caller, block,
			class_has_groups(class) ? size_class[class].size : span_size(start),
			address - (uintptr_t)start);
	}
	if (class == CLASS_BITMAP_512 || class == CLASS_BITMAP_1024 || meta_has(block) ||
	    (meta_is_apart(META_SUPERSLAB) && arena_describes_at(block)))
		bug = HAK_BUG_INTERNAL;
	else if (pagemap_superslab(address))
		bug = HAK_BUG_UNUSED;
	hak_bug(bug, caller, block, 0, 0);
}

/* Is this the class of a slab that has gap blocks, or samples? Then gap.h knows its blocks. */
static bool is_mixed(unsigned class)
{
	return (HAK_GAPS || PLATFORM_SAMPLES) && class == CLASS_MIXED;
}

/* Stops the program if @block is none of such a slab. */
static void check_mixed(const void *block, const char *caller)
{
	struct gap gap;
	enum hak_bug_code bug = hak_mixed_inspect(block, &gap);

	if (IS_ENABLED(CONFIG_HAK_DEBUG) && !bug && check_is_cached(gap.class, block))
		bug = HAK_BUG_DOUBLE_FREE;
	if (bug)
		hak_bug(bug, caller, block, gap.size, gap.detail);
}

/* How far into its slab does an address lie that the page map says is in one? */
static size_t offset_in_slab(uintptr_t address)
{
	const struct slab *slab = UNITS_PER_SLAB > 1 ? address_to_slab(address) : NULL;

	return slab ? slab_offset(slab, address) % SLAB_SIZE : address % SLAB_SIZE;
}

/* The class of a block, CLASS_SPAN included. Stops the program if it cannot be one. */
static unsigned class_of_block(const void *block, const char *caller)
{
	uintptr_t address = (uintptr_t)block;
	unsigned class = pagemap_class(address);
	bool start = true;
	size_t offset = 0;

	if (is_mixed(class)) {
		check_mixed(block, caller);
		return class;
	}
	if (class_is_span(class) ? !span_begins(class, address)
				 : class < CLASS_FIRST || class > CLASS_SLAB_LAST)
		report(class, block, caller);
	if (class <= CLASS_SLAB_LAST) {
		offset = offset_in_slab(address);
		class_block_index(class, offset, &start);
	}
	if (!start)
		hak_bug(HAK_BUG_INTERIOR, caller, block, size_class[class].size,
			offset % size_class[class].size);
	if (IS_ENABLED(CONFIG_HAK_DEBUG) && class != CLASS_SPAN)
		check_block(class, block, caller);
	return class;
}

static size_t usable_size(unsigned class, const void *block)
{
	struct gap gap;

	if (is_mixed(class))
		return hak_mixed_inspect(block, &gap) ? 0 : gap.size;
	return class == CLASS_SPAN ? span_size(block) : size_class[class].size;
}

static void free_class(unsigned class, void *block, const char *caller)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = cache_get();
	bool twice = false;

	if (likely(cache)) {
		twice = !magazine_push(cache, class, block);
	} else {
		blocks_free(class, &block, 1);
		bug_report_noted();
		blocks_count_uncached(class, UNCACHED_FREE);
	}
	cache_irq_restore(irq);
	if (unlikely(twice))
		hak_bug(HAK_BUG_DOUBLE_FREE, caller, block, size_class[class].size, 0);
}

void free_slow(void *block, const char *caller)
{
	unsigned class;

	if (!block)
		return;
	class = class_of_block(block, caller);
	if (is_mixed(class)) {
		gap_free(block);
		bug_report_noted();
	} else if (class == CLASS_SPAN) {
		SPANS_WAIT ? span_free_later(block) : span_free(block);
	} else {
		free_class(class, block, caller);
	}
	scan_note(HAK_REAP_FREE);
}

REPLACEABLE(hak_free_slow, free_slow);

/*
 * The class of blocks of @size bytes at multiples of @align. If the size of a class is a
 * multiple of @align, all its blocks lie at multiples of it, since units do. The search ends
 * at a class whose size is a power of two, if not before, or at spans that lie in no group: they
 * begin where units do.
 */
static unsigned class_of_aligned(size_t align, size_t size)
{
	unsigned class = class_of(size > align ? size : align);

	if (align > UNIT_SIZE)
		return CLASS_SPAN;
	while ((!class_is_span(class) || class_has_groups(class)) && size_class[class].size % align)
		class = class_after(class);
	return class;
}

/*
 * In debug builds, realloc() leaves no block in another class than its size asks for. So the
 * size that the caller gives tells the class, and a wrong one is found. Once memory was so
 * short that some block got a larger class, only a size that does not fit is reported.
 */
static void check_size(const void *block, size_t align, size_t size, const char *caller)
{
	unsigned class = class_of_block(block, caller);
	size_t usable = usable_size(class, block);
	bool fits = class == CLASS_SPAN ? span_fits(block, size)
					: class_of_aligned(align, size) == class;

	if (is_mixed(class))
		fits = size <= usable;
	if (!fits && (!is_any_larger || size > usable))
		hak_bug(HAK_BUG_WRONG_SIZE, caller, block, usable, size);
}

HAK_COLD void hak_free_sized(void *block, size_t size)
{
	if (IS_ENABLED(CONFIG_HAK_DEBUG) && block)
		check_size(block, 1, size, "free_sized");
	free_fast(block, "free_sized");
}

void hak_free_aligned_sized(void *block, size_t align, size_t size)
{
	if (IS_ENABLED(CONFIG_HAK_DEBUG) && block)
		check_size(block, align, size, "free_aligned_sized");
	free_fast(block, "free_aligned_sized");
}

HAK_COLD void *hak_zalloc(size_t size)
{
	struct request request = { .class = CLASS_SPAN, .size = size, .align = 1, .zeros = true };
	void *block;

	/* what comes from the slabs may be known to read zero */
	block = size <= SLAB_MAX ? hak_malloc(size) : hak_request_alloc(&request);
	if (block && (size <= SLAB_MAX || request.is_gap))
		__builtin_memset(block, 0, size);
	else if (block)
		span_clear((uintptr_t)block, size);
	return block;
}

void *hak_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (unlikely(__builtin_mul_overflow(n, size, &bytes)))
		return fail(HAK_ENOMEM);
	return hak_zalloc(bytes);
}

HAK_COLD void *hak_aligned_alloc(size_t align, size_t size)
{
	struct request request = { .size = size, .align = align };

	if (!is_power_of_two(align))
		return fail(HAK_EINVAL);
	request.class = class_of_aligned(align, size);
	return hak_request_alloc(&request);
}

/*
 * Can this block stay where it is? It cannot if a block of half its size would do. A span
 * cannot if a block of at most SLAB_MAX would do, since a slab holds two of these.
 */
static bool resize_in_place(unsigned class, void *block, size_t size)
{
	size_t usable;

	if (!class_is_span(class) && !is_mixed(class) && IS_ENABLED(CONFIG_HAK_DEBUG))
		return class_of(size) == class; /* for hak_free_sized() */
	if (!class_is_span(class)) {
		usable = usable_size(class, block);
		return size <= usable && hak_good_size(size) > usable / 2;
	}
	if (class_of(size) == class && class != CLASS_SPAN)
		return true;
	if (size <= SLAB_MAX || size > SIZE_LIMIT || class_has_groups(class))
		return false;
	if (span_note_growth(block, size))
		return true;
	if (!span_resize(block, size))
		return false;
	scan_note(HAK_REAP_FREE);
	return true;
}

/* A new block for one that has outgrown its @usable bytes; a large one gets room to grow into. */
static void *alloc_larger(unsigned class, size_t size, size_t usable, bool *backed)
{
	struct request request = { .class = CLASS_SPAN, .align = 1 };
	void *block;

	if (HAS_GROUPS && size > SLAB_MAX && policy_growth(size, usable))
		class = CLASS_SPAN; /* in a group, it would have to move again */
	if (!class_is_span(class) || size > SIZE_LIMIT / 2 || (PLATFORM_SAMPLES && hak_sampling))
		return hak_malloc(size);
	if (SPANS_WAIT)
		span_flush();
	request.size = size + policy_growth(size, usable);
	block = try_alloc(&request, ALLOC_TO_GROW);
	if (block) {
		span_note_size(block, size);
	} else {
		request.size = size;
		block = hak_request_alloc(&request);
	}
	*backed = request.backed;
	return block;
}

/*
 * Move @size bytes from one block to another, and free the first. @backed: memory stands
 * behind the other one already. Page tables are moved only if none does. That memory would be
 * lost, and the next block there would fault it in again page by page, which takes longer
 * than to copy.
 */
static void move_block(unsigned class, void *from, void *to, size_t size, bool backed)
{
	size_t done = 0;

	if (PLATFORM_MOVES && !backed && class_is_span(class) && !class_has_groups(class))
		done = span_move(from, to, size);
	__builtin_memcpy((char *)to + done, (char *)from + done, size - done);
	free_fast(from, "realloc");
}

HAK_COLD void *hak_realloc(void *block, size_t size)
{
	bool backed = true;
	unsigned class;
	size_t usable;
	void *moved;

	if (!block)
		return hak_malloc(size);
	if (!size) {
		hak_free_slow(block, "realloc");
		return NULL;
	}
	class = class_of_block(block, "realloc");
	if (resize_in_place(class, block, size))
		return block;
	usable = usable_size(class, block);
	moved = size <= usable ? try_class(class_of(size), ALLOC_ANY)
			       : alloc_larger(class, size, usable, &backed);
	if (!moved) /* the old one may be large enough */
		return size <= usable ? keep_larger(block) : NULL;
	move_block(class, block, moved, size < usable ? size : usable, backed);
	return moved;
}

size_t hak_usable_size(const void *block)
{
	return block ? usable_size(class_of_block(block, "usable_size"), block) : 0;
}

HAK_COLD size_t hak_good_size(size_t size)
{
	unsigned class = class_of(size);

	if (size > SIZE_LIMIT)
		return 0;
	return class == CLASS_SPAN ? ALIGN_UP(size, PAGE_SIZE) : size_class[class].size;
}

bool hak_owns(const void *address)
{
	unsigned class = pagemap_class((uintptr_t)address);

	if (SPANS_WAIT && class == CLASS_SPAN_REST) /* it may wait */
		class = pagemap_class((uintptr_t)span_start(address));
	return class != CLASS_NONE && class != CLASS_BITMAP_512 && class != CLASS_BITMAP_1024;
}

HAK_COLD void hak_flush(void)
{
	cache_drop_prefill(this_cache());
	if (cache_flush_own(CLASS_FIRST))
		scan_note(HAK_REAP_FREE);
}

size_t hak_trim(enum hak_trim_level level)
{
	return scan_all(level == HAK_TRIM_OWN);
}
