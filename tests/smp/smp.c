/* SPDX-License-Identifier: MIT */
/*
 * One heap, all CPUs of the machine, and their interrupt handlers.
 *
 *	smp [--cpus N] [--ops N]
 *
 * N CPUs have to be there; --ops is how many times a block is allocated or freed
 * by all together, handlers besides. On each CPU a timer at 2 kHz allocates and
 * frees. Handlers use no magazines, so what has to be shown is that they get
 * along with what they interrupt: it is counted how often that was the inside of
 * a refill or a spill, and how often it was a lock, which must be never.
 */
#include <frames.h>
#include <hakmem/hakmem.h>
#include <machine.h>

#include <cache/cache.h>
#include <base/lock.h>
#include <base/sizeclass.h>
#include <slab/class.h>

#include "../test.h"
#include "cpus.h"
#include "traffic.h"

#define TIMER_TICKS    500000 /* of 1 ns */
#define HANDLER_BLOCKS 4
#define OPS_PER_SCAN   20000
#define BURST	       300

static unsigned long cpus_expected, ops_wanted;

enum doing {
	DOING_ELSE,
	DOING_MALLOC,
	DOING_FREE,
	NR_DOINGS,
};

/* Of each CPU. What a handler sees of what it has interrupted. */
static struct cpu_state {
	struct hak_cache *cache; /* NULL: the timer is off, though a last tick may come */
	volatile enum doing doing;
	uint64_t random;
	uint64_t ticks, inside[NR_DOINGS], locks, ops, nulls;
	struct block *_Atomic own[HANDLER_BLOCKS];
} __attribute__((aligned(64))) states[BOOT_MAX_CPUS];

static _Atomic bool scanning; /* the first CPU may hold the claims of others */

static struct cpu_state *this_state(void)
{
	return &states[this_cpu()->id];
}

static struct interrupt_frame *tick(struct interrupt_frame *frame)
{
	struct cpu_state *state = this_state();

	if (!state->cache)
		return frame;
	state->ticks++;
	state->locks += lock_is_any_held();
	if (!scanning && state->cache->cold && state->cache->cold->claim.word)
		state->inside[state->doing]++;
	for (unsigned i = 0; i < HANDLER_BLOCKS; i++)
		traffic_exchange(&state->own[i], &state->random);
	traffic_exchange(&traffic_mail[test_random(&state->random) % NR_MAILS], &state->random);
	return frame;
}

static void timer_start(struct cpu_state *state)
{
	state->random = cpus_seed() * 3;
	state->cache = this_cache();
	lapic_timer(TIMER_TICKS);
	cpu_interrupts_on();
}

static void timer_stop(struct cpu_state *state)
{
	cpu_interrupts_off();
	lapic_timer(0);
	state->cache = NULL;
	for (unsigned i = 0; i < HANDLER_BLOCKS; i++)
		traffic_free(atomic_exchange(&state->own[i], NULL));
}

/* Leave a block for anybody, and free what somebody has left. */
static void pass_one(struct cpu_state *state, uint64_t *random)
{
	struct block *_Atomic *mail = &traffic_mail[test_random(random) % NR_MAILS];
	struct block *block;

	state->doing = DOING_MALLOC;
	block = traffic_alloc(traffic_size(random), state->ops);
	if (!block)
		traffic_blame("no memory");
	state->doing = DOING_FREE;
	traffic_free(atomic_exchange(mail, block));
	state->doing = DOING_ELSE;
	state->ops += 2;
}

/* More blocks of a size than a magazine holds: refills, then spills. */
static void burst(struct cpu_state *state, uint64_t *random)
{
	size_t size = 16 + test_random(random) % 64;
	struct block *first = NULL, *block;

	state->doing = DOING_MALLOC;
	for (unsigned i = 0; i < BURST; i++) {
		block = traffic_alloc(size, (uintptr_t)first);
		if (block)
			first = block;
		else
			traffic_blame("no memory");
	}
	state->doing = DOING_FREE;
	for (; first; first = block) {
		block = (struct block *)(uintptr_t)first->tag;
		traffic_free(first);
	}
	state->doing = DOING_ELSE;
	state->ops += 2 * BURST;
}

/* One CPU gives back what is idle meanwhile, of all. */
static void scan(unsigned long turn)
{
	scanning = true;
	if (turn % 8)
		hak_idle(4);
	else
		hak_trim(HAK_TRIM_ALL);
	scanning = false;
}

