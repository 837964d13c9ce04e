/* SPDX-License-Identifier: MIT */
/*
 * Programs whose heaps map.sh dumps and draws.
 *
 *	map known	1000 blocks of 100 bytes live, of 3000; a large block, half of which is
 *			touched; and blocks of 15 other sizes
 *	map busy	signals all the time, while two threads allocate and free
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LARGE ((size_t)16 << 20)

static void *kept[3000];

static int known(void)
{
	char *large = malloc(LARGE);

	memset(large, 1, LARGE / 2);
	for (int i = 1; i < 16; i++)
		for (int j = 0; j < 600 / i; j++)
			memset(malloc(256 * i), 1, 256 * i);
	for (int i = 0; i < 3000; i++)
		kept[i] = malloc(100);
	raise(SIGUSR1);
	for (int i = 0; i < 2000; i++)
		free(kept[i]);
	free(large);
	return 0;
}

static volatile sig_atomic_t stop;

/* Much of the time a lock is held: large blocks take that of all SuperSlabs each time. */
static void *churn(void *unused)
{
	void *blocks[50];

	while (!stop) {
		for (int i = 0; i < 50; i++)
			blocks[i] = malloc(1200000 + 65536 * i);
		for (int i = 0; i < 50; i++)
			free(blocks[i * 7 % 50]);
	}
	return unused;
}

static int busy(void)
{
	struct timespec pause = { .tv_nsec = 500000 };
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (int i = 0; i < 200; i++) {
		pthread_kill(threads[i % 2], SIGUSR1);
		nanosleep(&pause, NULL);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action;

	if (argc < 2)
		return 2;
	sigaction(SIGUSR1, NULL, &action);
	if (action.sa_handler == SIG_DFL) /* the library has no handler */
		signal(SIGUSR1, SIG_IGN);
	return strcmp(argv[1], "busy") ? known() : busy();
}
