/* SPDX-License-Identifier: MIT */
/*
 * Blocks too large for a size class: runs of whole slabs, in one SuperSlab or
 * across several. The first slab's descriptor has the length; its class byte
 * is CLASS_SPAN, that of the others CLASS_SPAN_REST, so that a pointer into a
 * span is told from one to it.
 *
 *	live_slabs  =  sum of the lengths of all live spans
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
	_Atomic uint64_t allocations, frees, live_slabs;
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

/**
 * span_alloc() - allocate whole slabs
 * @size:  at most PTRDIFF_MAX
 * @align: a power of two
 * @zero:  set to whether the memory is known to read zero
 */
void *span_alloc(size_t size, size_t align, bool *zero)
{
	size_t slabs = size ? DIV_ROUND_UP(size, SLAB_SIZE) : 1;
	uintptr_t base = superslab_take(slabs, align > SLAB_SIZE ? align : SLAB_SIZE, zero);
	struct slab *head;

	if (!base)
		return NULL;
	head = head_of((void *)base);
	head->class = CLASS_SPAN;
	head->span_slabs = slabs;
	head->span_needed = slabs;
	pagemap_set_class(base, 1, CLASS_SPAN);
	pagemap_set_class(base + SLAB_SIZE, slabs - 1, CLASS_SPAN_REST);
	count(&spans.allocations, 1);
	count(&spans.live_slabs, slabs);
	return (void *)base;
}

/* @block lies in a slab of class CLASS_SPAN. */
void span_free(void *block)
{
	struct slab *head = head_of(block);
	size_t slabs = head->span_slabs;

	head->class = CLASS_NONE;
	count(&spans.frees, 1);
	count(&spans.live_slabs, -(uint64_t)slabs);
	superslab_put((uintptr_t)block, slabs);
}

/**
 * span_resize() - make a span long enough for @size bytes
 *
 * In place. More slabs are taken if nobody has those behind it, unless it was
 * given room for them; if it shrinks, all that it does not need is given back.
 */
bool span_resize(void *block, size_t size)
{
	struct slab *head = head_of(block);
	size_t old = head->span_slabs, slabs = DIV_ROUND_UP(size, SLAB_SIZE);
	uintptr_t end = (uintptr_t)block + old * SLAB_SIZE;

	if (slabs > old) {
		if (!superslab_take_at(end, slabs - old))
			return false;
		pagemap_set_class(end, slabs - old, CLASS_SPAN_REST);
	} else if (slabs < head->span_needed) {
		superslab_put((uintptr_t)block + slabs * SLAB_SIZE, old - slabs);
	} else {
		head->span_needed = slabs;
		return true;
	}
	head->span_slabs = slabs;
	head->span_needed = slabs;
	count(&spans.live_slabs, (uint64_t)slabs - old);
	return true;
}

/* Only @size bytes of a span were asked for; the rest is room to grow into. */
void span_note_size(void *block, size_t size)
{
	head_of(block)->span_needed = DIV_ROUND_UP(size, SLAB_SIZE);
}

size_t span_size(const void *block)
{
	return head_of(block)->span_slabs * SLAB_SIZE;
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
	counters->live_slabs = spans.live_slabs;
}

static const char *check_span(const struct slab *head)
{
	uintptr_t base = slab_base(head);

	if (pagemap_class(base) != CLASS_SPAN)
		return "page map: class of a span";
	for (size_t i = 1; i < head->span_slabs; i++)
		if (pagemap_class(base + i * SLAB_SIZE) != CLASS_SPAN_REST)
			return "page map: class of the rest of a span";
	return NULL;
}

/* NULL, or what does not fit together. */
const char *span_check(void)
{
	uint64_t live = 0, live_slabs = 0;
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
			live_slabs += slab->span_slabs;
		}
	}
	superslab_unlock();
	if (!failed && (live != spans.allocations - spans.frees || live_slabs != spans.live_slabs))
		failed = "span counters";
	return failed;
}

void span_fini(void)
{
	__builtin_memset(&spans, 0, sizeof(spans));
}
