/* SPDX-License-Identifier: MIT */
/*
 * The debug build: malloc, free and all of their kind, above those of api/. What they do to blocks
 * is chosen when the program starts, by letters (choice.c). As long as none is, they call those of
 * api/ and do nothing else. With letters
 *
 *	every block		has a record before it, and red zones around it (record.c)
 *	malloc			poisons the block
 *	free and realloc	compare the record and the zones; free poisons the block, which
 *				waits before its memory is used again (waiting.c)
 *	hak_check(), the scan	compare all zones, and what waits (verify.c)
 *
 * Lock: none. Failure: as of the functions below; when there is no memory, what waits is given up
 * first.
 */
#include <hakmem/hakmem.h>

#include <hakmem/host.h>

#include "api/fastpath.h"
#include "api/request.h"
#include "debug/choice.h"
#include "debug/report.h"
#include "debug/waiting.h"
#include "diag/check.h"
#include "diag/guard.h"
#include "diag/sample.h"
#include "harden/raw.h"
#include "slab/blocks.h"
#include "slab/gap.h"
#include "superslab/span.h"

/* See hak_host_trace(). */
#define FRAME __builtin_frame_address(0)

#define ALIGN_MOST ((size_t)1 << 30)

/* -------------------------------------------------------------------------- malloc */

/* How much is asked of the heap below for a block, and where does it begin there? */
static size_t whole_size(size_t align, size_t size, size_t *place)
{
	*place = ALIGN_UP(RECORD_PLACE, align);
	if (size > SIZE_MAX / 4)
		return SIZE_MAX / 2 + 1; /* there is no such block */
	return *place + size + ZONE_LEAST;
}

static void set_live(struct record *record)
{
	samples_lock();
	record_set(record, RECORD_LIVE);
	samples_unlock();
}

/* The record of a block that the heap below has handed out. */
static void *begin(char *start, size_t place, size_t size, const void *frame)
{
	unsigned class = pagemap_class((uintptr_t)start);
	struct record *record = (struct record *)start;
	struct record made = {
		.size = size,
		.capacity = place + size + ZONE_LEAST,
		.place = (uint32_t)place,
		.letters = (uint16_t)letters_of(size),
	};

	if (class <= CLASS_SLAB_LAST)
		made.capacity = size_class[class].size;
	if (made.letters & LETTER_U)
		track_fill(&made.allocated, frame);
	samples_lock();
	*record = made;
	record_set(record, RECORD_BUSY);
	samples_unlock();
	record_fill_zones(record);
	set_live(record);
	return record_block(record);
}

static void *alloc_raw(size_t align, size_t size, bool zeros)
{
	if (zeros)
		return hak_raw_zalloc(size);
	return align == 1 ? hak_raw_malloc(size) : hak_raw_aligned_alloc(align, size);
}

/* Any block, with a record or without. */
static void *debug_alloc(size_t align, size_t size, bool zeros, const void *frame)
{
	size_t place, whole;
	char *start, *block;

	if (!letters_of(size) || align > ALIGN_MOST || !is_power_of_two(align))
		return alloc_raw(align, size, zeros);
	whole = whole_size(MAX(align, (size_t)16), size, &place);
	start = alloc_raw(align <= 16 ? 1 : align, whole, zeros);
	if (!start)
		return NULL;
	block = begin(start, place, size, frame);
	if (!zeros)
		record_fill_new((struct record *)start, 0);
	return block;
}

NOINLINE void *hak_malloc(size_t size)
{
	return debug_alloc(1, size, false, FRAME);
}

NOINLINE void *hak_zalloc(size_t size)
{
	return debug_alloc(1, size, true, FRAME);
}

NOINLINE void *hak_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (unlikely(__builtin_mul_overflow(n, size, &bytes)))
		bytes = SIZE_MAX;
	return debug_alloc(1, bytes, true, FRAME);
}

NOINLINE void *hak_aligned_alloc(size_t align, size_t size)
{
	return debug_alloc(align, size, false, FRAME);
}

/* ---------------------------------------------------------------------------- free */

