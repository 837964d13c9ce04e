/* SPDX-License-Identifier: MIT */
/*
 * Guarded samples. A span is cut into pages, and every second one is for a block:
 *
 *	| faults | block | faults | block | faults | ...
 *
 * A block lies at the left end of its page or at the right one, by chance, so an access before its
 * start or behind its end faults. Blocks at the right end are aligned as they have to be, and the
 * bytes between them and the end of the page are filled with a pattern, as is the rest of every
 * page. The pattern is compared when the block is freed. From then on the page faults, until the
 * slot is used again. The slot that has been free for longest comes first. (KFENCE of Linux and
 * GWP-ASan are made so.)
 *
 *	state of a slot		its page
 *	UNUSED, FREED		faults
 *	BUSY, LIVE		does not
 *
 * Lock: that of the samples (trace.c); hak_host_protect() is called without it. Reports are
 * written without it.
 *
 * Failure: if no slot is free, or no page can be made to fault, the block is an ordinary one, and
 * is counted.
 */
#include "diag/guard.h"

#include <hakmem/host.h>

#include "base/format.h"
#include "diag/sampled.h"
#include "superslab/span.h"

#define GUARD_SIZE  (HAK_GUARD_PAGES * PAGE_SIZE)
#define GUARD_SLOTS ((HAK_GUARD_PAGES - 1) / 2)
#define PATTERN	    0xa5

_Static_assert(GUARD_SIZE % SLAB_SIZE == 0, "the pages are whole slabs");

enum guard_state { GUARD_UNUSED, GUARD_BUSY, GUARD_LIVE, GUARD_FREED };

/**
 * struct guard_slot - a page for a block; while it is BUSY, its user writes without the lock
 * @block: where the last block in it begins; NULL: there was none [samples]
 * @size:  its length [samples]
 * @state: enum guard_state [samples]
 * @allocated: who has allocated it [samples]
 * @freed: who has freed it, or NULL [samples]
 */
struct guard_slot {
	char *block;
	size_t size;
	enum guard_state state;
	const struct stack *allocated, *freed;
};

static struct {
	char *_Atomic base;	 /* NULL: there are no pages yet */
	struct guard_slot *slot; /* GUARD_SLOTS of them */
	uint16_t *queue;	 /* slots that can be used, from @first on [samples] */
	unsigned first, n;	 /* [samples] */
	_Atomic size_t one_in;
	_Atomic int64_t left; /* allocations before the next one */
	_Atomic size_t made, missed;
} guards;

static char *guarded_page(unsigned slot)
{
	return guards.base + (2 * (size_t)slot + 1) * PAGE_SIZE;
}

/* ----------------------------------------------------------------------- its life */

void guard_count(unsigned n)
{
	guards.left -= n;
}

/* The next one is drawn evenly from 1 to twice the mean, less one. */
bool guard_is_due(void)
{
	size_t one_in = guards.one_in;

	if (guards.left > 0 || !one_in)
		return false;
	guards.left = 1 + (int64_t)sample_random(2 * one_in - 1);
	return true;
}

/* Memory for what is known of the slots. False if a record is missing. */
static bool slots_open(void)
{
	size_t size = GUARD_SLOTS * (sizeof(*guards.slot) + sizeof(*guards.queue));

	samples_lock();
	if (!guards.slot)
		guards.slot = records_cut(size);
	if (guards.slot)
		guards.queue = (uint16_t *)(guards.slot + GUARD_SLOTS);
	samples_unlock();
	return guards.slot;
}

static void fill_queue(char *base)
{
	samples_lock();
	for (unsigned i = 0; i < GUARD_SLOTS; i++)
		guards.queue[i] = (uint16_t)i;
	guards.n = GUARD_SLOTS;
	guards.base = base;
	samples_unlock();
}

/* Get the pages, all of which fault. */
static bool guard_open(void)
{
	static struct sample_pool pool = { .kind = SAMPLE_GUARD };
	bool backed;
	char *base;

	while (!slots_open())
		if (!records_more(false))
			return false;
	base = span_alloc(GUARD_SIZE, SLAB_SIZE, ALLOC_ANY, &backed);
	if (!base)
		return false;
	if (!hak_host_protect(base, GUARD_SIZE, true)) {
		span_free(base);
		return false;
	}
	sample_pool_enter(base, GUARD_SIZE, &pool);
	fill_queue(base);
	return true;
}

