/* SPDX-License-Identifier: MIT */
/*
 * A kernel that frees memory when it is asked to: hak_host_pressure() and hak_host_low_water().
 * On one CPU, then on all at once.
 *
 *	pressure.elf		the machine has 64 MiB
 */
#include <boot.h>
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <machine.h>

#include <stdatomic.h>

#include "../smp/cpus.h"
#include "../test.h"

#define FRAME HAK_SUPERSLAB_SIZE
#define MIB   ((size_t)1 << 20)
#define TRIES 32u

/* What the kernel has that it can do without: a list of blocks, linked in themselves. */
struct block {
	struct block *next;
};

enum what {
	NOTHING,    /* says so */
	LIES,	    /* says that it has freed something */
	FREES_ONE,  /* block of the list */
	HAS_FRAMES, /* that it gives to the provider */
	ALLOCATES,  /* in vain, and says that it has freed something */
	TRIMS,	    /* calls what gives memory back, and frees one */
};

static enum what what;
static _Atomic unsigned asked, low;
static size_t last_bytes;
static bool was_null, was_on;
static struct block *list;
static void *kept;
static _Atomic unsigned list_lock;

static bool interrupts_are_on(void)
{
	unsigned long flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
	return flags >> 9 & 1;
}

/* Other CPUs may be here, too. */
static bool free_one(void)
{
	struct block *block;

	while (atomic_exchange(&list_lock, 1))
		cpu_relax();
	block = list;
	if (block)
		list = block->next;
	list_lock = 0;
	hak_free(block);
	return block;
}

bool hak_host_pressure(size_t bytes)
{
	asked++;
	last_bytes = bytes;
	was_on = interrupts_are_on();
	switch (what) {
	case NOTHING:
		return false;
	case LIES:
		return true;
	case FREES_ONE:
		return free_one();
	case HAS_FRAMES:
		what = NOTHING;
		port_unmap(kept, 4 * FRAME);
		return true;
	case ALLOCATES:
		was_null = !hak_malloc(bytes) && !hak_aligned_alloc(4096, bytes) &&
			   !hak_realloc(NULL, bytes);
		return true;
	case TRIMS:
		hak_flush();
		hak_trim(HAK_TRIM_ALL);
		return free_one();
	}
	return false;
}

static bool nests;
static _Atomic unsigned depth, deepest;
static void *large;

void hak_host_low_water(void)
{
	low++;
	if (++depth > deepest)
		deepest = depth;
	hak_free(hak_malloc(100));
	if (nests) { /* memory is enough, and low again, inside of this */
		hak_free(large);
		hak_trim(HAK_TRIM_ALL);
		large = hak_malloc(8 * FRAME);
	}
	depth--;
}

static bool fill(size_t size)
{
	struct block *block;

	for (list = NULL; (block = hak_malloc(size)); list = block)
		block->next = list;
	return list;
}

static void empty(void)
{
	while (free_one())
		;
	hak_trim(HAK_TRIM_ALL);
}

/* All memory is the list's; nobody was asked for more than it. */
static bool begin(enum what now, size_t size)
{
	what = NOTHING;
	if (!fill(size))
		return false;
	what = now;
	asked = 0;
	return true;
}

static bool end(void)
{
	what = NOTHING;
	empty();
	return !hak_check();
}

static void asked_once_before_null(void)
{
	CHECK(begin(NOTHING, 64 << 10));
	CHECK(!hak_malloc(MIB) && asked == 1 && last_bytes == MIB);
	CHECK(!hak_calloc(3, MIB) && asked == 2 && last_bytes == 3 * MIB);
	CHECK(!hak_realloc(NULL, 2 * MIB) && asked == 3 && last_bytes == 2 * MIB);
	CHECK(!hak_aligned_alloc(2 * MIB, 100) && asked == 4 && last_bytes == 100);
	CHECK(end());
}

