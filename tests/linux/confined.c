/* SPDX-License-Identifier: MIT */
/*
 * A program that is confined: by a limit that was lowered, by memory that is locked, by a
 * filter of system calls. It checks its blocks; the names are those of the C library.
 *
 *	confined lowered	less address space is allowed than is in use
 *	confined locked WHEN	mlockall(), "early" or "late"
 *
 * Ends with 0, or 77 if the system does not let it do that, or a line that says what is wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define MIB  ((size_t)1 << 20)

enum {
	FINE = 0,
	WRONG = 1,
	SKIPPED = 77,
};

static int wrong(const char *why)
{
	if (write(STDERR_FILENO, why, strlen(why)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		return WRONG;
	return WRONG;
}

static void fill(unsigned char *block, size_t size, unsigned with)
{
	for (size_t i = 0; i < size; i += PAGE)
		block[i] = (unsigned char)(with + i / PAGE);
}

static bool is_filled(const unsigned char *block, size_t size, unsigned with)
{
	for (size_t i = 0; i < size; i += PAGE)
		if (block[i] != (unsigned char)(with + i / PAGE))
			return false;
	return true;
}

static size_t virtual_size(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * PAGE;
}

#define LARGE 150u

/*
 * Large blocks of @size bytes grow, one after the other, when the limit is @less below what
 * is in use: each is where it is with all that is in it, or moved with all that is in it.
 */
static int grow_below(size_t size, size_t less)
{
	unsigned char *block[LARGE];
	struct rlimit limit, before;

	for (unsigned i = 0; i < LARGE; i++) {
		block[i] = malloc(size);
		if (!block[i])
			return wrong("there is too little memory for this test");
		fill(block[i], size, i);
	}
	getrlimit(RLIMIT_AS, &before);
	limit = before;
	limit.rlim_cur = virtual_size() - less;
	setrlimit(RLIMIT_AS, &limit);
	for (unsigned i = 0; i < LARGE; i++) {
		unsigned char *larger;

		errno = 0;
		larger = realloc(block[i], 3 * size);
		if (!larger && errno != ENOMEM)
			return wrong("NULL without ENOMEM");
		if (larger)
			block[i] = larger;
		if (!is_filled(block[i], size, i))
			return wrong("a block has changed");
		if (larger)
			fill(larger, 3 * size, i); /* all of it is there */
	}
	setrlimit(RLIMIT_AS, &before);
	for (unsigned i = 0; i < LARGE; i++) {
		if (!is_filled(block[i], size, i))
			return wrong("a block has changed later");
		free(block[i]);
	}
	return FINE;
}

static int run_lowered(void)
{
	static const size_t size[] = { 300 << 10, 1100 << 10, 5 << 20 };
	int status = FINE;

	for (unsigned i = 0; i < sizeof(size) / sizeof(*size) && !status; i++)
		for (size_t less = 0; less <= 16 * MIB && !status; less += 4 * MIB)
			status = grow_below(size[i], less);
	return status;
}

static bool is_locked(void *block, size_t size)
{
	char *base = (char *)((uintptr_t)block & ~(PAGE - 1));

	/* what is locked cannot be invalidated; of other memory of this kind nothing is */
	for (size_t i = 0; i < size; i += PAGE)
		if (msync(base + i, PAGE, MS_ASYNC | MS_INVALIDATE) == 0 || errno != EBUSY)
			return false;
	return true;
}

/* Blocks grow, and others take the places that they have left. */
static int use_locked(unsigned seed)
{
	unsigned char *grown = malloc(3 * MIB), *others[64];
	size_t size = 3 * MIB;

	fill(grown, size, seed);
	for (unsigned i = 0; i < 8; i++) {
		void *behind = malloc(70000);

		grown = realloc(grown, size + size / 2);
		if (!grown || !is_filled(grown, size, seed))
			return wrong("a block has changed");
		size += size / 2;
		fill(grown, size, seed);
		if (!is_locked(grown, size))
			return wrong("a block that has grown is not locked");
		free(behind);
	}
	for (unsigned i = 0; i < 64; i++) {
		others[i] = malloc(MIB);
		fill(others[i], MIB, i);
		if (!is_locked(others[i], MIB))
			return wrong("a block at the place of another is not locked");
	}
	for (unsigned i = 0; i < 64; i++)
		free(others[i]);
	free(grown);
	return FINE;
}

static int run_locked(bool late)
{
	static unsigned char *early[64];
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &limit);
	for (unsigned i = 0; late && i < 64; i++) {
		early[i] = malloc(MIB * (1 + i % 3));
		fill(early[i], MIB * (1 + i % 3), i);
	}
	for (unsigned i = 0; late && i < 64; i += 2)
		free(early[i]); /* some memory is kept that moves would use */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return SKIPPED;
	for (unsigned i = 1; late && i < 64; i += 2) {
		early[i] = realloc(early[i], 4 * MIB);
		if (!early[i] || !is_filled(early[i], MIB * (1 + i % 3), i))
			return wrong("an early block has changed");
		if (!is_locked(early[i], MIB * (1 + i % 3)))
			return wrong("an early block is not locked");
	}
	return use_locked(1);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "lowered"))
		return run_lowered();
	if (!strcmp(what, "locked"))
		return run_locked(argc > 2 && !strcmp(argv[2], "late"));
	return wrong("usage: confined lowered | locked early|late");
}
