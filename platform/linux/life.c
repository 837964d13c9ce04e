/* SPDX-License-Identifier: MIT */
/*
 * The first and the last thing that the library does in a process by itself.
 * Others have long allocated before the one, and will after the other: all that
 * happens here could be left out.
 *
 * The statistics come from a destructor: after the handlers of atexit(), and not
 * if the program leaves by _exit() or by a signal.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <hakmem/stats.h>

#include "linux.h"
#include "options.h"

__attribute__((constructor)) static void begin(void)
{
	int saved = errno;

	hak_options_read();
	hak_reaper_configure();
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
	int file = STDERR_FILENO;

	if (!hak_option(HAK_OPTION_STATS))
		return;
	if (name)
		file = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
	if (file < 0) {
		hak_say("cannot append to %s (errno %d)", name, errno);
		return;
	}
	print_stats(file);
	if (name)
		close(file);
}