/* What no memory can hold, and what is wrong, is no reason to free anything. */
static void not_asked_in_vain(void)
{
	static volatile size_t most = SIZE_MAX; /* compilers warn of it */

	asked = 0;
	what = LIES;
	CHECK(!hak_malloc(most) && !hak_malloc(most / 2 + 1));
	CHECK(!hak_calloc(most / 2, 4) && !hak_aligned_alloc(3, 100));
	CHECK(!hak_aligned_alloc((size_t)1 << 63, 100) && asked == 0);
	what = NOTHING;
	hak_free(hak_malloc(MIB));
	CHECK(asked == 0);
}

static void tried_again(void)
{
	void *block;

	CHECK(begin(FREES_ONE, 64 << 10));
	block = hak_malloc(64 << 10);
	CHECK(block && asked == 1);
	hak_free(block);
	CHECK(end() && begin(FREES_ONE, 100));
	block = hak_malloc(100);
	CHECK(block && asked == 1);
	hak_free(block);
	/* sixteen neighbours make one of 1 MiB: as many calls at least, and at most all */
	CHECK(end() && begin(FREES_ONE, 64 << 10));
	block = hak_malloc(MIB);
	CHECK(block && asked >= 16 && asked < TRIES);
	hak_free(block);
	CHECK(end());
}

static void ends_after_some_tries(void)
{
	CHECK(begin(LIES, 64 << 10));
	CHECK(!hak_malloc(100) && asked == TRIES - 1);
	CHECK(!hak_malloc(MIB) && asked == 2 * (TRIES - 1));
	CHECK(end());
}

static void frames_are_added(void)
{
	void *block;

	CHECK(begin(HAS_FRAMES, 64 << 10));
	block = hak_malloc(3 * FRAME);
	CHECK(block && asked == 1);
	hak_free(block);
	CHECK(end());
}

static void allocates_itself(void)
{
	CHECK(begin(ALLOCATES, 64 << 10));
	CHECK(!hak_malloc(MIB) && was_null && asked == TRIES - 1);
	/* and afterwards it is asked again */
	what = NOTHING;
	CHECK(!hak_malloc(MIB) && asked == TRIES);
	CHECK(end());
}

static void trims_itself(void)
{
	void *block;

	CHECK(begin(TRIMS, 4096));
	block = hak_malloc(4096);
	CHECK(block && asked == 1);
	hak_free(block);
	CHECK(end());
}

static void interrupts_stay(void)
{
	unsigned long irq;

	CHECK(begin(NOTHING, 64 << 10));
	cpu_interrupts_on();
	CHECK(!hak_malloc(MIB) && was_on && interrupts_are_on());
	irq = hak_host_irq_save();
	CHECK(!hak_malloc(MIB) && !was_on && !interrupts_are_on());
	hak_host_irq_restore(irq);
	cpu_interrupts_off();
	CHECK(end());
}

static void not_in_a_handler(void)
{
	struct hak_cache *previous;

	CHECK(begin(FREES_ONE, 64 << 10));
	previous = hak_interrupt_enter();
	CHECK(!hak_malloc(64 << 10) && asked == 0);
	hak_interrupt_leave(previous);
	hak_free(hak_malloc(64 << 10));
	CHECK(asked == 1);
	CHECK(end());
}

static void realloc_keeps_the_block(void)
{
	char *block = hak_malloc(MIB), *same;

	CHECK(block);
	block[0] = 'x';
	CHECK(begin(NOTHING, 64 << 10));
	CHECK(!hak_realloc(block, 4 * MIB) && asked == 1 && block[0] == 'x');
	/* a smaller one fits where it is, so nobody is asked */
	same = hak_realloc(block, 1000);
	CHECK(same && same[0] == 'x');
	hak_free(same);
	CHECK(end());
}

