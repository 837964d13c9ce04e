/* SPDX-License-Identifier: MIT */
/*
 * What a program can do wrong, and how it is reported. See bug.c.
 */
#ifndef HAKMEM_PAGES_BUG_H
#define HAKMEM_PAGES_BUG_H

#include "base/base.h"

enum hak_bug_code {
	HAK_BUG_NONE,
	HAK_BUG_FOREIGN,     /* the pointer points outside of the heap */
	HAK_BUG_UNUSED,	     /* it points into a slab that is not in use */
	HAK_BUG_INTERNAL,    /* it points into memory of the allocator itself */
	HAK_BUG_INTERIOR,    /* it points into a block, @detail bytes behind its start */
	HAK_BUG_DOUBLE_FREE, /* the block is free already */
	HAK_BUG_WRONG_SIZE,  /* the size that was given, @detail, does not fit the block */
};

/**
 * hak_bug() - report a misuse of the heap in one line, and stop
 * @code:   what it is, but not HAK_BUG_NONE
 * @caller: the function that was misused, "free" for instance
 * @block:  the pointer that it was given; nothing is read through it
 * @size:   how long the block is in which @block lies, in bytes, if there is one
 * @detail: as @code says
 *
 * Called with no lock held, since hak_host_panic() is. May be called in an interrupt handler.
 */
HAK_COLD _Noreturn void hak_bug(enum hak_bug_code code, const char *caller, const void *block,
				size_t size, size_t detail);

/**
 * bug_note() - word the report of a bad free, for callers with a claim or a lock
 *
 * bug_report_noted() makes it when they hold nothing any more, since the host may do as it
 * likes then, as a handler of SIGABRT does. If another one is noted already, this one is not.
 */
HAK_COLD void bug_note(enum hak_bug_code code, const void *block, size_t size, size_t detail);
void bug_report_noted(void);

#endif
