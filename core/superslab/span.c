/* SPDX-License-Identifier: MIT */
/*
 * Spans: blocks that are runs of units, in one SuperSlab or across several. The descriptor
 * of the first unit has the length. Its class byte is the span's class, and that of the
 * others is CLASS_SPAN_REST, so that a pointer into a span is told from one to its start.
 *
 * A span is a number of pages. Those behind its end, in its last unit, are its slack: nobody
 * uses them, and the scan purges them if they are backed (claim.c).
 *
 * Spans of the classes that have magazines are as long as their class says, and go through the
 * magazines. All others are of CLASS_SPAN: larger or aligned ones, and those that were resized
 * where they are.
 *
 *	allocated - freed  ==  spans of that class that are in use
 *	live_pages	   ==  sum of the lengths of those of CLASS_SPAN
 *	live_units	   ==  units that these take
 *
 * Where scans come by, the span of CLASS_SPAN that was freed last waits with all its units for a
 * request of its length, so that a program which frees and allocates a large block by turns pays
 * nothing for each unit. Its first unit has no class meanwhile: the page map says that it is not in
 * use. It is freed when a request needs memory and it does not fit, or if it still waits at the
 * second scan.
 *
 * Lock: none of its own. The units of a span are its owner's, like the bytes in it;
 * superslab.c allocates and frees them. Who takes `waiting` out by an exchange owns that span.
 *
 * Failure: span_alloc() returns NULL, span_alloc_batch() fewer, span_resize() false; then
 * nothing has changed.
 */
#include "superslab/span.h"

#include "base/policy.h"
#include "base/usage.h"
#include "pages/pagemap.h"
#include "pages/pages.h"
#include "superslab/group.h"
#include "superslab/remap.h"

PLATFORM_SPARSE struct spans hak_spans;

static void span_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Add to the lengths of all spans of CLASS_SPAN. Sums wrap, so "negative" numbers subtract. */
static void count_length(uint64_t pages, uint64_t units)
{
	span_count(&hak_spans.live_pages, pages);
	span_count(&hak_spans.live_units, units);
}

static struct slab *head_of(const void *block)
{
	return address_to_slab((uintptr_t)block);
}

static size_t pages_for(size_t size)
{
	return size ? DIV_ROUND_UP(size, PAGE_SIZE) : 1;
}

static size_t units_for(size_t pages)
{
	return DIV_ROUND_UP(pages, PAGES_PER_UNIT);
}

/* The slack: the pages of the last unit that are behind the end. */
static unsigned slack_of(size_t pages)
{
	return UNIT_PAGES & ~((1u << ((pages - 1) % PAGES_PER_UNIT + 1)) - 1);
}

static void set_length(struct slab *head, size_t pages)
{
	hak_assert(pages);
	head->span_pages = pages;
	head->span_needed = pages;
}

/* Allocate a span. Returns its address, or 0. */
static uintptr_t span_alloc_run(unsigned class, size_t pages, size_t align, enum alloc_which which,
				bool *backed)
{
	size_t units = units_for(pages);
	uintptr_t base = superslab_alloc(units, slack_of(pages), align, which, backed);
	struct slab *head;

	if (!base)
		return 0;
	head = head_of((void *)base);
	head->class = (uint8_t) class;
	set_length(head, pages);
	pagemap_set_class(base, 1, class);
	pagemap_set_class(base + UNIT_SIZE, units - 1, CLASS_SPAN_REST);
	span_count(&hak_spans.allocated[class - CLASS_SPAN_FIRST], 1);
	usage_add(pages * PAGE_SIZE);
	return base;
}

static void span_free_run(struct slab *head)
{
	span_count(&hak_spans.freed[head->class - CLASS_SPAN_FIRST], 1);
	head->class = CLASS_NONE;
	usage_add(-head->span_pages * PAGE_SIZE);
	superslab_free(slab_base(head), units_for(head->span_pages));
}

/**
 * span_alloc() - allocate whole pages
 * @size:   at most PTRDIFF_MAX
 * @align:  a power of two
 * @which:  which memory may be taken
 * @backed: set if memory stands behind most of the span already
 */
