/* SPDX-License-Identifier: MIT */
/*
 * The harness of tests/test.h: counts, and prints one line for each test.
 */
#include "test.h"

#include <base/format.h>

static unsigned passed, failed;
static const char *current;
static bool current_failed;

static void to_port(void *ctx, const char *text, size_t length)
{
	(void)ctx;
	port_write(text, length);
}

void test_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	hak_vformat(to_port, NULL, format, args);
	va_end(args);
}

void test_run(const char *name, void (*function)(void))
{
	current = name;
	current_failed = false;
	function();
	if (current_failed) {
		failed++;
	} else {
		passed++;
		test_print("ok %s\n", name);
	}
}

/* Only the first failure of a test is told: the others follow from it. */
void test_fail(const char *file, int line, const char *what)
{
	if (!current_failed)
		test_print("FAIL %s: %s:%d: %s\n", current, file, line, what);
	current_failed = true;
}

bool test_has_failed(void)
{
	return current_failed;
}

/* The exit status: no test at all is a failure too. */
int test_finish(void)
{
	return failed || !passed;
}

bool test_is_same(const char *one, const char *two)
{
	while (*one && *one == *two) {
		one++;
		two++;
	}
	return *one == *two;
}

const char *test_find(const char *text, const char *part)
{
	for (; *text; text++) {
		size_t n = 0;

		while (part[n] && text[n] == part[n])
			n++;
		if (!part[n])
			return text;
	}
	return NULL;
}

unsigned long test_number(const char **text)
{
	unsigned long value = 0;

	for (; **text >= '0' && **text <= '9'; ++*text)
		value = value * 10 + (unsigned long)(**text - '0');
	return value;
}
