/* SPDX-License-Identifier: MIT */
/*
 * A block of the debug layer lies in one of the heap below, behind its record:
 *
 *	| record | red zone | size bytes | red zone |
 *	start		    + place		   + capacity
 *
 * There is the same room whatever letters are chosen, and place is never 0. So a pointer to the
 * start of a block of the heap below is one to a block without a record: it was allocated before
 * the letters were chosen, or is of a size for which there are none.
 *
 *	a record	its check is the hash of its address, of the heap, and of all else in it
 *
 * So what was copied is no record, nor is what was written to, nor what is left of an earlier heap,
 * nor one that is half made: who reads the blocks of others (verify.c) finds a record, complete, or
 * none.
 *
 * Lock: that of the samples, whose stacks these are (diag/trace.c). The caller holds it, but for
 * record_live_changed() and track_fill().
 */
#include "debug/record.h"

#include <hakmem/host.h>

static uint64_t epoch; /* a number that no other heap has had, in this memory */

void record_begin_epoch(void)
{
	epoch += hak_debug_now() | 1;
}

/* The hash of Fowler, Noll and Vo (FNV-1a), by words. */
static NO_SANITIZE_THREAD uint64_t hash_of(const struct record *record)
{
	const uint64_t *word = (const uint64_t *)record, *end = (const uint64_t *)(record + 1);
	uint64_t hash = 0xcbf29ce484222325 ^ (uintptr_t)record ^ epoch << 20;

	_Static_assert(sizeof(*record) % sizeof(*word) == 0, "a record is whole words");
	while (++word < end) /* not the first one */
		hash = (hash ^ *word) * 0x100000001b3;
	return hash;
}

NO_SANITIZE_THREAD bool record_is(const struct record *record)
{
	return record->check == hash_of(record);
}

/* The check is the last to be written. */
void record_set(struct record *record, enum record_state state)
{
	record->state = (uint16_t)state;
	COMPILER_BARRIER();
	WRITE_ONCE(record->check, hash_of(record));
}

static char *left_zone(const struct record *record, size_t *length)
{
	*length = MIN(record->place - sizeof(*record), ZONE_MOST);
	return record_block(record) - *length;
}

static char *right_zone(const struct record *record, size_t *length)
{
	*length = MIN(record->capacity - record->place - record->size, ZONE_MOST);
	return record_block(record) + record->size;
}

void record_fill_zones(const struct record *record)
{
	size_t length;
	char *zone;

	if (!(record->letters & LETTER_Z))
		return;
	zone = left_zone(record, &length);
	__builtin_memset(zone, RED, length);
	zone = right_zone(record, &length);
	__builtin_memset(zone, RED, length);
}

void record_fill_new(const struct record *record, size_t from)
{
	if (record->letters & LETTER_P && from < record->size)
		__builtin_memset(record_block(record) + from, POISON_NEW, record->size - from);
}

void record_fill_free(const struct record *record)
{
	char *block = record_block(record);

	if (!(record->letters & LETTER_P) || !record->size)
		return;
	__builtin_memset(block, POISON_FREE, record->size - 1);
	block[record->size - 1] = (char)POISON_FREE_END;
}

/* The first of some bytes that is not as it should be. */
static NO_SANITIZE_THREAD bool is_changed(const char *from, size_t length, unsigned expected,
					  const char *how, struct change *change)
{
	for (const char *byte = from; byte < from + length; byte++) {
		if (likely(*(const volatile uint8_t *)byte == expected))
			continue;
		*change = (struct change){ .byte = byte, .expected = expected, .how = how };
		return true;
	}
	return false;
}

bool record_zones_changed(const struct record *record, struct change *change)
{
	size_t length;
	char *zone;

	if (!(record->letters & LETTER_Z))
		return false;
	zone = left_zone(record, &length);
	if (is_changed(zone, length, RED, "written to before its start", change))
		return true;
	zone = right_zone(record, &length);
	return is_changed(zone, length, RED, "written to behind its end", change);
}

bool record_live_changed(const struct record *record, struct change *change)
{
	bool changed;

	if (likely(!record_is(record)))
		return false;
	samples_lock();
	changed = record_is(record) && record->state == RECORD_LIVE &&
		  record_zones_changed(record, change);
	samples_unlock();
	return changed;
}

bool record_free_changed(const struct record *record, struct change *change)
{
	static const char how[] = "written to after its free";
	const char *block = record_block(record), *last = block + record->size - 1;

	if (!(record->letters & LETTER_P) || !record->size)
		return false;
	return is_changed(block, record->size - 1, POISON_FREE, how, change) ||
	       is_changed(last, 1, POISON_FREE_END, how, change);
}

/* If nobody can follow the stack, the return address is next to the frame. */
void track_fill(struct track *track, const void *frame)
{
	struct trace trace;

	trace.n = hak_host_trace(frame, trace.frames, TRACE_MOST);
	if (!trace.n) {
		trace.frames[0] = ((void *const *)frame)[1];
		trace.n = 1;
	}
	track->stack = trace_keep(&trace, true);
	track->time = hak_debug_now();
	track->who = hak_debug_who();
}
