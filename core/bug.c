/* SPDX-License-Identifier: MIT */
/*
 * The one place that words the report of a bug. The line is built on the
 * stack, since the heap is what has just been found to be in disorder.
 *
 * Lock: none held, none taken, so that the host may do as it likes.
 */
#include "bug.h"

#include <hakmem/host.h>

#include "format.h"
#include "pages.h"

static const char *where_foreign(const void *block)
{
	uintptr_t page = (uintptr_t)block & ~(uintptr_t)(HAK_GRANULE - 1);
	size_t bytes;

	switch (pages_resident((void *)page, HAK_GRANULE, &bytes)) {
	case PAGES_MAPPED:
		return "not from this heap (mapped by someone else)";
	case PAGES_UNMAPPED:
		return "not from this heap (unmapped)";
	default:
		return "not from this heap";
	}
}

_Noreturn void hak_bug(enum hak_bug_code code, const char *caller, const void *block, size_t size,
		       size_t detail)
{
	struct hak_line line = { 0 };

	hak_format(hak_line_append, &line, "hakmem: %s(%p): ", caller, block);
	switch (code) {
	case HAK_BUG_UNUSED:
		hak_format(hak_line_append, &line, "memory of the heap that is not in use");
		break;
	case HAK_BUG_INTERNAL:
		hak_format(hak_line_append, &line, "memory that the allocator itself uses");
		break;
	case HAK_BUG_INTERIOR:
		hak_format(hak_line_append, &line, "%zu bytes inside a block of %zu bytes", detail,
			   size);
		break;
	case HAK_BUG_DOUBLE_FREE:
		hak_format(hak_line_append, &line, "double free of a block of %zu bytes", size);
		break;
	case HAK_BUG_WRONG_SIZE:
		hak_format(hak_line_append, &line, "size %zu given for a block of %zu bytes",
			   detail, size);
		break;
	default:
		hak_format(hak_line_append, &line, "%s", where_foreign(block));
		break;
	}
	hak_host_panic(line.text);
}

_Noreturn void hak_assert_failed(const char *what)
{
	struct hak_line line = { 0 };

	hak_format(hak_line_append, &line, "hakmem: assertion failed: %s", what);
	hak_host_panic(line.text);
}
