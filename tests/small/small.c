/* SPDX-License-Identifier: MIT */
/*
 * A machine that is full of blocks of one size, half of which are freed then: how much of that
 * half do blocks of other sizes get? And how much of the memory is payload when it is full of
 * blocks of any size? Lost bytes count on a small machine. For QEMU with 18 MiB, of which 16
 * are frames.
 *
 * The heap is one and the same: after each test all is freed, and the next test begins with
 * frames that are all free.
 */
#include <frames.h>

#include "../test.h"

#include <hakmem/hakmem.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Blocks in a chain through their first words. */
struct chain {
	void **first;
	size_t blocks;
};

static void chain_add(struct chain *chain, void **block)
{
	*block = chain->first;
	chain->first = block;
	chain->blocks++;
}

static void **chain_remove(struct chain *chain)
{
	void **block = chain->first;

	chain->first = *block;
	chain->blocks--;
	return block;
}

static struct chain fill(size_t size)
{
	struct chain chain = { NULL, 0 };
	void **block;

	while ((block = hak_malloc(size)))
		chain_add(&chain, block);
	return chain;
}

static void empty(struct chain *chain)
{
	while (chain->first)
		hak_free(chain_remove(chain));
}

/* Which half is freed? */
static bool every_second(size_t i)
{
	return i % 2;
}

static bool a_random_half(size_t i)
{
	static uint64_t random = 1;

	(void)i;
	return test_random(&random) >> 63;
}

struct row {
	size_t size;
	unsigned least; /* % of the bytes that were freed */
};

static void half(size_t size, bool (*is_freed)(size_t i), const struct row *rows, size_t nr_rows)
{
	struct chain all = fill(size), kept = { NULL, 0 };
	size_t freed = 0;

	test_print("%zu blocks of %zu bytes, half of them freed; of these bytes get blocks of",
		   all.blocks, size);
	for (size_t i = 0; all.first; i++) {
		void **block = chain_remove(&all);

		if (is_freed(i)) {
			hak_free(block);
			freed += size;
		} else {
			chain_add(&kept, block);
		}
	}
	for (; nr_rows; rows++, nr_rows--) {
		struct chain chain = fill(rows->size);
		size_t share = chain.blocks * rows->size * 100 / freed;

		test_print(" %zu: %zu %%", rows->size, share);
		empty(&chain);
		if (share < rows->least)
			test_fail(__FILE__, __LINE__, "the freed half is of use");
	}
	test_print("\n");
	empty(&kept);
	hak_trim(HAK_TRIM_ALL);
	CHECK(!hak_check());
	CHECK(hak_frames_free() == hak_frames_total());
}

static void every_second_of_16_kib(void)
{
	static const struct row rows[] = {
		{ 16, 90 }, { 64, 90 }, { 256, 90 }, { 1000, 90 }, { 2000, 85 }
	};

	half(16384, every_second, rows, ARRAY_SIZE(rows));
}

/* Sizes for which no class was made. */
static void every_second_of_other_sizes(void)
{
	static const struct row rows[] = { { 16, 75 }, { 256, 75 }, { 2000, 75 } };

	half(12000, every_second, rows, ARRAY_SIZE(rows));
	half(32768, every_second, rows, ARRAY_SIZE(rows));
	half(100000, every_second, rows, ARRAY_SIZE(rows));
}

/* Reported only: what is free lies between blocks that stay. */
static void random_half_of_1000_bytes(void)
{
	static const struct row rows[] = { { 16, 0 }, { 256, 0 }, { 1000, 95 }, { 2000, 0 } };

	half(1000, a_random_half, rows, ARRAY_SIZE(rows));
}

/* 16 .. 4096, equally many for each doubling. */
static size_t log_uniform(uint64_t *random)
{
	uint64_t number = test_random(random);
	size_t low = (size_t)16 << (number >> 32) % 8;

	return low + (number & 0xffffff) * low / 0xffffff;
}

static void full_of_any_size(void)
{
	size_t memory = hak_frames_total() * HAK_SUPERSLAB_SIZE, payload = 0, size;
	struct chain chain = { NULL, 0 };
	uint64_t random = 1;
	void **block;

	for (;;) {
		size = log_uniform(&random);
		block = hak_malloc(size);
		if (!block)
			break;
		payload += size;
		chain_add(&chain, block);
	}
	test_print("blocks of 16 to 4096 bytes: %zu.%zu %% of %zu MiB\n", payload * 100 / memory,
		   payload * 1000 / memory % 10, memory >> 20);
	CHECK(payload * 100 / memory >= 90);
	empty(&chain);
	hak_trim(HAK_TRIM_ALL);
	CHECK(hak_frames_free() == hak_frames_total());
}

int main(void)
{
	if (!hak_init(port_provider()))
		return 2;
	TEST_RUN(every_second_of_16_kib);
	TEST_RUN(every_second_of_other_sizes);
	TEST_RUN(random_half_of_1000_bytes);
	TEST_RUN(full_of_any_size);
	return test_finish();
}
