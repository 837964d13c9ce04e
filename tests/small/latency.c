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
	{ "16..4096 B, 20000 live", draw_4096, 20000, 1000000, 3600, 2000, 6900, 1500, 45, 52 },
	{ "16 B..1 MiB, 300 live", draw_1_mib, 300, 400000, 3900, 4700, 2200, 1800, 420, 330 },
};

#define NR_MIXES (sizeof(mixes) / sizeof(mixes[0]))

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

static void steady_calls(void)
{
	for (unsigned i = 0; i < NR_MIXES; i++) {
		const struct mix *mix = &mixes[i];

		run(mix);
		if (of_malloc.worst > mix->most_malloc || of_free.worst > mix->most_free ||
		    of_last.worst > mix->most_last || irqs.longest > mix->most_off ||
		    of_malloc.sum / of_malloc.calls > mix->mean_malloc ||
		    of_free.sum / of_free.calls > mix->mean_free)
			test_fail(__FILE__, __LINE__, mix->name);
	}
}

#define MOST_IRQS_OFF 3000u

static void check_irqs(const char *what)
{
	test_print("%-23s interrupts off: %5lu\n", what, (unsigned long)irqs.longest);
	if (irqs.longest > MOST_IRQS_OFF)
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
	check_irqs("free of 100 MiB");
	block = hak_malloc(60 * MIB);
	check_irqs("malloc of 60 MiB");
	block = hak_realloc(block, 90 * MIB);
	check_irqs("realloc to 90 MiB");
	block = hak_realloc(block, 4 * MIB);
	check_irqs("realloc to 4 MiB");
	hak_free(block);
	run(&mixes[2]);
	irqs.longest = 0;
	while (hak_idle(8))
		;
	check_irqs("hak_idle()");
	run(&mixes[3]);
	irqs.longest = 0;
	hak_flush();
	check_irqs("hak_flush()");
	hak_trim(HAK_TRIM_ALL);
	check_irqs("hak_trim()");
}

int main(void)
{
	if (!hak_init(port_provider()))
		return 2;
	TEST_RUN(steady_calls);
	TEST_RUN(large_calls);
	return test_finish();
}
