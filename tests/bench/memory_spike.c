/* SPDX-License-Identifier: MIT */
/*
 * A heap that was large once: what is left of it when its blocks were freed.
 *
 * small: a million blocks of 16 bytes, freed in the order of allocation, in
 * reverse, or at random. The smallest blocks are where bookkeeping and what
 * caches keep back weigh most.
 *
 * spike: a server after its worst minute. Eight threads allocate 160 MiB each,
 * in sizes from 32 bytes to 4 KiB, and free all, or all but one block in 16;
 * their own, or (neighbour) those of another thread, as when requests wander
 * through a pipeline. Then they wait for work, or do a little (light=1). Many
 * an allocator looks for what it could give back only where it is slow, and
 * neither comes there.
 *
 * idle: a smaller spike, after which the process has nothing to do: a thread
 * that gives memory back must have come to rest, or it drains batteries.
 */
#define _GNU_SOURCE /* getdents64 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"

#define SMALL_BLOCKS   1000000u
#define THREADS	       8u
#define THREAD_BYTES   (160 * MIB)
#define IDLE_BYTES     (64 * MIB)
#define SURVIVES_1_OF  16u
#define LEAST	       32u
#define MOST	       4096u
#define LIKELY_AVERAGE 838u /* (MOST - LEAST) / ln(MOST / LEAST) */
#define LIGHT_PAIRS    100u
#define LIGHT_MS       100u

/* What one thread has allocated. */
struct worker {
	pthread_t thread;
	uint64_t random;
	struct worker *frees_of; /* itself or its neighbour */
	struct block *blocks;
	size_t count, room;
};

static struct mix mix;
static struct worker workers[THREADS];
static bool scattered;
static uint64_t thread_bytes;
static pthread_barrier_t barrier;
static atomic_bool stop;

static void shuffle(struct block *blocks, uint32_t n)
{
	uint64_t random = random_seed(0);

	for (; n > 1; n--) {
		uint32_t other = random_below(&random, n);
		struct block block = blocks[other];

		blocks[other] = blocks[n - 1];
		blocks[n - 1] = block;
	}
}

void run_small(const char *variant)
{
	static struct hak_stats stats;
	struct block *blocks = map_resident(SMALL_BLOCKS * sizeof(*blocks));
	bool reverse = !strcmp(variant, "reverse");
	uint64_t peak;

	net_begin();
	for (uint32_t i = 0; i < SMALL_BLOCKS; i++)
		blocks[i] = block_new(16);
	peak = net();
	if (!strcmp(variant, "random"))
		shuffle(blocks, SMALL_BLOCKS);
	blocks_check(blocks, SMALL_BLOCKS);
	for (uint32_t i = 0; i < SMALL_BLOCKS; i++)
		block_free(&blocks[reverse ? SMALL_BLOCKS - 1 - i : i]);
	sleep_ms(1000);
	print("small %s peak_kib=%llu net_kib=%llu", variant, (unsigned long long)(peak / KIB),
	      (unsigned long long)(net() / KIB));
	if (read_stats(&stats))
		print(" phantoms=%llu", (unsigned long long)stats.superslabs_phantom);
	print("\n");
}

static void worker_init(struct worker *worker, uint64_t bytes)
{
	worker->random = random_seed((uint64_t)(worker - workers));
	worker->room = bytes / LIKELY_AVERAGE * 5 / 4;
	worker->blocks = map_resident(worker->room * sizeof(*worker->blocks));
}

static void worker_allocate(struct worker *worker, uint64_t bytes)
{
	for (uint64_t live = 0; live < bytes; worker->count++) {
		if (worker->count == worker->room)
			fail("memory: the sizes are smaller than they can be\n");
		worker->blocks[worker->count] = block_new(mix_size(&mix, &worker->random));
		live += worker->blocks[worker->count].size;
	}
}

static void worker_free(struct worker *worker, struct worker *owner)
{
	for (size_t i = 0; i < owner->count; i++)
		if (!scattered || random_below(&worker->random, SURVIVES_1_OF))
			block_free(&owner->blocks[i]);
}

static void work_lightly(struct worker *worker)
{
	for (unsigned i = 0; i < LIGHT_PAIRS; i++) {
		struct block block = block_new(mix_size(&mix, &worker->random));

		block_free(&block);
	}
}

/* Main takes part in every meeting, and measures the process in between. */
static void meet(void)
{
	pthread_barrier_wait(&barrier);
}

