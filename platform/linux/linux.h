/* SPDX-License-Identifier: MIT */
/*
 * Between the files of this platform.
 */
#ifndef HAKMEM_LINUX_H
#define HAKMEM_LINUX_H

#include <sys/types.h>

#include <platform.h>

#include "base/format.h"
#include "reclaim/scan.h"

/* Decide where the heap is to lie, before it is made. */
void hak_provider_begin(void);

/* Has the program made threads, as far as is known? */
bool hak_has_threads(void);

/* Is it certain that it has made none? */
bool hak_is_alone(void);

/* The caller has no cache from now on. One that it has got is given back. */
void hak_do_without_cache(void);

/* A filter kills who calls madvise(): the program's own threads do not from now on. */
void hak_do_without_madvise(void);

/* Scan once; sets how many intervals to wait then. @clock: what to take the cost by. */
enum scan_state hak_scan_once(clockid_t clock, unsigned *pause);
uint64_t hak_interval_ns(void); /* between two scans */
uint64_t hak_now_ns(void);

/* There is no thread that gives memory back, and a slow path of malloc or free is over. */
void hak_scan_inline(enum hak_reap_why why);
void hak_scan_inline_after_fork(void);

void hak_reaper_thread_ended(void);
void hak_reaper_after_fork(void);
void hak_reaper_configure(void);
void hak_fork_prepare(void);
void hak_forked_in_child(void);
void hak_cache_after_fork(void);

/* A line to stderr, or to @file: "hakmem: NAME[PID]: " and this. */
void hak_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void hak_say_to(int file, const char *format, ...) __attribute__((format(printf, 2, 3)));
void hak_say_line(const char *line);

/* Samples, as the environment asks for them: at the start, in a child of fork(), at the end. */
void hak_samples_begin(void);
void hak_samples_after_fork(void);
void hak_samples_end(void);

/* A signal is handled from now on, on the alternate stack if there is one. A line says if not. */
void hak_handle(int number, void (*handler)(int number));

/* HAKMEM_DUMP: at the start, when a slow path is over and one is due, at the end. */
void hak_dump_begin(void);
void hak_dump_if_due(void);
void hak_dump_end(void);

/* HAKMEM_TOP: at the start, when a slow path is over, in a child of fork(), at the end. */
void hak_top_begin(void);
void hak_top_tick(void);
void hak_top_after_fork(void);
void hak_top_end(void);
extern _Atomic bool hak_top_is_on;

/* How gcc's unwinder is called; NULL: there is none. */
struct _Unwind_Context;
struct hak_unwinder {
	int (*backtrace)(int (*visit)(struct _Unwind_Context *context, void *ctx), void *ctx);
	uintptr_t (*ip)(struct _Unwind_Context *context);
	uintptr_t (*start)(struct _Unwind_Context *context); /* of the function */
	bool locks; /* it takes a lock, of which fork() knows nothing */
};
bool hak_unwinder_find(struct hak_unwinder *unwinder);

/*
 * The file of this name, with the number of the process for each %p. Does not wait for a reader, if
 * it is a pipe. Returns -1 and sets errno. @flags: O_APPEND, or O_TRUNC.
 */
int hak_open_output(const char *text, int flags);

/* What was stderr at the start, for statistics and leaks; or -1. */
int hak_kept_stderr(void);

/* Text on its way to a file: the sink hak_output_append() collects it. */
struct hak_output {
	int file;
	size_t length;
	char text[512]; /* the stack of a thread may be small */
};

void hak_output_begin(struct hak_output *out, const char *what);
void hak_output_name(struct hak_output *out); /* "hakmem: NAME[PID]: " */
void hak_output_append(void *ctx, const char *text, size_t length);
void hak_output_flush(struct hak_output *out);

#endif
