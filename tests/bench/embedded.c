/* SPDX-License-Identifier: MIT */
/*
 * What an allocator costs an image, in instructions and in memory: for QEMU with --icount, where a
 * tick of the TSC is an instruction. tests/bench/embedded.sh makes a table of what it prints, with
 * the library's allocator beside newlib's, and TLSF if the image was linked with it.
 *
 *	embedded.elf cost WHOSE		pairs, random replacement, worst calls of a heap that
 *					grows and shrinks
 *	embedded.elf time WHOSE		mean and worst calls of a steady heap, and how long
 *					interrupts are off; on all CPUs of the machine
 *	embedded.elf half WHOSE SIZE	memory is full of blocks of 16 KiB, and every second is
 *					freed: how much of that blocks of SIZE get
 *	embedded.elf random WHOSE SIZE	the same with blocks of 1000 bytes, of which a random half
 *	embedded.elf fill WHOSE		16-byte blocks until there is no memory
 *	embedded.elf mix WHOSE		the same, 16 to 4096 bytes, log-uniform
 *
 * WHOSE is hakmem, newlib or tlsf. A row is: what, a tab, "<" or ">" with what is required, or
 * "-"; a tab; what was measured. newlib's objects are its own, renamed; they get memory from sbrk()
 * below, and no lock. What looks how long interrupts are off costs a call that takes a lock some
 * dozens of instructions.
 */
#include <boot.h>
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <machine.h>

#include <base/base.h>

#include "../test.h"

#define MOST_LIVE 20000u
#define PAIR_LIVE 10000u
#define PAIRS	  20000u
#define REPLACES  400000u
#define MIB	  ((size_t)1 << 20)

void *newlib__malloc_r(void *reent, size_t size);
void newlib__free_r(void *reent, void *block);
void *newlib__sbrk_r(void *reent, ptrdiff_t change);
void newlib___malloc_lock(void *reent);
void newlib___malloc_unlock(void *reent);

void *tlsf_create_with_pool(void *memory, size_t size) __attribute__((weak));
void *tlsf_malloc(void *tlsf, size_t size) __attribute__((weak));
void tlsf_free(void *tlsf, void *block) __attribute__((weak));
int printf(const char *format, ...);

/* newlib wants a place for errno. */
static char reent[4096];
static char *sbrk_next, *sbrk_end;
static void *tlsf;

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

/* TLSF prints where its heap is broken. */
int printf(const char *format, ...)
{
	hak_host_panic(format);
}

/* Which allocator: always a constant where these are used, so a plain call is left. */
enum whose { OURS, NEWLIBS, TLSFS };

#define INLINE static inline __attribute__((always_inline))

INLINE void *allocate(enum whose whose, size_t size)
{
	return whose == OURS	  ? hak_malloc(size)
	       : whose == NEWLIBS ? newlib__malloc_r(reent, size)
				  : tlsf_malloc(tlsf, size);
}

INLINE void release(enum whose whose, void *block)
{
	if (whose == OURS)
		hak_free(block);
	else if (whose == NEWLIBS)
		newlib__free_r(reent, block);
	else
		tlsf_free(tlsf, block);
}

/* Give it memory, in one piece. */
static bool give(enum whose whose, size_t size)
{
	void *memory = whose == OURS ? NULL : port_map(size);

	if (whose == OURS)
		return hak_init(port_provider());
	if (!memory)
		return false;
	sbrk_next = memory;
	sbrk_end = sbrk_next + size;
	if (whose == TLSFS)
		tlsf = tlsf_create_with_pool(memory, size);
	return true;
}

/* How long are interrupts off? Of each CPU from where they are first to where they are on again. */
#define OUTERMOST ((unsigned long)1 << 63)

static struct irqs {
	bool off;
	uint64_t since, longest;
} irqs[BOOT_MAX_CPUS];

unsigned long hak_host_irq_save(void)
{
	unsigned long flags = cpu_read_flags();
	struct irqs *own;

	cpu_interrupts_off();
	own = &irqs[this_cpu()->id];
	if (own->off)
		return flags;
	own->off = true;
	own->since = cpu_read_tsc();
	return flags | OUTERMOST;
}

void hak_host_irq_restore(unsigned long saved)
{
	struct irqs *own = &irqs[this_cpu()->id];
	uint64_t ticks = cpu_read_tsc() - own->since;

	if (saved & OUTERMOST) {
		own->off = false;
		own->longest = MAX(own->longest, ticks);
	}
	if (saved & CPU_FLAG_INTERRUPTS)
		cpu_interrupts_on();
}

