/* SPDX-License-Identifier: MIT */
/*
 * What one hak_malloc() and one hak_free() cost on bare metal, in instructions:
 * for QEMU with -icount, where one tick of the TSC is one instruction. (On real
 * hardware the figures are cycles of some clock and mean nothing here.)
 *
 * The difference of 2N and N pairs leaves out what is paid once. The loop and
 * the two calls are counted in. Required for small blocks: 40, and one more in a window; of
 * clang 48.
 */
#include <cpu.h>

#include "../test.h"

#include <hakmem/config.h>
#include <hakmem/hakmem.h>

#define PAIRS 100000u
#ifdef __clang__
#define MOST_A_PAIR (48u + CONFIG_HAK_WINDOW)
#else
#define MOST_A_PAIR (40u + CONFIG_HAK_WINDOW)
#endif

static const size_t sizes[] = { 8, 16, 64, 512, 1024, 4096, 16384 };

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
	return test_finish();
}
