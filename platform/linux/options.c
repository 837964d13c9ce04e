/* SPDX-License-Identifier: MIT */
/*
 * The options that a program's environment sets: one table. They are numbers;
 * one that is none, or out of bounds, counts as not set, with one line that
 * says so. Programs that run with more rights than their caller ignore them.
 *
 * Read once, by a constructor: before that libc has no environment, and the
 * defaults hold. Nothing here allocates.
 */
#define _GNU_SOURCE
#include "options.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format.h"

static struct option {
	const char *name;
	long least, most, value; /* the value is the default at first */
} options[HAK_NR_OPTIONS] = {
	/* 0: no thread is started; what lies idle is looked for when malloc and free are called */
	[HAK_OPTION_REAPER] = { "HAKMEM_REAPER", 0, 1, 1 },
	/* how long freed memory is kept; -1: until malloc_trim() */
	[HAK_OPTION_PURGE_DELAY_MS] = { "HAKMEM_PURGE_DELAY_MS", -1, 60000, 500 },
};

static bool parse(const char *text, long *value)
{
	bool negative = *text == '-';

	text += negative;
	if (!*text || strlen(text) > 9)
		return false;
	for (*value = 0; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		*value = *value * 10 + (*text - '0');
	}
	if (negative)
		*value = -*value;
	return true;
}

static void warn(const struct option *option, const char *text)
{
	struct hak_line line = { 0 };
	ssize_t written;

	hak_format(hak_line_append, &line,
		   "hakmem: %s is a number from %ld to %ld; using %ld, not \"", option->name,
		   option->least, option->most, option->value);
	hak_line_append(&line, text, strnlen(text, 64)); /* so that the end has room */
	hak_line_append(&line, "\"\n", 2);
	written = write(STDERR_FILENO, line.text, line.length);
	(void)written; /* nobody is listening */
}

void hak_options_read(void)
{
	for (unsigned i = 0; i < HAK_NR_OPTIONS; i++) {
		struct option *option = &options[i];
		const char *text = secure_getenv(option->name);
		long value;

		if (!text)
			continue;
		if (parse(text, &value) && value >= option->least && value <= option->most)
			option->value = value;
		else
			warn(option, text);
	}
}

long hak_option(enum hak_option option)
{
	return options[option].value;
}