/* On any CPU since it was asked last. */
static unsigned long irqs_off(void)
{
	uint64_t longest = 0;

	for (unsigned i = 0; i < BOOT_MAX_CPUS; i++) {
		longest = MAX(longest, irqs[i].longest);
		irqs[i].longest = 0;
	}
	return (unsigned long)longest;
}

static void *blocks[MOST_LIVE];
static uint64_t seed;

/* @most 0: nothing is required. */
static void row(const char *what, const char *size, unsigned long most, uint64_t measured)
{
	test_print("%s, %s\t", what, size);
	if (most)
		test_print("<%lu", most);
	else
		test_print("-");
	test_print("\t%lu\n", (unsigned long)measured);
}

/* ------------------------------------------------------------------------ cost */

/* 16 .. 1024 */
INLINE size_t random_size(uint64_t random)
{
	return 16 + ((random & 0xffff) * 1009 >> 16);
}

INLINE void fill_blocks(enum whose whose, size_t count)
{
	seed = 1;
	for (size_t i = 0; i < count; i++)
		blocks[i] = allocate(whose, random_size(test_random(&seed)));
}

INLINE void free_blocks(enum whose whose, size_t count)
{
	for (size_t i = 0; i < count; i++)
		release(whose, blocks[i]);
}

INLINE uint64_t ticks_of_pairs(enum whose whose, size_t size, unsigned pairs)
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
INLINE void pair_row(enum whose whose, const char *name, size_t size, unsigned long most)
{
	uint64_t once, twice;

	fill_blocks(whose, PAIR_LIVE);
	release(whose, allocate(whose, size));
	once = ticks_of_pairs(whose, size, PAIRS);
	twice = ticks_of_pairs(whose, size, 2 * PAIRS);
	free_blocks(whose, PAIR_LIVE);
	row("pair", name, most, (twice - once + PAIRS / 2) / PAIRS);
}

INLINE void replace_row(enum whose whose)
{
	uint64_t random, start;

	fill_blocks(whose, MOST_LIVE);
	random = seed;
	start = cpu_read_tsc();
	for (unsigned i = 0; i < REPLACES; i++) {
		uint64_t number = test_random(&random);
		void **block = &blocks[(number >> 32) * MOST_LIVE >> 32];

		release(whose, *block);
		*block = allocate(whose, random_size(number));
	}
	start = cpu_read_tsc() - start;
	free_blocks(whose, MOST_LIVE);
	row("replace", "16 to 1024 B, 20000 live", 75, (start + REPLACES / 2) / REPLACES);
}

struct cost {
	uint64_t sum, worst;
	unsigned long calls;
};

static struct cost of_malloc, of_free;

static void note(struct cost *cost, uint64_t start)
{
	uint64_t ticks = cpu_read_tsc() - start;

	cost->sum += ticks;
	cost->calls++;
	cost->worst = MAX(cost->worst, ticks);
}

INLINE void free_noted(enum whose whose, void **block)
{
	uint64_t start = cpu_read_tsc();

	release(whose, *block);
	note(&of_free, start);
	*block = NULL;
}

INLINE void allocate_noted(enum whose whose, void **block, size_t size)
{
	uint64_t start = cpu_read_tsc();

	*block = allocate(whose, size);
	note(&of_malloc, start);
}

/* The most that one call takes, of all. */
INLINE void growing_rows(enum whose whose, const char *name, size_t least, size_t most)
{
	size_t count = MIN(64 * MIB / most, MOST_LIVE), range, i;

	seed = 1;
	range = most - least + 1;
	of_malloc = of_free = (struct cost){ 0, 0, 0 };
	for (unsigned round = 0; round < 2; round++) {
		for (i = 0; i < count; i++)
			allocate_noted(whose, &blocks[i], least + test_random(&seed) % range);
		for (i = 0; i < 5 * count; i++) {
			void **block = &blocks[test_random(&seed) % count];

			free_noted(whose, block);
			allocate_noted(whose, block, least + test_random(&seed) % range);
		}
		for (i = 0; i < count; i++)
			free_noted(whose, &blocks[i]);
	}
	row("grow, replace, shrink: malloc, worst", name, 0, of_malloc.worst);
	row("grow, replace, shrink: free, worst", name, 0, of_free.worst);
}

