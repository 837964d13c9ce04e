/* SPDX-License-Identifier: MIT */
/*
 * Where there is no thread for it, malloc and free give memory back, in their slow paths.
 *
 * Two things make them do so. One is time: they scan when an interval has passed, as the
 * thread would. The other is that much was freed, since the program may call nothing any
 * more: when a sixteenth of what was live has gone, or a sixteenth of all SuperSlabs has become
 * empty, everything that is free goes at once. What stays then is at most what the last
 * sixteenth would have let go. The steps are a ratio, so that a heap of any size is scanned some
 * forty times while it shrinks to a sixteenth, also if the system refuses to take anything. A
 * program that allocates several times as much meanwhile does not count as one that frees.
 *
 * A program that grows and shrinks by turns would pay for that in page faults. So when half
 * of what went this way is wanted again within ten seconds, nothing goes this way for half a
 * minute, and each time for twice as long. (A cycle in which memory goes and comes back takes
 * two to three times the CPU time of one in which it stays.)
 *
 * Lock: `busy`, which is only tried. Others skip their turn.
 */
#define _GNU_SOURCE
#include <time.h>

#include "base/sizeclass.h"
#include "cache/slots.h"
#include "linux.h"
#include "pages/pages.h"
#include "reclaim/scan.h"
#include "slab/blocks.h"
#include "superslab/arena.h"

#define PART	  16u /* one part in so many has to be freed */
#define CHURN	  4u  /* and at most so many times as much may be allocated meanwhile */
#define CALLS	  32u /* one slow path in so many looks how much is live */
#define LEAST	  ((uint64_t)256 << 10)
#define SECOND	  ((uint64_t)1000000000)
#define SOON	  (10 * SECOND)
#define LEAST_OFF (30 * SECOND)
#define MOST_OFF  (300 * SECOND)

static struct {
	_Atomic bool busy;
	_Atomic uint64_t due; /* when to scan next */
	unsigned calls;	      /* slow paths of free */
	uint64_t emptied;     /* SuperSlabs that had become empty when it was last looked at */
	uint64_t most;	      /* bytes: what was live at most since memory was given back, ... */
	uint64_t allocated;   /* ... and what had been allocated by then */
	uint64_t left;	      /* SuperSlabs: how few were empty since, those that did not go */
	uint64_t given;	      /* bytes that went since `taken` was looked at, ... */
	uint64_t taken;	      /* ... of all bytes that were ever taken into use */
	uint64_t given_at;
	uint64_t off;		    /* for how long nothing goes this way, ... */
	_Atomic uint64_t off_until; /* ... and until when */
} inline_scan;

/*
 * Bytes in blocks that have a class, those in magazines of others included. A free block in the
 * caller's own magazine keeps a page as one does that is in use, and goes with the rest.
 */
static uint64_t live_bytes(void)
{
	const struct hak_cache *cache = this_cache();
	uint64_t bytes = 0;

	for_each_class(class)
	{
		unsigned held = cache->cold ? slots_held(cache, class) : 0;

		bytes += (blocks_outstanding(class) - held) * size_class[class].size;
	}
	return bytes;
}

/* Bytes of all such blocks that were ever allocated. */
static NO_SANITIZE_THREAD uint64_t allocated_bytes(void)
{
	uint64_t bytes = 0;

	for (unsigned class = CLASS_FIRST; class <= CLASS_SLAB_LAST; class ++) {
		const struct slab_class *sc = class_find(class);

		if (sc)
			bytes += READ_ONCE(sc->allocated) * size_class[class].size;
	}
	for_each_span_class(class) bytes +=
		hak_spans.allocated[class - CLASS_SPAN_FIRST] * size_class[class].size;
	return bytes;
}

/* Bytes that became the program's so far: mapped, or used again after they had been purged. */
static uint64_t taken_bytes(const struct arena_counters *arena)
{
	uint64_t pages = arena->retouched;

	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; class ++) {
		const struct slab_class *sc = class_find(class);

		if (sc)
			pages += READ_ONCE(sc->retouched);
	}
	return pages_counters.requested + pages * PAGE_SIZE;
}