void *span_alloc(size_t size, size_t align, enum alloc_which which, bool *backed)
{
	size_t pages = pages_for(size);
	uintptr_t base;

	if (which == ALLOC_TO_GROW && !policy_grows_on(pages, hak_spans.live_pages))
		which = ALLOC_ANY;
	base = span_alloc_run(CLASS_SPAN, pages, MAX(align, UNIT_SIZE), which, backed);
	if (!base)
		return NULL;
	count_length(pages, units_for(pages));
	return (void *)base;
}

/* @block is the start of a span of CLASS_SPAN. */
void span_free(void *block)
{
	struct slab *head = head_of(block);
	size_t pages = head->span_pages;

	hak_assert(head->class == CLASS_SPAN);
	count_length(-(uint64_t)pages, -(uint64_t)units_for(pages));
	span_free_run(head);
}

/* The address of the span that waits, or 0; with SCANNED if a scan has seen it. */
static _Atomic uintptr_t waiting;
static _Atomic size_t waiting_units; /* how many it has, or had */

#define SCANNED ((uintptr_t)1)

/* Free the units of a span that has waited, if there is one at @base. */
static bool waiting_free(uintptr_t base)
{
	if (!base)
		return false;
	superslab_free(base & ~SCANNED, units_for(head_of((void *)(base & ~SCANNED))->span_pages));
	return true;
}

/* Free a span of CLASS_SPAN, which may wait if another one is wanted soon. */
void span_free_later(void *block)
{
	struct slab *head = head_of(block);
	size_t pages = head->span_pages;

	if (!policy_waits(units_for(pages))) {
		span_free(block);
		return;
	}
	count_length(-(uint64_t)pages, -(uint64_t)units_for(pages));
	span_count(&hak_spans.freed[CLASS_SPAN - CLASS_SPAN_FIRST], 1);
	usage_add(-pages * PAGE_SIZE);
	head->class = CLASS_NONE;
	pagemap_set_class((uintptr_t)block, 1, CLASS_NONE);
	waiting_units = units_for(pages);
	waiting_free(atomic_exchange(&waiting, (uintptr_t)block));
}

/* How many units wait? Racy. */
size_t span_waiting(void)
{
	return waiting ? waiting_units : 0;
}

/* Make a span that has waited as long as @pages ask for, or a little longer. */
static bool waiting_fit(uintptr_t base, size_t pages)
{
	struct slab *head = head_of((void *)base);
	size_t have = units_for(head->span_pages), units = units_for(pages), more = have / 64;

	if (units + more < have || units > have + more)
		return false;
	if (units < have)
		pages = have * PAGES_PER_UNIT;
	if (pages == head->span_pages)
		return true;
	if (!superslab_resize(base, have, MAX(have, units), slack_of(pages)))
		return false;
	if (units > have)
		pagemap_set_class(base + have * UNIT_SIZE, units - have, CLASS_SPAN_REST);
	head->span_pages = pages;
	return true;
}

/**
 * span_reuse() - allocate the span that waits, if it fits
 *
 * If it does not, it is freed. What is in it is unknown. Returns NULL if there is none.
 */
void *span_reuse(size_t size, size_t align)
{
	uintptr_t base = atomic_exchange(&waiting, 0) & ~SCANNED;
	struct slab *head;

	if (!base)
		return NULL;
	if (base & (align - 1) || !waiting_fit(base, pages_for(size))) {
		waiting_free(base);
		return NULL;
	}
	head = head_of((void *)base);
	head->class = CLASS_SPAN;
	head->span_needed = pages_for(size);
	pagemap_set_class(base, 1, CLASS_SPAN);
	span_count(&hak_spans.allocated[CLASS_SPAN - CLASS_SPAN_FIRST], 1);
	count_length(head->span_pages, units_for(head->span_pages));
	usage_add(head->span_pages * PAGE_SIZE);
	return (void *)base;
}

