/* SPDX-License-Identifier: MIT */
/*
 * The one place that words the report of a bug. The line is built on the
 * stack, since the heap is what has just been found to be in disorder.
 *
 * Lock: none held, none taken, so that the host may do as it likes.
 */
#include "pages/bug.h"

#include <hakmem/host.h>

#include "base/format.h"
#include "pages/pages.h"

static const char *where_foreign(const void *block)
{
	uintptr_t page = (uintptr_t)block & ~(uintptr_t)(HAK_GRANULE - 1);
	size_t bytes;

	switch (pages_resident((void *)page, HAK_GRANULE, &bytes)) {
	case PAGES_MAPPED:
		return "hakmem: %s(%p): not from this heap (mapped by someone else)";
	case PAGES_UNMAPPED:
		return "hakmem: %s(%p): not from this heap (unmapped)";
	default:
		return "hakmem: %s(%p): not from this heap";
	}
}

/* For the caller, the pointer, and as arguments say @detail and @size, or @size alone. */
static const char *const formats[] = {
	[HAK_BUG_UNUSED] = "hakmem: %s(%p): memory of the heap that is not in use",
	[HAK_BUG_INTERNAL] = "hakmem: %s(%p): memory that the allocator itself uses",
	[HAK_BUG_INTERIOR] = "hakmem: %s(%p): %zu bytes inside a block of %zu bytes",
	[HAK_BUG_DOUBLE_FREE] = "hakmem: %s(%p): double free of a block of %zu bytes",
	[HAK_BUG_WRONG_SIZE] = "hakmem: %s(%p): size %zu given for a block of %zu bytes",
};

_Noreturn void hak_bug(enum hak_bug_code code, const char *caller, const void *block, size_t size,
		       size_t detail)
{
	struct hak_line line = { 0 };
	const char *format = formats[code] ? formats[code] : where_foreign(block);

	if (code == HAK_BUG_DOUBLE_FREE)
		detail = size;
	hak_format(hak_line_append, &line, format, caller, block, detail, size);
	hak_host_panic(line.text);
}

_Noreturn void hak_assert_failed(const char *what)
{
	struct hak_line line = { 0 };

	hak_format(hak_line_append, &line, "hakmem: assertion failed: %s", what);
	hak_host_panic(line.text);
}
