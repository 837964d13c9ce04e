/* SPDX-License-Identifier: MIT */
/*
 * Runs of set bits in a mask that has a bit per slab of a SuperSlab.
 */
#ifndef HAKMEM_RUNS_H
#define HAKMEM_RUNS_H

#include "base.h"

/* Bits at which a run of @n set bits of @mask starts. */
static inline uint32_t run_starts(uint32_t mask, unsigned n)
{
	unsigned have = 1;

	/* after each step a bit stands for `have` set bits from it upwards */
	while (have < n) {
		unsigned step = have < n - have ? have : n - have;

		mask &= mask >> step;
		have += step;
	}
	return mask;
}

/* @mask are bits at which runs of @n start, @more those of other ones: can any of them go on? */
static inline void extend_run(uint32_t *mask, unsigned *n, uint32_t more, unsigned length)
{
	more = (uint32_t)((uint64_t)more >> *n) & *mask;
	if (more) {
		*mask = more;
		*n += length;
	}
}

/* Length of the longest run of set bits: doubled while there is one, then extended by halves. */
static inline unsigned longest_run(uint32_t mask)
{
	uint32_t two = mask & mask >> 1, four = two & two >> 2;
	uint32_t eight = four & four >> 4, sixteen = eight & eight >> 8;
	uint32_t start = sixteen ? sixteen : eight ? eight : four ? four : two ? two : mask;
	unsigned n = sixteen ? 16 : eight ? 8 : four ? 4 : two ? 2 : 1;

	if (!mask || mask == 0xffffffffu)
		return mask ? 32 : 0;
	if (n > 8)
		extend_run(&start, &n, eight, 8);
	if (n > 4)
		extend_run(&start, &n, four, 4);
	if (n > 2)
		extend_run(&start, &n, two, 2);
	if (n > 1)
		extend_run(&start, &n, mask, 1);
	return n;
}

/* The bits 0, @step, 2 * @step ... for a power of two @step <= 32. */
static inline uint32_t every(unsigned step)
{
	uint32_t mask = 1;

	for (; step < SLABS_PER_SUPERSLAB; step <<= 1)
		mask |= mask << step;
	return mask;
}

#endif
