/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this directory have in common. They are programs of
 * users, which know nothing of the library, so they cannot use tests/test.h.
 */
#ifndef HAKMEM_API_CHECK_H
#define HAKMEM_API_CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define HANGS 300 /* seconds: what has not ended by then waits for ever, on any machine */

static const char *which;
static bool failed;

static void fail(const char *file, int line, const char *what)
{
	if (!failed)
		printf("%s:%d: %s\n", file, line, what);
	failed = true;
}

#define CHECK_OR(condition, value)                                                                 \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fail(__FILE__, __LINE__, #condition);                                      \
			return value;                                                              \
		}                                                                                  \
	} while (0)
#define CHECK(condition) CHECK_OR(condition, )

/* The compiler knows these functions, and which calls of them make no sense. */
static inline size_t hide(size_t size)
{
	volatile size_t copy = size;

	return copy;
}

static inline bool is_filled(const void *block, unsigned char with, size_t size)
{
	const unsigned char *byte = (const unsigned char *)block;

	for (size_t i = 0; i < size; i++)
		if (byte[i] != with)
			return false;
	return true;
}

/* Wait until a child of fork() has ended. Returns its status; not 0 if there is no child. */
static inline int child_status(pid_t pid)
{
	int status = -1;

	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

struct api_test {
	const char *name;
	void (*function)(void);
};

#define TEST(function)                                                                             \
	{                                                                                          \
#function, function                                                                \
	}

/* WHICH, the first argument, is for the names of the tests; the others pick some. */
static int run_tests(int argc, char **argv, const struct api_test *tests, size_t n)
{
	bool any_failed = false;

	which = argc > 1 ? argv[1] : "api";
	setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; i < n; i++) {
		bool wanted = argc < 3;

		for (int arg = 2; arg < argc; arg++)
			wanted |= !strcmp(argv[arg], tests[i].name);
		if (!wanted)
			continue;
		failed = false;
		tests[i].function();
		printf(failed ? "FAIL %s-%s: see the line before\n" : "ok %s-%s\n", which,
		       tests[i].name);
		any_failed |= failed;
	}
	return any_failed;
}

#endif
