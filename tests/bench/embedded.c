/* SPDX-License-Identifier: MIT */
/*
 * What the allocator costs an image, in instructions and in memory, beside the
 * malloc that newlib would have brought: for QEMU with -icount, where a tick of
 * the TSC is an instruction. Run by tests/bench/embedded.sh.
 *
 *	embedded.elf cost		pairs, random replacement, worst calls
 *	embedded.elf fill [newlib]	16-byte blocks until there is no memory
 *	embedded.elf mix [newlib]	the same, 16 to 4096 bytes, log-uniform
 *
 * Prints rows of a table: what, required, measured, newlib. The status is 1 if
 * a requirement was missed. newlib's objects are its own, renamed; they get
 * memory from sbrk() below, and no lock.
 */
#include <cpu.h>
#include <frames.h>

#include "../test.h"

#include <hakmem/hakmem.h>

#define LIVE	   20000u
#define PAIR_LIVE  10000u
#define PAIRS	   20000u
#define REPLACES   400000u
#define WORST_MOST 6000u

void *newlib__malloc_r(void *reent, size_t size);
void newlib__free_r(void *reent, void *block);
void *newlib__sbrk_r(void *reent, ptrdiff_t change);
void newlib___malloc_lock(void *reent);
void newlib___malloc_unlock(void *reent);

/* newlib wants a place for errno. */
static char reent[4096];
static char *sbrk_next, *sbrk_end;

void *newlib__sbrk_r(void *reentrant, ptrdiff_t change)
{
	char *at = sbrk_next;

	(void)reentrant;
	if (change > sbrk_end - sbrk_next)
		return (void *)-1;
	sbrk_next += change;
	return at;
}

void newlib___malloc_lock(void *reentrant)
{
	(void)reentrant;
}

void newlib___malloc_unlock(void *reentrant)
{
	(void)reentrant;
}

/* Which allocator: always a constant where these are used, so a plain call is left. */
enum whose { OURS, NEWLIBS };

#define BOTH static inline __attribute__((always_inline))

BOTH void *allocate(enum whose whose, size_t size)
{
	return whose == OURS ? hak_malloc(size) : newlib__malloc_r(reent, size);
}

BOTH void release(enum whose whose, void *block)
{
	if (whose == OURS)
		hak_free(block);
	else
		newlib__free_r(reent, block);
}

static void *blocks[LIVE];
static uint64_t seed;
static bool missed;

/* 16 .. 1024 */
BOTH size_t random_size(uint64_t random)
{
	return 16 + ((random & 0xffff) * 1009 >> 16);
}

BOTH void fill_blocks(enum whose whose, size_t count)
{
	seed = 1;
	for (size_t i = 0; i < count; i++)
		blocks[i] = allocate(whose, random_size(test_random(&seed)));
}

BOTH void free_blocks(enum whose whose, size_t count)
{
	for (size_t i = 0; i < count; i++)
		release(whose, blocks[i]);
}

BOTH uint64_t ticks_of_pairs(enum whose whose, size_t size, unsigned pairs)
{
	uint64_t start = cpu_read_tsc();

	while (pairs--) {
		void *block = allocate(whose, size);

		__asm__ volatile("" : "+r"(block)); /* the compiler knows malloc */
		release(whose, block);
	}
	return cpu_read_tsc() - start;
}

/* The difference leaves out what is paid once. The loop is counted in. */
BOTH unsigned long cost_of_pair(enum whose whose, size_t size)
{
	uint64_t once, twice;

	fill_blocks(whose, PAIR_LIVE);
	release(whose, allocate(whose, size));
	once = ticks_of_pairs(whose, size, PAIRS);
	twice = ticks_of_pairs(whose, size, 2 * PAIRS);
	free_blocks(whose, PAIR_LIVE);
	return (unsigned long)(twice - once + PAIRS / 2) / PAIRS;
}

BOTH unsigned long cost_of_replace(enum whose whose)
{
	uint64_t random, start;

	fill_blocks(whose, LIVE);
	random = seed;
	start = cpu_read_tsc();
	for (unsigned i = 0; i < REPLACES; i++) {
		uint64_t number = test_random(&random);
		void **block = &blocks[(number >> 32) * LIVE >> 32];

		release(whose, *block);
		*block = allocate(whose, random_size(number));
	}
	start = cpu_read_tsc() - start;
	free_blocks(whose, LIVE);
	return (unsigned long)(start + REPLACES / 2) / REPLACES;
}

struct worst {
	uint64_t malloc, free;
};

static void note_worst(uint64_t *worst, uint64_t start)
{
	uint64_t ticks = cpu_read_tsc() - start;

	if (ticks > *worst)
		*worst = ticks;
}

