/* SPDX-License-Identifier: MIT */
/*
 * What an operation costs when one CPU works, and when all do: instructions and
 * locks taken. With --icount a tick of the TSC is an instruction of any CPU.
 *
 * Every CPU replaces blocks of 16 to 1024 bytes in a set of its own at random;
 * one of eight it leaves for another CPU instead, and frees what that one has
 * left. The harness's own instructions are in all the figures.
 *
 * Locks are counted by the hook through which they keep interrupts off.
 */
#include <stdatomic.h>

#include <hakmem/hakmem.h>
#include <hakmem/host.h>

#include "../test.h"
#include "cpus.h"

#define LIVE	     20000u
#define OPS	     100000u /* pairs of free and malloc, of each CPU */
#define OPS_PER_TURN 64u
#define NR_MAILS     64u
#define MOST_PERCENT 110u

static struct cpu_state {
	uint64_t random;
	unsigned long ops, locks;
	void *live[LIVE];
} __attribute__((aligned(64))) states[BOOT_MAX_CPUS];

static struct {
	unsigned workers;
	void *_Atomic mail[NR_MAILS];
	_Atomic bool over;
	uint64_t start, end;
} run;

struct cost {
	uint64_t instructions, locks; /* of 1000 operations */
};

unsigned long hak_host_irq_save(void)
{
	unsigned long flags = cpu_read_flags();

	cpu_interrupts_off();
	states[this_cpu()->id].locks++;
	return flags;
}

void hak_host_irq_restore(unsigned long saved)
{
	if (saved & CPU_FLAG_INTERRUPTS)
		cpu_interrupts_on();
}

static void replace(struct cpu_state *state)
{
	uint64_t random = test_random(&state->random);
	void **place = &state->live[random % LIVE];
	size_t size = 16 + (random >> 32) % 1009;

	if ((random >> 50) % 8 == 0) {
		hak_free(atomic_exchange(&run.mail[(random >> 53) % NR_MAILS], *place));
	} else {
		hak_free(*place);
	}
	*place = hak_malloc(size);
}

/* Until the first of them has done all that it had to. */
static void work(void *unused)
{
	struct cpu_state *state = &states[this_cpu()->id];

	(void)unused;
	if (this_cpu()->id >= run.workers)
		return;
	state->random = cpus_seed();
	for (unsigned i = 0; i < 2 * LIVE; i++) /* it is as it will be */
		replace(state);
	cpus_meet_some(run.workers);
	state->ops = 0;
	state->locks = 0;
	if (!this_cpu()->id)
		run.start = cpu_read_tsc();
	while (!run.over && state->ops < OPS) {
		replace(state);
		if (state->ops++ % OPS_PER_TURN == 0)
			cpu_relax(); /* under --icount, CPUs take turns here */
	}
	run.over = true;
	if (!this_cpu()->id) /* that of another CPU may tell another time */
		run.end = cpu_read_tsc();
	cpus_meet_some(run.workers);
	for (unsigned i = 0; i < LIVE; i++) {
		hak_free(state->live[i]);
		state->live[i] = NULL;
	}
}

static struct cost cost_of(unsigned workers)
{
	uint64_t ops = 0, locks = 0;
	struct cost cost;

	run.workers = workers;
	run.over = false;
	smp_run(work, NULL);
	for (unsigned i = 0; i < NR_MAILS; i++)
		hak_free(atomic_exchange(&run.mail[i], NULL));
	for (unsigned i = 0; i < workers; i++) {
		ops += 2 * states[i].ops;
		locks += states[i].locks;
	}
	cost.instructions = (run.end - run.start) * 1000 / ops;
	cost.locks = locks * 1000 / ops;
	test_print("%4u %18lu.%03lu %16lu\n", workers, (unsigned long)cost.instructions / 1000,
		   (unsigned long)cost.instructions % 1000, (unsigned long)cost.locks);
	return cost;
}

static void smp_cost(void)
{
	struct cost one, all;

	CHECK(cpus_open());
	test_print("%4s %22s %16s\n", "CPUs", "instructions per op", "locks per 1000");
	one = cost_of(1);
	all = cost_of(smp_count());
	for (unsigned i = 0; i < smp_count(); i++)
		CHECK(states[i].ops > OPS / 2); /* they took turns indeed */
	CHECK(all.instructions * 100 <= one.instructions * MOST_PERCENT);
	CHECK(cpus_close());
}

int main(void)
{
	TEST_RUN(smp_cost);
	return test_finish();
}
