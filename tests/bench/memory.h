/* SPDX-License-Identifier: MIT */
/*
 * What the memory benchmarks have in common beyond common.h: options, blocks, and
 * the kernel's figure for the process. See memory.c.
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include "common.h"

struct block {
	unsigned char *base; /* NULL: freed */
	uint32_t size;	     /* as requested */
};

struct options {
	uint64_t light;	  /* spike: threads go on allocating a little */
	uint64_t delay;	  /* sawtooth: ms, what the last shrink is given to take effect */
	uint64_t sample;  /* sawtooth: ms between samples, 0: none */
	uint64_t ops;	  /* replace */
	uint64_t seconds; /* aging: of a phase */
	uint64_t keep;	  /* aging: one of so many blocks outlives its phase */
	uint64_t mib;	  /* spike: of all threads; sawtooth: at its top */
	uint64_t teeth;	  /* sawtooth */
	uint64_t pause;	  /* sawtooth: ms between up and down */
	uint64_t settle;  /* spike: ms until what is left is looked at */
	uint64_t trace;	  /* spike, sawtooth: ms between lines "trace MS KIB", 0: none */
};

extern struct options options;

/* The workloads; a variant is one of those that memory.c lists. */
void run_small(const char *variant);
void run_spike(const char *variant);
void run_idle(const char *variant);
void run_sawtooth(const char *variant);
void run_replace(const char *variant);
void run_aging(const char *variant);

/* Bytes of memory that the process has gained since net_begin(). */
void net_begin(void);
uint64_t net(void);

/* How net() changes over time, from begin to end, if that was asked for. */
void trace_begin(void);
void trace_end(void);

/* Every byte of a block is written, with a value that goes with its address. */
struct block block_new(uint32_t size);
void block_free(struct block *block);

/* Fail if any of these blocks is not as block_new() left it. */
void blocks_check(const struct block *blocks, size_t n);

/*
 * Bytes of the pages that hold a byte of a block: less cannot be resident while
 * the blocks stay where they are. Begin, add tables of blocks, end.
 */
void floor_begin(void);
void floor_add(const struct block *blocks, size_t n);
uint64_t floor_end(void);

#endif
