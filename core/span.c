/* SPDX-License-Identifier: MIT */
/*
 * Blocks too large for a size class: runs of slabs, in one SuperSlab or across
 * several. The first slab's descriptor has the length; its class byte is
 * CLASS_SPAN, that of the others CLASS_SPAN_REST, so that a pointer into a span
 * is told from one to it.
 *
 * A span is a number of pages. Those behind its end, in its last slab, are
 * nobody's: they are spare, and go back if they have memory (superslab.c).
 *
 *	live_pages  =  sum of the lengths of all live spans
 *	live_slabs  =  slabs that they take
 *
 * Lock: none of its own. The slabs of a span belong to whoever allocated it,
 * like the bytes in it; taking and returning them is superslab.c's.
 *
 * Failure: span_alloc() returns NULL, span_resize() false, nothing changed.
 */
#include "span.h"

#include "pagemap.h"
#include "sizeclass.h"
#include "superslab.h"

static struct {
	_Atomic uint64_t allocations, frees, live_pages, live_slabs;
} spans;

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static struct slab *head_of(const void *block)
{
	uintptr_t base = (uintptr_t)block;

	return superslab_slab(pagemap_superslab(base), base);
}

static size_t pages_for(size_t size)
{
	return size ? DIV_ROUND_UP(size, PAGE_SIZE) : 1;
}

static size_t slabs_for(size_t pages)
{
	return DIV_ROUND_UP(pages, PAGES_PER_SLAB);
}

/* The pages of the last slab that are behind the end. */
static unsigned spare_of(size_t pages)
{
	return ALL_PAGES & ~((1u << ((pages - 1) % PAGES_PER_SLAB + 1)) - 1);
}

static void set_length(struct slab *head, size_t pages)
{
	head->span_pages = pages;
	head->span_needed = pages;
}

/* A span gets, or loses, its length. */
static void count_live(uint64_t pages, uint64_t slabs)
{
	count(&spans.live_pages, pages);
	count(&spans.live_slabs, slabs);
}

/**
 * span_alloc() - allocate whole pages
 * @size:  at most PTRDIFF_MAX
 * @align: a power of two
 * @zero:  set to whether the memory is known to read zero
 */
void *span_alloc(size_t size, size_t align, bool *zero)
{
	size_t pages = pages_for(size), slabs = slabs_for(pages);
	uintptr_t base =
		superslab_take(slabs, spare_of(pages), align > SLAB_SIZE ? align : SLAB_SIZE, zero);
	struct slab *head;

	if (!base)
		return NULL;
	head = head_of((void *)base);
	head->class = CLASS_SPAN;
	set_length(head, pages);
	pagemap_set_class(base, 1, CLASS_SPAN);
	pagemap_set_class(base + SLAB_SIZE, slabs - 1, CLASS_SPAN_REST);
	count(&spans.allocations, 1);
	count_live(pages, slabs);
	return (void *)base;
}

/* @block lies in a slab of class CLASS_SPAN. */
void span_free(void *block)
{
	struct slab *head = head_of(block);
	size_t pages = head->span_pages, slabs = slabs_for(pages);

	head->class = CLASS_NONE;
	count(&spans.frees, 1);
	count_live(-(uint64_t)pages, -(uint64_t)slabs);
	superslab_put((uintptr_t)block, slabs);
}

/**
 * span_resize() - make a span long enough for @size bytes
 *
 * In place. More is taken if nobody has what is behind it, unless it was given
 * room for that; if it shrinks, all that it does not need is given back.
 */
bool span_resize(void *block, size_t size)
{
	struct slab *head = head_of(block);
	size_t old = head->span_pages, pages = pages_for(size);
	size_t old_slabs = slabs_for(old), slabs = slabs_for(pages);

	if (pages <= old && pages >= head->span_needed) {
		head->span_needed = pages;
		return true;
	}
	if (!superslab_resize((uintptr_t)block, old_slabs, slabs, spare_of(pages)))
		return false;
	if (slabs > old_slabs)
		pagemap_set_class((uintptr_t)block + old_slabs * SLAB_SIZE, slabs - old_slabs,
				  CLASS_SPAN_REST);
	set_length(head, pages);
	count_live((uint64_t)pages - old, (uint64_t)slabs - old_slabs);
	return true;
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

/* The start of the span that @address, of CLASS_SPAN or _REST, lies in. */
const void *span_start(const void *address)
{
	uintptr_t base = (uintptr_t)address & ~(uintptr_t)(SLAB_SIZE - 1);

	while (pagemap_class(base) == CLASS_SPAN_REST)
		base -= SLAB_SIZE;
	return (const void *)base;
}

void span_read_counters(struct span_counters *counters)
{
	counters->frees = spans.frees; /* first: there are never more than allocations */
	counters->allocations = spans.allocations;
	counters->live = counters->allocations - counters->frees;
	counters->live_pages = spans.live_pages;
	counters->live_slabs = spans.live_slabs;
}

static const char *check_span(const struct slab *head)
{
	uintptr_t base = slab_base(head);

	if (pagemap_class(base) != CLASS_SPAN)
		return "page map: class of a span";
	for (size_t i = 1; i < slabs_for(head->span_pages); i++)
		if (pagemap_class(base + i * SLAB_SIZE) != CLASS_SPAN_REST)
			return "page map: class of the rest of a span";
	return NULL;
}

/* NULL, or what does not fit together. */
const char *span_check(void)
{
	uint64_t live = 0, live_pages = 0, live_slabs = 0;
	const char *failed = NULL;

	superslab_lock();
	for (struct superslab *superslab = superslab_first(); superslab && !failed;
	     superslab = superslab_next(superslab)) {
		for (unsigned i = 0; i < SLABS_PER_SUPERSLAB && !failed; i++) {
			const struct slab *slab = &superslab->slab[i];

			if (slab->class != CLASS_SPAN)
				continue;
			failed = check_span(slab);
			live++;
			live_pages += slab->span_pages;
			live_slabs += slabs_for(slab->span_pages);
		}
	}
	superslab_unlock();
	if (!failed && (live != spans.allocations - spans.frees || live_pages != spans.live_pages ||
			live_slabs != spans.live_slabs))
		failed = "span counters";
	return failed;
}

void span_fini(void)
{
	__builtin_memset(&spans, 0, sizeof(spans));
}