/* hak_guard_start() */
bool hak_sampled_guard(size_t one_in)
{
	if (!one_in || one_in > SIZE_MAX / 4 || (!guards.base && !guard_open()))
		return false;
	guards.one_in = one_in;
	guards.left = 1 + (int64_t)sample_random(one_in);
	hak_sampling |= SAMPLING_GUARD;
	return true;
}

void hak_guard_stop(void)
{
	hak_sampling &= ~SAMPLING_GUARD;
	guards.one_in = 0;
}

NO_SANITIZE_THREAD bool guard_has_page(void)
{
	bool any = READ_ONCE(guards.n);

	guards.missed += !any;
	return any;
}

/* The slot that has been free for longest, or GUARD_SLOTS. */
static unsigned slot_alloc(void)
{
	unsigned slot = GUARD_SLOTS;

	samples_lock();
	if (guards.n) {
		slot = guards.queue[guards.first];
		guards.first = (guards.first + 1) % GUARD_SLOTS;
		guards.n--;
		guards.slot[slot].state = GUARD_BUSY;
	}
	samples_unlock();
	return slot;
}

static void slot_free(unsigned slot)
{
	samples_lock();
	guards.queue[(guards.first + guards.n++) % GUARD_SLOTS] = (uint16_t)slot;
	samples_unlock();
}

/* Who asks for a block that is guarded; NULL if there is no page for it. */
void *guard_alloc(size_t size, size_t align, const struct trace *trace)
{
	unsigned slot = slot_alloc();
	struct guard_slot *guard = &guards.slot[slot];
	size_t place = PAGE_SIZE - ALIGN_UP(size, MAX(align, (size_t)HAK_MIN_ALIGN));
	char *page;

	if (slot == GUARD_SLOTS) {
		guards.missed++;
		return NULL;
	}
	page = guarded_page(slot);
	if (!hak_host_protect(page, PAGE_SIZE, false)) {
		guard->state = guard->block ? GUARD_FREED : GUARD_UNUSED;
		slot_free(slot);
		guards.missed++;
		return NULL;
	}
	__builtin_memset(page, PATTERN, PAGE_SIZE);
	guard->block = page + (sample_random(2) ? place : 0);
	guard->size = size;
	guard->allocated = trace_keep(trace, false);
	guard->freed = NULL;
	guard->state = GUARD_LIVE;
	guards.made++;
	return guard->block;
}

/* Is a page around its block as it was? Returns the first byte that is not, or NULL. */
static const char *find_written(unsigned slot)
{
	const struct guard_slot *guard = &guards.slot[slot];
	const char *page = guarded_page(slot);

	for (const char *byte = page; byte < page + PAGE_SIZE; byte++) {
		if (byte == guard->block)
			byte += guard->size;
		if (byte < page + PAGE_SIZE && (uint8_t)*byte != PATTERN)
			return byte;
	}
	return NULL;
}

/* The slot in whose page, or next to whose page, an address lies. GUARD_SLOTS if there is none. */
static unsigned slot_near(const void *address)
{
	size_t page = (size_t)((const char *)address - guards.base) / PAGE_SIZE;
	unsigned left = (unsigned)(page - 1) / 2, right = (unsigned)page / 2;
	const char *end, *start;

	if (page % 2 || !page || right == GUARD_SLOTS)
		return page % 2 || !page ? right : left;
	if (!guards.slot[left].block || !guards.slot[right].block)
		return guards.slot[left].block ? left : right;
	end = guards.slot[left].block + guards.slot[left].size;
	start = guards.slot[right].block;
	return (const char *)address - end < start - (const char *)address ? left : right;
}

enum hak_bug_code guard_inspect(const void *block, size_t *size, size_t *detail)
{
	size_t page = (size_t)((const char *)block - guards.base) / PAGE_SIZE;
	const struct guard_slot *guard = &guards.slot[page / 2];

	if (page % 2 == 0 || guard->state == GUARD_UNUSED)
		return HAK_BUG_UNUSED;
	*size = guard->size;
	*detail = (size_t)((const char *)block - guard->block);
	if (guard->state == GUARD_FREED)
		return HAK_BUG_DOUBLE_FREE;
	return *detail ? HAK_BUG_INTERIOR : HAK_BUG_NONE;
}

