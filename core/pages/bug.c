/* SPDX-License-Identifier: MIT */
/*
 * The texts for a misuse by the program. The line is built on the stack, since the heap has
 * just been found in disorder. The pointer is printed, and nothing is read through it.
 *
 * A caller that holds a claim or the lock of the scan notes what it finds, and reports it when
 * nothing is held any more: itself, so that its stack is that of the report. There is one note.
 * Until it is reported, others note nothing more. Their bad blocks are not freed either, and the
 * program ends with the first report.
 *
 * Lock: none is held or taken, so hak_host_panic() may call any function of the host.
 */
#include "pages/bug.h"

#include <hakmem/host.h>

#include "base/format.h"
#include "base/lock.h"
#include "pages/pages.h"

/* The provider may know what is at the address of a block that is not ours. */
static const char *where_foreign(const void *block)
{
	uintptr_t page = (uintptr_t)block & ~(uintptr_t)(HAK_GRANULE - 1);
	size_t bytes;

	switch (pages_resident((void *)page, HAK_GRANULE, &bytes)) {
	case PAGES_MAPPED:
		return "hakmem: %s(0x%p): not from this heap (mapped by someone else)";
	case PAGES_UNMAPPED:
		return "hakmem: %s(0x%p): not from this heap (unmapped)";
	default:
		return "hakmem: %s(0x%p): not from this heap";
	}
}

static struct {
	unsigned *_Atomic by; /* this_held() of the thread or CPU; NULL if nothing is noted */
	const void *block;
	uint32_t size, detail; /* enough for blocks that have a class */
	enum hak_bug_code code;
} noted;

/* %s is the caller, %p the pointer, %d the detail, %z the size. */
static const char *const formats[] = {
	[HAK_BUG_UNUSED] = "hakmem: %s(0x%p): memory of the heap that is not in use",
	[HAK_BUG_INTERNAL] = "hakmem: %s(0x%p): memory that the allocator itself uses",
	[HAK_BUG_INTERIOR] = "hakmem: %s(0x%p): %d bytes inside a block of %z bytes",
	[HAK_BUG_DOUBLE_FREE] = "hakmem: %s(0x%p): double free of a block of %z bytes",
	[HAK_BUG_WRONG_SIZE] = "hakmem: %s(0x%p): size %d given for a block of %z bytes",
};

/* These are not for hak_format(), which is four times as long as this function: see there. */
_Noreturn void hak_bug(enum hak_bug_code code, const char *caller, const void *block, size_t size,
		       size_t detail)
{
	const char *format = formats[code] ? formats[code] : where_foreign(block);
	struct hak_line line = { 0 };

	hak_assert(code > HAK_BUG_NONE && code < ARRAY_SIZE(formats) && !lock_is_any_held());
	for (; *format; format++) {
		if (*format != '%')
			hak_line_append(&line, format, 1);
		else if (*++format == 's')
			hak_print_text(hak_line_append, &line, caller);
		else if (*format == 'p')
			hak_print_number(hak_line_append, &line, (uintptr_t)block, 16);
		else
			hak_print_number(hak_line_append, &line, *format == 'd' ? detail : size,
					 10);
	}
	if (noted.by == this_held())
		noted.by = NULL; /* a handler that hak_host_panic() calls may free */
	hak_host_panic(line.text);
}

void bug_note(enum hak_bug_code code, const void *block, size_t size, size_t detail)
{
	unsigned *nobody = NULL;

	hak_assert(size <= UINT32_MAX && detail <= UINT32_MAX);
	if (!atomic_compare_exchange_strong(&noted.by, &nobody, this_held()))
		return;
	noted.block = block;
	noted.size = (uint32_t)size;
	noted.detail = (uint32_t)detail;
	noted.code = code;
}

void bug_report_noted(void)
{
	if (likely(noted.by != this_held()) || this_held_now() & LOCK_RANKS)
		return;
	hak_bug(noted.code, "free", noted.block, noted.size, noted.detail);
}
