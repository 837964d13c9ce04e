/* SPDX-License-Identifier: MIT */
/*
 * Blocks above SLAB_MAX, and those aligned to more than a unit. Each is a span of the heap below:
 *
 *	| zeros | size bytes | pad | guard |
 *	0     place			   span_pages
 *
 * The guard is a page or more that fault. The block lies as near to it as its alignment allows. So
 * an overflow faults at once. One of up to 15 bytes, or as many as a larger alignment leaves, may
 * break the pad instead, which free compares. Where pages cannot be made to fault, the first bytes
 * of the guard are pad.
 *
 * A block that is freed has no memory any more, or is cleared, and all of it faults. It waits in
 * quarantine, in place of another one that goes. Its memory is zero when it goes, as all free
 * memory is.
 *
 * The span is described by the descriptor of its first unit, in fields that have no other use:
 *
 *	blocks		enum large_state
 *	free		the place
 *	span_needed	the size, in bytes
 *
 * Who changes the state from LARGE_LIVE or LARGE_OPEN, by an exchange, frees the block.
 *
 * Lock: none. Failure: large_alloc() returns NULL when nothing that waits can be given up. If a
 * page cannot be made to fault, the block is LARGE_OPEN. If one cannot be given back, it is lost.
 */
#include "harden/large.h"

#include <hakmem/host.h>

#include "api/fastpath.h"
#include "api/request.h"
#include "base/policy.h"
#include "harden/raw.h"
#include "harden/report.h"
#include "harden/seal.h"
#include "pages/bug.h"
#include "pages/pages.h"
#include "superslab/arena.h"
#include "superslab/span.h"

enum large_state {
	LARGE_NONE,
	LARGE_LIVE = 0x6c61, /* the guard faults */
	LARGE_OPEN,	     /* it does not */
	LARGE_FREED,	     /* it waits, and faults */
	LARGE_CLEARED,	     /* it waits, and does not fault */
};

#define WAITING	 16u
#define PAD_MOST ((size_t)64) /* bytes of a guard that does not fault, and of a wide alignment */

static _Atomic uintptr_t waiting[WAITING];

static char *base_of(const struct slab *head)
{
	return (char *)slab_base(head);
}

static size_t bytes_of(const struct slab *head)
{
	return head->span_pages * PAGE_SIZE;
}

/* Where the pages of the block end, and the guard begins. */
static size_t guard_of(const struct slab *head)
{
	return ALIGN_UP(head->free + head->span_needed, PAGE_SIZE);
}

static bool is_state(unsigned state)
{
	return state >= LARGE_LIVE && state <= LARGE_CLEARED;
}

struct slab *large_head(const void *block)
{
	uintptr_t base = (uintptr_t)block & ~(uintptr_t)(UNIT_SIZE - 1);
	unsigned class = pagemap_class(base);
	struct slab *head;

	if (!class_is_span(class) && class != CLASS_MIXED)
		return NULL;
	head = address_to_slab(base);
	return head && class_is_span(head->class) && is_state(head->blocks) ? head : NULL;
}

/* How many bytes behind the block are pad? */
static size_t pad_of(const struct slab *head, unsigned state)
{
	size_t pad = guard_of(head) - head->free - head->span_needed;

	return MIN(pad + (state == LARGE_OPEN ? PAD_MOST : 0), PAD_MOST);
}

static uint8_t pad_byte(const char *block)
{
	return (uint8_t)seal_begin(seal_key(block));
}

static bool is_pad_whole(const struct slab *head, unsigned state)
{
	const char *block = base_of(head) + head->free;
	const char *pad = block + head->span_needed;

	for (size_t i = 0; i < pad_of(head, state); i++)
		if ((uint8_t)pad[i] != pad_byte(block))
			return false;
	return true;
}

static void make_pad(const struct slab *head)
{
	char *block = base_of(head) + head->free;

	__builtin_memset(block + head->span_needed, pad_byte(block), pad_of(head, head->blocks));
}

/* The block at @base, which was asked for with enough room, begins @place bytes behind it. */
static void *place_block(char *base, size_t place, size_t size)
{
	struct slab *head = address_to_slab((uintptr_t)base);
	size_t guard;

	head->free = (uint16_t)place;
	head->span_needed = size;
	guard = guard_of(head);
	hak_assert(guard < bytes_of(head));
	head->blocks = hak_host_protect(base + guard, bytes_of(head) - guard, true) ? LARGE_LIVE
										    : LARGE_OPEN;
	make_pad(head);
	return base + place;
}

/**
 * large_alloc() - allocate a block with a guard
 * @align: a power of two
 * @zeros: it is to read zero
 */