static void pass_blocks(void *unused)
{
	struct cpu_state *state = this_state();
	uint64_t random = cpus_seed();
	unsigned long n = ops_wanted / smp_count(), turn = 0;

	(void)unused;
	hak_free(hak_malloc(1)); /* from here on it has a cache */
	cpus_meet();
	timer_start(state);
	while (state->ops < n && !traffic_wrong) {
		for (unsigned i = 0; i < BURST; i++)
			pass_one(state, &random);
		burst(state, &random);
		if (!this_cpu()->id && state->ops / OPS_PER_SCAN > turn)
			scan(turn++);
	}
	timer_stop(state);
}

static void report_counts(void)
{
	for (unsigned i = 0; i < smp_count(); i++)
		test_print("cpu %u: %lu operations, %lu interrupts, "
			   "%lu inside a refill, %lu inside a spill\n",
			   i, (unsigned long)states[i].ops, (unsigned long)states[i].ticks,
			   (unsigned long)states[i].inside[DOING_MALLOC],
			   (unsigned long)states[i].inside[DOING_FREE]);
}

static void smp_all_cpus(void)
{
	CHECK(smp_count() == cpus_expected);
}

static void smp_pass_blocks(void)
{
	uint64_t refills = 0, spills = 0;

	CHECK(cpus_open());
	smp_run(pass_blocks, NULL);
	traffic_end();
	report_counts();
	if (traffic_wrong)
		test_print("%s\n", traffic_wrong);
	CHECK(!traffic_wrong);
	for (unsigned i = 0; i < smp_count(); i++) {
		CHECK(states[i].ticks && !states[i].locks);
		refills += states[i].inside[DOING_MALLOC];
		spills += states[i].inside[DOING_FREE];
	}
	/* or else they could not come there at all */
	CHECK(IS_ENABLED(CONFIG_HAK_IRQSAVE) ? !refills && !spills : refills && spills);
	CHECK(cpus_close());
}

/* Handlers that interrupt handlers. */
static struct interrupt_frame *nested_tick(struct interrupt_frame *frame)
{
	struct cpu_state *state = this_state();
	struct hak_cache *seen = this_cache();

	if (state->ticks++ < 3) {
		struct block *block = traffic_alloc(100, state->ticks);

		lapic_end_of_interrupt();
		lapic_send(lapic_id(), VECTOR_TIMER);
		cpu_interrupts_on();
		cpu_relax();
		cpu_interrupts_off();
		traffic_free(block);
	}
	if (seen != CACHE_NEVER || this_cache() != seen)
		traffic_blame("a handler with a cache");
	return frame;
}

static void smp_nested_handlers(void)
{
	struct cpu_state *state = this_state();
	struct hak_cache *own;

	CHECK(cpus_open());
	hak_free(hak_malloc(1));
	own = this_cache();
	state->ticks = 0;
	interrupt_set(VECTOR_TIMER, nested_tick);
	lapic_send(lapic_id(), VECTOR_TIMER);
	cpu_interrupts_on();
	while (*(volatile uint64_t *)&state->ticks < 4)
		cpu_relax();
	cpu_interrupts_off();
	interrupt_set(VECTOR_TIMER, tick);
	CHECK(state->ticks == 4 && this_cache() == own && !traffic_wrong);
	CHECK(cpus_close());
}

/* All that there is, in blocks of all sizes; then of the smallest. */
static struct block *take_all(struct cpu_state *state, uint64_t *random)
{
	struct block *first = NULL, *block;
	size_t limit = 256u << 10;

	while (limit > 16) {
		size_t size = 24 + test_random(random) % limit;

		block = traffic_alloc(size, (uintptr_t)first);
		if (block) {
			first = block;
			continue;
		}
		limit /= 2;
		state->nulls++;
	}
	return first;
}

static void exhaust(void *unused)
{
	struct cpu_state *state = this_state();
	uint64_t random = cpus_seed();

	(void)unused;
	for (unsigned round = 0; round < 2; round++) {
		struct block *first, *next;

		cpus_meet();
		timer_start(state); /* handlers have to do without, too */
		first = take_all(state, &random);
		timer_stop(state);
		cpus_meet(); /* everybody has as much as he could get */
		for (; first; first = next) {
			next = (struct block *)(uintptr_t)first->tag;
			traffic_free(first);
			state->ops++;
		}
		cpus_meet();
		first = traffic_alloc(1000, 0);
		if (!first)
			traffic_blame("no memory after it was freed");
		traffic_free(first);
		cpus_meet(); /* before memory is scarce again */
	}
}

/* What tick() does, but it may find no memory. */
static struct interrupt_frame *tick_without(struct interrupt_frame *frame)
{
	struct cpu_state *state = this_state();

