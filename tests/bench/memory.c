/* SPDX-License-Identifier: MIT */
/*
 * What a heap costs a process in resident memory, and what comes back when it
 * shrinks: for any malloc, which is preloaded.
 *
 *	memory WORKLOAD VARIANT [OPTION=NUMBER ...]
 *
 * A run is one workload in a fresh process. Each measurement is a line
 * "WORKLOAD VARIANT key=value ...", which memory.sh makes a table of.
 *
 * Resident is what the kernel says (Rss of /proc/self/smaps_rollup), net what
 * the process has gained since the workload began. Tables of pointers and all
 * else that is not the heap's are resident before that, and nothing allocates
 * but the workload. Huge pages are switched off: they would hide which pages
 * were touched. Blocks are written when they are allocated, and those that
 * survive are compared at the end: a malloc that gives back what is in use
 * fails here.
 */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"

#define PAGE_SHIFT 12
#define ADDRESSES  ((uint64_t)1 << 47)

static const struct workload {
	const char *name;
	const char *variants[5];
	void (*run)(const char *variant);
} workloads[] = {
	{ "small", { "forward", "reverse", "random" }, run_small },
	{ "spike", { "all", "scattered", "neighbour", "neighbour-all" }, run_spike },
	{ "sawtooth", { "stack" }, run_sawtooth },
	{ "replace", { "steady" }, run_replace },
	{ "aging", { "phases" }, run_aging },
	{ "idle", { "all", "scattered" }, run_idle },
};

struct options options = {
	.seed = 1,
	.delay = 500,
	.sample = 10,
	.ops = 20000000,
	.seconds = 10,
	.keep = 1024,
};

static const struct {
	const char *name;
	uint64_t *value;
} option_names[] = {
	{ "seed", &options.seed },     { "light", &options.light }, { "delay", &options.delay },
	{ "sample", &options.sample }, { "ops", &options.ops },	    { "seconds", &options.seconds },
	{ "keep", &options.keep },
};

static void (*stats_read)(struct hak_stats *stats, size_t size);
static uint64_t at_first;    /* bytes, resident */
static unsigned char *pages; /* a bit for each page that there can be */
static uint64_t pages_set;

static void write_text(int file, const char *format, va_list arguments)
{
	static char text[1024];
	int length = vsnprintf(text, sizeof(text), format, arguments);

	if (length >= (int)sizeof(text) || write(file, text, (size_t)length) != length)
		_exit(2);
}

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_text(STDERR_FILENO, format, arguments);
	va_end(arguments);
	_exit(1);
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_text(STDOUT_FILENO, format, arguments);
	va_end(arguments);
}

static void *map(size_t size, int flags)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags,
			  -1, 0);

	if (base == MAP_FAILED)
		fail("memory: cannot map %zu bytes: %s\n", size, strerror(errno));
	return base;
}

void *map_resident(size_t size)
{
	return map(size, MAP_POPULATE);
}

uint64_t read_number(const char *path, const char *key)
{
	static char text[8192];
	int file = open(path, O_RDONLY);
	ssize_t n = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
	const char *found;

	if (file >= 0)
		close(file);
	text[n < 0 ? 0 : n] = '\0';
	found = strstr(text, key);
	if (!found)
		fail("memory: no %s in %s\n", key, path);
	return strtoull(found + strlen(key), NULL, 10);
}

static uint64_t resident(void)
{
	return read_number("/proc/self/smaps_rollup", "\nRss:") * KIB;
}

/* Twice, and with a block: the code of what is used later belongs to the base. */
void net_begin(void)
{
	struct block block = block_new(16);

	block_free(&block);
	sleep_ms(1);
	at_first = resident();
	at_first = resident();
}

uint64_t net(void)
{
	uint64_t now = resident();

	return now > at_first ? now - at_first : 0;
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

uint64_t cpu_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
}

void sleep_ms(uint64_t ms)
{
	struct timespec time = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

bool read_stats(struct hak_stats *stats)
{
	if (stats_read)
		stats_read(stats, sizeof(*stats));
	return stats_read;
}

uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}

/* splitmix64: states that have nothing to do with each other, and none is 0. */
uint64_t random_seed(uint64_t number)
{
	uint64_t z = (options.seed << 32 | (number + 1)) * 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) | 1;
}