void *large_alloc(size_t align, size_t size, bool zeros)
{
	struct request request = { .class = CLASS_SPAN, .align = align, .zeros = zeros };
	size_t length = ALIGN_UP(size, MAX(align, 16)), pages = ALIGN_UP(length, PAGE_SIZE);
	size_t capacity;
	char *base;

	if ((size | align) > SIZE_MAX / 4)
		pages = SIZE_MAX / 2; /* there is no such block */
	request.size = pages + PAGE_SIZE;
	base = hak_request_alloc(&request);
	if (!base)
		return NULL;
	if (request.is_gap) { /* of the blocks of a class, which fault together or not at all */
		capacity = hak_raw_usable_size(base);
		__builtin_memset(base, 0, capacity);
		seal_make(base, capacity, size);
		return base;
	}
	if (zeros)
		span_clear((uintptr_t)base, request.size);
	return place_block(base, pages - length, size);
}

/* Let nothing be left in a block: purge its pages, where that makes them zero, or clear them. */
static void clear_span(uintptr_t base, size_t length)
{
	for (size_t part; length; base += part, length -= part) {
		bool purgeable = READ_ONCE(pagemap_superslab(base)->purgeable);
		int flags;

		part = MIN(length, SUPERSLAB_SIZE - base % SUPERSLAB_SIZE);
		flags = purgeable ? pages_purge((void *)base, part) : -1;
		if (flags < 0 || !(flags & HAK_PAGES_ZERO))
			zero_pages((void *)base, part);
	}
}

/* A block has waited. It goes back to the heap. */
static bool release(uintptr_t base)
{
	struct slab *head = base ? address_to_slab(base) : NULL;

	if (!head)
		return false;
	if (head->blocks == LARGE_FREED && !hak_host_protect((void *)base, bytes_of(head), false))
		return false;
	head->blocks = LARGE_NONE;
	head->free = 0;
	hak_free_slow((void *)base, "free");
	return true;
}

static void wait_in_quarantine(uintptr_t base)
{
	static _Atomic uint64_t drawn;
	uint64_t random = seal_key((void *)(base + drawn++)) >> 32;

	release(atomic_exchange(&waiting[random % WAITING], base));
}

/* What is wrong with using @block is reported. */
size_t large_size(const struct slab *head, const void *block, const char *caller)
{
	const char *start = base_of(head) + head->free;
	unsigned state = READ_ONCE(head->blocks);

	if (block != start)
		hak_bug(HAK_BUG_INTERIOR, caller, block, head->span_needed,
			(size_t)((const char *)block - start));
	if (state != LARGE_LIVE && state != LARGE_OPEN)
		hak_bug(HAK_BUG_DOUBLE_FREE, caller, block, head->span_needed, 0);
	if (!is_pad_whole(head, state))
		report_overflow(block, head->span_needed, caller);
	return head->span_needed;
}

void large_free(struct slab *head, void *block, const char *caller)
{
	size_t size = large_size(head, block, caller), length = bytes_of(head);
	char *base = base_of(head);
	uint16_t state = head->blocks;

	if (!__atomic_compare_exchange_n(&head->blocks, &state, LARGE_CLEARED, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		hak_bug(HAK_BUG_DOUBLE_FREE, caller, block, size, 0);
	/* a guard that faults is still as it was, which is zero */
	clear_span((uintptr_t)base, state == LARGE_LIVE ? guard_of(head) : length);
	if (hak_host_protect(base, length, true) || state == LARGE_LIVE)
		head->blocks = LARGE_FREED;
	wait_in_quarantine((uintptr_t)base);
}

/* It stays where it is if the same bytes of the same pages would do. */
bool large_resize(struct slab *head, void *block, size_t size)
{
	size_t now = head->span_needed;

	if (size <= SLAB_MAX || ALIGN_UP(size, 16) != ALIGN_UP(now, 16))
		return false;
	__builtin_memset((char *)block + MIN(size, now), 0, MAX(size, now) - MIN(size, now));
	head->span_needed = size;
	make_pad(head);
	return true;
}

/* Move the contents of whole pages without a copy, if it can be done. Returns how many bytes. */
size_t large_move(struct slab *head, void *block, void *to, size_t size)
{
	struct slab *other = large_head(to);
	size_t place = head->free, done = 0;

	if (PLATFORM_MOVES && other && other->free == place && size > 2 * PAGE_SIZE)
		done = span_move(base_of(head), base_of(other), (size + place) & ~(PAGE_SIZE - 1));
	hak_assert((const char *)block == base_of(head) + place);
	return done > place ? done - place : 0;
}

/* All that waits goes. Was there any? */
bool large_flush(void)
{
	bool any = false;

	for (unsigned i = 0; i < WAITING; i++)
		any |= release(atomic_exchange(&waiting[i], 0));
	return any;
}

/* The pages are the provider's again, which may not fault. */
void large_fini(void)
{
	large_flush();
	for (struct superslab *superslab = arena_first(); superslab;
	     superslab = arena_next(superslab)) {
		for (unsigned i = 0; i < superslab_described(superslab); i++) {
			struct slab *head = &superslab->slab[i];

			if (superslab_back(superslab, i) || !class_is_span(head->class))
				continue;
			if (head->blocks == LARGE_LIVE || head->blocks == LARGE_FREED)
				hak_host_protect(base_of(head), bytes_of(head), false);
			head->blocks = 0;
		}
	}
}
