/* SPDX-License-Identifier: MIT */
/*
 * Text for people, without memory. Lines to stderr begin with the name and the number of
 * the process, since the lines of several processes may end up in one place. Longer text
 * is collected, so that it is written in few pieces, each of whole lines.
 *
 * A thread that is to be cancelled still says what it has to say: write() is a cancellation
 * point, and syscall() is none. Signals, short writes, and a pipe that is full for a moment
 * lose nothing.
 *
 * errno stays what it was, also after a failure. Lock: none.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "linux.h"

#define NAME_MOST 64 /* what is longer would leave no room for the rest */

/* A pipe that does not wait, and is full: it is tried again for so many seconds. */
#define FULL_SECONDS 5

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void write_all(int file, const char *text, size_t length)
{
	struct pollfd there = { .fd = file, .events = POLLOUT };
	time_t last = 0;

	while (length) {
		long n = syscall(SYS_write, file, text, length);

		if (n > 0) {
			text += n;
			length -= (size_t)n;
			last = 0;
		} else if (n < 0 && errno == EAGAIN && (!last || seconds() <= last)) {
			if (!last)
				last = seconds() + FULL_SECONDS;
			syscall(SYS_poll, &there, 1, FULL_SECONDS * 1000);
		} else if (n == 0 || errno != EINTR) {
			break; /* the disk is full, or the other end is closed */
		}
	}
}

/* "hakmem: NAME[PID]: " */
void hak_output_name(struct hak_output *out)
{
	const char *name = program_invocation_short_name; /* empty before libc is ready */

	hak_format(hak_output_append, out, "hakmem: ");
	if (name)
		hak_output_append(out, name, strnlen(name, NAME_MOST));
	hak_format(hak_output_append, out, "[%d]: ", (int)getpid());
}

/* One call, unless the line is very long, so that lines of several threads do not mix. */
static void say(int file, const char *format, va_list args)
{
	struct hak_output out = { .file = file };

	hak_output_name(&out);
	hak_vformat(hak_output_append, &out, format, args);
	hak_output_append(&out, "\n", 1);
	hak_output_flush(&out);
}

void hak_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(STDERR_FILENO, format, args);
	va_end(args);
}

void hak_say_to(int file, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(file, format, args);
	va_end(args);
}

/* A line of the core begins with "hakmem: ", to which the process is added. */
void hak_say_line(const char *line)
{
	static const char prefix[] = "hakmem: ";
	size_t skip = strncmp(line, prefix, sizeof(prefix) - 1) ? 0 : sizeof(prefix) - 1;

	hak_say("%s", line + skip);
}

static void write_start(struct hak_output *out, size_t length)
{
	int saved = errno;

	write_all(out->file, out->text, length);
	out->length -= length;
	memmove(out->text, out->text + length, out->length);
	errno = saved;
}

void hak_output_flush(struct hak_output *out)
{
	write_start(out, out->length);
}

/* There is no room: write the lines that are complete, or what there is of a long one. */
static void write_lines(struct hak_output *out)
{
	size_t length = out->length;

	while (length && out->text[length - 1] != '\n')
		length--;
	write_start(out, length ? length : out->length);
}

void hak_output_append(void *ctx, const char *text, size_t length)
{
	struct hak_output *out = ctx;

	while (length) {
		size_t room = sizeof(out->text) - out->length, n = length < room ? length : room;

		memcpy(out->text + out->length, text, n);
		out->length += n;
		text += n;
		length -= n;
		if (length)
			write_lines(out);
	}
}

/* A longer text starts with the process that it is from. */
void hak_output_begin(struct hak_output *out, const char *what)
{
	hak_output_name(out);
	hak_format(hak_output_append, out, "%s\n", what);
}