BOTH void replace_noted(enum whose whose, void **block, size_t size, struct worst *worst)
{
	uint64_t start;

	if (*block) {
		start = cpu_read_tsc();
		release(whose, *block);
		note_worst(&worst->free, start);
		*block = NULL;
	}
	if (size) {
		start = cpu_read_tsc();
		*block = allocate(whose, size);
		note_worst(&worst->malloc, start);
	}
}

/* The most that one call takes: growing, replacing at random, shrinking, twice. */
BOTH struct worst worst_of(enum whose whose, size_t least, size_t most)
{
	size_t count = ((size_t)64 << 20) / most < LIVE ? ((size_t)64 << 20) / most : LIVE;
	struct worst worst = { 0, 0 };

	seed = 1;
	__builtin_memset(blocks, 0, sizeof(blocks));
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < count; i++)
			replace_noted(whose, &blocks[i],
				      least + test_random(&seed) % (most - least + 1), &worst);
		for (size_t i = 0; i < 5 * count; i++)
			replace_noted(whose, &blocks[test_random(&seed) % count],
				      least + test_random(&seed) % (most - least + 1), &worst);
		for (size_t i = 0; i < count; i++)
			replace_noted(whose, &blocks[i], 0, &worst);
	}
	return worst;
}

/* A row: @required 0 is nothing; @at_least or at most. */
static void row(const char *what, unsigned long required, bool at_least, unsigned long measured,
		unsigned long newlib)
{
	bool bad = required && (at_least ? measured < required : measured > required);

	missed |= bad;
	test_print("%-44s ", what);
	if (required)
		test_print("%10lu", required);
	else
		test_print("%10s", "");
	test_print("%10lu", measured);
	if (newlib)
		test_print("%10lu", newlib);
	test_print("%s\n", bad ? "  MISSED" : "");
}

#define PAIR_ROW(size, required)                                                                   \
	row("pair, " #size " bytes", required, false, cost_of_pair(OURS, size),                    \
	    cost_of_pair(NEWLIBS, size))

#define WORST_ROWS(least, most, required)                                                          \
	do {                                                                                       \
		struct worst ours = worst_of(OURS, least, most);                                   \
		struct worst newlibs = worst_of(NEWLIBS, least, most);                             \
		row("worst malloc, " #least " to " #most " bytes", required, false, ours.malloc,   \
		    newlibs.malloc);                                                               \
		row("worst free, " #least " to " #most " bytes", 0, false, ours.free,              \
		    newlibs.free);                                                                 \
	} while (0)

static bool give_newlib(size_t size)
{
	sbrk_next = port_map(size);
	sbrk_end = sbrk_next + size;
	return sbrk_next;
}

static int costs(void)
{
	if (!give_newlib((size_t)128 << 20))
		return 2;
	hak_init(port_provider());
	PAIR_ROW(16, 40);
	PAIR_ROW(64, 40);
	PAIR_ROW(512, 40);
	PAIR_ROW(4096, 45);
	PAIR_ROW(16384, 45);
	PAIR_ROW(65536, 0);
	PAIR_ROW(262144, 0);
	PAIR_ROW(1048576, 0);
	row("replace, 16 to 1024 bytes, 20000 live", 75, false, cost_of_replace(OURS),
	    cost_of_replace(NEWLIBS));
	WORST_ROWS(1, 128, WORST_MOST);
	WORST_ROWS(129, 1024, WORST_MOST);
	WORST_ROWS(1025, 8192, 0);
	WORST_ROWS(8193, 32768, 0);
	WORST_ROWS(32769, 262144, 0);
	WORST_ROWS(262145, 4194304, 0);
	return missed;
}

/* 16 .. 4096, equally many for each doubling. */
static size_t random_log_size(void)
{
	uint64_t random = test_random(&seed);
	size_t low = (size_t)16 << (random >> 32) % 8;

	return low + (random & 0xffffff) * low / 0xffffff;
}

/* Prints one figure, the tenths of a percent of the machine's frames that are payload. */
static int fills(bool mixed, enum whose whose)
{
	size_t memory = hak_frames_total() * HAK_SUPERSLAB_SIZE, payload = 0, size = 16;

	if (whose == NEWLIBS && !give_newlib(memory))
		return 2;
	if (whose == OURS)
		hak_init(port_provider());
	seed = 1;
	for (;;) {
		if (mixed)
			size = random_log_size();
		if (!(whose == OURS ? hak_malloc(size) : newlib__malloc_r(reent, size)))
			break;
		payload += size;
	}
	test_print("%zu %lu\n", memory >> 20, (unsigned long)(payload * 1000 / memory));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2 || argv[1][0] == 'c')
		return costs();
	return fills(argv[1][0] == 'm', argc > 2 ? NEWLIBS : OURS);
}
