/* SPDX-License-Identifier: MIT */
/*
 * The first and the last thing that the library does in a process by itself. Other
 * constructors allocate before the first, and other destructors after the last, so
 * nothing here is needed for malloc and free to work.
 *
 * A destructor prints the statistics. It runs after the handlers of atexit(), and does not
 * run if the program leaves by _exit() or by a signal. The statistics, or why a file cannot
 * have them, go to what was stderr at the start, which is kept open a second time: many
 * programs close stderr when they end, to see whether all was written, or open something else
 * in its place. As in output.c, no system call here is a cancellation point.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <hakmem/stats.h>

#include "harden/verify.h"
#include "linux.h"
#include "options.h"

#define HIGH_FILE 100 /* a high number, since some programs count on certain low ones */

static struct {
	int file;
	struct stat what;
} kept = { .file = -1 };

static void keep_stderr(void)
{
	kept.file = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, HIGH_FILE);
	if (kept.file < 0)
		kept.file = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	fstat(kept.file, &kept.what);
}

/* The file, or -1: the program may have closed it, and another may have its number. */
int hak_kept_stderr(void)
{
	struct stat now;

	if (fstat(kept.file, &now) || now.st_dev != kept.what.st_dev ||
	    now.st_ino != kept.what.st_ino)
		return -1;
	return kept.file;
}

__attribute__((constructor)) static void begin(void)
{
	int saved = errno;

	hak_provider_begin();
	hak_options_read();
	hak_reaper_configure();
	hak_samples_begin();
	hak_dump_begin();
	hak_top_begin();
	if (hak_option(HAK_OPTION_STATS) || hak_option(HAK_OPTION_LEAKS))
		keep_stderr();
	errno = saved;
}

/* The name of the file, with the number of the process for each %p; NULL if it is too long. */
static char *file_name(const char *text)
{
	static PLATFORM_SPARSE char name[PATH_MAX];
	size_t length = 0;

	for (; *text; text++) {
		struct hak_line part = { 0 };

		if (text[0] == '%' && text[1] == 'p') {
			hak_format(hak_line_append, &part, "%d", (int)getpid());
			text++;
		} else {
			hak_line_append(&part, text, 1);
		}
		if (length + part.length >= sizeof(name))
			return NULL;
		memcpy(name + length, part.text, part.length);
		length += part.length;
	}
	name[length] = '\0';
	return name;
}

/*
 * Is the file at @name, or a folder on the way to it, a symbolic link? One of another user,
 * who may lead us anywhere, is an error; root may do that anyway.
 */
static int find_links(char *name, bool *is_link)
{
	struct stat what;
	char next;

	for (char *end = name + 1;; end++) {
		next = *end;
		if (next && next != '/')
			continue;
		*end = '\0';
		*is_link = !lstat(name, &what) && S_ISLNK(what.st_mode);
		*end = next;
		if (*is_link && what.st_uid && what.st_uid != geteuid())
			return ELOOP;
		if (!next)
			return 0;
	}
}

int hak_open_output(const char *text, int flags)
{
	char *name = file_name(text);
	bool is_link = false;

	flags |= O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	errno = name ? find_links(name, &is_link) : ENAMETOOLONG;
	if (errno)
		return -1;
	if (!is_link)
		flags |= O_NOFOLLOW; /* nor will it be one a moment later */
	return (int)syscall(SYS_openat, AT_FDCWD, name, flags, 0666);
}

/* JSON is for programs: one object in a line, and nothing else. */
static void print_stats(int file, bool json)
{
	struct hak_output out = { .file = file };

	if (json) {
		hak_stats_json(hak_output_append, &out);
	} else {
		hak_output_begin(&out, "statistics at exit");
		hak_stats_text(hak_output_append, &out);
	}
	hak_output_flush(&out);
}

__attribute__((destructor)) static void end(void)
{
	static const char prefix[] = "json:";
	const char *text = hak_option_text(HAK_OPTION_STATS);
	bool json = text && !strncmp(text, prefix, sizeof(prefix) - 1);
	int file, saved = errno;

	if (IS_ENABLED(HAK_LAYERED))
		verify_some(VERIFY_AT_EXIT, "exit");
	hak_samples_end();
	hak_dump_end();
	hak_top_end();
	errno = saved;
	if (!hak_option(HAK_OPTION_STATS))
		return;
	if (json)
		text += sizeof(prefix) - 1;
	file = text ? hak_open_output(text, O_APPEND) : hak_kept_stderr();
	if (file >= 0) {
		print_stats(file, json);
		syscall(SYS_close, file);
	} else if (text) {
		int failure = errno;

		hak_say_to(hak_kept_stderr(), "cannot append to %s (errno %d)", text, failure);
	}
	errno = saved;
}
