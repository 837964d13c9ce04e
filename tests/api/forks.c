/* SPDX-License-Identifier: MIT */
/*
 * A library that has something to do when the process forks, and waits for a
 * thread of its own to end, which has allocated. It was there before the
 * allocator, as far as it knows; the allocator must not hold its locks by then.
 *
 *	forks NAME	NAME is for the name of the test
 *
 * With -DLIBRARY it is that library.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef LIBRARY
static pthread_t thread;
static bool runs;
static _Atomic bool ending;

static void *worker(void *unused)
{
	while (!ending)
		free(malloc(100));
	return unused;
}

void start_worker(void)
{
	ending = false;
	runs = pthread_create(&thread, NULL, worker, NULL) == 0;
}

static void stop_worker(void)
{
	ending = true;
	if (runs)
		pthread_join(thread, NULL);
	runs = false;
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(stop_worker, NULL, NULL);
}
#else
void start_worker(void);

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "forks";
	int status = -1;

	alarm(300); /* a deadlock ends the program */
	for (unsigned i = 0; i < 100; i++) {
		pid_t pid;

		start_worker();
		usleep(i % 10 * 100);
		pid = fork();
		if (!pid) {
			free(malloc(100));
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
			printf("FAIL %s-waits-for-a-thread: status %d\n", name, status);
			return 1;
		}
	}
	printf("ok %s-waits-for-a-thread\n", name);
	return 0;
}
#endif
