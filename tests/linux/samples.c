/* SPDX-License-Identifier: MIT */
/*
 * Programs for samples.sh: the first argument says which. They know nothing of samples, but for
 * one that starts a profile itself.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hakmem/samples.h>

#define THREADS 4

static void *kept[65536];

static void *see(void *block)
{
	__asm__ volatile("" : "+r"(block) : : "memory");
	return block;
}

static __attribute__((noinline)) void *alloc_one(size_t size)
{
	return see(malloc(size));
}

static __attribute__((noinline)) void *alloc_two(size_t size)
{
	return see(calloc(1, size));
}

static __attribute__((noinline)) void *alloc_three(size_t size)
{
	return see(malloc(size));
}

/* A block that is guarded, at the left end of its page or at the right one. */
static char *guarded(size_t size, int left)
{
	for (int i = 0; i < 1000; i++) {
		char *block = alloc_one(size);
		struct hak_samples counts;
		static size_t guarded;
		int new;

		hak_samples_read(&counts, sizeof(counts));
		new = counts.guarded != guarded;
		guarded = counts.guarded;
		if (new && ((size_t)block % 4096 == 0) == left)
			return block; /* an ordinary one, freed, would serve all others */
	}
	exit(3);
}

static int misuse(const char *how)
{
	char *block =
		guarded(strcmp(how, "write-into-slack") ? 64 : 61, !strcmp(how, "write-before"));

	if (!strcmp(how, "write-behind"))
		block[64] = 1;
	if (!strcmp(how, "write-before"))
		block[-1] = 1;
	if (!strcmp(how, "write-into-slack"))
		block[61] = 1;
	if (!strcmp(how, "free-inside"))
		free(see(block + 16));
	if (!strcmp(how, "crash"))
		*(volatile char *)see((void *)16) = 1;
	free(block);
	if (!strcmp(how, "read-freed"))
		return *(volatile char *)see(block + 5);
	if (!strcmp(how, "free-twice"))
		free(see(block));
	return 4;
}

/* Three quarters of the bytes are of one stack, and others come and go. */
static int two_stacks(void)
{
	for (int i = 0; i < 65536; i += 4) {
		kept[i] = alloc_one(256);
		kept[i + 1] = alloc_one(256);
		free(alloc_three(256));
		kept[i + 2] = alloc_two(256);
		kept[i + 3] = alloc_one(256);
		free(alloc_three(1000));
	}
	return 0;
}

static int by_signal(void)
{
	char command[64];

	two_stacks();
	raise(SIGUSR2);
	snprintf(command, sizeof(command), "grep -q MAPPED_LIB by-%d-signal", getpid());
	return system(command) ? 1 : 0;
}

static int leaks(void)
{
	for (int i = 0; i < 5; i++)
		kept[i] = alloc_one(100);
	free(kept[0]);
	free(kept[3]);
	kept[0] = alloc_two(5000000);
	free(alloc_three(200));
	return 0;
}

static void *thread(void *index)
{
	void **mine = &kept[(size_t)index * 4096];
	void *others[256] = { 0 };

	for (int i = 0; i < 200000; i++) {
		free(others[i % 256]);
		others[i % 256] = alloc_two(16 + i % 700);
		if (i % 200 == 0)
			mine[i / 200] = alloc_one(64);
	}
	for (int i = 0; i < 256; i++)
		free(others[i]);
	return NULL;
}

static int threads(void)
{
	pthread_t all[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&all[i], NULL, thread, (void *)i))
			return 1;
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(all[i], NULL);
	return 0;
}

static int forks(void)
{
	int status = 1;

	two_stacks();
	if (!fork()) {
		two_stacks();
		_exit(0);
	}
	wait(&status);
	two_stacks();
	return status;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "two-stacks"))
		return two_stacks();
	if (!strcmp(what, "signal"))
		return by_signal();
	if (!strcmp(what, "leaks"))
		return leaks();
	if (!strcmp(what, "threads"))
		return threads();
	if (!strcmp(what, "fork"))
		return forks();
	if (!strcmp(what, "start-again"))
		return hak_profile_start(4096);
	return misuse(what);
}
