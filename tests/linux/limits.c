/* SPDX-License-Identifier: MIT */
/*
 * A program that checks its blocks, for a kernel that refuses: every block keeps
 * what was written into it, calloc() is zero, what fails is NULL with ENOMEM and
 * changes nothing, free() keeps errno, and when all is over there is memory again.
 * It knows nothing of the library; what there is to learn it reads with system
 * calls, since stdio might find no memory.
 *
 *	limits			until memory is short, or 96 MiB are in use
 *	limits small		a few MiB, of all sizes
 *	limits moves		large blocks that grow, each in its turn
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCKS 6000u

__attribute__((weak)) unsigned long inject_failed(void);
__attribute__((weak)) const char *hak_check(void);

static struct {
	unsigned char *at;
	size_t size;
	unsigned char with;
} block[BLOCKS];

static unsigned long null, most = 96 << 20, in_use;
static uint64_t seed = 88172645463325252u;

static unsigned next(unsigned below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % below;
}

static _Noreturn void die(const char *why)
{
	if (write(STDERR_FILENO, why, strlen(why)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		_exit(3);
	_exit(2);
}

/* Its first and last bytes: a whole sweep of all would take too long. */
static void fill(unsigned i, size_t size)
{
	block[i].size = size;
	block[i].with = (unsigned char)(1 + next(255));
	if (size <= 64) {
		memset(block[i].at, block[i].with, size);
		return;
	}
	memset(block[i].at, block[i].with, 32);
	memset(block[i].at + size - 32, block[i].with, 32);
}

static void check(unsigned i, size_t size)
{
	size_t n = size < block[i].size ? size : block[i].size;

	if (n <= 64) {
		for (size_t at = 0; at < n && at < 32; at++)
			if (block[i].at[at] != block[i].with)
				die("a block has changed");
		return;
	}
	for (size_t at = 0; at < 32; at++)
		if (block[i].at[at] != block[i].with ||
		    (n == block[i].size && block[i].at[n - 1 - at] != block[i].with))
			die("a block has changed");
}

static size_t random_size(void)
{
	unsigned kind = next(100);

	return kind < 60   ? next(600)
	       : kind < 90 ? next(40000)
	       : kind < 98 ? next(400000)
			   : next(5000000);
}

static void *refused(void)
{
	if (errno != ENOMEM)
		die("NULL without ENOMEM");
	null++;
	return NULL;
}

static void *ask(size_t size)
{
	unsigned char *new;

	errno = 0;
	switch (next(4)) {
	case 0:
		new = calloc(1, size);
		for (size_t at = 0; new &&at<size; at += size> 5000 ? 509 : 1)
			if (new[at])
				die("calloc() is not zero");
		break;
	case 1:
		new = memalign((size_t)16 << next(9), size);
		break;
	default:
		new = malloc(size);
	}
	return new ? new : refused();
}

static void drop(unsigned i)
{
	if (!block[i].at)
		return;
	check(i, SIZE_MAX);
	errno = 4711;
	free(block[i].at);
	if (errno != 4711)
		die("free() changed errno");
	in_use -= block[i].size;
	block[i].at = NULL;
}

static void resize(unsigned i, size_t size)
{
	unsigned char *new;

	check(i, SIZE_MAX);
	errno = 0;
	new = realloc(block[i].at, size + 1);
	if (!new) {
		refused();
		check(i, SIZE_MAX);
		return;
	}
	block[i].at = new;
	check(i, size + 1);
	in_use += size + 1 - block[i].size;
	fill(i, size + 1);
}

static void step(void)
{
	unsigned i = next(BLOCKS);
	size_t size = random_size();

	if (block[i].at && next(3))
		drop(i);
	else if (block[i].at)
		resize(i, size);
	else if (in_use + size < most && (block[i].at = ask(size))) {
		fill(i, size);
		in_use += size;
	}
}

static void *thread(void *unused)
{
	void *mine = malloc(100);

	(void)unused;
	free(mine);
	free(malloc(3000));
	return NULL;
}

/* All of it: who grows is moved, with memory from several places. */
static void grow(unsigned i)
{
	size_t size = block[i].size + block[i].size / 2, page = 4096;
	unsigned char *new;

	if (!block[i].at || size > 8 << 20) {
		drop(i);
		size = 100000;
	}
	new = realloc(block[i].at, size);
	if (!new) {
		refused();
		return;
	}
	for (size_t at = 0; block[i].at && at < block[i].size; at += page)
		if (new[at] != (unsigned char)(block[i].with + at / page))
			die("a block has changed");
	in_use += size - (block[i].at ? block[i].size : 0);
	block[i].at = new;
	fill(i, size);
	for (size_t at = 0; at < size; at += page)
		new[at] = (unsigned char)(block[i].with + at / page);
}

int main(int argc, char **argv)
{
	bool small = argc > 1 && !strcmp(argv[1], "small");
	pthread_t other;

	if (argc > 1 && !strcmp(argv[1], "moves")) {
		for (unsigned i = 0; i < 400; i++)
			grow(i % 8);
		return inject_failed && inject_failed() ? 10 : 0;
	}
	if (small)
		most = 6 << 20;
	/* neighbours: the first can grow only by moving, so that there is a mremap() */
	for (unsigned i = 0; i < 2; i++)
		resize(i, 400000);
	resize(0, 2000000);
	for (unsigned i = 0; i < (small ? 3000 : 30000); i++) {
		step();
		if (i % 1000 == 0 && !pthread_create(&other, NULL, thread, NULL))
			pthread_join(other, NULL);
		if (i % 1500 == 700)
			malloc_trim(0);
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		drop(i);
	malloc_trim(0);
	if (hak_check && hak_check())
		die(hak_check());
	/* 0: nothing was refused; 10: something was, and all is well */
	return (inject_failed && inject_failed()) || null ? 10 : 0;
}