/* Was what went wanted again at once? Then nothing goes for a while. */
static bool is_off(uint64_t now, uint64_t taken)
{
	if (now < inline_scan.off_until)
		return true;
	if (!inline_scan.given || taken - inline_scan.taken < inline_scan.given / 2)
		return false;
	inline_scan.given = 0;
	if (now - inline_scan.given_at > SOON) {
		inline_scan.off /= 2;
		return false;
	}
	inline_scan.off = inline_scan.off ? inline_scan.off * 2 : LEAST_OFF;
	if (inline_scan.off > MOST_OFF)
		inline_scan.off = MOST_OFF;
	inline_scan.off_until = now + inline_scan.off;
	return true;
}

/* From now on it is seen how much of what is live goes. */
static void begin_at(uint64_t live, uint64_t allocated)
{
	inline_scan.most = live;
	inline_scan.allocated = allocated;
}

/*
 * Has much been freed since memory was given back? A program that allocates much meanwhile goes
 * on, and what is live goes up and down by itself.
 */
static bool is_much_freed(const struct arena_counters *arena)
{
	uint64_t live = live_bytes(), allocated = allocated_bytes();
	uint64_t empty = arena->reserve + span_waiting() / UNITS_PER_SUPERSLAB;

	if (live > inline_scan.most ||
	    allocated - inline_scan.allocated > (inline_scan.most - live) * CHURN + LEAST)
		begin_at(live, allocated);
	if (empty < inline_scan.left)
		inline_scan.left = empty;
	return inline_scan.most - live > inline_scan.most / PART + LEAST ||
	       empty - inline_scan.left > arena->active / PART;
}

/* One slow path in so many, or about that. */
static bool is_turn(void)
{
	unsigned calls = READ_ONCE(inline_scan.calls) + 1;

	WRITE_ONCE(inline_scan.calls, calls);
	return calls % CALLS == 0;
}

/* Does a large block wait that is as much? Read without locks. */
static NO_SANITIZE_THREAD bool is_much_waiting(void)
{
	return span_waiting() / UNITS_PER_SUPERSLAB > hak_arena.counters.active / PART;
}

static void give_back_freed(void)
{
	uint64_t emptied = READ_ONCE(hak_arena.counters.emptied);
	struct arena_counters arena;

	if (emptied == READ_ONCE(inline_scan.emptied) && !is_much_waiting() && !is_turn())
		return;
	if (inline_scan.off_until && hak_now_ns() < inline_scan.off_until)
		return;
	if (atomic_exchange(&inline_scan.busy, true))
		return;
	WRITE_ONCE(inline_scan.emptied, emptied);
	arena_read_counters(&arena);
	if (is_much_freed(&arena)) {
		uint64_t taken = taken_bytes(&arena), now = hak_now_ns();

		if (!is_off(now, taken)) {
			if (!inline_scan.given)
				inline_scan.taken = taken;
			inline_scan.given += scan_all(false);
			inline_scan.given_at = now;
			begin_at(live_bytes(), allocated_bytes());
			inline_scan.left = READ_ONCE(hak_arena.counters.reserve);
		}
	}
	inline_scan.busy = false;
}

static void scan_when_due(void)
{
	uint64_t due = inline_scan.due;
	unsigned pause;

	if (hak_now_ns() < due ||
	    !atomic_compare_exchange_strong(&inline_scan.due, &due, UINT64_MAX))
		return;
	hak_scan_once(CLOCK_MONOTONIC, &pause); /* no clock that needs a system call */
	inline_scan.due = hak_now_ns() + pause * hak_interval_ns();
}

void hak_scan_inline(enum hak_reap_why why)
{
	if (why == HAK_REAP_FREE)
		give_back_freed();
	scan_when_due();
}

/* In the child: another thread may have been in the middle of it. */
void hak_scan_inline_after_fork(void)
{
	inline_scan.busy = false;
	inline_scan.due = 0;
}
