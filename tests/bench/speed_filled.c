/* SPDX-License-Identifier: MIT */
/*
 * Blocks that are used: every byte is written after malloc, and read before free. So the
 * cache lines of blocks compete with those of the allocator, and an allocator that hands out
 * memory which is not in the cache pays for it. Each runs with one thread or several; each
 * thread has blocks of its own, unless said otherwise.
 *
 * filled: a block at random is freed and another takes its place, among many. Sizes are powers of
 * two from 8 bytes to 1 KiB, each half as likely as the one below. After alloc-test
 * (Sergey Ignatchenko and Dmytro Ivanchykhin, "Testing Memory Allocators", 2018).
 *
 * halves: as many blocks as `live` says are allocated, the first half is freed in the order of
 * allocation, the other one in reverse. After malloc-simple of glibc's benchtests.
 *
 * passed: a thousand blocks, replaced one after another; one of ten goes to another thread,
 * which frees it. Small sizes are more likely than large ones, linearly. After
 * rpmalloc-benchmark (Mattias Jansson, 2017). What is freed must be what was written.
 *
 * An operation is one malloc and one free.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "speed.h"

#define CREW_MOST   64u
#define WINDOW	    1000u
#define PASSED_EACH 10u
#define FILLED_MOST 7u /* doublings above 8 bytes */

/* A thread, and what it has. */
struct worker {
	_Alignas(128) unsigned char **blocks;
	uint64_t random, sum, done;
	void *_Atomic mail[WINDOW / PASSED_EACH];
};

static struct worker *workers;
static struct mix *mix;
static pthread_t threads[CREW_MOST];
static pthread_barrier_t ready;

static struct {
	void (*prepare)(struct worker *worker);
	uint64_t (*turn)(struct worker *worker); /* returns operations */
} job;

static bool goes_on(const struct worker *worker)
{
	return parameters.ops ? worker->done < parameters.ops / parameters.threads
			      : now_ns() < deadline;
}

static void work(struct worker *worker)
{
	do
		worker->done += job.turn(worker);
	while (goes_on(worker));
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;

	job.prepare(worker);
	pthread_barrier_wait(&ready);
	work(worker);
	return NULL;
}

/* All threads but this one are started, and wait when they are prepared. */
static void crew_prepare(void (*prepare)(struct worker *), uint64_t (*turn)(struct worker *))
{
	job.prepare = prepare;
	job.turn = turn;
	workers = map_resident(parameters.threads * sizeof(*workers));
	if (pthread_barrier_init(&ready, NULL, (unsigned)parameters.threads))
		fail("bench: no barrier\n");
	for (uint64_t i = 0; i < parameters.threads; i++) {
		workers[i].random = random_seed(i);
		workers[i].blocks = map_resident(parameters.live * sizeof(*workers[i].blocks));
		if (i && pthread_create(&threads[i], NULL, worker_main, &workers[i]))
			fail("bench: cannot start a thread\n");
	}
	job.prepare(&workers[0]);
}

static uint64_t crew_step(void)
{
	uint64_t total;

	pthread_barrier_wait(&ready);
	work(&workers[0]);
	total = workers[0].done;
	for (uint64_t i = 1; i < parameters.threads; i++) {
		pthread_join(threads[i], NULL);
		total += workers[i].done;
	}
	return total;
}

/* ------------------------------------------------------------------------ filled */

static size_t filled_size(uint64_t *random)
{
	uint64_t bits = random_next(random) >> 32 | 1u << FILLED_MOST;

	return (size_t)8 << __builtin_ctzll(bits);
}

static uint64_t sum_of(const unsigned char *block, size_t size)
{
	uint64_t sum = 0, word;

	for (size_t i = 0; i < size; i += sizeof(word)) {
		memcpy(&word, block + i, sizeof(word));
		sum += word;
	}
	return sum;
}

/* The first byte tells the size. */
static unsigned char *allocate_filled(uint64_t *random)
{
	size_t size = filled_size(random);
	unsigned char *block = allocate(size);

	return memset(block, __builtin_ctzll(size), size);
}

static void filled_prepare_worker(struct worker *worker)
{
	for (uint64_t i = 0; i < parameters.live; i++)
		worker->blocks[i] = allocate_filled(&worker->random);
}

