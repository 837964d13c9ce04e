/* SPDX-License-Identifier: MIT */
/*
 * Reports of the hardened build: what a block is, and what lies beside it, in a few lines, before
 * the line with which the program stops. That one is built on the stack, as all reports are.
 *
 * Lock: none is held. What is read of blocks is only what their seals say; others may change it
 * meanwhile.
 */
#include "harden/report.h"

#include <hakmem/host.h>

#include "base/format.h"
#include "diag/sampled.h"
#include "harden/seal.h"
#include "pages/pagemap.h"

static void print_block(const char *what, const char *block, size_t capacity)
{
	size_t size = seal_read(block, capacity, seal_key(block));
	const char *state = "in use";

	if (!*seal_of(block, capacity))
		state = "free, or all zeros were written there";
	else if (size == SEAL_BROKEN)
		state = "overwritten";
	else if (!seal_is_whole(block, capacity, size, seal_key(block)))
		state = "in use, and written behind its end";
	hak_format(hak_sampled_print, NULL, "hakmem: %s %p, a block of %zu bytes, ", what,
		   (const void *)block, capacity);
	if (size != SEAL_BROKEN)
		hak_format(hak_sampled_print, NULL, "of which %zu were asked for, ", size);
	hak_format(hak_sampled_print, NULL, "is %s\n", state);
}

/* Blocks of a slab have neighbours. Large ones have guards. */
void report_place(const void *block, size_t capacity)
{
	unsigned class = pagemap_class((uintptr_t)block);
	const char *at = block;

	if (class < CLASS_FIRST || class > CLASS_SLAB_LAST || size_class[class].size != capacity)
		return;
	print_block("this:", at, capacity);
	if (pagemap_class((uintptr_t)at - capacity) == class &&
	    ((uintptr_t)at - capacity) / SLAB_SIZE == (uintptr_t)at / SLAB_SIZE)
		print_block("before it:", at - capacity, capacity);
	if (pagemap_class((uintptr_t)at + 2 * capacity - 1) == class &&
	    ((uintptr_t)at + 2 * capacity - 1) / SLAB_SIZE == (uintptr_t)at / SLAB_SIZE)
		print_block("behind it:", at + capacity, capacity);
}

static _Noreturn void stop(const struct hak_line *line)
{
	hak_host_panic(line->text);
}

void report_overflow(const void *block, size_t capacity, const char *caller)
{
	struct hak_line line = { 0 };

	report_place(block, capacity);
	hak_format(hak_line_append, &line,
		   "hakmem: %s(%p): a block of %zu bytes was written to behind its end", caller,
		   block, capacity);
	stop(&line);
}

void report_written(const void *block, size_t capacity, size_t offset, const char *caller)
{
	struct hak_line line = { 0 };

	report_place(block, capacity);
	hak_format(hak_line_append, &line,
		   "hakmem: %s(%p): a block of %zu bytes was written to at byte %zu after its free",
		   caller, block, capacity, offset);
	stop(&line);
}
