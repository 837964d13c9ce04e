/* SPDX-License-Identifier: MIT */
/*
 * A program that is stopped, by a handler of SIGABRT; the line, by a pipe in place of stderr.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "catch.h"

char caught_line[256];
char caught_report[8192];

static sigjmp_buf after;
static int ends[2];

static void on_signal(int number)
{
	siglongjmp(after, number == SIGABRT ? CAUGHT_STOP : CAUGHT_FAULT);
}

void catch_init(void)
{
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	if (pipe2(ends, O_NONBLOCK) || dup2(ends[1], STDERR_FILENO) < 0)
		_exit(2);
}

/* The last line of the report, without what names the program. */
static void read_line(void)
{
	char *text = caught_report, *line;
	ssize_t n = read(ends[0], text, sizeof(caught_report) - 1);

	caught_line[0] = '\0';
	text[n > 0 ? n : 0] = '\0';
	if (n <= 0)
		return;
	if (text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	line = strstr(line, "]: ") ? strstr(line, "]: ") + 3 : line;
	memcpy(caught_line, line, strnlen(line, sizeof(caught_line) - 1) + 1);
	caught_line[sizeof(caught_line) - 1] = 0;
}

enum caught catch (void (*commit)(void)) {
	int caught = sigsetjmp(after, 1);

	if (!caught) commit();
	else read_line();
	return (enum caught)caught;
}
