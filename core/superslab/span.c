/* SPDX-License-Identifier: MIT */
/*
 * Blocks that are runs of slabs, in one SuperSlab or across several. The first
 * slab's descriptor has the length; its class byte is the span's class, that of
 * the others CLASS_SPAN_REST, so that a pointer into a span is told from one to
 * it.
 *
 * A span is a number of pages. Those behind its end, in its last slab, are
 * nobody's: they are spare, and go back if they have memory (superslab.c).
 *
 * Spans of the classes that have magazines are as long as their class says and
 * pass through these. All others are CLASS_SPAN: larger or aligned ones, and
 * those that were resized where they are.
 *
 *	taken - put  =  spans of that class that are not in superslab.c's hands
 *	live_pages   =  sum of the lengths of those of CLASS_SPAN
 *	live_slabs   =  slabs that these take
 *
 * Lock: none of its own. The slabs of a span belong to whoever allocated it,
 * like the bytes in it; taking and returning them is superslab.c's.
 *
 * Failure: span_alloc() returns NULL, span_alloc_batch() fewer, span_resize() false;
 * nothing changed.
 */
#include "superslab/span.h"

#include "pages/pagemap.h"
#include "pages/pages.h"
#include "base/sizeclass.h"
#include "superslab/superslab.h"

static struct {
	_Atomic uint64_t live_pages, live_slabs;
	_Atomic uint64_t allocated[NR_SPAN_CLASSES + 1], freed[NR_SPAN_CLASSES + 1];
	_Atomic uint64_t uncached[NR_SPAN_CLASSES + 1][2]; /* by enum bypass */
} spans;

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void count_allocated(unsigned class)
{
	count(&spans.allocated[class - CLASS_SPAN_FIRST], 1);
}

static void count_freed(unsigned class)
{
	count(&spans.freed[class - CLASS_SPAN_FIRST], 1);
}

/* Those of CLASS_SPAN are so much longer (or, wrapping, shorter), all together. */
static void count_length(uint64_t pages, uint64_t slabs)
{
	count(&spans.live_pages, pages);
	count(&spans.live_slabs, slabs);
}

static struct slab *head_of(const void *block)
{
	return address_to_slab((uintptr_t)block);
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
static unsigned slack_of(size_t pages)
{
	return ALL_PAGES & ~((1u << ((pages - 1) % PAGES_PER_SLAB + 1)) - 1);
}

static void set_length(struct slab *head, size_t pages)
{
	head->span_pages = pages;
	head->span_needed = pages;
}

/* A new span: its first slab, or 0. */
static uintptr_t span_alloc_run(unsigned class, size_t pages, size_t align, enum alloc_which which,
		      enum run_memory *memory)
{
	size_t slabs = slabs_for(pages);
	uintptr_t base = superslab_alloc(slabs, slack_of(pages), align, which, memory);
	struct slab *head;

	if (!base)
		return 0;
	head = head_of((void *)base);
	head->class = (uint8_t) class;
	set_length(head, pages);
	pagemap_set_class(base, 1, class);
	pagemap_set_class(base + SLAB_SIZE, slabs - 1, CLASS_SPAN_REST);
	count_allocated(class);
	return base;
}

static void span_free_run(struct slab *head)
{
	count_freed(head->class);
	head->class = CLASS_NONE;
	superslab_free(slab_base(head), slabs_for(head->span_pages));
}

/**
 * span_alloc() - allocate whole pages
 * @size:  at most PTRDIFF_MAX
 * @align: a power of two
 * @which: are slabs without memory wanted?
 * @memory: set to what is behind it
 */
void *span_alloc(size_t size, size_t align, enum alloc_which which, enum run_memory *memory)
{
	size_t pages = pages_for(size);
	uintptr_t base =
		span_alloc_run(CLASS_SPAN, pages, align > SLAB_SIZE ? align : SLAB_SIZE, which, memory);

	if (!base)
		return NULL;
	count_length(pages, slabs_for(pages));
	return (void *)base;
}

/* @block is the start of a span of CLASS_SPAN. */
void span_free(void *block)
{
	struct slab *head = head_of(block);
	size_t pages = head->span_pages;

	count_length(-(uint64_t)pages, -(uint64_t)slabs_for(pages));
	span_free_run(head);
}

/* As class_alloc(): up to @n spans of a class into end[-1], end[-2] ... */
unsigned span_alloc_batch(unsigned class, void **end, unsigned n, enum alloc_which which)
{
	size_t pages = size_class[class].size / PAGE_SIZE;
	unsigned allocated = 0;

	while (allocated < n) {
		enum run_memory memory;
		uintptr_t base = span_alloc_run(class, pages, SLAB_SIZE, which, &memory);

		if (!base)
			break;
		end[-(ptrdiff_t)++allocated] = (void *)base;
	}
	return allocated;
}

/* As class_free(). */
uint64_t span_free_batch(unsigned class, void *const *blocks, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		size_t detail;
		enum hak_bug_code bug = span_inspect(class, blocks[i], &detail);

		if (unlikely(bug))
			hak_bug(bug, "free", blocks[i], size_class[class].size, detail);
		span_free_run(head_of(blocks[i]));
	}
	return span_outstanding(class);
}

uint64_t span_outstanding(unsigned class)
{
	uint64_t freed = spans.freed[class - CLASS_SPAN_FIRST]; /* first: never more than taken */

	return spans.allocated[class - CLASS_SPAN_FIRST] - freed;
}

