/* SPDX-License-Identifier: MIT */
/*
 * What an allocator costs in a real kernel to which hakmem is ported: in instructions, on QEMU
 * with -icount, where one tick of the TSC is one instruction. The pages of the ports have the
 * commands. Who includes this defines measure_alloc(size), measure_free(block, size), which
 * may be macros, and measure_print(what, number).
 */
#ifndef KERNELS_MEASURE_H
#define KERNELS_MEASURE_H

#define MEASURE_BLOCKS 20000

static inline unsigned long measure_ticks(void)
{
	unsigned low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (unsigned long)high << 32 | low;
}

static inline unsigned long measure_random(unsigned long *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline void measure_pairs(unsigned long size, unsigned n)
{
	while (n--) {
		void *block = measure_alloc(size);

		__asm__ volatile("" : "+r"(block) : : "memory"); /* compilers know malloc */
		measure_free(block, size);
	}
}

/* A pair of malloc and free, with the loop. */
static inline void measure_pair(const char *what, unsigned long size, unsigned n)
{
	unsigned long start;

	measure_pairs(size, 200);
	start = measure_ticks();
	measure_pairs(size, n);
	measure_print(what, (measure_ticks() - start) / n);
}

/* A free and a malloc among some blocks of 16 to 1024 bytes. */
static inline void measure_replace(const char *what, unsigned blocks)
{
	static void *block[MEASURE_BLOCKS];
	static unsigned size[MEASURE_BLOCKS];
	unsigned long state = 88172645463325252ul, start = 0;

	for (unsigned i = 0; i < blocks; i++) {
		size[i] = 16 + measure_random(&state) % 1009;
		block[i] = measure_alloc(size[i]);
	}
	start = measure_ticks();
	for (unsigned i = 0; i < 10 * blocks; i++) {
		unsigned one = measure_random(&state) % blocks;

		measure_free(block[one], size[one]);
		size[one] = 16 + (state >> 32) % 1009;
		block[one] = measure_alloc(size[one]);
	}
	measure_print(what, (measure_ticks() - start) / (10 * blocks));
	for (unsigned i = 0; i < blocks; i++)
		measure_free(block[i], size[i]);
}

/* All blocks of 64 bytes, or @most, in a list. */
static inline void **measure_fill(const char *what, unsigned long most)
{
	void **list = (void **)0, **block;
	unsigned long n = 0;

	while (n < most && (block = measure_alloc(64))) {
		*block = (void *)list;
		list = block;
		n++;
	}
	measure_print(what, n);
	return list;
}

static inline void measure_empty(void **list)
{
	while (list) {
		void **next = (void **)*list;

		measure_free(list, 64);
		list = next;
	}
}

static inline void measure_all(unsigned blocks)
{
	measure_pair("pair, 64 bytes", 64, 100000);
	measure_pair("pair, 4 KiB", 4096, 100000);
	measure_pair("pair, 64 KiB", 65536, 10000);
	measure_pair("pair, 1 MB", 1000000, 10000);
	measure_replace("replace", blocks);
}

#endif
