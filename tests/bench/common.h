/* SPDX-License-Identifier: MIT */
/*
 * What the benchmarks have in common, see common.c. Nothing here allocates, and
 * nothing exits but with a message.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/stats.h>

#define KIB	  ((uint64_t)1 << 10)
#define MIB	  ((uint64_t)1 << 20)
#define MIX_SIZES 16384u

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Equally likely sizes. */
struct mix {
	uint32_t sizes[MIX_SIZES];
};

/* Given as NAME=NUMBER on the command line. */
struct option {
	const char *name;
	uint64_t *value;
};

/* Which of the sequences of random numbers a run uses. */
extern uint64_t random_run;

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line, or a piece of one, on standard output. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory that is not the heap's; flags are mmap's. */
void *map_memory(size_t size, int flags);

/* Likewise, all of it resident. */
void *map_resident(size_t size);

/* What /proc says of this process: the first number after @key in @path. */
uint64_t read_number(const char *path, const char *key);

/*
 * The most that was resident, without what map_resident() was asked for. Not
 * ru_maxrss, which survives exec(): it is never less than that of the shell
 * which started us.
 */
uint64_t peak_kib(void);

/* The same without the pages of files that are resident now: processes share these. */
uint64_t own_kib(void);

uint64_t now_ns(void);
uint64_t cpu_ns(void); /* of all threads, the kernel's work for them included */
void sleep_ms(uint64_t ms);

/* The state of a generator, made of random_run and its number. */
uint64_t random_seed(uint64_t number);

/*
 * xorshift64*. A loop that measures keeps its state in a local variable. From memory
 * the next number waits for the store of the last, and now and then for all stores
 * before it, to addresses that malloc has just returned: replacing 1000 blocks so took
 * 10 to 24 ns, with one malloc or another, by the luck of where code lies; now 7 to 8.
 */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}

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

/* False if @text is none of these options, or has no number. */
bool options_parse(const struct option *options, size_t n, const char *text);
void options_print(const struct option *options, size_t n);

/* A snapshot if the allocator is ours; else false. */
bool read_stats(struct hak_stats *stats);

#endif