	if (!state->cache)
		return frame;
	state->ticks++;
	for (unsigned i = 0; i < HANDLER_BLOCKS; i++)
		traffic_free(atomic_exchange(&state->own[i],
					     traffic_alloc(traffic_size(&state->random), i)));
	return frame;
}

static void smp_memory_exhausted(void)
{
	uint64_t blocks = 0; /* a CPU may find that others were faster */

	__builtin_memset(states, 0, sizeof(states));
	CHECK(cpus_open());
	interrupt_set(VECTOR_TIMER, tick_without);
	smp_run(exhaust, NULL);
	interrupt_set(VECTOR_TIMER, tick);
	if (traffic_wrong)
		test_print("%s\n", traffic_wrong);
	CHECK(!traffic_wrong);
	for (unsigned i = 0; i < smp_count(); i++) {
		CHECK(states[i].nulls > 0);
		blocks += states[i].ops;
	}
	CHECK(blocks > 0);
	CHECK(cpus_close());
}

/* A frame and a page, there and back. */
static void use_frames(void)
{
	const struct hak_provider *provider = &hak_frames_provider;
	struct hak_mapping frame, page;

	if (provider->map(NULL, HAK_SUPERSLAB_SIZE, HAK_SUPERSLAB_SIZE, HAK_WANT_HEAP, &frame) ||
	    provider->map(NULL, HAK_GRANULE, HAK_GRANULE, HAK_WANT_META, &page) ||
	    provider->unmap(NULL, frame.base, HAK_SUPERSLAB_SIZE) ||
	    provider->unmap(NULL, page.base, HAK_GRANULE))
		traffic_blame("frames");
}

static struct interrupt_frame *tick_for_frames(struct interrupt_frame *frame)
{
	struct cpu_state *state = this_state();

	if (!state->cache)
		return frame;
	state->ticks++;
	use_frames();
	return frame;
}

static void use_frames_on_all(void *unused)
{
	struct cpu_state *state = this_state();

	(void)unused;
	state->ticks = 0;
	timer_start(state);
	while (*(volatile uint64_t *)&state->ticks < 30)
		use_frames();
	timer_stop(state);
}

/* Frames are taken by handlers, too. */
static void smp_frames(void)
{
	size_t before = hak_frames_free();

	interrupt_set(VECTOR_TIMER, tick_for_frames);
	smp_run(use_frames_on_all, NULL);
	interrupt_set(VECTOR_TIMER, tick);
	CHECK(!traffic_wrong && hak_frames_free() == before);
}

#define MANY 100u

static _Atomic bool trimmed;

/* Fill a magazine, and do anything but answer interrupts. */
static void hold_blocks(void *unused)
{
	void *blocks[MANY];

	(void)unused;
	for (unsigned i = 0; i < MANY; i++)
		blocks[i] = hak_malloc(64);
	for (unsigned i = 0; i < MANY; i++)
		hak_free(blocks[i]);
	cpus_meet();
	if (this_cpu()->id) {
		while (!trimmed)
			cpu_relax();
		hak_free(hak_malloc(64));
		return;
	}
	if (class_outstanding(class_of(64)) < smp_count())
		traffic_blame("nothing in magazines");
	hak_trim(HAK_TRIM_ALL);
	if (class_outstanding(class_of(64)))
		traffic_blame("a magazine was not emptied");
	trimmed = true;
}

/* The barrier reaches CPUs that have interrupts off. */
static void smp_trim_reaches_all(void)
{
	CHECK(cpus_open());
	trimmed = false;
	smp_run(hold_blocks, NULL);
	CHECK(!traffic_wrong && !hak_check());
	CHECK(cpus_close());
}

static void all_pass_barriers(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < 10; i++)
		if (!hak_host_barrier())
			traffic_blame("no barrier");
}

/* From all CPUs at once, and when all others sleep. */
static void smp_barriers(void)
{
	CHECK(hak_host_barrier());
	smp_run(all_pass_barriers, NULL);
	CHECK(!traffic_wrong && hak_host_barrier());
}

int main(int argc, char **argv)
{
	cpus_expected = cpus_option(argc, argv, "--cpus", 1);
	ops_wanted = cpus_option(argc, argv, "--ops", 1000000);
	interrupt_set(VECTOR_TIMER, tick);
	TEST_RUN(smp_all_cpus);
	TEST_RUN(smp_barriers);
	TEST_RUN(smp_frames);
	UNLESS_HARDENED(smp_trim_reaches_all); /* not what waits on other CPUs */
	TEST_RUN(smp_nested_handlers);
	TEST_RUN(smp_pass_blocks);
	TEST_RUN(smp_memory_exhausted);
	return test_finish();
}
