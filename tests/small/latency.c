/* SPDX-License-Identifier: MIT */
/*
 * How long does one call take at most, and how long are interrupts off at most? For QEMU with
 * --icount, where a tick of the TSC is an instruction. The figures are those of an image of one
 * CPU that calls malloc and free at random, beside some thousand live blocks.
 *
 * Interrupts are off between hak_host_irq_save() and hak_host_irq_restore(), which this program
 * replaces by two that look at the TSC. They cost a call some instructions more. Limits are
 * a little above what was counted, since instructions do not depend on the machine.
 */
#include <base/base.h>
#include <cpu.h>
#include <frames.h>

#include "../test.h"

#include <hakmem/hakmem.h>
#include <hakmem/host.h>

#define MOST_LIVE 20000u

static void *blocks[MOST_LIVE];

static struct {
	bool off;
	uint64_t since, longest;
	uint64_t steady; /* the longest of a mix, before all blocks are freed */
} irqs;

unsigned long hak_host_irq_save(void)
{
	bool were_on = !irqs.off;

	if (were_on) {
		irqs.off = true;
		irqs.since = cpu_read_tsc();
	}
	return were_on;
}

void hak_host_irq_restore(unsigned long were_on)
{
	uint64_t ticks = cpu_read_tsc() - irqs.since;

	if (!were_on)
		return;
	irqs.off = false;
	if (ticks > irqs.longest)
		irqs.longest = ticks;
}

struct cost {
	uint64_t sum, worst;
	unsigned long calls;
};

static void note(struct cost *cost, uint64_t start)
{
	uint64_t ticks = cpu_read_tsc() - start;

	cost->sum += ticks;
	cost->calls++;
	if (ticks > cost->worst)
		cost->worst = ticks;
}

/* What is asked for: sizes, and how many blocks live. */
struct mix {
	const char *name;
	size_t (*draw)(uint64_t number);
	unsigned live, ops;
	uint64_t most_malloc, most_free; /* instructions of a single call */
	uint64_t most_last;		 /* of a free while all blocks are freed */
	uint64_t most_off;		 /* with interrupts off */
	uint64_t mean_malloc, mean_free; /* of all */
};

static size_t draw_128(uint64_t number)
{
	return 16 + number % 113;
}

static size_t draw_1024(uint64_t number)
{
	return 16 + number % 1009;
}

static size_t draw_4096(uint64_t number)
{
	return 16 + number % 4081;
}

/* Equally many for each doubling. */
static size_t draw_1_mib(uint64_t number)
{
	size_t low = (size_t)16 << number % 16;

	return low + (number >> 32) % low;
}

static const struct mix mixes[] = {
	{ "16..128 B, 20000 live", draw_128, 20000, 1000000, 1500, 1500, 8800, 1500, 25, 32 },
	{ "16..1024 B, 20000 live", draw_1024, 20000, 1000000, 1800, 1500, 4600, 1500, 26, 33 },
	{ "16..4096 B, 20000 live", draw_4096, 20000, 1000000, 3700, 2000, 6900, 1500, 45, 52 },
	{ "16 B..1 MiB, 300 live", draw_1_mib, 300, 400000, 3900, 4700, 2200, 1800, 420, 330 },
};

#define NR_MIXES (sizeof(mixes) / sizeof(mixes[0]))

#define MOST_PROMISED 1500u

static struct cost of_malloc, of_free, of_last;

static void replace(const struct mix *mix, uint64_t *random)
{
	void **block = &blocks[(test_random(random) >> 33) % mix->live];
	uint64_t start;

	if (*block) {
		start = cpu_read_tsc();
		hak_free(*block);
		note(&of_free, start);
		*block = NULL;
	} else {
		size_t size = mix->draw(test_random(random));

		start = cpu_read_tsc();
		*block = hak_malloc(size);
		note(&of_malloc, start);
	}
}

/* The first quarter of the calls is not counted. */
static void run(const struct mix *mix)
{
	uint64_t random = 12345;

	for (unsigned i = 0; i < mix->ops; i++) {
		if (i == mix->ops / 4) {
			of_malloc = of_free = (struct cost){ 0, 0, 0 };
			irqs.longest = 0;
		}
		replace(mix, &random);
	}
	test_print("%-23s malloc: mean %4lu, worst %5lu; free: mean %4lu, worst %5lu; "
		   "interrupts off: %5lu\n",
		   mix->name, (unsigned long)(of_malloc.sum / of_malloc.calls),
		   (unsigned long)of_malloc.worst, (unsigned long)(of_free.sum / of_free.calls),
		   (unsigned long)of_free.worst, (unsigned long)irqs.longest);
	irqs.steady = irqs.longest;
	of_last = (struct cost){ 0, 0, 0 };
	for (unsigned i = 0; i < mix->live; i++) {
		uint64_t start = cpu_read_tsc();

		hak_free(blocks[i]);
		note(&of_last, start);
		blocks[i] = NULL;
	}
	test_print("%-23s free of all: mean %4lu, worst %5lu\n", mix->name,
		   (unsigned long)(of_last.sum / of_last.calls), (unsigned long)of_last.worst);
}