INLINE void costs(enum whose whose)
{
	pair_row(whose, "16 B", 16, 40);
	pair_row(whose, "64 B", 64, 40);
	pair_row(whose, "512 B", 512, 40);
	pair_row(whose, "4 KiB", 4096, 45);
	pair_row(whose, "16 KiB", 16384, 45);
	pair_row(whose, "64 KiB", 65536, 0);
	pair_row(whose, "256 KiB", 262144, 0);
	pair_row(whose, "1 MiB", MIB, 0);
	replace_row(whose);
	growing_rows(whose, "1 to 128 B", 1, 128);
	growing_rows(whose, "129 to 1024 B", 129, 1024);
	growing_rows(whose, "1 to 8 KiB", 1025, 8192);
	growing_rows(whose, "8 to 32 KiB", 8193, 32768);
	growing_rows(whose, "32 to 256 KiB", 32769, 262144);
	growing_rows(whose, "256 to 4096 KiB", 262145, 4 * MIB);
}

/* ------------------------------------------------------------------------ time */

/* What is asked for: at least 16 bytes, and how many blocks live. */
static const struct mix {
	const char *name;
	size_t most;
	unsigned live, ops;
	unsigned long worst, mean_malloc, mean_free; /* that are required, or 0 */
} mixes[] = {
	{ "16 to 128 B", 128, 20000, 1000000, 1500, 0, 0 },
	{ "16 to 1024 B", 1024, 20000, 1000000, 1500, 0, 0 },
	{ "16 to 4096 B", 4096, 20000, 1000000, 1500, 0, 0 },
	{ "16 B to 1 MiB", MIB, 300, 400000, 3000, 181, 126 },
};

#define OPS_PER_TURN 64u

static struct {
	const struct mix *mix;
	enum whose whose;
	uint64_t random;
	unsigned op;
	_Atomic unsigned turn;
} run;

/* Equally many of each size; up to 1 MiB equally many for each doubling. */
static size_t draw_size(uint64_t number)
{
	size_t low = (size_t)16 << number % 16;

	return run.mix->most == MIB ? low + (number >> 32) % low
				    : 16 + number % (run.mix->most - 15);
}

INLINE void operate(enum whose whose)
{
	void **block = &blocks[(test_random(&run.random) >> 33) % run.mix->live];

	if (*block)
		free_noted(whose, block);
	else
		allocate_noted(whose, block, draw_size(test_random(&run.random)));
}

/*
 * The CPUs take turns, so that each call is one CPU's alone. They share all blocks: most are freed
 * by another CPU than the one that allocated them. The first quarter of the calls is not counted.
 */
static void take_turns(void *unused)
{
	unsigned id = this_cpu()->id;

	(void)unused;
	while (run.op < run.mix->ops) {
		while (run.turn % smp_count() != id)
			cpu_relax();
		for (unsigned i = 0; i < OPS_PER_TURN; i++, run.op++) {
			if (run.op == run.mix->ops / 4) {
				of_malloc = of_free = (struct cost){ 0, 0, 0 };
				irqs_off();
			}
			if (run.whose == OURS)
				operate(OURS);
			else if (run.whose == NEWLIBS)
				operate(NEWLIBS);
			else
				operate(TLSFS);
		}
		run.turn++;
	}
}

static unsigned long most_off(void)
{
	return IS_ENABLED(CONFIG_HAK_IRQSAVE) ? 3000 : 1500;
}

static void mix_rows(enum whose whose, const struct mix *mix)
{
	run.mix = mix;
	run.whose = whose;
	run.random = 12345;
	run.op = run.turn = 0;
	smp_run(take_turns, NULL);
	row("malloc, mean", mix->name, mix->mean_malloc, of_malloc.sum / of_malloc.calls);
	row("malloc, worst", mix->name, mix->worst, of_malloc.worst);
	row("free, mean", mix->name, mix->mean_free, of_free.sum / of_free.calls);
	row("free, worst", mix->name, mix->worst, of_free.worst);
	if (whose == OURS)
		row("interrupts off", mix->name, most_off(), irqs_off());
	for (unsigned i = 0; i < mix->live; i++) {
		if (blocks[i])
			free_noted(whose, &blocks[i]);
	}
}

