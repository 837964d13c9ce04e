/* SPDX-License-Identifier: MIT */
/*
 * What an operation costs when one CPU works, and when all do: instructions, locks taken, and
 * instructions with a lock held. With --icount a tick of the TSC is an instruction of any CPU.
 *
 *	own		each CPU replaces blocks of 16 to 1024 bytes in a set of its own at random
 *	mixed		the same, but one of eight it leaves for another CPU, and frees what
 *			that one has left
 *	neighbour	each CPU leaves all that it allocates to the next one, which frees it
 *	to-one		the first CPU frees what all others allocate
 *	from-one	all others free what the first CPU allocates
 *
 * In the last three a block goes through a ring, and a CPU alone has a ring to itself. The size of
 * blocks is one of 16 sizes (or one, with `--size`), that changes at random.
 *
 * A CPU works in turns of some operations, and lets others work in between. What it does in a turn
 * is counted, not what it does while it waits for a turn: a ring that is full, or empty. The
 * harness's own instructions are in all the figures.
 *
 * Locks are counted by the hook through which they keep interrupts off.
 */
#include <stdatomic.h>

#include <hakmem/hakmem.h>
#include <hakmem/host.h>

#include "../test.h"
#include "cpus.h"

#define LIVE	     4000u
#define OPS_PER_TURN 64u
#define RING	     (2 * OPS_PER_TURN)
#define NR_MAILS     64u
#define NR_SIZES     16u

/* Of what one CPU needs; and of 1000 operations. */
#define MOST_PERCENT 120u
#define MOST_LOCKS   10u

/*
 * In traffic that goes one way each block has to go back through its slab, in batches that are
 * short, so that no call keeps interrupts off for long (HAK_BATCH_MOST).
 */
#define MOST_PERCENT_ONE_WAY 750u
#define MOST_LOCKS_ONE_WAY   (1000u * 4 / 3 / HAK_BATCH_MOST)

struct count {
	uint64_t ops, instructions, locks, held;
};

static struct cpu_state {
	uint64_t random;
	uint64_t since; /* when it took the lock that it holds */
	struct count count;
	void *live[LIVE];
} __attribute__((aligned(64))) states[BOOT_MAX_CPUS];

/* From the CPU of this number, or to it where the other end is the first CPU. */
static struct ring {
	_Atomic unsigned long in, out;
	void *block[RING];
} __attribute__((aligned(64))) rings[BOOT_MAX_CPUS];

static struct {
	unsigned workers;
	unsigned long ops; /* of each CPU, on the average */
	size_t size;	   /* of all blocks, or 0 */
	void (*turn)(struct cpu_state *state, unsigned id);
	void *_Atomic mail[NR_MAILS];
	_Atomic bool over;
} run;

unsigned long hak_host_irq_save(void)
{
	unsigned long flags = cpu_read_flags();
	struct cpu_state *state;

	cpu_interrupts_off();
	state = &states[this_cpu()->id];
	state->count.locks++;
	state->since = cpu_read_tsc();
	return flags;
}

void hak_host_irq_restore(unsigned long saved)
{
	struct cpu_state *state = &states[this_cpu()->id];

	state->count.held += cpu_read_tsc() - state->since;
	if (saved & CPU_FLAG_INTERRUPTS)
		cpu_interrupts_on();
}

static size_t size_of(uint64_t random)
{
	return run.size ? run.size : 1024 / NR_SIZES * (1 + (random >> 32) % NR_SIZES);
}

static void *allocate(struct cpu_state *state)
{
	return hak_malloc(size_of(test_random(&state->random)));
}

/* In its own set. One of @others is left in the mail, if that is not 0. */
static inline void replace(struct cpu_state *state, unsigned others)
{
	for (unsigned i = 0; i < OPS_PER_TURN; i++) {
		uint64_t random = test_random(&state->random);
		void **place = &state->live[random % LIVE];

		if (others && (random >> 50) % others == 0)
			*place = atomic_exchange(&run.mail[(random >> 53) % NR_MAILS], *place);
		hak_free(*place);
		*place = hak_malloc(size_of(random));
	}
	state->count.ops += 2 * OPS_PER_TURN;
}

static void turn_own(struct cpu_state *state, unsigned id)
{
	(void)id;
	replace(state, 0);
}

static void turn_mixed(struct cpu_state *state, unsigned id)
{
	(void)id;
	replace(state, 8);
}

static void produce(struct cpu_state *state, struct ring *ring)
{
	if (ring->in - ring->out > RING - OPS_PER_TURN)
		return;
	for (unsigned i = 0; i < OPS_PER_TURN; i++)
		ring->block[(ring->in + i) % RING] = allocate(state);
	ring->in += OPS_PER_TURN;
	state->count.ops += OPS_PER_TURN;
}

static void consume(struct cpu_state *state, struct ring *ring)
{
	if (ring->in == ring->out)
		return;
	for (unsigned i = 0; i < OPS_PER_TURN; i++)
		hak_free(ring->block[(ring->out + i) % RING]);
	ring->out += OPS_PER_TURN;
	state->count.ops += OPS_PER_TURN;
}

static void turn_neighbour(struct cpu_state *state, unsigned id)
{
	produce(state, &rings[id]);
	consume(state, &rings[id ? id - 1 : run.workers - 1]);
}

