/* SPDX-License-Identifier: MIT */
/*
 * What it costs to have the library in a process.
 *
 *	footprint true LIBRARY	`true` with it preloaded and without: time, memory, faults
 *	footprint idle		bytes of anonymous memory of a process that does nothing
 *	footprint churn		resident bytes of a process when the last of 2000 threads has
 *				ended, 8 at a time, 10000 operations each
 *	footprint growth	these threads, the first 104 of which wait for each other, so
 *				that as much as 8 can need is needed from the start
 *
 * Times are told; bytes and counts are judged.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hakmem/stats.h>

#define RUNS	   31
#define MOST_TRUE  20 /* faults more than without: pages that it touches */
#define THREADS	   2000
#define AT_ONCE	   8
#define WARM	   104
#define OPERATIONS 10000
#define HELD	   200

__attribute__((weak)) void hak_stats_read(struct hak_stats *stats, size_t size);

struct cost {
	uint64_t us, kib, faults;
};

static int ascending(const void *one, const void *two)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)two;

	return a < b ? -1 : a > b;
}

static uint64_t median(uint64_t *values)
{
	qsort(values, RUNS, sizeof(*values), ascending);
	return values[RUNS / 2];
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool run_true(char *preload, struct cost *cost)
{
	static uint64_t us[RUNS], kib[RUNS], faults[RUNS];
	char *const command[] = { "/bin/true", NULL }, *environment[] = { preload, NULL };

	for (unsigned i = 0; i < RUNS; i++) {
		uint64_t start = now_us();
		struct rusage usage;
		int status;
		pid_t pid;

		if (posix_spawn(&pid, command[0], NULL, NULL, command, environment) ||
		    wait4(pid, &status, 0, &usage) != pid || status)
			return false;
		us[i] = now_us() - start;
		kib[i] = (uint64_t)usage.ru_maxrss;
		faults[i] = (uint64_t)usage.ru_minflt;
	}
	*cost = (struct cost){ median(us), median(kib), median(faults) };
	return true;
}

static int test_true(const char *library)
{
	struct cost with, without;
	char preload[4096];

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
	if (!run_true(NULL, &without) || !run_true(preload, &with)) {
		printf("FAIL true: it cannot be run\n");
		return 1;
	}
	printf("true: %lu us, %lu KiB, %lu faults; with the library %lu us, %lu KiB, %lu faults\n",
	       without.us, without.kib, without.faults, with.us, with.kib, with.faults);
	if (with.faults <= without.faults || with.faults > without.faults + MOST_TRUE) {
		printf("FAIL true: %ld faults more\n", (long)(with.faults - without.faults));
		return 1;
	}
	printf("ok true (%lu faults more)\n", with.faults - without.faults);
	return 0;
}

/* A line of smaps, in bytes: exact, as VmRSS is not. Without stdio, which would allocate. */
static uint64_t memory(const char *name)
{
	char text[4096] = "";
	int file = open("/proc/self/smaps_rollup", O_RDONLY);
	ssize_t n = read(file, text, sizeof(text) - 1);
	const char *line = n > 0 ? strstr(text, name) : NULL;

	close(file);
	return line ? strtoull(strchr(line, ':') + 1, NULL, 10) << 10 : 0;
}

static int test_idle(void)
{
	void *volatile block = malloc(100);

	free(block);
	usleep(100000);
	/* pages of files are shared, and how many of them are mapped differs from run to run */
	printf("%lu\n", memory("\nAnonymous:"));
	return 0;
}

/* So that all that run at once have what they need; else some end before others begin. */
static pthread_barrier_t all_there;
static bool warming;

static void *churn(void *number)
{
	uint64_t seed = (uintptr_t)number * 7919 + 1;
	void *block[HELD] = { NULL };

	for (unsigned i = 0; i < OPERATIONS; i++) {
		unsigned slot = (seed = seed * 6364136223846793005u + 1) >> 33;
		size_t size = 16 + (seed >> 40) % 1000;

		free(block[slot % HELD]);
		block[slot % HELD] = malloc(size);
		if (!block[slot % HELD])
			return NULL;
		memset(block[slot % HELD], 1, 16);
	}
	if (warming)
		pthread_barrier_wait(&all_there);
	for (unsigned i = 0; i < HELD; i++)
		free(block[i]);
	return number;
}

static bool churn_some(uintptr_t n)
{
	pthread_t thread[AT_ONCE];

	for (uintptr_t i = 0; i < n; i += AT_ONCE) {
		for (uintptr_t t = 0; t < AT_ONCE; t++)
			if (pthread_create(&thread[t], NULL, churn, (void *)(i + t + 1)))
				return false;
		for (uintptr_t t = 0; t < AT_ONCE; t++) {
			void *result;

			pthread_join(thread[t], &result);
			if (!result)
				return false;
		}
	}
	return true;
}

static int test_growth(uintptr_t n)
{
	struct hak_stats warm, end;
	uint64_t start = now_us();

	pthread_barrier_init(&all_there, NULL, AT_ONCE);
	warming = true;
	if (!hak_stats_read || !churn_some(WARM))
		return printf("FAIL churn-growth: without the library, or without threads\n");
	warming = false;
	hak_stats_read(&warm, sizeof(warm));
	if (!churn_some(n - WARM))
		return printf("FAIL churn-growth: no threads any more\n");
	hak_stats_read(&end, sizeof(end));
	printf("churn: %lu threads in %lu ms; %lu and %lu KiB for descriptors, "
	       "%lu and %lu SuperSlabs at most\n",
	       (unsigned long)n, (now_us() - start) / 1000, warm.meta_bytes >> 10,
	       end.meta_bytes >> 10, warm.superslabs_peak, end.superslabs_peak);
	if (end.meta_bytes > warm.meta_bytes || end.superslabs_peak > warm.superslabs_peak ||
	    end.caches > warm.caches)
		return printf("FAIL churn-growth: it grows\n");
	printf("ok churn-growth\n");
	return 0;
}

static int test_churn(uintptr_t n)
{
	if (!churn_some(n))
		return 1;
	printf("%lu\n", memory("\nRss:"));
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 2 && !strcmp(argv[1], "true"))
		return test_true(argv[2]);
	if (argc > 1 && !strcmp(argv[1], "idle"))
		return test_idle();
	if (argc > 1 && !strcmp(argv[1], "churn"))
		return test_churn(THREADS);
	if (argc > 1 && !strcmp(argv[1], "growth"))
		return test_growth(THREADS) != 0;
	return 2;
}
