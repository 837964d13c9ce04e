/* SPDX-License-Identifier: MIT */
/*
 * Another thread has freed blocks of many sizes, and sleeps. Its magazines must not keep memory
 * from those who would get NULL otherwise.
 *
 * Address space is limited to 200 MiB. How many blocks are there for the main thread, before the
 * other one has done anything, and after? Prints both numbers, with the size of the blocks.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <malloc.h>

#define LIMIT ((rlim_t)200 << 20)

static sem_t go, done;

static size_t drain(size_t size, void **chain)
{
	size_t n = 0;
	void **block;

	for (*chain = NULL; (block = malloc(size)); n++) {
		*block = *chain;
		*chain = block;
	}
	return n;
}

static void free_chain(void *chain)
{
	for (void *next; chain; chain = next) {
		next = *(void **)chain;
		free(chain);
	}
}

static size_t all(size_t size)
{
	void *chain;
	size_t n = drain(size, &chain);

	free_chain(chain);
	return n;
}

static void *other(void *unused)
{
	static void *blocks[300];

	for (;;) {
		sem_wait(&go);
		for (size_t size = 16; size <= 1000000; size += size / 4)
			/* few enough to stay in the magazine */
			for (unsigned i = 0; i < 50; i++) {
				unsigned n = size < 2000 ? 300 : (unsigned)(600000 / size);

				for (unsigned k = 0; k < n; k++)
					blocks[k] = malloc(size);
				for (unsigned k = 0; k < n; k++)
					free(blocks[k]);
			}
		sem_post(&done);
	}
	return unused;
}

int main(void)
{
	static const size_t sizes[] = { 100, 3000, 40000, 65536, 3000000, 60000000 };
	struct rlimit limit = { LIMIT, LIMIT };
	pthread_t thread;

	if (sem_init(&go, 0, 0) || sem_init(&done, 0, 0) ||
	    pthread_create(&thread, NULL, other, NULL) || setrlimit(RLIMIT_AS, &limit))
		return 2;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t before, after;

		all(sizes[i]);
		malloc_trim(0);
		before = all(sizes[i]);
		sem_post(&go);
		sem_wait(&done);
		after = all(sizes[i]);
		printf("%zu %zu %zu\n", sizes[i], before, after);
	}
	return 0;
}
