/* SPDX-License-Identifier: MIT */
/*
 * What tests have in common, on Linux and on bare metal: naming, checking,
 * printing, random numbers, memory that is not the heap's.
 *
 * A test program runs tests with TEST_RUN() and returns test_finish(). It
 * prints a line "ok NAME" or "FAIL NAME: where and what" for each, which is
 * what tests/run.sh counts.
 */
#ifndef HAKMEM_TEST_H
#define HAKMEM_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/config.h>
#include <hakmem/provider.h>

/* Run one test function, named like it. */
#define TEST_RUN(function) test_run(#function, function)

/* For what the hardened build does otherwise: it clears memory, and has blocks that wait. */
#define UNLESS_HARDENED(function)                                                                  \
	do {                                                                                       \
		if (!CONFIG_HAK_HARDENED)                                                          \
			TEST_RUN(function);                                                        \
	} while (0)

/* End the test with a failure if @condition is false; returns from it. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			test_fail(__FILE__, __LINE__, #condition);                                 \
			return;                                                                    \
		}                                                                                  \
	} while (0)

/* Likewise in a function that has something to return. */
#define CHECK_OR(condition, value)                                                                 \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			test_fail(__FILE__, __LINE__, #condition);                                 \
			return value;                                                              \
		}                                                                                  \
	} while (0)

void test_run(const char *name, void (*function)(void));
void test_fail(const char *file, int line, const char *what);
bool test_has_failed(void);
int test_finish(void);

/* Prints as core/base/format.h does. */
void test_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Arguments of main(), without a C library: are these the same? */
bool test_is_same(const char *one, const char *two);

/* Where does a text have a part? NULL if nowhere; an empty text has none. */
const char *test_find(const char *text, const char *part);

/* The number that *@text begins with, 0 if none; *@text is behind it then. */
unsigned long test_number(const char **text);

/* xorshift64*: 64 random bits; the state is not 0. */
static inline uint64_t test_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}

/* Provided by tests/port/, one for each platform. */

/* Text goes out as it comes. */
void port_write(const char *text, size_t length);

/* Zeroed memory that is not the heap's, in multiples of 2 MiB; NULL if none. */
void *port_map(size_t size);
void port_unmap(void *base, size_t size);

/* The provider that the platform would have a program use. */
const struct hak_provider *port_provider(void);

/* Bytes of memory that the program has, as the platform's owner sees it. */
uint64_t port_resident(void);

/* Is memory counted page by page there, rather than in frames of 2 MiB? */
bool port_counts_pages(void);

/* What to call the platform in a heading. */
const char *port_name(void);

#endif
