/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_PAGES_BUG_H
#define HAKMEM_PAGES_BUG_H

#include "base/base.h"

enum hak_bug_code {
	HAK_BUG_NONE,
	HAK_BUG_FOREIGN,     /* not in the heap */
	HAK_BUG_UNUSED,	     /* in the heap, in a slab or span not in use */
	HAK_BUG_INTERNAL,    /* memory of the allocator itself */
	HAK_BUG_INTERIOR,    /* inside a block: @detail bytes from its start */
	HAK_BUG_DOUBLE_FREE, /* of a block that is free */
	HAK_BUG_WRONG_SIZE,  /* a sized free with a @detail that does not fit */
};

/**
 * hak_bug() - report a misuse of the heap and stop
 * @code:   what it is
 * @caller: the function that was misused, "free"
 * @block:  the pointer; never read through
 * @size:   of the block it belongs to, where there is one
 * @detail: as @code says
 *
 * One line to hak_host_panic(). Called with no lock held.
 */
_Noreturn void hak_bug(enum hak_bug_code code, const char *caller, const void *block, size_t size,
		       size_t detail);

#endif
