/* SPDX-License-Identifier: MIT */
/*
 * fork() in a signal handler at any instruction of a thread's first malloc, of its end, and
 * of slow paths: the processor traps after each instruction. The child goes on where the
 * thread was interrupted. Its heap must be in order then, with one owner of a cache, for the
 * threads that it starts as well. If two threads are in such handlers at once, a child may also
 * find that its heap is not in order. Then it says so and stops, and does not wait for ever.
 *
 *	forksteps NAME [CHILDREN STEPS]	NAME is for the names of the tests. Each time that the
 *					number of steps has grown by the factor 2.7 there were
 *					about so many children; after so many steps the rest
 *					of a case is done at once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

#include <hakmem/stats.h>

#include "check.h"

#define TRAP	0x100 /* of the flags */
#define THREADS 3
#define BLOCKS	300

__attribute__((weak)) void hak_stats_read(struct hak_stats *stats, size_t size);
__attribute__((weak)) const char *hak_check(void);

static pid_t (*forks[2])(void) = { fork, fork };
static __thread volatile bool stepping;
static __thread volatile unsigned steps, next_child, own_children;
static volatile bool is_child, together;
static _Atomic unsigned children, stopped, bad, arrived;

/* The first steps are where a cache changes hands. Of the others, many are in memset(). */
static unsigned many = 8, most_steps = 12000;

static unsigned next_step(unsigned step)
{
	static unsigned long seed;

	if (!seed)
		seed = (unsigned long)getpid();
	seed = seed * 6364136223846793005ul + 1442695040888963407ul;
	return step + 1 + (unsigned)((seed >> 33) % (2 * (step + 400) / many + 1));
}

static void note_child(pid_t pid, int words)
{
	int status = child_status(pid);
	char last[200] = "";

	children++;
	own_children++;
	if (read(words, last, sizeof(last) - 1) < 0 || (status && !strstr(last, "handler"))) {
		bad++;
		printf("after %u steps: status %x: %s\n", steps, status, last);
	}
	stopped += status != 0;
}

static void step(int signal, siginfo_t *info, void *context)
{
	greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
	int saved = errno, words[2];
	pid_t pid;

	(void)signal, (void)info;
	if (!stepping || steps == most_steps) {
		*flags &= ~TRAP;
		return;
	}
	if (steps++ != next_child || pipe(words))
		return;
	next_child = next_step(steps);
	for (unsigned tries = 0, first = ++arrived; together && tries < 30; tries++)
		if (arrived != first || usleep(100))
			break;
	pid = forks[own_children % 2]();
	if (!pid) {
		alarm(HANGS);
		is_child = true;
		stepping = false;
		*flags &= ~TRAP;
		dup2(words[1], STDERR_FILENO);
	} else {
		close(words[1]);
		note_child(pid, words[0]);
		close(words[0]);
	}
	errno = saved;
}

static inline __attribute__((always_inline)) void start_steps(void)
{
	steps = 0;
	next_child = next_step(0);
	stepping = true;
	__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
}

/* ------------------------------------------------------------------------ in the child */

static pthread_barrier_t all_have_caches;

static void *use_heap(void *number)
{
	unsigned char *block[BLOCKS], with = (unsigned char)(size_t)number;
	bool good = true;

	block[0] = malloc(1);
	pthread_barrier_wait(&all_have_caches);
	free(block[0]);
	for (unsigned turn = 0; turn < 2; turn++) {
		for (unsigned i = 0; i < BLOCKS; i++) {
			block[i] = malloc(i % 70 * 16 + 1);
			good &= block[i] != NULL;
			if (block[i])
				memset(block[i], with, i % 70 * 16 + 1);
		}
		for (unsigned i = 0; i < BLOCKS; i++) {
			good &= block[i] && is_filled(block[i], with, i % 70 * 16 + 1);
			free(block[i]);
		}
	}
	return good ? number : NULL;
}

static uint64_t caches(void)
{
	static struct hak_stats stats;

	hak_stats_read(&stats, sizeof(stats));
	return stats.caches;
}

/* What is wrong? 0 if nothing. */
static int judge_child(void)
{
	pthread_t thread[THREADS];
	const char *complaint;
	void *result;

	free(malloc(1)); /* this thread has a cache, if it can have one */
	if (hak_stats_read && caches() > 1)
		return 10;
	pthread_barrier_init(&all_have_caches, NULL, THREADS + 1);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, use_heap, (void *)(i + 2)))
			return 11;
	if (!use_heap((void *)1))
		return 12;
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_join(thread[i], &result) || !result)
			return 13;
	if (hak_stats_read && caches() > 1)
		return 14;
	malloc_trim(0); /* what the scan of another thread had claimed is free again */
	complaint = hak_check && !together ? hak_check() : NULL;
	if (complaint)
		dprintf(STDERR_FILENO, "%s", complaint);
	return complaint ? 15 : 0;
}

