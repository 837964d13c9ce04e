/* SPDX-License-Identifier: MIT */
/*
 * Reports of the debug layer: what a block is, who has allocated and freed it, and what lies beside
 * it, in a few lines, before the line with which the program stops. That one is built on the stack,
 * as all reports are.
 *
 * Lock: none is held. Others may change meanwhile what is read; a record that is none is not used.
 */
#include "debug/report.h"

#include <hakmem/host.h>

#include "base/sizeclass.h"
#include "diag/sampled.h"
#include "pages/pagemap.h"
#include "superslab/descriptor.h"

static void describe_track(const char *what, const struct track *track)
{
	hak_format(hak_sampled_print, NULL,
		   "hakmem: %s by " PLATFORM_WHO " %u, at %lu " PLATFORM_TIME ":\n", what,
		   track->who, (unsigned long)track->time);
	trace_print(hak_sampled_print, NULL,
		    track->stack ? (void *const *)track->stack->frames : NULL,
		    track->stack ? track->stack->n : 0);
}

static void describe_block(const char *what, const struct record *record)
{
	bool is_free = record->state == RECORD_WAITING || record->state == RECORD_GONE;

	hak_format(hak_sampled_print, NULL,
		   "hakmem: %s: %p, a block of %zu bytes, %zu with its "
		   "record and zones, is %s\n",
		   what, (void *)record_block(record), record->size, record->capacity,
		   is_free ? "free" : "in use");
	if (!(record->letters & LETTER_U))
		return;
	describe_track("allocated", &record->allocated);
	if (record->freed.stack)
		describe_track("freed", &record->freed);
}

/* Blocks of a slab have neighbours. */
static void describe_neighbour(const char *what, const char *start, ptrdiff_t distance)
{
	const struct slab *slab = address_to_slab((uintptr_t)start);
	const char *at = start + distance;
	const struct record *record = (const struct record *)at;

	if (address_to_slab((uintptr_t)at) != slab ||
	    address_to_slab((uintptr_t)(at + sizeof(*record))) != slab)
		return;
	if (record_is(record))
		describe_block(what, record);
}

static void describe_place(const void *start)
{
	unsigned class = pagemap_class((uintptr_t)start);
	const struct record *record = start;
	ptrdiff_t size;

	if (record_is(record))
		describe_block("this", record);
	if (class < CLASS_FIRST || class > CLASS_SLAB_LAST)
		return;
	size = (ptrdiff_t)size_class[class].size;
	describe_neighbour("before it", start, -size);
	describe_neighbour("behind it", start, size);
}

void report_change(const struct record *record, const struct change *change, const char *caller)
{
	const char *block = record_block(record);
	struct hak_line line = { 0 };

	describe_place(record);
	hak_format(hak_line_append, &line,
		   "hakmem: %s(%p): byte %ld of a block of %zu bytes is 0x%02x, not 0x%02x: "
		   "it was %s",
		   caller, (const void *)block, (long)(change->byte - block), record->size,
		   (unsigned)*(const uint8_t *)change->byte, change->expected, change->how);
	hak_host_panic(line.text);
}

void report_broken(const void *start, const void *block, const char *caller)
{
	struct hak_line line = { 0 };

	describe_place(start);
	hak_format(hak_line_append, &line,
		   "hakmem: %s(%p): no block begins there, or the record before it was overwritten",
		   caller, block);
	hak_host_panic(line.text);
}

void report_before(const struct record *record, const void *block, const char *caller)
{
	struct hak_line line = { 0 };

	describe_place(record);
	hak_format(hak_line_append, &line, "hakmem: %s(%p): %zu bytes before a block of %zu bytes",
		   caller, block, (size_t)(record_block(record) - (const char *)block),
		   record->size);
	hak_host_panic(line.text);
}

void report_bug(const struct record *record, enum hak_bug_code bug, const void *block,
		size_t detail, const char *caller)
{
	describe_place(record);
	hak_bug(bug, caller, block, record->size, detail);
}
