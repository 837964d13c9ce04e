/* SPDX-License-Identifier: MIT */
/*
 * What the workloads of bench.c have in common, beyond common.h.
 *
 * A workload is made of steps, which are repeated until the time is up, or the
 * operations asked for are done. What its steps need is prepared before.
 */
#ifndef BENCH_SPEED_H
#define BENCH_SPEED_H

#include "common.h"

#include <stdlib.h>

#define THREADS_MOST 256u

struct parameters {
	uint64_t ms;	  /* how long, unless a step alone takes longer */
	uint64_t ops;	  /* if not 0: how many operations instead */
	uint64_t size;	  /* bytes of a block, where all have one size */
	uint64_t least;	  /* bytes, else */
	uint64_t most;	  /* bytes */
	uint64_t live;	  /* blocks */
	uint64_t threads; /* of the workload */
};

struct workload {
	const char *name;
	void (*prepare)(void);
	uint64_t (*step)(void); /* returns how many operations it was */
	enum { STEADY, ONCE } kind;
	void (*print)(uint64_t ops); /* what else it has to say; may be NULL */
};

extern struct parameters parameters;
extern uint64_t deadline; /* of now_ns(), for the steps of threaded ones */
extern bool warm;	  /* what is measured has begun */

extern const struct workload steady_workloads[], growing_workloads[], threaded_workloads[],
	filled_workloads[];

static inline void *allocate(size_t size)
{
	void *block = malloc(size);

	if (__builtin_expect(!block, 0))
		fail("bench: no memory for %zu bytes\n", size);
	return block;
}

/*
 * A block is written as its user would do at least: at its start, at its end,
 * and in each page between. Larson's benchmark writes the first two.
 */
static inline void touch(unsigned char *block, size_t size)
{
	block[0] = 1;
	for (size_t i = 4096; i < size; i += 4096)
		block[i] = 1;
	block[size - 1] = 1;
}

static inline void *allocate_touched(size_t size)
{
	void *block = allocate(size);

	touch(block, size);
	return block;
}

#endif
