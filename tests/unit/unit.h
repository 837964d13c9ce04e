/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests have in common: a heap over a fake provider, made anew
 * for each test, and patterns in blocks. One function for each file of tests.
 */
#ifndef HAKMEM_TESTS_UNIT_H
#define HAKMEM_TESTS_UNIT_H

#include <base/base.h>
#include <cache/magazine.h>
#include <cache/seize.h>
#include <cache/slots.h>
#include <diag/check.h>
#include <diag/stats.h>
#include <slab/slab.h>
#include <superslab/arena.h>

#include "../fake.h"
#include "../test.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* The provider of the heap that is open. */
extern struct fake unit_fake;

/*
 * A new heap over a fake provider. What a test that failed left behind goes
 * first. @align: of the provider's memory, 0 if it does not matter.
 */
bool unit_open_aligned(size_t capacity, size_t align, unsigned flags, enum fake_purge purge);
bool unit_open(size_t capacity, unsigned flags, enum fake_purge purge);

/* The heap goes; did everything go back to the provider that takes it? */
bool unit_close(void);

/* How many bytes of the provider's are mapped and have not been given back? */
size_t unit_balance(void);

/* A large block that comes from the slabs, and goes there when it is freed: of no magazine. */
void *unit_span_alloc(size_t size);

void unit_fill(void *block, size_t size, unsigned seed);
bool unit_is_filled(const void *block, size_t size, unsigned seed);
bool unit_is_zero(const void *block, size_t size);

/* Are slabs that have just been allocated known to read zero? */
bool unit_reads_zero(uintptr_t base, size_t slabs);

/* Text that a sink collects; what does not fit is counted only. */
struct unit_text {
	size_t length;
	char text[32 << 10];
};
extern struct unit_text unit_text;
void unit_sink(void *ctx, const char *text, size_t length);
bool unit_text_is(const char *expected);
const char *unit_text_find(const char *part);

/* Is @failed, as hak_check() returns it, this text? NULL is one too. */
bool unit_same(const char *failed, const char *expected);

/*
 * An address that the compiler knows nothing of: it may believe that what
 * hak_malloc() returns equals no other pointer.
 */
static inline uintptr_t at(const void *block)
{
	uintptr_t address = (uintptr_t)block;

	OPTIMIZER_HIDE_VAR(address);
	return address;
}

void unit_sizeclass(void);
void unit_harden(void);
void unit_format(void);
void unit_lock(void);
void unit_list(void);
void unit_frames(void);
void unit_pages(void);
void unit_meta(void);
void unit_pagemap(void);
/* A test that tells places or numbers by slabs of 64 KiB, where these are units. */
#define TEST_RUN_SLABS(test)                                                                       \
	do {                                                                                       \
		if (UNITS_PER_SLAB == 1)                                                           \
			TEST_RUN(test);                                                            \
	} while (0)

/* A test that tells numbers by the large batches of a platform with bursts. */
#define TEST_RUN_BURSTS(test)                                                                      \
	do {                                                                                       \
		if (HAK_CACHE_BURST_BYTES > 0)                                                     \
			TEST_RUN(test);                                                            \
	} while (0)

void unit_superslab(void);
void unit_units(void);
void unit_class(void);
void unit_gap(void);
void unit_magazine(void);
void unit_span(void);
void unit_malloc(void);
void unit_policy(void);
void unit_scan(void);
void unit_seize(void);
void unit_stats(void);
void unit_check(void);
void unit_pool(void);
void unit_prefill(void);

#endif
