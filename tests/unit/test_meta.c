/* SPDX-License-Identifier: MIT */
/*
 * core/pages/meta.c: records are zero, aligned, disjoint and used again by their own
 * kind; chunks are as few as can be and all go back.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <base/policy.h>
#include <pages/meta.h>
#include <pages/pages.h>
#include <superslab/superslab.h>

#define RECORD ((size_t)1000) /* becomes 1024 */
#define CHUNK  POLICY_META_CHUNK
#define GUARD  (HAK_METADATA_APART * HAK_GUARD)
#define GUARDS (2 * GUARD)
#define FIRST  (GUARD ? POLICY_META_START : CHUNK) /* the first chunk */
#define LARGE  (FIRST + 16 * KIB)		   /* what does not fit into it */

static size_t mapped(void)
{
	return pages_counters.mapped;
}

/* The provider's memory is dirty, and so is what was freed. */
static void meta_records(void)
{
	char *record[100];

	CHECK(unit_open(2 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned i = 0; i < ARRAY_SIZE(record); i++) {
		record[i] = meta_alloc(META_LEAF, RECORD);
		CHECK(record[i]);
		CHECK((uintptr_t)record[i] % META_ALIGN == 0);
		CHECK(unit_is_zero(record[i], RECORD));
		CHECK(fake_is_mapped(&unit_fake, record[i], RECORD));
		CHECK(meta_has(record[i]));
		unit_fill(record[i], RECORD, i);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(record); i++)
		CHECK(unit_is_filled(record[i], RECORD, i));
	/* 63 in each of two chunks of 64 KiB, whose first 64 bytes are the head; 71 in 72 KiB */
	CHECK(unit_fake.calls[FAKE_MAP_META] == (GUARD ? 1 : 2));
	CHECK(unit_fake.calls[FAKE_MAP_HEAP] == 0 && mapped() == unit_balance());
	CHECK(mapped() == (GUARD ? FIRST + GUARDS : 2 * CHUNK));
	CHECK(unit_close());
	CHECK(mapped() == 0);
}

static void meta_reuse(void)
{
	void *one, *two, *other;

	CHECK(unit_open(2 * MIB, FAKE_ZERO, FAKE_PURGE_NONE));
	one = meta_alloc(META_LEAF, RECORD);
	two = meta_alloc(META_LEAF, RECORD);
	CHECK(one && two && one != two);
	unit_fill(one, RECORD, 1);
	unit_fill(two, RECORD, 2);
	meta_free(META_LEAF, one);
	meta_free(META_LEAF, two);
	/* other kinds have other sizes: never theirs */
	other = meta_alloc(META_CACHE, 2 * RECORD);
	CHECK(other && other != one && other != two);
	CHECK(unit_is_zero(other, 2 * RECORD));
	/* last in, first out, and zero again */
	CHECK(meta_alloc(META_LEAF, RECORD) == two);
	CHECK(meta_alloc(META_LEAF, RECORD) == one);
	CHECK(unit_is_zero(one, RECORD) && unit_is_zero(two, RECORD));
	CHECK(unit_fake.calls[FAKE_MAP] == 1);
	CHECK(unit_close());
}

/* A record that is larger than a chunk gets one of its own. */
static void meta_large(void)
{
	void *small, *large, *next;

	CHECK(unit_open(2 * MIB, 0, FAKE_PURGE_NONE));
	small = meta_alloc(META_LEAF, RECORD);
	large = meta_alloc(META_LEAF, LARGE);
	CHECK(small && large && unit_is_zero(large, LARGE));
	CHECK(mapped() == FIRST + (LARGE / CHUNK + 1) * CHUNK + 2 * GUARDS);
	next = meta_alloc(META_LEAF, RECORD);
	CHECK(next && unit_is_zero(next, RECORD));
	CHECK(unit_fake.calls[FAKE_MAP] == 2);
	CHECK(unit_close());
}

/* Where 64 KiB are not to be had, as many pages as it takes, but for a cache none. */
static void meta_little_memory(void)
{
	void *record;

	CHECK(unit_open(12 * KIB + GUARDS, 0, FAKE_PURGE_NONE));
	record = meta_alloc(META_CLASS, 5000);
	CHECK(record && unit_is_zero(record, 5000));
	CHECK(mapped() == 8 * KIB + GUARDS && unit_balance() == 8 * KIB + GUARDS);
	CHECK(meta_alloc(META_CLASS, 1000)); /* from what is left of it */
	CHECK(mapped() == 8 * KIB + GUARDS);
	CHECK(!meta_alloc(META_CLASS, 5000)); /* there is but one page */
	CHECK(mapped() == 8 * KIB + GUARDS && unit_balance() == 8 * KIB + GUARDS);
	if (!GUARD) { /* which suffices for this, where there are no guards */
		CHECK(!meta_alloc(META_CACHE, 4032) && unit_balance() == 8 * KIB);
		CHECK(meta_alloc(META_LEAF, 4032));
		CHECK(unit_balance() == 12 * KIB);
	}
	CHECK(!meta_alloc(META_LEAF, 4032));
	meta_free(META_CLASS, record);
	CHECK(at(meta_alloc(META_CLASS, 5000)) == at(record));
	CHECK(unit_close());
}

static void meta_failures(void)
{
	void *record;

	CHECK(unit_open(2 * MIB, 0, FAKE_PURGE_NONE));
	fake_fail(&unit_fake, FAKE_MAP, 1, true, FAKE_FAILS);
	CHECK(!meta_alloc(META_CACHE, RECORD));
	CHECK(unit_fake.calls[FAKE_MAP] == 1);
	CHECK(!meta_alloc(META_CLASS, RECORD));
	CHECK(unit_fake.calls[FAKE_MAP] == 3); /* a chunk, and then less */
	CHECK(mapped() == 0);
	fake_fail(&unit_fake, FAKE_MAP, 1, true, FAKE_MISALIGNED);
	CHECK(!meta_alloc(META_CACHE, RECORD));
	CHECK(mapped() == 0 && unit_balance() == 0);
	fake_heal(&unit_fake);
	record = meta_alloc(META_CACHE, RECORD);
	CHECK(record);
	unit_fill(record, RECORD, 1);
	CHECK(unit_close());
}

static void meta_knows_its_own(void)
{
	char *record;

	CHECK(unit_open(2 * MIB, 0, FAKE_PURGE_NONE));
	record = meta_alloc(META_CACHE, RECORD);
	CHECK(record);
	record -= (uintptr_t)record % HAK_GRANULE; /* the chunk */
	CHECK(meta_has(record) && meta_has(record + FIRST - 1));
	CHECK(!meta_has(record - 1) && !meta_has(record + FIRST) && !meta_has(NULL));
	CHECK(unit_close());
}

static void meta_residence(void)
{
	CHECK(unit_open(2 * MIB, FAKE_RESIDENT, FAKE_PURGE_NONE));
	CHECK(meta_resident() == 0);
	CHECK(meta_alloc(META_CACHE, RECORD) && meta_alloc(META_LEAF, LARGE));
	CHECK(meta_resident() == unit_balance() - 2 * GUARDS);
	CHECK(unit_close());
	CHECK(unit_open(2 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(meta_alloc(META_CACHE, RECORD));
	CHECK(meta_resident() == FIRST); /* unknown: all of it */
	CHECK(unit_close());
}

/* The descriptor of a SuperSlab may be a mapping of its own. Then that goes back. */
static void meta_descriptors_go(void)
{
	size_t size = sizeof(struct superslab);
	char *record[3];

	if (!meta_is_apart(META_SUPERSLAB))
		return;
	CHECK(unit_open(2 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned i = 0; i < ARRAY_SIZE(record); i++) {
		record[i] = meta_alloc(META_SUPERSLAB, size);
		CHECK(record[i]);
	}
	CHECK(unit_balance() == 3 * ALIGN_UP(size, HAK_GRANULE) && mapped() == unit_balance());
	meta_free(META_SUPERSLAB, record[0]);
	meta_free(META_SUPERSLAB, record[2]);
	meta_trim(size);
	CHECK(unit_balance() == ALIGN_UP(size, HAK_GRANULE) && mapped() == unit_balance());
	/* what the provider refuses stays */
	meta_free(META_SUPERSLAB, record[1]);
	fake_fail(&unit_fake, FAKE_UNMAP, 1, true, FAKE_FAILS);
	meta_trim(size);
	fake_heal(&unit_fake);
	CHECK(meta_alloc(META_SUPERSLAB, size) == record[1]);
	meta_free(META_SUPERSLAB, record[1]);
	meta_trim(size);
	CHECK(mapped() == 0 && unit_close());
}

void unit_meta(void)
{
	TEST_RUN(meta_records);
	TEST_RUN(meta_reuse);
	TEST_RUN(meta_large);
	TEST_RUN(meta_little_memory);
	TEST_RUN(meta_failures);
	TEST_RUN(meta_knows_its_own);
	TEST_RUN(meta_residence);
	TEST_RUN(meta_descriptors_go);
}
