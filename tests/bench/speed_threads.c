/* SPDX-License-Identifier: MIT */
/*
 * Several threads that free each other's blocks, or come and go.
 *
 * larson: each thread replaces blocks at random among its 1000, and after a
 * while ends and leaves them to a new one, which frees what another allocated:
 * "Memory Allocation for Long-Running Server Applications", Larson and Krishnan,
 * 1998. An operation is one free and one malloc.
 *
 * exchange: half the threads allocate, the others free, every one of these from
 * all of those, through rings of 4096 pointers: with two threads the pipe of one
 * producer and one consumer, the worst case of allocators that give blocks back
 * to whom they came from. Consumers read what they get, as one who gets a message
 * does: an allocator gains nothing by leaving the block's cache line alone. After
 * xmalloc-test (Lever and Boreham, "malloc() Performance in a Multithreaded Linux
 * Environment", 2000). An operation is a block that goes all the way.
 *
 * churn: threads that come, allocate 100 blocks of the sizes given, free them
 * and go, two at a time; as when every request has a thread of its own. An
 * operation is a thread.
 */
#define _GNU_SOURCE /* sched_setaffinity */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <cpu.h>

#include "speed.h"

#define LARSON_BLOCKS  1000u
#define LARSON_ROUNDS  20u
#define RING	       4096u
#define EXCHANGE_BURST 64u
#define SPINS	       4096u
#define CHURN_BLOCKS   100u

static struct mix *mix;
static _Atomic uint64_t total;

static void prepare_sizes(void)
{
	mix = map_resident(sizeof(*mix));
	mix_uniform(mix, (uint32_t)parameters.least, (uint32_t)parameters.most);
}

static void start(pthread_t *thread, void *(*main)(void *), void *argument)
{
	if (pthread_create(thread, NULL, main, argument))
		fail("bench: cannot start a thread\n");
}

/* Thread i with argument i; returns when all have ended. */
static void threads_run(unsigned n, void *(*main)(void *))
{
	pthread_t threads[THREADS_MOST];

	for (unsigned i = 0; i < n; i++)
		start(&threads[i], main, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

/* A thread's share of the operations, or until the deadline. */
static bool thread_goes_on(uint64_t done)
{
	return parameters.ops ? done < parameters.ops / parameters.threads : now_ns() < deadline;
}

/* One place in the server, which threads hold one after another. */
struct seat {
	_Alignas(128) void *blocks[LARSON_BLOCKS];
	uint64_t random, done;
};

static struct seat *seats;

static void larson_prepare(void)
{
	prepare_sizes();
	seats = map_resident(parameters.threads * sizeof(*seats));
	for (uint64_t i = 0; i < parameters.threads; i++)
		seats[i].random = random_seed(i);
}

static void *larson_serve(void *argument)
{
	struct seat *seat = argument;
	uint64_t random = seat->random;

	for (unsigned i = 0; i < LARSON_BLOCKS * LARSON_ROUNDS; i++) {
		void **place = &seat->blocks[random_below(&random, LARSON_BLOCKS)];

		free(*place);
		*place = allocate_touched(mix_size(mix, &random));
	}
	seat->random = random;
	seat->done += LARSON_BLOCKS * LARSON_ROUNDS;
	return NULL;
}

static void *larson_main(void *argument)
{
	struct seat *seat = &seats[(uintptr_t)argument];
	pthread_t successor;

	while (thread_goes_on(seat->done)) {
		start(&successor, larson_serve, seat);
		pthread_join(successor, NULL);
	}
	total += seat->done;
	return NULL;
}

static uint64_t larson_step(void)
{
	threads_run((unsigned)parameters.threads, larson_main);
	return total;
}

/* Pointers from one producer to one consumer; NULL is the end. */
struct ring {
	_Alignas(128) _Atomic uint64_t tail; /* producer's */
	_Alignas(128) _Atomic uint64_t head; /* consumer's */
	_Alignas(128) void *slots[RING];
};

static struct ring *rings;
static unsigned pairs;
static bool has_cpus; /* one for each thread */

static void exchange_prepare(void)
{
	prepare_sizes();
	pairs = (unsigned)(parameters.threads + 1) / 2;
	parameters.threads = pairs; /* shares are the producers' */
	has_cpus = 2 * (long)pairs <= sysconf(_SC_NPROCESSORS_ONLN);
	rings = map_resident((size_t)pairs * pairs * sizeof(*rings));
}

/* Two threads that begin on one CPU may stay there for all of a short run. */
static void stay_on_cpu(unsigned i)
{
	cpu_set_t all, one;

	CPU_ZERO(&one);
	if (sched_getaffinity(getpid(), sizeof(all), &all))
		return;
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all) || i--)
			continue;
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

/* For a moment, with a CPU for each thread; else somebody else is to run. */
static void await_other(unsigned *waits)
{
	if (has_cpus && ++*waits % SPINS)
		cpu_relax();
	else
		sched_yield();
}

/* Room for EXCHANGE_BURST pointers. */
static void await_room(struct ring *ring, uint64_t tail)
{
	unsigned waits = 0;

	while (tail + EXCHANGE_BURST - atomic_load_explicit(&ring->head, memory_order_acquire) >
	       RING)
		await_other(&waits);
}

static void *producer_main(unsigned producer)
{
	uint64_t random = random_seed(producer), done = 0;

	for (unsigned to = producer; thread_goes_on(done); to = (to + 1) % pairs) {
		struct ring *ring = &rings[producer * pairs + to];
		uint64_t tail = ring->tail;

		await_room(ring, tail);
		for (unsigned i = 0; i < EXCHANGE_BURST; i++)
			ring->slots[tail++ % RING] = allocate_touched(mix_size(mix, &random));
		atomic_store_explicit(&ring->tail, tail, memory_order_release);
		done += EXCHANGE_BURST;
	}
	for (unsigned to = 0; to < pairs; to++) {
		struct ring *ring = &rings[producer * pairs + to];

		await_room(ring, ring->tail);
		ring->slots[ring->tail % RING] = NULL;
		atomic_store_explicit(&ring->tail, ring->tail + 1, memory_order_release);
	}
	total += done;
	return NULL;
}

/* Free what has come through a ring; how many, and whether it was the last. */
static uint64_t drain(struct ring *ring, bool *ended)
{
	uint64_t head = ring->head, from = head;
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);

	if (tail - head > EXCHANGE_BURST)
		tail = head + EXCHANGE_BURST;
	for (; head != tail; head++) {
		volatile unsigned char *block = ring->slots[head % RING];

		if (block)
			(void)*block;
		else
			*ended = true;
		free((void *)block);
	}
	atomic_store_explicit(&ring->head, head, memory_order_release);
	return head - from;
}