/* Free the span that waits. Was there one? */
bool span_flush(void)
{
	return waiting_free(atomic_exchange(&waiting, 0));
}

/* A scan comes by. Returns whether a span waits for the next one. */
bool span_scan(void)
{
	uintptr_t base = waiting;

	if (base & SCANNED && atomic_compare_exchange_strong(&waiting, &base, 0))
		waiting_free(base);
	else if (base)
		atomic_compare_exchange_strong(&waiting, &base, base | SCANNED);
	return waiting;
}

static uintptr_t alloc_grouped(unsigned class, enum alloc_which which)
{
	uintptr_t base = group_alloc(class, which);

	if (base) {
		span_count(&hak_spans.allocated[class - CLASS_SPAN_FIRST], 1);
		usage_add(size_class[class].size);
	}
	return base;
}

static void free_grouped(unsigned class, const void *block)
{
	span_count(&hak_spans.freed[class - CLASS_SPAN_FIRST], 1);
	usage_add(-(size_t)size_class[class].size);
	group_free(class, (uintptr_t)block);
}

/* Allocate up to @n spans of a class and store them in end[-1], end[-2] ... */
unsigned span_alloc_batch(unsigned class, void **end, unsigned n, enum alloc_which which)
{
	size_t pages = size_class[class].size / PAGE_SIZE;
	unsigned allocated = 0;

	while (allocated < n) {
		bool backed;
		uintptr_t base = class_has_groups(class)
					 ? alloc_grouped(class, which)
					 : span_alloc_run(class, pages, UNIT_SIZE, which, &backed);

		if (!base)
			break;
		end[-(ptrdiff_t)++allocated] = (void *)base;
	}
	return allocated;
}

/* Free spans of a class. */
void span_free_batch(unsigned class, void *const *blocks, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		size_t detail;
		enum hak_bug_code bug = span_inspect(class, blocks[i], &detail);

		if (unlikely(bug)) {
			bug_note(bug, blocks[i], size_class[class].size, detail);
			break;
		}
		if (class_has_groups(class))
			free_grouped(class, blocks[i]);
		else
			span_free_run(head_of(blocks[i]));
	}
}

uint64_t span_outstanding(unsigned class)
{
	uint64_t freed =
		hak_spans.freed[class - CLASS_SPAN_FIRST]; /* first: never more than allocated */

	return hak_spans.allocated[class - CLASS_SPAN_FIRST] - freed;
}

/* What is wrong with freeing @block? It was of this class when the page map was read. */
enum hak_bug_code span_inspect(unsigned class, const void *block, size_t *detail)
{
	uintptr_t address = (uintptr_t)block;
	const struct slab *slab = address_to_slab(address);

	if (class_has_groups(class))
		return group_inspect(class, address, detail);
	*detail = address % UNIT_SIZE;
	if (*detail)
		return HAK_BUG_INTERIOR;
	/* its SuperSlab may have gone with it */
	if (!slab || slab->class != class)
		return HAK_BUG_DOUBLE_FREE;
	return HAK_BUG_NONE;
}

/* A span has another length than its class says: it is of CLASS_SPAN from now on. */
static void span_leave_class(struct slab *head)
{
	if (!NR_SPAN_CLASSES || head->class == CLASS_SPAN)
		return;
	span_count(&hak_spans.freed[head->class - CLASS_SPAN_FIRST], 1);
	span_count(&hak_spans.uncached[head->class - CLASS_SPAN_FIRST][UNCACHED_FREE], 1);
	span_count(&hak_spans.allocated[CLASS_SPAN - CLASS_SPAN_FIRST], 1);
	count_length(head->span_pages, units_for(head->span_pages));
	head->class = CLASS_SPAN;
	pagemap_set_class(slab_base(head), 1, CLASS_SPAN);
}

/* Does a size that has grown still fit into a span? Then nothing changes but `span_needed`. */
bool span_note_growth(void *block, size_t size)
{
	struct slab *head = head_of(block);
	size_t pages = pages_for(size);
	bool fits = pages <= head->span_pages && pages >= head->span_needed;

	if (fits)
		head->span_needed = pages;
	return fits;
}

