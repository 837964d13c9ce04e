/* SPDX-License-Identifier: MIT */
/*
 * What one hak_malloc() and one hak_free() cost on bare metal, in instructions:
 * for QEMU with -icount, where one tick of the TSC is one instruction. (On real
 * hardware the figures are cycles of some clock and mean nothing here.)
 *
 * The difference of 2N and N pairs leaves out what is paid once. The loop and
 * the two calls are counted in. Required for small blocks: 40, and one more in a window; of
 * clang 48; for objects of a pool: 34.
 */
#include <cpu.h>

#include "../test.h"

#include <hakmem/config.h>
#include <hakmem/hakmem.h>
#include <hakmem/pool.h>

#define PAIRS 100000u
#ifdef __clang__
#define MOST_A_PAIR (48u + CONFIG_HAK_WINDOW)
#define MOST_POOLED 37u
#else
#define MOST_A_PAIR (40u + CONFIG_HAK_WINDOW)
#define MOST_POOLED 34u
#endif
#define MOST_LARGE  90u	 /* with CONFIG_HAK_LARGE, up to 1 MiB, in a heap that has 32 MiB */
#define MOST_PURGED 200u /* of 1 MiB: so much more than without purge */

static const size_t sizes[] = { 8, 16, 64, 512, 1024, 4096, 16384, 40000, 262144, 1048576 };

static uint64_t ticks_of(size_t size, unsigned pairs)
{
	uint64_t start = cpu_read_tsc();

	while (pairs--) {
		void *block = hak_malloc(size);

		__asm__ volatile("" : "+r"(block)); /* the compiler knows malloc */
		hak_free(block);
	}
	return cpu_read_tsc() - start;
}

static uint64_t hundredths_of(size_t size)
{
	uint64_t once, twice;

	hak_free(hak_malloc(size));
	once = ticks_of(size, PAIRS);
	twice = ticks_of(size, 2 * PAIRS);
	return (twice - once) * 100 / PAIRS;
}

static struct hak_pool *pool;

HAK_POOL_FIXED(fixed, char[48], 10);

static uint64_t ticks_of_pool(unsigned pairs)
{
	uint64_t start = cpu_read_tsc();

	while (pairs--) {
		void *object = hak_pool_alloc(pool);

		__asm__ volatile("" : "+r"(object));
		hak_pool_free(pool, object);
	}
	return cpu_read_tsc() - start;
}

static uint64_t ticks_of_fixed(unsigned pairs)
{
	uint64_t start = cpu_read_tsc();

	while (pairs--) {
		void *object = hak_pool_fixed_alloc(&fixed);

		__asm__ volatile("" : "+r"(object));
		hak_pool_fixed_free(&fixed, object);
	}
	return cpu_read_tsc() - start;
}

static void pair_pool(void)
{
	uint64_t cost, fixed_cost;

	pool = hak_pool_create("pair", 48, 0, 0);
	CHECK(pool);
	hak_pool_free(pool, hak_pool_alloc(pool));
	cost = ticks_of_pool(PAIRS);
	cost = (ticks_of_pool(2 * PAIRS) - cost) * 100 / PAIRS;
	fixed_cost = ticks_of_fixed(PAIRS);
	fixed_cost = (ticks_of_fixed(2 * PAIRS) - fixed_cost) * 100 / PAIRS;
	test_print("a pool of 48 bytes: %lu.%02lu, a fixed one: %lu.%02lu\n",
		   (unsigned long)(cost / 100), (unsigned long)(cost % 100),
		   (unsigned long)(fixed_cost / 100), (unsigned long)(fixed_cost % 100));
	CHECK(cost <= MOST_POOLED * 100);
	CHECK(!hak_pool_destroy(pool));
}

static void pair_16(void)
{
	CHECK(hundredths_of(16) <= MOST_A_PAIR * 100);
}

static void pair_64(void)
{
	CHECK(hundredths_of(64) <= MOST_A_PAIR * 100);
}

static void pair_512(void)
{
	CHECK(hundredths_of(512) <= MOST_A_PAIR * 100);
}

static void pair_large(void)
{
	for (size_t size = 33000; size <= 1048576; size += size / 4)
		CHECK(hundredths_of(size) <= MOST_LARGE * 100);
	CHECK(hundredths_of(1048576) <= MOST_LARGE * 100);
}

static int purge(void *ctx, void *base, size_t size)
{
	(void)ctx;
	(void)base;
	(void)size;
	return HAK_PAGES_PURGE;
}

static int map_for_purge(void *ctx, size_t size, size_t align, enum hak_want want,
			 struct hak_mapping *out)
{
	int error = port_provider()->map(ctx, size, align, want, out);

	out->flags = HAK_PAGES_PURGE;
	return error;
}

/* That pages can be purged is nothing that a block pays for, page by page. */
static void pair_purge(void)
{
	struct hak_provider provider = *port_provider();
	uint64_t before = hundredths_of(1048576), cost;

	hak_fini();
	provider.map = map_for_purge;
	provider.purge = purge;
	hak_purge_enable();
	CHECK(hak_init(&provider));
	cost = hundredths_of(1048576);
	test_print("1 MiB of pages that can be purged: %lu, of others: %lu\n",
		   (unsigned long)(cost / 100), (unsigned long)(before / 100));
	CHECK(cost <= before + MOST_PURGED * 100);
}

int main(void)
{
	hak_init(port_provider());
	test_print("%8s %14s\n", "size", "instructions");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t cost = hundredths_of(sizes[i]);

		test_print("%8zu %11lu.%02lu\n", sizes[i], (unsigned long)(cost / 100),
			   (unsigned long)(cost % 100));
	}
	TEST_RUN(pair_16);
	TEST_RUN(pair_64);
	TEST_RUN(pair_512);
	if (CONFIG_HAK_LARGE)
		TEST_RUN(pair_large);
	TEST_RUN(pair_pool);
	TEST_RUN(pair_purge); /* makes a heap of its own */
	return test_finish();
}
