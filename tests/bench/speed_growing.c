/* SPDX-License-Identifier: MIT */
/*
 * One thread, a heap that grows or shrinks. What the first touch of a page costs
 * is part of it.
 *
 * scaling: a million blocks of one size, allocated and freed in that order: what
 * blocks cost when there are many, in time and, above all, in memory.
 */
#include <string.h>

#include "speed.h"

static void **blocks;

static void scaling_prepare(void)
{
	blocks = map_resident(parameters.live * sizeof(*blocks));
}

static uint64_t scaling_step(void)
{
	for (uint64_t i = 0; i < parameters.live; i++)
		blocks[i] = allocate_touched(parameters.size);
	for (uint64_t i = 0; i < parameters.live; i++)
		free(blocks[i]);
	return parameters.live;
}

const struct workload growing_workloads[] = {
	{ "scaling", scaling_prepare, scaling_step, ONCE, NULL },
	{ NULL, NULL, NULL, ONCE, NULL },
};