/* What the threads do between the two; returns how long it took, in ns. */
static uint64_t meet_twice(void)
{
	uint64_t start;

	meet();
	start = now_ns();
	meet();
	return now_ns() - start;
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;

	meet(); /* all threads exist */
	worker_allocate(worker, thread_bytes);
	meet(); /* this is the peak */
	meet();
	worker_free(worker, worker->frees_of);
	meet(); /* all is freed that is to be */
	while (options.light && !stop) {
		work_lightly(worker);
		sleep_ms(LIGHT_MS);
	}
	meet();
	return NULL;
}

static void start_workers(bool neighbour)
{
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (unsigned i = 0; i < THREADS; i++) {
		struct worker *worker = &workers[i];

		worker_init(worker, thread_bytes);
		worker->frees_of = &workers[neighbour ? (i + 1) % THREADS : i];
		if (pthread_create(&worker->thread, NULL, worker_main, worker))
			fail("memory: cannot start a thread\n");
	}
}

/* The least that can be @left when the survivors stay where they are, and a limit. */
static void print_floor(uint64_t left)
{
	uint64_t live = 0, floor;

	floor_begin();
	for (struct worker *worker = workers; worker < workers + THREADS; worker++) {
		floor_add(worker->blocks, worker->count);
		for (size_t i = 0; i < worker->count; i++)
			live += worker->blocks[i].base ? worker->blocks[i].size : 0;
	}
	floor = floor_end();
	print(" live_mib=%.1f floor_mib=%.1f ratio=%.3f limit_mib=%.1f", (double)live / MIB,
	      (double)floor / MIB, (double)left / (double)floor, (double)floor * 1.1 / MIB + 6);
}

void run_spike(const char *variant)
{
	uint64_t peak, left, took, blocks = 0;

	thread_bytes = options.mib ? options.mib * MIB / THREADS : THREAD_BYTES;
	scattered = strcmp(variant, "all") && strcmp(variant, "neighbour-all");
	mix_log_uniform(&mix, LEAST, MOST);
	start_workers(!strncmp(variant, "neighbour", 9));
	net_begin();
	trace_begin();
	took = meet_twice();
	peak = net();
	took += meet_twice();
	sleep_ms(options.settle);
	left = net();
	for (struct worker *worker = workers; worker < workers + THREADS; worker++)
		blocks += worker->count;
	print("spike %s light=%llu ns=%.3f ops=%llu peak_kib=%llu own_kib=%llu"
	      " peak_mib=%.1f net_mib=%.1f",
	      variant, (unsigned long long)options.light, (double)took / (double)blocks,
	      (unsigned long long)blocks, (unsigned long long)peak_kib(),
	      (unsigned long long)own_kib(), (double)peak / MIB, (double)left / MIB);
	if (scattered)
		print_floor(left);
	print("\n");
	trace_end();
	stop = true;
	meet();
	for (struct worker *worker = workers; worker < workers + THREADS; worker++) {
		pthread_join(worker->thread, NULL);
		blocks_check(worker->blocks, worker->count);
	}
}

/* How often all threads but this one gave up the processor so far; how many. */
static uint64_t switches_of_others(unsigned *threads)
{
	static char entries[4096];
	int directory = open("/proc/self/task", O_RDONLY | O_DIRECTORY);
	uint64_t switches = 0;
	ssize_t n;

	*threads = 0;
	while ((n = getdents64(directory, entries, sizeof(entries))) > 0) {
		for (char *at = entries; at < entries + n;) {
			const struct dirent64 *entry = (const void *)at;
			char path[64];

			at += entry->d_reclen;
			if (entry->d_name[0] == '.')
				continue;
			++*threads;
			if (atoi(entry->d_name) == getpid())
				continue;
			snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", entry->d_name);
			switches += read_number(path, "\nvoluntary_ctxt_switches:");
			switches += read_number(path, "\nnonvoluntary_ctxt_switches:");
		}
	}
	close(directory);
	return switches;
}

void run_idle(const char *variant)
{
	struct worker *worker = workers;
	unsigned threads, threads_then;
	uint64_t before, after;

	scattered = !strcmp(variant, "scattered");
	mix_log_uniform(&mix, LEAST, MOST);
	worker_init(worker, IDLE_BYTES);
	net_begin();
	worker_allocate(worker, IDLE_BYTES);
	worker_free(worker, worker);
	sleep_ms(options.settle);
	before = switches_of_others(&threads);
	sleep_ms(5000);
	after = switches_of_others(&threads_then);
	if (threads != threads_then)
		fail("memory: %u threads have become %u in an idle process\n", threads,
		     threads_then);
	print("idle %s threads=%u switches=%llu net_mib=%.1f\n", variant, threads,
	      (unsigned long long)(after - before), (double)net() / MIB);
	blocks_check(worker->blocks, worker->count);
}