/* A block among others that is in use: where does it begin? NULL if none does, or it is free. */
static char *start_of_mixed(const void *block, size_t *size)
{
	struct sample_pool *pool = sample_pool_of(block);
	enum hak_bug_code bug;
	struct gap gap = { 0 };

	if (!pool)
		bug = gap_inspect(block, &gap);
	else if (pool->kind == SAMPLE_GUARD)
		bug = guard_inspect(block, &gap.size, &gap.detail);
	else
		bug = sample_inspect(pool, block, &gap.size, &gap.detail);
	if (bug != HAK_BUG_NONE && bug != HAK_BUG_INTERIOR)
		return NULL;
	*size = gap.size;
	return (char *)block - gap.detail;
}

/* Where does the block of the heap below begin in which an address lies? NULL if it is in none. */
static char *start_of(const void *block, size_t *size)
{
	unsigned class = pagemap_class((uintptr_t)block), index;
	const struct slab *slab;
	const char *start;
	bool is_start;

	if (class == CLASS_MIXED)
		return start_of_mixed(block, size);
	*size = SIZE_MAX;
	if (class_is_span(class) || class == CLASS_SPAN_REST) {
		start = span_start(block);
		return class_is_span(pagemap_class((uintptr_t)start)) ? (char *)start : NULL;
	}
	slab = address_to_slab((uintptr_t)block);
	if (!slab || class < CLASS_FIRST || class > CLASS_SLAB_LAST)
		return NULL;
	*size = size_class[class].size;
	index = class_block_index(class, slab_offset(slab, (uintptr_t)block) % SLAB_SIZE,
				  &is_start);
	return index < slab->blocks ? (char *)slab_base(slab) + index * *size : NULL;
}

/* Does the heap below count its block as free? What lay there may have been given back. */
static bool is_free(const char *start)
{
	unsigned class = pagemap_class((uintptr_t)start);
	size_t detail;

	if (class == CLASS_MIXED || class == CLASS_SPAN)
		return false;
	return blocks_inspect(class, start, &detail) || check_is_cached(class, start);
}

/*
 * The record of a block that is in use. NULL if there is none: then the heap below knows more of
 * it. Stops the program if @block is not what was handed out.
 */
static struct record *debug_record_of(const void *block, const char *caller)
{
	size_t size = 0;
	char *start = likely(!debug_is_on) || !block ? NULL : start_of(block, &size);
	struct record *record = (struct record *)start;
	size_t offset = (size_t)((const char *)block - start);

	if (!start || size < RECORD_EXTRA)
		return NULL;
	if (!record_is(record)) {
		if (offset < RECORD_PLACE)
			return NULL;
		if (is_free(start))
			hak_bug(HAK_BUG_DOUBLE_FREE, caller, block, size, 0);
		report_broken(record, block, caller);
	}
	if (record->state != RECORD_LIVE) {
		if (!offset && record->state == RECORD_GONE)
			return NULL; /* the heap below has handed it out again, or will know */
		report_bug(record, HAK_BUG_DOUBLE_FREE, block, 0, caller);
	}
	if (offset < record->place)
		report_before(record, block, caller);
	if (offset > record->place)
		report_bug(record, HAK_BUG_INTERIOR, block, offset - record->place, caller);
	return record;
}

/* The same, and nobody else's until record_set(). */
static struct record *claim(const void *block, const char *caller)
{
	struct record *record = debug_record_of(block, caller);
	struct change change;
	bool live, changed;

	if (!record)
		return NULL;
	samples_lock();
	live = record_is(record) && record->state == RECORD_LIVE;
	changed = live && record_zones_changed(record, &change);
	if (live && !changed)
		record_set(record, RECORD_BUSY);
	samples_unlock();
	if (!live)
		report_bug(record, HAK_BUG_DOUBLE_FREE, block, 0, caller);
	if (changed)
		report_change(record, &change, caller);
	return record;
}

/* Free a block that was claimed. */
static void end(struct record *record, const void *frame)
{
	if (record->letters & LETTER_U)
		track_fill(&record->freed, frame);
	waiting_enter(record);
}

