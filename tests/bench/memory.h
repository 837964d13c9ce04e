/* SPDX-License-Identifier: MIT */
/*
 * What the memory benchmarks have in common: options, blocks, sizes, and the
 * kernel's figure for the process. See memory.c.
 *
 * Nothing here allocates, and nothing exits but with a message.
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/stats.h>

#define KIB	  ((uint64_t)1 << 10)
#define MIB	  ((uint64_t)1 << 20)
#define MIX_SIZES 16384u

struct block {
	unsigned char *base; /* NULL: freed */
	uint32_t size;	     /* as requested */
};

/* Equally likely sizes. */
struct mix {
	uint32_t sizes[MIX_SIZES];
};

struct options {
	uint64_t seed;
	uint64_t light;	  /* spike: threads go on allocating a little */
	uint64_t delay;	  /* sawtooth: ms, what the last shrink is given to take effect */
	uint64_t sample;  /* sawtooth: ms between samples, 0: none */
	uint64_t ops;	  /* replace */
	uint64_t seconds; /* aging: of a phase */
	uint64_t keep;	  /* aging: one of so many blocks outlives its phase */
};

extern struct options options;

/* The workloads; a variant is one of those that memory.c lists. */
void run_small(const char *variant);
void run_spike(const char *variant);
void run_idle(const char *variant);
void run_sawtooth(const char *variant);
void run_replace(const char *variant);
void run_aging(const char *variant);

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line, or a piece of one, on standard output. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory that is not the heap's, all of it resident. */
void *map_resident(size_t size);

/* What /proc says of this process: the first number after @key in @path. */
uint64_t read_number(const char *path, const char *key);

/* Bytes of memory that the process has gained since net_begin(). */
void net_begin(void);
uint64_t net(void);

uint64_t now_ns(void);
uint64_t cpu_ns(void); /* of all threads, the kernel's work for them included */
void sleep_ms(uint64_t ms);

/* A snapshot if the allocator is ours; else false. */
bool read_stats(struct hak_stats *stats);

/* xorshift64*; a generator's state is made of options.seed and its number. */
uint64_t random_seed(uint64_t number);
uint64_t random_next(uint64_t *state);

/* Evenly in [0, n), n < 2^32. */
static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((random_next(state) >> 32) * n >> 32);
}

/* Sizes from @least to @most: every octave, or every size, has the same share. */
void mix_log_uniform(struct mix *mix, uint32_t least, uint32_t most);
void mix_uniform(struct mix *mix, uint32_t least, uint32_t most);

static inline uint32_t mix_size(const struct mix *mix, uint64_t *random)
{
	return mix->sizes[random_below(random, MIX_SIZES)];
}

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