static void low_water(void)
{
	size_t mark = hak_frames_free() / 2;
	struct hak_cache *previous;
	void *one, *two;

	low = 0;
	hak_low_water(mark * FRAME);
	one = hak_malloc((mark - 1) * FRAME);
	CHECK(one && low == 0);
	two = hak_malloc(4 * FRAME);
	CHECK(two && low == 1);
	hak_free(two);
	hak_trim(HAK_TRIM_ALL);
	two = hak_malloc(4 * FRAME);
	CHECK(two && low == 2); /* it had risen */
	hak_free(hak_malloc(FRAME));
	hak_trim(HAK_TRIM_ALL);
	hak_free(hak_malloc(FRAME));
	CHECK(low == 2); /* it had not */
	hak_free(one);
	hak_free(two);
	hak_trim(HAK_TRIM_ALL);
	/* a handler leaves it to the next */
	previous = hak_interrupt_enter();
	one = hak_malloc((mark + 2) * FRAME);
	CHECK(one && low == 2);
	hak_free(one);
	hak_interrupt_leave(previous);
	one = hak_malloc(4096 * 3);
	for (size_t size = 100; low == 2 && size < MIB; size *= 2)
		hak_free(hak_malloc(size));
	CHECK(low == 3);
	hak_free(one);
	hak_low_water(0);
	CHECK(!hak_check());
}

static void low_water_is_not_called_by_itself(void)
{
	void *block;

	low = deepest = 0;
	hak_trim(HAK_TRIM_ALL);
	large = hak_malloc(8 * FRAME);
	hak_low_water((hak_frames_free() - 2) * FRAME);
	nests = true;
	block = hak_malloc(4 * FRAME);
	nests = false;
	CHECK(large && block && low == 1 && deepest == 1);
	hak_free(hak_malloc(100 << 10));
	CHECK(low == 2 && deepest == 1); /* the next slow path */
	hak_free(large);
	hak_free(block);
	hak_low_water(0);
	CHECK(!hak_check());
}

/* Memory that is out all the time, on all CPUs, and comes back block by block. */
static _Atomic unsigned got, refused;

static void take_some(void *unused)
{
	struct block *mine = NULL, *block;
	uint64_t random = cpus_seed();

	(void)unused;
	for (unsigned i = 0; i < 2000; i++) {
		size_t size = (size_t)64 << (test_random(&random) >> 32) % 9;

		block = hak_malloc(size);
		if (!block) {
			refused++;
			continue;
		}
		got++;
		block->next = mine;
		mine = block;
		if (i % 16 == 15)
			for (unsigned j = 0; j < 8 && mine; j++) {
				block = mine;
				mine = block->next;
				hak_free(block);
			}
	}
	while (mine) {
		block = mine;
		mine = block->next;
		hak_free(block);
	}
}

static void on_all_cpus(void)
{
	CHECK(begin(FREES_ONE, 64 << 10));
	hak_low_water(8 * FRAME);
	smp_run(take_some, NULL);
	/* the list had enough for all of them */
	CHECK(list && refused == 0 && got == 2000 * smp_count() && asked);
	CHECK(end());
	hak_low_water(0);
}

/* All ask at once, for what nobody has; and allocate while they are asked. */
static _Atomic unsigned nr_wrong;

static void ask_in_vain(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < 2; i++)
		if (hak_malloc(MIB) || this_cpu()->asks)
			nr_wrong++;
}

static void all_ask_in_vain(void)
{
	CHECK(begin(ALLOCATES, 64 << 10));
	smp_run(ask_in_vain, NULL);
	CHECK(!nr_wrong && asked >= 2);
	CHECK(end());
}

int main(void)
{
	kept = port_map(4 * FRAME);
	if (!kept || !cpus_open())
		return 1;
	TEST_RUN(asked_once_before_null);
	TEST_RUN(not_asked_in_vain);
	TEST_RUN(tried_again);
	TEST_RUN(ends_after_some_tries);
	TEST_RUN(allocates_itself);
	TEST_RUN(trims_itself);
	TEST_RUN(interrupts_stay);
	TEST_RUN(not_in_a_handler);
	TEST_RUN(realloc_keeps_the_block);
	TEST_RUN(low_water);
	TEST_RUN(low_water_is_not_called_by_itself);
	TEST_RUN(on_all_cpus);
	TEST_RUN(all_ask_in_vain);
	TEST_RUN(frames_are_added);
	return test_finish();
}