/* With CONFIG_HAK_IRQSAVE each call takes a little more, and interrupts are off in most of it. */
#define IRQSAVE (IS_ENABLED(CONFIG_HAK_IRQSAVE) ? 60u : 0u)

/* Is this more than a mix may take? What clang makes of a pair is longer by a fifth. */
static bool exceeds(uint64_t ticks, uint64_t most)
{
#ifdef __clang__
	most += most / 5;
#endif
	return ticks > most + IRQSAVE;
}

static uint64_t most_off(const struct mix *mix)
{
	uint64_t most = MAX(mix->most_malloc, mix->most_free);

	return IRQSAVE ? most : mix->most_off;
}

static void steady_calls(void)
{
	for (unsigned i = 0; i < NR_MIXES; i++) {
		const struct mix *mix = &mixes[i];

		run(mix);
		if (exceeds(of_malloc.worst, mix->most_malloc) ||
		    exceeds(of_free.worst, mix->most_free) ||
		    exceeds(of_last.worst, mix->most_last) || exceeds(irqs.steady, most_off(mix)) ||
		    exceeds(of_malloc.sum / of_malloc.calls, mix->mean_malloc) ||
		    exceeds(of_free.sum / of_free.calls, mix->mean_free))
			test_fail(__FILE__, __LINE__, mix->name);
	}
}

/* The first calls, of a size that is new, after a promise. */
static void promised_calls(void)
{
	static const size_t sizes[] = { 16, 100, 1000, 4000, 30000 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned n = 1000;

		CHECK(hak_prefill(sizes[i], n));
		of_malloc = (struct cost){ 0, 0, 0 };
		for (unsigned k = 0; k < n; k++) {
			uint64_t start = cpu_read_tsc();

			blocks[k] = hak_malloc(sizes[i]);
			note(&of_malloc, start);
			CHECK(blocks[k]);
		}
		test_print("promised, %5lu B        malloc: mean %4lu, worst %5lu\n",
			   (unsigned long)sizes[i],
			   (unsigned long)(of_malloc.sum / of_malloc.calls),
			   (unsigned long)of_malloc.worst);
		CHECK(of_malloc.worst <= MOST_PROMISED);
		while (n--) {
			hak_free(blocks[n]);
			blocks[n] = NULL;
		}
	}
	hak_flush();
	hak_trim(HAK_TRIM_ALL);
}

#define MOST_IRQS_OFF (IRQSAVE ? 4000u : 3000u)

/* If memory may move, many SuperSlabs are mapped in one go. */
#define MOST_MAPPING (IS_ENABLED(CONFIG_HAK_MOVE) ? 56000u : MOST_IRQS_OFF)

static void check_irqs(const char *what, uint64_t most)
{
	test_print("%-23s interrupts off: %5lu\n", what, (unsigned long)irqs.longest);
	if (irqs.longest > most)
		test_fail(__FILE__, __LINE__, what);
	irqs.longest = 0;
}

#define MIB ((size_t)1 << 20)

/* Calls whose work grows with the size, or with what was freed. */
static void large_calls(void)
{
	void *block = hak_malloc(100 * MIB);

	irqs.longest = 0;
	hak_free(block);
	check_irqs("free of 100 MiB", MOST_IRQS_OFF);
	block = hak_malloc(60 * MIB);
	check_irqs("malloc of 60 MiB", MOST_MAPPING);
	block = hak_realloc(block, 90 * MIB);
	check_irqs("realloc to 90 MiB", MOST_MAPPING);
	block = hak_realloc(block, 4 * MIB);
	check_irqs("realloc to 4 MiB", MOST_IRQS_OFF);
	hak_free(block);
	run(&mixes[2]);
	irqs.longest = 0;
	while (hak_idle(8))
		;
	check_irqs("hak_idle()", MOST_IRQS_OFF);
	run(&mixes[3]);
	irqs.longest = 0;
	hak_flush();
	check_irqs("hak_flush()", MOST_IRQS_OFF);
	hak_trim(HAK_TRIM_ALL);
	check_irqs("hak_trim()", MOST_IRQS_OFF);
}

int main(void)
{
	if (!hak_init(port_provider()))
		return 2;
	TEST_RUN(promised_calls);
	TEST_RUN(steady_calls);
	TEST_RUN(large_calls);
	return test_finish();
}