static uint64_t filled_turn(struct worker *worker)
{
	uint64_t random = worker->random;

	for (unsigned i = 0; i < WINDOW; i++) {
		unsigned char **place =
			&worker->blocks[random_below(&random, (uint32_t)parameters.live)];

		worker->sum += sum_of(*place, (size_t)1 << **place);
		free(*place);
		*place = allocate_filled(&random);
	}
	worker->random = random;
	return WINDOW;
}

static void filled_prepare(void)
{
	crew_prepare(filled_prepare_worker, filled_turn);
}

/* ------------------------------------------------------------------------ halves */

static uint64_t halves_turn(struct worker *worker)
{
	uint64_t live = parameters.live, done;
	size_t size = parameters.size;

	for (done = 0; done < WINDOW; done += live) {
		for (uint64_t i = 0; i < live; i++)
			worker->blocks[i] = memset(allocate(size), (int)i, size);
		for (uint64_t i = 0; i < live / 2; i++)
			free(worker->blocks[i]);
		for (uint64_t i = live; i-- > live / 2;)
			free(worker->blocks[i]);
	}
	return done;
}

static void halves_prepare_worker(struct worker *worker)
{
	for (unsigned i = 0; i < 100; i++)
		halves_turn(worker);
}

static void halves_prepare(void)
{
	crew_prepare(halves_prepare_worker, halves_turn);
}

/* ------------------------------------------------------------------------ passed */

/* The first word of a block is its size; all bytes behind it are the size's lowest. */
static unsigned char *allocate_marked(uint64_t *random)
{
	uint64_t size = mix_size(mix, random);
	unsigned char *block = allocate(size);

	memcpy(block, &size, sizeof(size));
	memset(block + sizeof(size), (int)size, size - sizeof(size));
	return block;
}

static void free_marked(unsigned char *block)
{
	uint64_t size;

	if (!block)
		return;
	memcpy(&size, block, sizeof(size));
	block += sizeof(size); /* each byte is as the one before it */
	if (block[0] != (unsigned char)size || memcmp(block, block + 1, size - sizeof(size) - 1))
		fail("bench: a block of %llu bytes is not what was written\n",
		     (unsigned long long)size);
	free(block - sizeof(size));
}

/* The slots of a window in turns; what of it goes to another thread leaves an empty slot. */
static uint64_t passed_turn(struct worker *worker)
{
	uint64_t next = (uint64_t)(worker - workers + 1) % parameters.threads;
	uint64_t random = worker->random;

	for (unsigned i = 0; i < WINDOW; i++) {
		free_marked(worker->blocks[i]);
		worker->blocks[i] = allocate_marked(&random);
		if (i % PASSED_EACH)
			continue;
		free_marked(
			atomic_exchange(&workers[next].mail[i / PASSED_EACH], worker->blocks[i]));
		worker->blocks[i] = atomic_exchange(&worker->mail[i / PASSED_EACH], NULL);
	}
	worker->random = random;
	return WINDOW;
}

static void passed_prepare_worker(struct worker *worker)
{
	(void)worker;
}

/* The less likely the larger, linearly: the smaller one of two sizes that are equally likely. */
static void passed_prepare(void)
{
	struct mix *other = map_resident(sizeof(*other));
	uint64_t random = random_seed(1);

	if (parameters.least < 16 || parameters.live < WINDOW)
		fail("bench: passed needs least=16 or more, live=%u or more\n", WINDOW);
	mix = map_resident(sizeof(*mix));
	mix_uniform(mix, (uint32_t)parameters.least, (uint32_t)parameters.most);
	*other = *mix;
	for (unsigned i = 0; i < MIX_SIZES; i++) {
		uint32_t size = other->sizes[random_below(&random, MIX_SIZES)];

		if (size < mix->sizes[i])
			mix->sizes[i] = size;
	}
	crew_prepare(passed_prepare_worker, passed_turn);
}

const struct workload filled_workloads[] = {
	{ "filled", filled_prepare, crew_step, ONCE, NULL },
	{ "halves", halves_prepare, crew_step, ONCE, NULL },
	{ "passed", passed_prepare, crew_step, ONCE, NULL },
	{ NULL, NULL, NULL, ONCE, NULL },
};
