/* SPDX-License-Identifier: MIT */
/*
 * Between the files of this platform.
 */
#ifndef HAKMEM_LINUX_H
#define HAKMEM_LINUX_H

#include <platform.h>

#include "base/format.h"

void hak_reaper_thread_ended(void);
void hak_reaper_after_fork(void);
void hak_reaper_configure(void);
void hak_forked_in_child(void);
void hak_cache_after_fork(void);

/* A line to stderr, "hakmem: NAME[PID]: " and this. */
void hak_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void hak_say_line(const char *line);

/* Text on its way to a file: the sink hak_output_append() collects it. */
struct hak_output {
	int file;
	size_t length;
	char text[512]; /* the stack of a thread may be small */
};

void hak_output_begin(struct hak_output *out, const char *what);
void hak_output_append(void *ctx, const char *text, size_t length);
void hak_output_flush(struct hak_output *out);

#endif