/* What is wrong with freeing @block, of a class of spans by the page map when that was read? */
enum hak_bug_code span_inspect(unsigned class, const void *block, size_t *detail)
{
	uintptr_t address = (uintptr_t)block;
	const struct slab *slab = address_to_slab(address);

	*detail = address % SLAB_SIZE;
	if (*detail)
		return HAK_BUG_INTERIOR;
	/* its SuperSlab may have gone with it */
	if (!slab || slab->class != class)
		return HAK_BUG_DOUBLE_FREE;
	return HAK_BUG_NONE;
}

/* It is not what its class says any more: one of these has gone, and another come. */
static void span_leave_class(struct slab *head)
{
	if (!NR_SPAN_CLASSES || head->class == CLASS_SPAN)
		return;
	count_freed(head->class);
	span_count_uncached(head->class, UNCACHED_FREE);
	count_allocated(CLASS_SPAN);
	count_length(head->span_pages, slabs_for(head->span_pages));
	head->class = CLASS_SPAN;
	pagemap_set_class(slab_base(head), 1, CLASS_SPAN);
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
	if (!superslab_resize((uintptr_t)block, old_slabs, slabs, slack_of(pages)))
		return false;
	if (slabs > old_slabs)
		pagemap_set_class((uintptr_t)block + old_slabs * SLAB_SIZE, slabs - old_slabs,
				  CLASS_SPAN_REST);
	span_leave_class(head);
	set_length(head, pages);
	count_length((uint64_t)pages - old, (uint64_t)slabs - old_slabs);
	return true;
}

/* So much is copied before page tables of as much have moved. */
#define MOVE_LEAST ((size_t)128 << 10)

/*
 * Nor less than one in so many parts of the heap: what has been moved is a mapping of
 * its own, or several, of which Linux lets a process have 65530 (vm.max_map_count).
 */
#define MOVE_PARTS 8192u

/**
 * span_move() - move the contents of a span to another without copying them
 * @size: in bytes
 *
 * Returns how many bytes are done, from the start; the rest is to be copied.
 * The contents of @from are lost as far as these reach, and it is of CLASS_SPAN
 * then: a magazine would hand it out as if it had memory.
 */
size_t span_move(void *from, void *to, size_t size)
{
	size_t done = 0;

	if (size >= MOVE_LEAST && size >= pages_counters.mapped / MOVE_PARTS)
		done = remap_move((uintptr_t)from, (uintptr_t)to, size & ~(PAGE_SIZE - 1));
	if (done)
		span_leave_class(head_of(from));
	return done;
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
	uintptr_t base = (uintptr_t)address & ~(uintptr_t)(SLAB_SIZE - 1);

	while (pagemap_class(base) == CLASS_SPAN_REST)
		base -= SLAB_SIZE;
	return (const void *)base;
}

void span_count_uncached(unsigned class, enum uncached what)
{
	count(&spans.uncached[class - CLASS_SPAN_FIRST][what], 1);
}

void span_read_counters(unsigned class, struct class_counters *counters)
{
	unsigned row = class - CLASS_SPAN_FIRST;
	uint64_t freed = spans.freed[row]; /* first: never more than taken */
	uint64_t allocated = spans.allocated[row];

	*counters = (struct class_counters){
		.allocated = allocated,
		.freed = freed,
		.slabs = class == CLASS_SPAN
				 ? spans.live_slabs
				 : (allocated - freed) * slabs_for(size_class[class].size / PAGE_SIZE),
		.uncached = { spans.uncached[row][0], spans.uncached[row][1] },
	};
}

uint64_t span_live_pages(void)
{
	return spans.live_pages;
}

static const char *check_span(const struct slab *head)
{
	uintptr_t base = slab_base(head);

	if (pagemap_class(base) != head->class)
		return "page map: class of a span";
	if (head->class != CLASS_SPAN &&
	    head->span_pages * PAGE_SIZE != size_class[head->class].size)
		return "span: not as long as its class says";
	for (size_t i = 1; i < slabs_for(head->span_pages); i++)
		if (pagemap_class(base + i * SLAB_SIZE) != CLASS_SPAN_REST)
			return "page map: class of the rest of a span";
	return NULL;
}

/* NULL, or what does not fit together. */
const char *span_check(void)
{
	uint64_t live[ARRAY_SIZE(spans.freed)] = { 0 }, live_pages = 0, live_slabs = 0;
	const char *failed = NULL;

	arena_lock();
	for (struct superslab *superslab = arena_first(); superslab && !failed;
	     superslab = arena_next(superslab)) {
		for (unsigned i = 0; i < SLABS_PER_SUPERSLAB && !failed; i++) {
			const struct slab *slab = &superslab->slab[i];

			if (!class_is_span(slab->class))
				continue;
			failed = check_span(slab);
			live[slab->class - CLASS_SPAN_FIRST]++;
			if (slab->class != CLASS_SPAN)
				continue;
			live_pages += slab->span_pages;
			live_slabs += slabs_for(slab->span_pages);
		}
	}
	arena_unlock();
	for (unsigned i = 0; i < ARRAY_SIZE(live) && !failed; i++)
		if (live[i] != span_outstanding(CLASS_SPAN_FIRST + i))
			failed = "span counters: live";
	if (!failed && (live_pages != spans.live_pages || live_slabs != spans.live_slabs))
		failed = "span counters: pages or slabs";
	return failed;
}

void span_fini(void)
{
	__builtin_memset(&spans, 0, sizeof(spans));
}
