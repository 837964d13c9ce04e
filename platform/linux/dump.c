/* SPDX-License-Identifier: MIT */
/*
 * HAKMEM_DUMP: where everything lies, as hak_dump_json() has it, appended to a file at exit and by
 * a signal. hakmem-map draws it.
 *
 * A dump takes locks. A handler of a signal may have interrupted the thread while it holds one:
 * *this_held() says so. Then the dump is due, and the slow path that was interrupted, or the next
 * one, writes it when it holds no lock any more. So it does while another thread writes one.
 *
 * errno stays what it was. Lock: none; `writer` is the process that writes a dump, which a child
 * that was forked meanwhile does not wait for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <hakmem/stats.h>

#include "base/lock.h"
#include "linux.h"
#include "options.h"

static _Atomic bool is_due;

static _Atomic pid_t writer;

static bool begin_writing(void)
{
	pid_t seen = writer, own = getpid();

	return seen != own && atomic_compare_exchange_strong(&writer, &seen, own);
}

static void write_dump(void)
{
	const char *text = hak_option_text(HAK_OPTION_DUMP);
	struct hak_output out = { .file = hak_open_output(text, O_APPEND) };

	if (out.file < 0) {
		hak_say("cannot append the dump to %s (errno %d)", text, errno);
		return;
	}
	hak_dump_json(hak_output_append, &out);
	hak_output_flush(&out);
	syscall(SYS_close, out.file);
}

/* Write one if it is due and the caller may. The thread holds no lock. */
void hak_dump_if_due(void)
{
	int saved = errno;

	if (is_due && begin_writing()) {
		while (atomic_exchange(&is_due, false))
			write_dump();
		writer = 0;
	}
	errno = saved;
}

static void on_dump_signal(int number)
{
	(void)number;
	is_due = true;
	if (!lock_is_any_held())
		hak_dump_if_due();
}

void hak_dump_begin(void)
{
	long number = hak_option(HAK_OPTION_DUMP_SIGNAL);

	if (!number)
		return;
	if (hak_option(HAK_OPTION_DUMP))
		hak_handle((int)number, on_dump_signal);
	else
		hak_say("HAKMEM_DUMP_SIGNAL does nothing without HAKMEM_DUMP");
}

void hak_dump_end(void)
{
	if (!hak_option(HAK_OPTION_DUMP))
		return;
	is_due = true;
	hak_dump_if_due();
}