/* -------------------------------------------------------------------- the reports */

static void print_stack(hak_sink *sink, void *ctx, const char *what, const struct stack *stack)
{
	hak_format(sink, ctx, "  %s:\n", what);
	trace_print(sink, ctx, stack ? (void *const *)stack->frames : NULL, stack ? stack->n : 0);
}

static void print_life(hak_sink *sink, void *ctx, const struct guard_slot *guard)
{
	print_stack(sink, ctx, "allocated by", guard->allocated);
	if (guard->state == GUARD_FREED)
		print_stack(sink, ctx, "freed by", guard->freed);
}

/* "3 bytes behind the end of a block of 100 bytes at 0x..." */
static void print_place(hak_sink *sink, void *ctx, const void *address,
			const struct guard_slot *guard)
{
	const char *byte = address, *end = guard->block + guard->size;

	if (byte < guard->block)
		hak_format(sink, ctx, "%zu bytes before the start of",
			   (size_t)(guard->block - byte));
	else if (byte < end)
		hak_format(sink, ctx, "%zu bytes into", (size_t)(byte - guard->block));
	else
		hak_format(sink, ctx, "%zu bytes behind the end of", (size_t)(byte - end));
	hak_format(sink, ctx, " a block of %zu bytes at %p\n", guard->size, (void *)guard->block);
}

bool hak_guard_report(const void *address, void *const *frames, size_t n, hak_sink *sink, void *ctx)
{
	const struct guard_slot *guard;
	bool inside;

	if (!guards.base || (uintptr_t)address - (uintptr_t)guards.base >= GUARD_SIZE)
		return false;
	guard = &guards.slot[slot_near(address)];
	inside = (uintptr_t)address - (uintptr_t)guard->block < guard->size;
	if (!guard->block) {
		hak_format(sink, ctx, "hakmem: guard: wild access to %p\n", address);
	} else {
		hak_format(sink, ctx, "hakmem: guard: %s: access to %p, ",
			   guard->state == GUARD_FREED ? "use after free"
			   : inside		       ? "fault"
						       : "overflow",
			   address);
		print_place(sink, ctx, address, guard);
	}
	hak_format(sink, ctx, "  accessed by:\n");
	trace_print(sink, ctx, frames, frames ? n : 0);
	if (guard->block)
		print_life(sink, ctx, guard);
	return true;
}

void guard_print_misuse(const void *block, const struct trace *trace)
{
	const struct guard_slot *guard = &guards.slot[slot_near(block)];

	if (!guard->block)
		return;
	hak_format(hak_sampled_print, NULL, "hakmem: guard: misuse of %p, ", block);
	print_place(hak_sampled_print, NULL, block, guard);
	hak_format(hak_sampled_print, NULL, "  misused by:\n");
	trace_print(hak_sampled_print, NULL, (void *const *)trace->frames, trace->n);
	print_life(hak_sampled_print, NULL, guard);
}

/* A guarded block is freed, whose pointer is right. Others may free it at the same time. */
void guard_free(void *block, const struct trace *trace)
{
	unsigned slot = slot_near(block);
	struct guard_slot *guard = &guards.slot[slot];
	const struct stack *stack = trace_keep(trace, false);
	const char *written;
	bool live;

	samples_lock();
	live = guard->state == GUARD_LIVE;
	if (live) {
		guard->freed = stack;
		guard->state = GUARD_FREED;
	}
	samples_unlock();
	if (!live) {
		bug_note(HAK_BUG_DOUBLE_FREE, block, guard->size, 0);
		return;
	}
	written = find_written(slot);
	if (written) {
		guard_print_misuse(written, trace);
		hak_host_panic("hakmem: guard: bytes around a block were written to, as its free "
			       "has found");
	}
	if (hak_host_protect(guarded_page(slot), PAGE_SIZE, true))
		slot_free(slot);
	else
		guards.missed++; /* the slot is lost */
}

void guard_read(struct hak_samples *out)
{
	out->guarded = guards.made;
	out->guard_missed = guards.missed;
	if (guards.base)
		out->block_bytes += GUARD_SIZE;
}

/* The pages are memory of the provider again, which may not fault. */
void guard_fini(void)
{
	if (guards.base)
		hak_host_protect(guards.base, GUARD_SIZE, false);
	__builtin_memset(&guards, 0, sizeof(guards));
}