void mix_log_uniform(struct mix *mix, uint32_t least, uint32_t most)
{
	for (uint32_t i = 0; i < MIX_SIZES; i++) {
		double share = (i + 0.5) / MIX_SIZES;

		mix->sizes[i] = (uint32_t)(least * pow((double)most / least, share));
	}
}

void mix_uniform(struct mix *mix, uint32_t least, uint32_t most)
{
	for (uint32_t i = 0; i < MIX_SIZES; i++)
		mix->sizes[i] = least + (uint32_t)((uint64_t)i * (most - least + 1) / MIX_SIZES);
}

/* Odd, so that pages which were given back, and read zero, are noticed. */
static unsigned char pattern_of(const struct block *block)
{
	uint64_t hash = ((uintptr_t)block->base ^ block->size) * 0x9e3779b97f4a7c15u;

	return (unsigned char)(hash >> 56 | 1);
}

struct block block_new(uint32_t size)
{
	struct block block = { malloc(size), size };

	if (!block.base)
		fail("memory: no memory for %u bytes\n", size);
	memset(block.base, pattern_of(&block), size);
	return block;
}

void block_free(struct block *block)
{
	free(block->base);
	block->base = NULL;
}

void blocks_check(const struct block *blocks, size_t n)
{
	for (const struct block *block = blocks; block < blocks + n; block++) {
		if (!block->base)
			continue;
		if (block->base[0] != pattern_of(block) ||
		    memcmp(block->base, block->base + 1, block->size - 1))
			fail("memory: the %u bytes at %p are not what was written\n", block->size,
			     (void *)block->base);
	}
}

void floor_begin(void)
{
	pages = map(ADDRESSES >> PAGE_SHIFT >> 3, MAP_NORESERVE);
	pages_set = 0;
}

void floor_add(const struct block *blocks, size_t n)
{
	for (const struct block *block = blocks; block < blocks + n; block++) {
		uint64_t page = (uintptr_t)block->base >> PAGE_SHIFT;
		uint64_t last = ((uintptr_t)block->base + block->size - 1) >> PAGE_SHIFT;

		for (; block->base && page <= last; page++) {
			unsigned char bit = (unsigned char)(1 << page % 8);

			pages_set += !(pages[page / 8] & bit);
			pages[page / 8] |= bit;
		}
	}
}

uint64_t floor_end(void)
{
	munmap(pages, ADDRESSES >> PAGE_SHIFT >> 3);
	return pages_set << PAGE_SHIFT;
}

static bool parse_option(const char *text)
{
	for (size_t i = 0; i < sizeof(option_names) / sizeof(option_names[0]); i++) {
		size_t length = strlen(option_names[i].name);
		char *end;

		if (strncmp(text, option_names[i].name, length) || text[length] != '=')
			continue;
		*option_names[i].value = strtoull(text + length + 1, &end, 10);
		return end > text + length + 1 && !*end;
	}
	return false;
}

static const struct workload *find_workload(const char *name, const char *variant)
{
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		for (const char *const *v = workloads[i].variants; *v; v++)
			if (!strcmp(name, workloads[i].name) && !strcmp(variant, *v))
				return &workloads[i];
	return NULL;
}

static _Noreturn void usage(void)
{
	print("usage: memory WORKLOAD VARIANT [OPTION=NUMBER ...]\n\n");
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		for (const char *const *v = workloads[i].variants; *v; v++)
			print("%10s %s\n", workloads[i].name, *v);
	print("\n");
	for (size_t i = 0; i < sizeof(option_names) / sizeof(option_names[0]); i++)
		print("%10s=%llu\n", option_names[i].name,
		      (unsigned long long)*option_names[i].value);
	exit(2);
}

int main(int argc, char **argv)
{
	const struct workload *workload = argc < 3 ? NULL : find_workload(argv[1], argv[2]);

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	if (!workload)
		usage();
	for (int i = 3; i < argc; i++)
		if (!parse_option(argv[i]))
			usage();
	*(void **)&stats_read = dlsym(RTLD_DEFAULT, "hak_stats_read");
	workload->run(argv[2]);
	return 0;
}