/* A child that was forked while its thread ended comes here as its last thread ends. */
static void at_exit(void)
{
	if (is_child)
		_exit(judge_child());
}

/* ------------------------------------------------------------------------- the threads */

static void first_malloc(void)
{
	void *volatile block;

	start_steps();
	block = malloc(100);
	stepping = false;
	if (is_child)
		_exit(judge_child());
	free(block);
}

/* Blocks of which a magazine holds few. */
static void step_through_slow_paths(void)
{
	void *block[12];

	start_steps();
	for (unsigned i = 0; i < 12; i++)
		block[i] = malloc(30000);
	for (unsigned i = 0; i < 12; i++)
		free(block[i]);
	stepping = false;
}

static void slow_paths(void)
{
	free(malloc(100));
	step_through_slow_paths();
	if (is_child)
		_exit(judge_child());
}

/* Also such as take no magazine, and the scan. */
static void large_blocks(void)
{
	static void *block[2];

	free(malloc(100));
	start_steps();
	block[0] = calloc(3, 100000);
	block[1] = memalign(1 << 16, 3 << 20);
	block[0] = realloc(block[0], 5 << 20);
	free(block[1]);
	free(block[0]);
	malloc_trim(0);
	stepping = false;
	if (is_child)
		_exit(judge_child());
}

static pthread_key_t last_key;

/* The key is younger than the library's, and so its destructor is called later. */
static void stop_steps(void *unused)
{
	(void)unused;
	stepping = false;
}

static void end(void)
{
	void *block[40];

	for (unsigned i = 0; i < 40; i++)
		block[i] = malloc(30 * i);
	for (unsigned i = 0; i < 40; i++)
		free(block[i]);
	pthread_setspecific(last_key, &last_key);
	start_steps();
}

static void *call(void *function)
{
	((void (*)(void))function)();
	return NULL;
}

static pthread_barrier_t others_go_on;

static void *have_cache(void *unused)
{
	free(malloc(100));
	pthread_barrier_wait(&others_go_on);
	pthread_barrier_wait(&others_go_on);
	return unused;
}

/* Step through threads; two others have caches meanwhile, which a child does not have. */
static void step_through(void (*function)(void))
{
	pthread_t other[2], thread;

	pthread_barrier_init(&others_go_on, NULL, 3);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&other[i], NULL, have_cache, NULL);
	pthread_barrier_wait(&others_go_on);
	children = bad = 0;
	for (unsigned turn = 0; turn < 2; turn++) {
		pthread_create(&thread, NULL, call, (void *)function);
		pthread_join(thread, NULL);
	}
	pthread_barrier_wait(&others_go_on);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(other[i], NULL);
	CHECK(children && !stopped && !bad);
}

static void steps_of_attach(void)
{
	step_through(first_malloc);
}

static void steps_of_detach(void)
{
	step_through(end);
}

static void steps_of_slow_paths(void)
{
	step_through(slow_paths);
}

static void steps_of_large_blocks(void)
{
	step_through(large_blocks);
}

#define TOGETHER 40

/* So many children, as a rule where the other thread forks as well. */
static void *fork_together(void *unused)
{
	free(malloc(100));
	while (own_children < TOGETHER && !is_child)
		step_through_slow_paths();
	if (is_child)
		_exit(judge_child());
	return unused;
}

static void steps_of_two_threads(void)
{
	pthread_t other;

	children = stopped = bad = 0;
	together = true;
	pthread_create(&other, NULL, fork_together, NULL);
	fork_together(NULL);
	pthread_join(other, NULL);
	together = false;
	CHECK(children >= 2 * TOGETHER && !bad);
}

static const struct api_test tests[] = {
	TEST(steps_of_attach),	     TEST(steps_of_detach),	 TEST(steps_of_slow_paths),
	TEST(steps_of_large_blocks), TEST(steps_of_two_threads),
};

int main(int argc, char **argv)
{
	const struct sigaction action = { .sa_sigaction = step, .sa_flags = SA_SIGINFO };
	size_t n = sizeof(tests) / sizeof(tests[0]);

	if (argc > 1 && (!strcmp(argv[1], "forksteps") || !strcmp(argv[1], "forksteps-linked")))
		forks[1] = _Fork; /* this is the shared library's */
	/* there the first one waits for seconds: libc does not let the second one come to us */
	if (argc > 1 && strstr(argv[1], "static"))
		n--;
	if (argc > 2)
		many = (unsigned)atoi(argv[2]);
	if (argc > 3)
		most_steps = (unsigned)atoi(argv[3]);
	free(malloc(8 << 20)); /* the library's thread begins now, if there is to be one */
	atexit(at_exit);
	pthread_key_create(&last_key, stop_steps);
	sigaction(SIGTRAP, &action, NULL);
	return run_tests(2, argv, tests, n);
}