static void *consumer_main(unsigned consumer)
{
	bool ended[THREADS_MOST] = { false };
	unsigned open = pairs, waits = 0;
	uint64_t drained;

	while (open) {
		drained = 0;
		for (unsigned from = 0; from < pairs; from++) {
			if (ended[from])
				continue;
			drained += drain(&rings[from * pairs + consumer], &ended[from]);
			open -= ended[from];
		}
		waits = drained ? 0 : waits;
		if (!drained)
			await_other(&waits);
	}
	return NULL;
}

static void *exchange_main(void *argument)
{
	unsigned i = (unsigned)(uintptr_t)argument;

	if (has_cpus)
		stay_on_cpu(i);
	return i < pairs ? producer_main(i) : consumer_main(i - pairs);
}

static uint64_t exchange_step(void)
{
	threads_run(2 * pairs, exchange_main);
	return total;
}

static void *visitor(void *argument)
{
	uint64_t random = random_seed((uintptr_t)argument);
	void *blocks[CHURN_BLOCKS];

	for (unsigned i = 0; i < CHURN_BLOCKS; i++)
		blocks[i] = allocate_touched(mix_size(mix, &random));
	for (unsigned i = 0; i < CHURN_BLOCKS; i++)
		free(blocks[i]);
	return NULL;
}

static uint64_t churn_step(void)
{
	threads_run((unsigned)parameters.threads, visitor);
	return parameters.threads;
}

static void print_locks(uint64_t ops)
{
	static struct hak_stats stats;

	if (read_stats(&stats))
		print(" locks_per_1000=%.3f",
		      (double)(stats.class_locks + stats.superslab_locks) * 1000 / (double)ops);
}

const struct workload threaded_workloads[] = {
	{ "larson", larson_prepare, larson_step, ONCE, print_locks },
	{ "exchange", exchange_prepare, exchange_step, ONCE, print_locks },
	{ "churn", prepare_sizes, churn_step, STEADY, print_locks },
	{ NULL, NULL, NULL, ONCE, NULL },
};