/**
 * span_resize() - make a span long enough for @size bytes, where it is
 *
 * It gets longer if the units behind it are unused. With a smaller size, all pages that it does
 * not need go back.
 */
bool span_resize(void *block, size_t size)
{
	struct slab *head = head_of(block);
	size_t old = head->span_pages, pages = pages_for(size);
	size_t old_units = units_for(old), units = units_for(pages);

	if (!superslab_resize((uintptr_t)block, old_units, units, slack_of(pages)))
		return false;
	if (units > old_units)
		pagemap_set_class((uintptr_t)block + old_units * UNIT_SIZE, units - old_units,
				  CLASS_SPAN_REST);
	span_leave_class(head);
	set_length(head, pages);
	count_length((uint64_t)pages - old, (uint64_t)units - old_units);
	usage_add((pages - old) * PAGE_SIZE);
	return true;
}

/**
 * span_move() - move the contents of a span to another one without copying them
 * @size: in bytes
 *
 * Returns how many bytes have moved, from the start, and are lost in @from; the caller copies
 * the rest. If any have, @from becomes one of CLASS_SPAN, since a magazine would hand it out as
 * if it was backed.
 */
size_t span_move(void *from, void *to, size_t size)
{
	size_t done = 0;

	if (policy_moves(size, pages_counters.mapped))
		done = remap_move((uintptr_t)from, (uintptr_t)to, size & ~(PAGE_SIZE - 1));
	if (done)
		span_leave_class(head_of(from));
	return done;
}

/**
 * span_clear() - make a run read zero that has just been allocated for a span
 * @size: in bytes
 *
 * Units that are known to read zero are not touched. A long run is purged.
 */
NO_SANITIZE_THREAD void span_clear(uintptr_t base, size_t size)
{
	size_t unit = size > POLICY_CLEAR_MOST ? WINDOW_SIZE : UNIT_SIZE;

	for (size_t part; size; base += part, size -= part) {
		/* racy: alloc_at() changes only bits of others meanwhile */
		unit_mask zeros = READ_ONCE(superslab_window_at(base)->zeros);
		unsigned n;
		int flags;

		part = MIN(unit - (base & (unit - 1)), size);
		if (!(superslab_part(base, DIV_ROUND_UP(part, UNIT_SIZE), &n) & ~zeros))
			continue;
		flags = unit == UNIT_SIZE ? -1
					  : pages_purge((void *)base, ALIGN_UP(part, PAGE_SIZE));
		if (flags < 0 || !(flags & HAK_PAGES_ZERO))
			__builtin_memset((void *)base, 0, part);
	}
}

/* Only @size bytes of a span were asked for; the rest is room to grow into. */
void span_note_size(void *block, size_t size)
{
	head_of(block)->span_needed = pages_for(size);
}

size_t span_size(const void *block)
{
	return head_of(block)->span_pages * PAGE_SIZE;
}

/* Could @size bytes be what a span of CLASS_SPAN was asked for, or its usable size? */
bool span_fits(const void *block, size_t size)
{
	const struct slab *head = head_of(block);

	return pages_for(size) >= head->span_needed && pages_for(size) <= head->span_pages;
}

/* The start of the span that @address lies in. */
const void *span_start(const void *address)
{
	uintptr_t base = (uintptr_t)address & ~(uintptr_t)(UNIT_SIZE - 1);
	size_t detail;

	if (HAS_GROUPS && class_has_groups(pagemap_class(base))) {
		group_inspect(pagemap_class(base), (uintptr_t)address, &detail);
		return (const char *)address - detail;
	}
	while (pagemap_class(base) == CLASS_SPAN_REST)
		base -= UNIT_SIZE;
	return (const void *)base;
}

void span_fini(void)
{
	__builtin_memset(&hak_spans, 0, sizeof(hak_spans));
	if (SPANS_WAIT)
		waiting = 0;
	if (HAS_GROUPS)
		group_fini();
}
