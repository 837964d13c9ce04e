/* SPDX-License-Identifier: MIT */
/*
 * Text for people, without memory. Lines to stderr begin with the name and the number of
 * the process, since the lines of several processes may end up in one place. Longer text
 * is collected, so that it is written in few pieces.
 *
 * errno stays what it was, also after a failure. Lock: none.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "linux.h"

#define NAME_MOST 64 /* what is longer would leave no room for the rest */

/* "hakmem: NAME[PID]: " */
static void begin(struct hak_line *line)
{
	const char *name = program_invocation_short_name; /* empty before libc is ready */

	hak_format(hak_line_append, line, "hakmem: ");
	if (name)
		hak_line_append(line, name, strnlen(name, NAME_MOST));
	hak_format(hak_line_append, line, "[%d]: ", (int)getpid());
}

/* One call, so that lines of several threads do not mix. */
static void write_line(const char *text, size_t length)
{
	struct hak_line start = { 0 };
	struct iovec parts[3];
	int saved = errno;

	begin(&start);
	parts[0] = (struct iovec){ start.text, start.length };
	parts[1] = (struct iovec){ (char *)text, length };
	parts[2] = (struct iovec){ "\n", 1 };
	if (writev(STDERR_FILENO, parts, 3) < 0) {
		/* the other end is closed */
	}
	errno = saved;
}

void hak_say(const char *format, ...)
{
	struct hak_line line = { 0 };
	va_list args;

	va_start(args, format);
	hak_vformat(hak_line_append, &line, format, args);
	va_end(args);
	write_line(line.text, line.length);
}

/* A line of the core begins with "hakmem: ", to which the process is added. */
void hak_say_line(const char *line)
{
	static const char prefix[] = "hakmem: ";
	size_t skip = strncmp(line, prefix, sizeof(prefix) - 1) ? 0 : sizeof(prefix) - 1;

	write_line(line + skip, strlen(line + skip));
}

void hak_output_flush(struct hak_output *out)
{
	const char *text = out->text;
	int saved = errno;

	while (out->length) {
		ssize_t n = write(out->file, text, out->length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* the disk is full, or the other end is closed */
		text += n;
		out->length -= (size_t)n;
	}
	out->length = 0;
	errno = saved;
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
		if (out->length == sizeof(out->text))
			hak_output_flush(out);
	}
}

/* A longer text starts with the process that it is from. */
void hak_output_begin(struct hak_output *out, const char *what)
{
	struct hak_line line = { 0 };

	begin(&line);
	hak_output_append(out, line.text, line.length);
	hak_format(hak_output_append, out, "%s\n", what);
}
