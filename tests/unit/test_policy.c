/* SPDX-License-Identifier: MIT */
/*
 * core/base/policy.c: the policy as a function of its arguments; and its effect on the
 * heap: which empty SuperSlabs stay, and how long.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <base/policy.h>
#include <superslab/superslab.h>

/* Idle slabs stay while as many are taken, if they are few beside those in use. */
static void policy_busy(void)
{
	struct two_intervals none = { 0 }, now = { .now = 50 }, before = { .before = 50 };

	CHECK(!policy_is_busy(0, &now, 200) && !policy_is_busy(1, &none, 1000));
	CHECK(policy_is_busy(50, &now, 200) && policy_is_busy(50, &before, 200));
	CHECK(!policy_is_busy(51, &now, 1000) && !policy_is_busy(51, &before, 1000));
	CHECK(!policy_is_busy(50, &now, 199) && policy_is_busy(49, &now, 199));
}

static void policy_modes(void)
{
	CHECK(policy_keeps_blocks(0) && policy_keeps_blocks(1) && !policy_keeps_blocks(2));
	policy_set_mode(RELEASE_NEVER);
	CHECK(policy_keeps_blocks(2));
	policy_set_mode(RELEASE_LATER);
	CHECK(policy_keeps_blocks(2));
	for (size_t reserve = 0; reserve < 100; reserve++) {
		policy_set_mode(RELEASE_AT_ONCE);
		CHECK(policy_keeps(reserve, 1000) == (reserve == 0));
		policy_set_mode(RELEASE_NEVER);
		CHECK(policy_keeps(reserve, 5));
		policy_set_mode(RELEASE_LATER);
		CHECK(policy_keeps(reserve, reserve));
	}
	CHECK(policy_keeps(POLICY_RESERVE_MOST - 1, 0) && !policy_keeps(POLICY_RESERVE_MOST, 1024));
	CHECK(policy_keeps(999, 4000) && !policy_keeps(1000, 4000));
	policy_set_mode(RELEASE_AT_ONCE);
}

/* What a magazine held and did not need is its excess. */
static void policy_excess_blocks(void)
{
	CHECK(policy_excess(0, 0) == 0 && policy_excess(0, 5) == 0);
	CHECK(policy_excess(8, 0) == 8 && policy_excess(8, 3) == 5);
	CHECK(policy_excess(8, 7) == 1 && policy_excess(8, 8) == 0);
	CHECK(policy_excess(8, 9) == 0 && policy_excess(112, UINT64_MAX) == 0);
	CHECK(policy_excess(112, (uint64_t)1 << 32) == 0);
}

static uint64_t active(void)
{
	struct arena_counters counters;

	arena_read_counters(&counters);
	return counters.active;
}

/* A sawtooth of 10 SuperSlabs, with or without a scan in each of its teeth. */
static void policy_sawtooth(void)
{
	unsigned long maps = 0, scans = 0;
	void *block[10];

	CHECK(unit_open(32 * MIB, 0, FAKE_PURGE_ZERO));
	policy_set_mode(RELEASE_LATER);
	for (unsigned tooth = 0; tooth < 6; tooth++) {
		if (tooth == 1)
			maps = unit_fake.calls[FAKE_MAP];
		for (unsigned i = 0; i < 10; i++)
			CHECK((block[i] = hak_malloc(2 * MIB)));
		for (unsigned i = 0; i < 10; i++)
			hak_free(block[i]);
		if (tooth >= 3)
			hak_idle(SIZE_MAX);
		CHECK(active() == 10);
	}
	CHECK(unit_fake.calls[FAKE_MAP] == maps && unit_fake.calls[FAKE_UNMAP] == 0);
	/* some intervals without it, and it is gone */
	CHECK(hak_idle(SIZE_MAX) && active() == 10);
	while (hak_idle(SIZE_MAX))
		scans++;
	CHECK(scans < 10 && active() == 0);
	CHECK(!hak_check());
	policy_set_mode(RELEASE_AT_ONCE);
	CHECK(unit_close());
}

/* Part of what was needed lately is needed still: the rest goes. */
static void policy_decay(void)
{
	void *block[10];

	CHECK(unit_open(32 * MIB, 0, FAKE_PURGE_ZERO));
	policy_set_mode(RELEASE_LATER);
	for (unsigned i = 0; i < 10; i++)
		CHECK((block[i] = hak_malloc(2 * MIB)));
	for (unsigned i = 3; i < 10; i++)
		hak_free(block[i]);
	CHECK(active() == 10);
	while (hak_idle(1))
		;
	CHECK(active() == 3 && !hak_idle(SIZE_MAX));
	/* no scan will come by: all but one go at once */
	policy_set_mode(RELEASE_AT_ONCE);
	hak_free(block[0]);
	hak_free(block[1]);
	CHECK(active() == 2);
	policy_set_mode(RELEASE_NEVER);
	hak_free(block[2]);
	CHECK(active() == 2);
	policy_set_mode(RELEASE_AT_ONCE);
	CHECK(hak_trim(HAK_TRIM_OWN) == 2 * SUPERSLAB_SIZE && active() == 0);
	CHECK(unit_close());
}

/* To and fro over the edge of a SuperSlab asks the provider for nothing. */
static void policy_no_thrash(void)
{
	unsigned long maps, unmaps;
	void *first, *second;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_ZERO));
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
	CHECK(unit_fake.outstanding_heap == SUPERSLAB_SIZE);
	CHECK(hak_trim(HAK_TRIM_ALL) == SUPERSLAB_SIZE);
	CHECK(unit_fake.outstanding_heap == 0);
	CHECK(!hak_check());
	CHECK(unit_close());
}

void unit_policy(void)
{
	TEST_RUN(policy_busy);
	TEST_RUN(policy_modes);
	TEST_RUN(policy_excess_blocks);
	TEST_RUN(policy_sawtooth);
	TEST_RUN(policy_decay);
	TEST_RUN(policy_no_thrash);
}
