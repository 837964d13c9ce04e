/* SPDX-License-Identifier: MIT */
/*
 * fork() in a signal handler that interrupts malloc, beside more threads in the allocator than
 * there are CPUs: many of them lose their CPU with a lock held. Others scan, or fork, too. In
 * the child no lock may be left to a thread that is not there.
 *
 *	forkbusy NAME [FORKS [TEST]]		NAME is for the names of the tests
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

#define THREADS 12
#define BLOCKS	600

static int most_forks = 30;
static volatile sig_atomic_t forks, is_child, bad;
static _Atomic bool done;

/* Sizes whose magazines hold few blocks: the slow paths come often. */
static size_t size_of(unsigned i)
{
	return 16 + (size_t)(i * 2654435761u >> 8) % 9000;
}

static void use_heap(void)
{
	void *block[BLOCKS];

	for (unsigned i = 0; i < BLOCKS; i++)
		block[i] = malloc(size_of(i));
	for (unsigned i = 0; i < BLOCKS; i++)
		free(block[i]);
}

static void *until_done(void *unused)
{
	while (!done)
		use_heap();
	return unused;
}

static void *scan_until_done(void *unused)
{
	while (!done)
		malloc_trim(0);
	return unused;
}

static void *fork_until_done(void *unused)
{
	while (!done) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		child_status(pid);
		usleep(3000);
	}
	return unused;
}

static void *use_heap_once(void *unused)
{
	use_heap();
	return unused;
}

static void judge_child(void)
{
	pthread_t thread;

	use_heap();
	if (pthread_create(&thread, NULL, use_heap_once, NULL))
		_exit(10);
	pthread_join(thread, NULL);
	malloc_trim(0);
	_exit(0);
}

static void fork_in_handler(int signal)
{
	int saved = errno, status;
	pid_t pid;

	(void)signal;
	if (is_child || forks >= most_forks)
		return;
	pid = fork();
	if (!pid) {
		alarm(HANGS);
		is_child = true;
	} else {
		status = child_status(pid);
		forks++;
		if (status) {
			bad++;
			printf("child %d: status %x\n", (int)forks, status);
		}
	}
	errno = saved;
}

static void fork_beside(void *(*other)(void *))
{
	const struct itimerval every = { { 0, 7000 }, { 0, 7000 } }, never = { 0 };
	pthread_t thread[THREADS];
	sigset_t alarms;

	forks = bad = 0;
	done = false;
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGVTALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, i ? until_done : other, NULL);
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	signal(SIGVTALRM, fork_in_handler);
	setitimer(ITIMER_VIRTUAL, &every, NULL);
	while (forks < most_forks) {
		use_heap();
		if (is_child)
			judge_child();
	}
	setitimer(ITIMER_VIRTUAL, &never, NULL);
	done = true;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	CHECK(!bad);
}

static void fork_beside_threads(void)
{
	fork_beside(until_done);
}

static void fork_beside_scan(void)
{
	fork_beside(scan_until_done);
}

static void fork_beside_fork(void)
{
	fork_beside(fork_until_done);
}

static const struct api_test tests[] = {
	TEST(fork_beside_threads),
	TEST(fork_beside_scan),
	TEST(fork_beside_fork),
};

int main(int argc, char **argv)
{
	if (argc > 2)
		most_forks = atoi(argv[2]);
	if (argc > 3)
		argv[2] = argv[3];
	return run_tests(argc > 3 ? 3 : 2, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