/* The first CPU does @first with the rings of all others, which do @other with theirs. */
static void star(struct cpu_state *state, unsigned id,
		 void (*first)(struct cpu_state *state, struct ring *ring),
		 void (*other)(struct cpu_state *state, struct ring *ring))
{
	if (run.workers == 1) {
		produce(state, &rings[0]);
		consume(state, &rings[0]);
	} else if (id) {
		other(state, &rings[id]);
	} else {
		for (unsigned i = 1; i < run.workers; i++)
			first(state, &rings[i]);
	}
}

static void turn_to_one(struct cpu_state *state, unsigned id)
{
	star(state, id, consume, produce);
}

static void turn_from_one(struct cpu_state *state, unsigned id)
{
	star(state, id, produce, consume);
}

/* Does the first CPU do as much as all others together? */
static bool is_star(void)
{
	return run.turn == turn_to_one || run.turn == turn_from_one;
}

static void take_turns(struct cpu_state *state, unsigned id)
{
	uint64_t ops = is_star() && !id ? run.ops * run.workers / 2 : run.ops;

	state->count = (struct count){ 0 };
	while (!run.over && state->count.ops < ops) {
		uint64_t start = cpu_read_tsc(), done = state->count.ops;

		run.turn(state, id);
		if (state->count.ops > done)
			state->count.instructions += cpu_read_tsc() - start;
		cpu_relax(); /* under --icount, CPUs take turns here */
	}
	run.over = true;
}

/* Until the first of them has done all that it had to. */
static void work(void *unused)
{
	unsigned id = this_cpu()->id;
	struct cpu_state *state = &states[id];
	struct count count;

	(void)unused;
	if (id >= run.workers)
		return;
	state->random = cpus_seed();
	for (unsigned i = 0; i < 2; i++) { /* once until it is as it will be */
		cpus_meet_some(run.workers);
		run.over = false;
		cpus_meet_some(run.workers);
		take_turns(state, id);
		cpus_meet_some(run.workers);
	}
	count = state->count;
	for (unsigned i = 0; i < LIVE; i++) {
		hak_free(state->live[i]);
		state->live[i] = NULL;
	}
	for (; rings[id].out < rings[id].in; rings[id].out++)
		hak_free(rings[id].block[rings[id].out % RING]);
	state->count = count;
}

static void print_thousandths(uint64_t value)
{
	test_print(" %10lu.%03lu", (unsigned long)value / 1000, (unsigned long)value % 1000);
}

/* Of a thousand operations. */
static struct count cost_of(const char *name, unsigned workers)
{
	struct count all = { 0 };

	run.workers = workers;
	smp_run(work, NULL);
	for (unsigned i = 0; i < NR_MAILS; i++)
		hak_free(atomic_exchange(&run.mail[i], NULL));
	for (unsigned i = 0; i < workers; i++) {
		all.ops += states[i].count.ops;
		all.instructions += states[i].count.instructions * 1000;
		all.locks += states[i].count.locks * 1000;
		all.held += states[i].count.held * 1000;
	}
	all.instructions /= all.ops;
	all.locks /= all.ops;
	all.held /= all.ops;
	test_print("%-10s %4u", name, workers);
	print_thousandths(all.instructions);
	test_print(" %10lu", (unsigned long)all.locks);
	print_thousandths(all.held);
	test_print("\n");
	return all;
}

static void compare(const char *name, void (*turn)(struct cpu_state *state, unsigned id))
{
	unsigned long percent = MOST_PERCENT, locks = MOST_LOCKS;
	struct count one, all;

	run.turn = turn;
	if (is_star()) {
		percent = MOST_PERCENT_ONE_WAY;
		locks = MOST_LOCKS_ONE_WAY;
	}
	one = cost_of(name, 1);
	all = cost_of(name, smp_count());
	CHECK(all.instructions * 100 <= one.instructions * percent);
	CHECK(all.locks <= locks);
	for (unsigned i = 0; i < smp_count(); i++)
		CHECK(states[i].count.ops); /* they took turns indeed */
}

static void cost_own(void)
{
	compare("own", turn_own);
}

static void cost_mixed(void)
{
	compare("mixed", turn_mixed);
}

static void cost_neighbour(void)
{
	compare("neighbour", turn_neighbour);
}

static void cost_to_one(void)
{
	compare("to-one", turn_to_one);
}

static void cost_from_one(void)
{
	compare("from-one", turn_from_one);
}

static void cost_begin(void)
{
	CHECK(cpus_open());
}

static void cost_end(void)
{
	CHECK(cpus_close());
}

int main(int argc, char **argv)
{
	run.ops = cpus_option(argc, argv, "--ops", 200000);
	run.size = cpus_option(argc, argv, "--size", 0);
	TEST_RUN(cost_begin);
	test_print("%-10s %4s %14s %10s %14s\n", "traffic", "CPUs", "instructions", "locks/1000",
		   "held");
	TEST_RUN(cost_own);
	TEST_RUN(cost_mixed);
	TEST_RUN(cost_neighbour);
	TEST_RUN(cost_to_one);
	TEST_RUN(cost_from_one);
	TEST_RUN(cost_end);
	return test_finish();
}
