/* SPDX-License-Identifier: MIT */
/*
 * More threads than CPUs, each with a few blocks that come and go, so that a thread may be
 * stopped at any instruction while its magazines are scanned. No block may have two owners.
 *
 *	emulated SECONDS
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 12u
#define BLOCKS	5u
#define WORDS	8u /* every fourth is read, so that malloc and free take most of the time */
#define STEP	4u

static _Atomic bool over;
static _Atomic unsigned long operations;

struct block {
	uint64_t word[WORDS];
};

static uint64_t mark(uint64_t owner, unsigned i)
{
	return owner << 32 | i;
}

static void set(struct block *block, uint64_t value)
{
	for (unsigned i = 0; i < WORDS; i += STEP)
		((volatile uint64_t *)block->word)[i] = value;
}

static bool has(const struct block *block, uint64_t value)
{
	for (unsigned i = 0; i < WORDS; i += STEP)
		if (((const volatile uint64_t *)block->word)[i] != value)
			return false;
	return true;
}

static void *owner_runs(void *number)
{
	struct block *block[BLOCKS] = { NULL };
	uint64_t me = (uintptr_t)number, done = 0;
	unsigned random = (unsigned)me * 2654435761u | 1;

	for (; !over; done++) {
		unsigned i = (random = random * 1103515245u + 12345u) >> 16 & 7;

		if (i >= BLOCKS)
			continue;
		if (!block[i]) {
			block[i] = malloc(sizeof(struct block));
			set(block[i], mark(me, i));
			continue;
		}
		if (!has(block[i], mark(me, i))) {
			printf("FAIL a block has two owners\n");
			fflush(stdout);
			_exit(1);
		}
		set(block[i], 0);
		free(block[i]);
		block[i] = NULL;
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		free(block[i]);
	operations += done;
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 10;
	pthread_t thread[THREADS];
	char *large = malloc(8 << 20); /* large enough a heap to be scanned */

	memset(large, 1, 8 << 20);
	free(large);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, owner_runs, (void *)(i + 1)))
			return 2;
	while (seconds--) {
		sleep(1);
		free(malloc(100000));
	}
	over = true;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	printf("%lu operations\n", operations);
	return 0;
}