/* Calls whose work grows with the size, or with what was freed. */
static void large_rows(void)
{
	void *block = hak_malloc(100 * MIB);

	irqs_off();
	hak_free(block);
	row("interrupts off", "free of 100 MiB", 3000, irqs_off());
	block = hak_malloc(60 * MIB);
	row("interrupts off", "malloc of 60 MiB", 3000, irqs_off());
	block = hak_realloc(block, 90 * MIB);
	row("interrupts off", "realloc to 90 MiB", 3000, irqs_off());
	hak_free(block);
	irqs_off();
	while (hak_idle(8))
		;
	row("interrupts off", "hak_idle()", 3000, irqs_off());
	hak_trim(HAK_TRIM_ALL);
	row("interrupts off", "hak_trim()", 3000, irqs_off());
}

static void times(enum whose whose)
{
	for (unsigned i = 0; i < ARRAY_SIZE(mixes); i++)
		mix_rows(whose, &mixes[i]);
	if (whose == OURS)
		large_rows();
}

/* ---------------------------------------------------------------------- memory */

static void *allocate_any(enum whose whose, size_t size)
{
	return whose == OURS	  ? allocate(OURS, size)
	       : whose == NEWLIBS ? allocate(NEWLIBS, size)
				  : allocate(TLSFS, size);
}

static void free_any(enum whose whose, void *block)
{
	if (whose == OURS)
		release(OURS, block);
	else if (whose == NEWLIBS)
		release(NEWLIBS, block);
	else
		release(TLSFS, block);
}

static void percent_row(const char *what, size_t size, unsigned long least, size_t part, size_t all)
{
	unsigned long tenths = (unsigned long)(part * 1000 / all);

	test_print(what, size);
	if (least)
		test_print("\t>%lu", least);
	else
		test_print("\t-");
	test_print("\t%lu.%lu\n", tenths / 10, tenths % 10);
}

/* Of what was freed, every second block or any half, so much can be had for other sizes. */
static void halves(enum whose whose, bool random, size_t size)
{
	size_t first = random ? 1000 : 16384, freed = 0, got = 0;
	unsigned n = 0;

	while (n < MOST_LIVE && (blocks[n] = allocate_any(whose, first)))
		n++;
	seed = 1;
	for (unsigned i = 0; i < n; i++) {
		if (random ? test_random(&seed) >> 63 : i % 2) {
			free_any(whose, blocks[i]);
			freed += first;
		}
	}
	while (allocate_any(whose, size))
		got += size;
	percent_row(random ? "random half of 1000 B freed: %% for %zu B"
			   : "every second of 16 KiB freed: %% for %zu B",
		    size,
		    random	 ? 0
		    : size > 256 ? 85
				 : 90,
		    got, freed);
}

/* 16 .. 4096, equally many for each doubling. */
static size_t random_log_size(void)
{
	uint64_t random = test_random(&seed);
	size_t low = (size_t)16 << (random >> 32) % 8;

	return low + (random & 0xffffff) * low / 0xffffff;
}

static void fills(enum whose whose, bool mixed, size_t memory)
{
	size_t payload = 0, size = 16;

	seed = 1;
	for (;;) {
		if (mixed)
			size = random_log_size();
		if (!allocate_any(whose, size))
			break;
		payload += size;
	}
	percent_row(mixed ? "full of 16 to 4096 B: %% of %zu MiB" : "full of 16 B: %% of %zu MiB",
		    memory / MIB,
		    !mixed		 ? 97
		    : memory > 100 * MIB ? 92
					 : 90,
		    payload, memory);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *size = argc > 3 ? argv[3] : "";
	size_t memory = hak_frames_total() * HAK_SUPERSLAB_SIZE;
	enum whose whose = argc > 2 && test_is_same(argv[2], "newlib") ? NEWLIBS
			   : argc > 2 && test_is_same(argv[2], "tlsf") ? TLSFS
								       : OURS;

	if (whose == TLSFS && !tlsf_malloc)
		return 0;
	if (*what == 'c' || *what == 't')
		memory = 256 * MIB;
	if (!give(whose, memory))
		return 2;
	if (*what == 'c' && whose == OURS)
		costs(OURS);
	else if (*what == 'c' && whose == NEWLIBS)
		costs(NEWLIBS);
	else if (*what == 'c')
		costs(TLSFS);
	else if (*what == 't')
		times(whose);
	else if (*what == 'h' || *what == 'r')
		halves(whose, *what == 'r', test_number(&size));
	else
		fills(whose, *what == 'm', memory);
	return 0;
}
