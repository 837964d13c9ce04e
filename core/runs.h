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

static inline unsigned longest_run(uint32_t mask)
{
	unsigned n = 0;

	while (mask) {
		mask &= mask >> 1;
		n++;
	}
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
