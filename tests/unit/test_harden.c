/* SPDX-License-Identifier: MIT */
/*
 * The hardened build: seals, what is zero, and the quarantine. What becomes of crimes is in
 * tests/harden/.
 */
#include "unit.h"

#include <cache/quarantine.h>
#include <hakmem/hakmem.h>
#include <harden/seal.h>
#include <slab/class.h>

static char large[4 * 4096] __attribute__((aligned(16)));
static char room[4096 + 64] __attribute__((aligned(64)));

static void zero_words(void)
{
	for (size_t size = 16; size <= 1024; size += 8) {
		__builtin_memset(room, 0, sizeof(room));
		CHECK(zero_is(room, size));
		room[size] = 1;
		CHECK(zero_is(room, size));
		for (size_t i = 0; i < size; i++) {
			room[i] = 1;
			CHECK(!zero_is(room, size) && zero_length(room, size) == i);
			room[i] = 0;
		}
		__builtin_memset(room, 0x77, sizeof(room));
		zero_fill(room, size);
		CHECK(zero_is(room, size) && room[size] == 0x77);
	}
	for (size_t size = 4096; size <= 3 * 4096; size += 16) {
		__builtin_memset(large, 0, sizeof(large));
		large[size / 2] = large[size - 1] = large[size] = 1;
		zero_fill(large, size);
		CHECK(zero_is(large, size) && large[size] == 1);
	}
}

/* A seal tells the size, and breaks by any change of any byte behind it. */
static void seals(void)
{
	hak_secret_make();
	for (size_t capacity = HAK_MIN_ALIGN; capacity <= 256; capacity += HAK_MIN_ALIGN) {
		for (size_t size = 0; size <= capacity - SEAL_SIZE; size++) {
			uint64_t key = seal_key(room);

			__builtin_memset(room, 0, sizeof(room));
			CHECK(seal_read(room, capacity, key) == SEAL_BROKEN);
			seal_make(room, capacity, size);
			CHECK(seal_read(room, capacity, key) == size);
			CHECK(seal_is_whole(room, capacity, size, key));
			for (size_t i = size; i < capacity; i++) {
				size_t now;

				room[i] ^= 0x40;
				now = seal_read(room, capacity, key);
				CHECK(now == SEAL_BROKEN ||
				      !seal_is_whole(room, capacity, now, key));
				room[i] ^= 0x40;
			}
			CHECK((uint8_t)room[size] >= 0x81 && (uint8_t)room[size] <= 0x9f);
		}
	}
}

/* Of another address, or of another capacity, it is none. */
static void seals_copied(void)
{
	hak_secret_make();
	__builtin_memset(room, 0, sizeof(room));
	seal_make(room, 64, 40);
	__builtin_memcpy(room + 64, room, 64);
	CHECK(seal_read(room, 64, seal_key(room)) == 40);
	CHECK(seal_read(room + 64, 64, seal_key(room + 64)) == SEAL_BROKEN);
	CHECK(seal_read(room + 32, 32, seal_key(room + 32)) == SEAL_BROKEN);
}

/* A block waits for as many others as there are slots, on average. */
static void quarantine_waits(void)
{
	unsigned waited = 0, turns = 0;
	uintptr_t mine;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned i = 0; i < 200; i++) {
		void *block = hak_malloc(40);

		mine = at(block);
		hak_free(block);
		do {
			block = hak_malloc(40);
			hak_free(block);
			waited++;
		} while (at(block) != mine && waited < 1000000);
		turns++;
	}
	CHECK(waited / turns > 16 && waited / turns < 1000);
	CHECK(unit_close());
}

/* What it holds is bounded, counts as live, and goes by a flush, and before NULL. */
static void quarantine_goes(void)
{
	static void *block[2000];
	size_t left;
	unsigned n = 0;

	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned class = CLASS_FIRST; class <= CLASS_SLAB_LAST; class ++)
		CHECK(quarantine_slots(class) >= 4 &&
		      quarantine_slots(class) * size_class[class].size <= 128 * KIB);
	while (n < ARRAY_SIZE(block) && (block[n] = hak_malloc(5000)))
		n++;
	CHECK(n > 300 && n < ARRAY_SIZE(block));
	for (unsigned i = 0; i < 4; i++)
		hak_free(block[--n]);
	for (unsigned i = 0; i < 4; i++)
		CHECK((block[n++] = hak_malloc(5000)));
	while (n)
		hak_free(block[--n]);
	left = class_outstanding(class_of(5000));
	CHECK(left > 0);
	hak_flush();
	CHECK(class_outstanding(class_of(5000)) == 0 && !hak_check());
	CHECK(unit_close());
}

/* Memory that comes with something in it is cleared. */
static void memory_is_zero(void)
{
	static const unsigned flags[] = { 0, FAKE_ZERO };

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		char *block;

		CHECK(unit_open(16 * MIB, flags[i], FAKE_PURGE_DIRTY));
		block = hak_malloc(20000);
		CHECK(block && unit_is_zero(block, 20000));
		unit_fill(block, 20000, 1);
		hak_free(block);
		CHECK(unit_is_zero(block, 20000));
		(void)hak_trim(HAK_TRIM_ALL);
		block = hak_malloc(20000);
		CHECK(block && unit_is_zero(block, 20000));
		hak_free(block);
		block = hak_zalloc(5 * MIB);
		CHECK(block && unit_is_zero(block, 5 * MIB));
		hak_free(block);
		CHECK(!hak_check());
		CHECK(unit_close());
	}
}

void unit_harden(void)
{
	TEST_RUN(zero_words);
	TEST_RUN(seals);
	TEST_RUN(seals_copied);
	TEST_RUN(quarantine_waits);
	TEST_RUN(quarantine_goes);
	TEST_RUN(memory_is_zero);
}
