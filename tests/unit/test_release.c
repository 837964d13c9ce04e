/* SPDX-License-Identifier: MIT */
/*
 * core/release: the policy, as what it is, a function of its arguments; and
 * what it comes to in the heap: one empty SuperSlab stays, whatever happens.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <release.h>
#include <superslab.h>

static void release_bound(void)
{
	CHECK(RELEASE_RESERVE == 1);
	for (size_t reserve = 0; reserve < 100; reserve++)
		CHECK(release_keeps(reserve) == (reserve < RELEASE_RESERVE));
	CHECK(!release_keeps(SIZE_MAX));
}

/* To and fro over the edge of a SuperSlab asks the provider for nothing. */
static void release_no_thrash(void)
{
	unsigned long maps, unmaps;
	void *first, *second;

	CHECK(unit_open(16 * MIB, FAKE_PARTS, FAKE_PURGE_ZERO));
	first = hak_malloc(2 * MIB);
	second = hak_malloc(2 * MIB);
	CHECK(first && second);
	hak_free(second);
	maps = unit_fake.calls[FAKE_MAP];
	unmaps = unit_fake.calls[FAKE_UNMAP];
	for (unsigned i = 0; i < 100; i++) {
		second = hak_malloc(2 * MIB);
		CHECK(second);
		hak_free(second);
	}
	CHECK(unit_fake.calls[FAKE_MAP] == maps && unit_fake.calls[FAKE_UNMAP] == unmaps);
	hak_free(first);
	CHECK(unit_fake.outstanding_heap == RELEASE_RESERVE * SUPERSLAB_SIZE);
	CHECK(hak_trim() == RELEASE_RESERVE * SUPERSLAB_SIZE);
	CHECK(unit_fake.outstanding_heap == 0);
	CHECK(!hak_check());
	CHECK(unit_close());
}

void unit_release(void)
{
	TEST_RUN(release_bound);
	TEST_RUN(release_no_thrash);
}
