/* SPDX-License-Identifier: MIT */
/*
 * The red zones of blocks that nobody frees, and blocks that wait: read by every scan (a few
 * SuperSlabs at a time, one after another), and by hak_check(), hak_trim() and the end of the
 * program in all of the heap.
 *
 * The owners of the blocks know nothing of that. With the lock of the arena held, the memory of a
 * SuperSlab stays. Whatever lies there: only what is a record (record.c) is believed. Blocks that
 * lie among others (CLASS_MIXED: samples, and blocks made of free neighbours) are left to their
 * free.
 *
 * Lock: that of the arena, for one unit at a time.
 */
#include "harden/verify.h"

#include "debug/choice.h"
#include "debug/report.h"
#include "debug/waiting.h"
#include "harden/walk.h"
#include "pages/pagemap.h"
#include "superslab/arena.h"

/*
 * A block that begins in a unit, or in the slab of which the unit is the first. NULL: all are
 * sound. In a group, a span may begin in any page.
 */
static NO_SANITIZE_THREAD const struct record *find_changed(const struct slab *unit, char *start,
							    struct change *change)
{
	unsigned class = pagemap_class((uintptr_t)start), blocks = 0;
	size_t size = PAGE_SIZE;

	if (class >= CLASS_FIRST && class <= CLASS_SLAB_LAST) {
		size = size_class[class].size;
		blocks = size < RECORD_EXTRA ? 0 : MIN(unit->blocks, size_class[class].blocks);
	} else if (class_is_span(class)) {
		blocks = class_has_groups(class) ? PAGES_PER_UNIT : 1;
	}
	for (unsigned i = 0; i < blocks; i++) {
		const struct record *record = (const struct record *)(start + i * size);

		if (record_live_changed(record, change))
			return record;
	}
	return NULL;
}

static void verify_unit(struct superslab *superslab, unsigned index, uintptr_t base,
			const char *caller)
{
	char *start = (char *)base + index * UNIT_SIZE;
	const struct record *record = NULL;
	struct change change;

	arena_lock();
	if (walk_is_first(superslab, index, base))
		record = find_changed(&superslab->slab[index], start, &change);
	arena_unlock();
	if (record)
		report_change(record, &change, caller);
}

void verify_some(unsigned superslabs, const char *caller)
{
	if (!debug_is_on)
		return;
	waiting_verify(caller);
	walk_some(superslabs, verify_unit, caller);
}
