/* SPDX-License-Identifier: MIT */
/*
 * The first and the last thing that the library does in a process by itself. Other
 * constructors allocate before the first, and other destructors after the last, so
 * nothing here is needed for malloc and free to work.
 *
 * A destructor prints the statistics. It runs after the handlers of atexit(), and does
 * not run if the program leaves by _exit() or by a signal. The statistics go to what was
 * stderr at the start, which is kept open a second time: many programs close stderr when
 * they end, to see whether all was written, or open something else in its place.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hakmem/stats.h>

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
static int kept_stderr(void)
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

	hak_options_read();
	hak_reaper_configure();
	if (hak_option(HAK_OPTION_STATS) && !hak_option_text(HAK_OPTION_STATS))
		keep_stderr();
	errno = saved;
}

static void print_stats(int file)
{
	struct hak_output out = { .file = file };

	hak_output_begin(&out, "statistics at exit");
	hak_stats_text(hak_output_append, &out);
	hak_output_flush(&out);
}

__attribute__((destructor)) static void end(void)
{
	const char *name = hak_option_text(HAK_OPTION_STATS);
	int file;

	if (!hak_option(HAK_OPTION_STATS))
		return;
	file = name ? open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666)
		    : kept_stderr();
	if (file >= 0) {
		print_stats(file);
		close(file);
	} else if (name) {
		hak_say("cannot append to %s (errno %d)", name, errno);
	}
}