static void debug_free_block(void *block, const char *caller, const void *frame)
{
	struct record *record = claim(block, caller);

	if (record)
		end(record, frame);
	else
		hak_free_slow(block, caller);
}

NOINLINE void hak_free(void *block)
{
	debug_free_block(block, "free", FRAME);
}

static void debug_check_size(const struct record *record, const void *block, size_t align,
			     size_t size, const char *caller)
{
	if (record->size != size || (uintptr_t)block & (align - 1))
		report_bug(record, HAK_BUG_WRONG_SIZE, block, size, caller);
}

NOINLINE void hak_free_sized(void *block, size_t size)
{
	struct record *record = debug_record_of(block, "free_sized");

	if (!record) {
		hak_raw_free_sized(block, size);
		return;
	}
	debug_check_size(record, block, 1, size, "free_sized");
	debug_free_block(block, "free_sized", FRAME);
}

NOINLINE void hak_free_aligned_sized(void *block, size_t align, size_t size)
{
	struct record *record = debug_record_of(block, "free_aligned_sized");

	if (!record) {
		hak_raw_free_aligned_sized(block, align, size);
		return;
	}
	debug_check_size(record, block, align, size, "free_aligned_sized");
	debug_free_block(block, "free_aligned_sized", FRAME);
}

/* --------------------------------------------------------------- questions, and realloc */

/* With a record, it is just what was asked for. */
size_t hak_usable_size(const void *block)
{
	const struct record *record = debug_record_of(block, "usable_size");

	return record ? record->size : hak_raw_usable_size(block);
}

size_t hak_good_size(size_t size)
{
	return letters_of(size) && size <= SIZE_MAX / 4 ? size : hak_raw_good_size(size);
}

/* A block that was claimed stays where it is, unless one of half its size would do. */
static bool resize(struct record *record, size_t size, bool anyway)
{
	size_t old = record->size;

	if (letters_of(size) != record->letters && !anyway)
		return false;
	if (size > record->capacity - record->place - ZONE_LEAST || (size <= old / 2 && !anyway))
		return false;
	samples_lock();
	record->size = size;
	record_set(record, RECORD_BUSY);
	samples_unlock();
	record_fill_new(record, old);
	record_fill_zones(record);
	return true;
}

/* Of a block that was allocated without letters, to a size that has some. */
static void *realloc_raw(void *block, size_t size, const void *frame)
{
	size_t usable = hak_raw_usable_size(block);
	void *moved = debug_alloc(1, size, false, frame);

	if (!moved)
		return NULL;
	__builtin_memcpy(moved, block, MIN(usable, size));
	hak_free_slow(block, "realloc");
	return moved;
}

static void *realloc_claimed(struct record *record, size_t size, const void *frame)
{
	void *moved;

	if (resize(record, size, false)) {
		set_live(record);
		return record_block(record);
	}
	moved = debug_alloc(1, size, false, frame);
	if (!moved) { /* the old one may be large enough */
		moved = size <= record->size && resize(record, size, true) ? record_block(record)
									   : NULL;
		set_live(record);
		return moved;
	}
	__builtin_memcpy(moved, record_block(record), MIN(size, record->size));
	end(record, frame);
	return moved;
}

NOINLINE void *hak_realloc(void *block, size_t size)
{
	struct record *record = claim(block, "realloc");

	if (!block)
		return debug_alloc(1, size, false, FRAME);
	if (!record && (!size || !letters_of(size)))
		return hak_raw_realloc(block, size);
	if (!record)
		return realloc_raw(block, size, FRAME);
	if (size)
		return realloc_claimed(record, size, FRAME);
	end(record, FRAME);
	return NULL;
}

/* ------------------------------------------------------------------------- the heap */

bool hak_prefill(size_t size, size_t n)
{
	size_t place;

	return hak_raw_prefill(letters_of(size) ? whole_size(16, size, &place) : size, n);
}

bool hak_layer_reclaim(void)
{
	return waiting_flush();
}

void hak_fini(void)
{
	waiting_fini();
	hak_raw_fini();
	trace_fini();
	record_begin_epoch();
}
