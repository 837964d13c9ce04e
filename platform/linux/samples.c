/* SPDX-License-Identifier: MIT */
/*
 * Samples on Linux: the slow paths of malloc and free that know them, stacks by gcc's unwinder,
 * pages that fault by mprotect(), and when they are made and written (HAKMEM_GUARD,
 * HAKMEM_PROFILE, HAKMEM_LEAKS).
 *
 * The handlers of signals here call only what is safe there: what they print is read without a
 * lock. They are installed only if the environment asks for what they do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <hakmem/host.h>
#include <hakmem/samples.h>

#include "api/fastpath.h"
#include "api/fork.h"
#include "api/sampled_paths.h"
#include "debug/choice.h"
#include "diag/sample.h"
#include "diag/sampled.h"
#include "diag/trace.h"
#include "linux.h"
#include "options.h"

/* -------------------------------------------------------------------------- pages */

bool hak_host_protect(void *base, size_t size, bool faults)
{
	int saved = errno;
	long failed = syscall(SYS_mprotect, base, size,
			      faults ? (long)PROT_NONE : (long)(PROT_READ | PROT_WRITE));

	errno = saved;
	return !failed;
}

/* ------------------------------------------------------------------------- stacks */

/* The test programs have none. */
extern __typeof__(hak_unwinder_find) hak_unwinder_find __attribute__((weak));

static struct hak_unwinder unwinder;
static _Atomic bool is_unwinder_there;

/*
 * In a static program the unwinder sorts its tables the first time, with a lock held, and allocates
 * meanwhile. That had better not be when the program throws its first exception.
 */
static void find_unwinder(void)
{
	void *frame;

	if (is_unwinder_there)
		return;
	if (hak_unwinder_find && hak_unwinder_find(&unwinder)) {
		is_unwinder_there = true;
		hak_host_trace(NULL, &frame, 1);
	} else {
		hak_say("there is no unwinder (libgcc_s.so.1): the stacks of samples are unknown");
	}
}

/* A thread that is not there may have its lock. Stacks are unknown in this child. */
void hak_samples_after_fork(void)
{
	if (unwinder.locks && hak_has_threads())
		is_unwinder_there = false;
}

/* Only the shared library has it for certain, and behind all others. */
extern void hak_delete_last(void) __attribute__((weak, visibility("hidden")));

/* One of the first functions of the library, and one of the last, as they are linked. */
static bool is_own(uintptr_t function)
{
	static const void *const own[] = {
		(void *)fork_prepare,	  (void *)hak_sampled_malloc, (void *)hak_host_barrier,
		(void *)hak_sampled_name, (void *)hak_host_supply,    (void *)hak_delete_last,
	};
	uintptr_t first = UINTPTR_MAX, last = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(own) && own[i]; i++) {
		first = MIN(first, (uintptr_t)own[i]);
		last = MAX(last, (uintptr_t)own[i]);
	}
	return function >= first && function <= last;
}

struct walk {
	void **frames;
	unsigned n, most;
	bool is_outside; /* the frames of the library itself are behind us */
};

static int visit_frame(struct _Unwind_Context *context, void *ctx)
{
	struct walk *walk = ctx;

	if (!walk->is_outside)
		walk->is_outside = !is_own(unwinder.start(context));
	if (walk->is_outside)
		walk->frames[walk->n++] = (void *)unwinder.ip(context);
	return walk->n == walk->most ? 5 : 0; /* _URC_END_OF_STACK: stop; _URC_NO_REASON */
}

unsigned hak_host_trace(const void *frame, void **frames, unsigned most)
{
	/* the unwinder may allocate when it is called for the first time */
	static __thread bool is_busy __attribute__((tls_model("initial-exec")));
	struct walk walk = { .frames = frames, .most = most };
	int saved = errno;

	(void)frame;
	if (!is_unwinder_there || is_busy)
		return 0;
	is_busy = true;
	unwinder.backtrace(visit_frame, &walk);
	is_busy = false;
	errno = saved;
	if (walk.n && !walk.frames[walk.n - 1])
		walk.n--; /* the end of the stack */
	return walk.n;
}

/* ----------------------------------------------- the names of instructions, from the maps */

static long read_some(int file, char *text, size_t size)
{
	long n;

	do
		n = syscall(SYS_read, file, text, size);
	while (n < 0 && errno == EINTR);
	return n;
}

static uintptr_t parse_hex(const char **text)
{
	uintptr_t value = 0;

	for (;; (*text)++) {
		if (**text >= '0' && **text <= '9')
			value = value * 16 + (uintptr_t)(**text - '0');
		else if (**text >= 'a' && **text <= 'f')
			value = value * 16 + (uintptr_t)(**text - 'a' + 10);
		else
			return value;
	}
}

/* What is looked for in the maps, line by line. */
struct search {
	uintptr_t address, base; /* base: where the file begins whose line was read last */
	char line[256];
	size_t length;
};

/* "start-end perms offset device inode   path": append the path and the place in the file. */
static bool search_line(struct search *search, struct hak_line *line)
{
	const char *text = search->line, *path = strchr(text, '/');
	uintptr_t start = parse_hex(&text), end, offset;

	end = *text == '-' ? (text++, parse_hex(&text)) : 0;
	text += strcspn(text + 1, " ") + 1;
	text += *text == ' ';
	offset = parse_hex(&text);
	if (!offset)
		search->base = start;
	if (search->address < start || search->address >= end || !path)
		return false;
	hak_format(hak_line_append, line, " (%s+0x%lx)", path,
		   (unsigned long)(search->address - search->base));
	return true;
}

static bool search_text(struct search *search, const char *text, long n, struct hak_line *line)
{
	for (long i = 0; i < n; i++) {
		bool end = text[i] == '\n';

		if (search->length < sizeof(search->line) - 1)
			search->line[search->length++] = end ? '\0' : text[i];
		if (!end)
			continue;
		search->line[search->length] = '\0';
		search->length = 0;
		if (search_line(search, line))
			return true;
	}
	return false;
}

void hak_sampled_name(struct hak_line *line, void *frame)
{
	struct search search = { .address = (uintptr_t)frame };
	char text[256];
	int file, saved = errno;
	long n;

	file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
	while (file >= 0 && (n = read_some(file, text, sizeof(text))) > 0)
		if (search_text(&search, text, n, line))
			break;
	if (file >= 0)
		syscall(SYS_close, file);
	errno = saved;
}

/* -------------------------------------------------------------------- what is written */

/* A sink that says whose the text is. */
static void append_report(void *ctx, const char *text, size_t length)
{
	static const char prefix[] = "hakmem: ";
	size_t skip = sizeof(prefix) - 1;

	if (length >= skip && !memcmp(text, prefix, skip)) {
		hak_output_name(ctx);
		text += skip;
		length -= skip;
	}
	hak_output_append(ctx, text, length);
}

void hak_sampled_print(void *ctx, const char *text, size_t length)
{
	struct hak_output out = { .file = STDERR_FILENO };

	(void)ctx;
	append_report(&out, text, length);
	hak_output_flush(&out);
}

/* The reader of a profile finds functions by these lines. */
static void append_maps(struct hak_output *out)
{
	int file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char text[256];
	long n;

	hak_format(hak_output_append, out, "\nMAPPED_LIBRARIES:\n");
	while (file >= 0 && (n = read_some(file, text, sizeof(text))) > 0)
		hak_output_append(out, text, (size_t)n);
	if (file >= 0)
		syscall(SYS_close, file);
}

static void write_profile(void)
{
	const char *text = hak_option_text(HAK_OPTION_PROFILE);
	struct hak_output out = { .file = hak_open_output(text, O_TRUNC) };

	if (out.file < 0) {
		hak_say("cannot write the profile to %s (errno %d)", text, errno);
		return;
	}
	hak_profile_text(hak_output_append, &out);
	append_maps(&out);
	hak_output_flush(&out);
	syscall(SYS_close, out.file);
}

static void print_leaks(void)
{
	struct hak_output out = { .file = hak_kept_stderr() };

	if (out.file < 0)
		return;
	hak_output_begin(&out, "leaks");
	hak_leaks(hak_output_append, &out);
	hak_output_flush(&out); /* statistics may follow, so it stays open */
}

/* ------------------------------------------------------------------------- signals */

static PLATFORM_SPARSE struct sigaction before_fault;

/* The program's own handler comes next. Without one, the access is tried again, and ends it. */
static void chain(int number, siginfo_t *info, void *context)
{
	if (before_fault.sa_flags & SA_SIGINFO) {
		before_fault.sa_sigaction(number, info, context);
	} else if (before_fault.sa_handler != SIG_DFL && before_fault.sa_handler != SIG_IGN) {
		before_fault.sa_handler(number);
	} else {
		sigaction(number, &before_fault, NULL);
		if (info->si_code <= 0) /* somebody has sent it */
			syscall(SYS_tgkill, (long)getpid(), syscall(SYS_gettid), (long)number);
	}
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	static _Atomic bool is_reported;
	struct hak_output out = { .file = STDERR_FILENO };
	void *frames[TRACE_MOST];
	int saved = errno;
	unsigned n;

	if (info->si_code > 0 && !is_reported) {
		n = hak_host_trace(__builtin_frame_address(0), frames, TRACE_MOST);
		if (hak_guard_report(info->si_addr, frames, n, append_report, &out))
			is_reported = true;
		hak_output_flush(&out);
	}
	errno = saved;
	chain(number, info, context);
}

static void on_profile_signal(int number)
{
	int saved = errno;

	(void)number;
	write_profile();
	errno = saved;
}

static void handle_as(int number, struct sigaction action, struct sigaction *before)
{
	sigfillset(&action.sa_mask);
	sigdelset(&action.sa_mask, SIGSEGV);
	if (sigaction(number, &action, before))
		hak_say("signal %d cannot be handled (errno %d)", number, errno);
}

void hak_handle(int number, void (*handler)(int number))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK };

	handle_as(number, action, NULL);
}

/* -------------------------------------------------------------------- start and end */

bool hak_profile_start(size_t bytes)
{
	find_unwinder();
	if (hak_sampled_profile(bytes))
		return true;
	hak_say(bytes ? "a profile was started already" : "a profile has samples for 0 bytes");
	return false;
}

bool hak_guard_start(size_t one_in)
{
	find_unwinder();
	return hak_sampled_guard(one_in);
}

static void begin_guards(size_t one_in)
{
	struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	find_unwinder();
	if (hak_sampled_guard(one_in))
		handle_as(SIGSEGV, fault, &before_fault);
	else
		hak_say("HAKMEM_GUARD: no page can be made to fault: nothing is guarded");
}

void hak_samples_begin(void)
{
	long bytes = hak_option(HAK_OPTION_PROFILE), leaks = hak_option(HAK_OPTION_LEAKS);
	long number = hak_option(HAK_OPTION_PROFILE_SIGNAL);

	if (IS_ENABLED(HAK_DEBUG_LAYER) && debug_has_tracks())
		find_unwinder();
	if (bytes && leaks && bytes != leaks)
		hak_say("HAKMEM_LEAKS tells of the samples of HAKMEM_PROFILE");
	if (bytes || leaks) {
		find_unwinder();
		hak_sampled_profile((size_t)(bytes ? bytes : leaks));
		hak_flush(); /* what other constructors have freed would serve without a miss */
	}
	if (bytes && number)
		hak_handle((int)number, on_profile_signal);
	if (hak_option(HAK_OPTION_GUARD))
		begin_guards((size_t)hak_option(HAK_OPTION_GUARD));
}

void hak_samples_end(void)
{
	struct hak_samples counts;

	is_unwinder_there = false; /* what frees its tables comes last, and has its lock */
	if (hak_option(HAK_OPTION_PROFILE))
		write_profile();
	if (hak_option(HAK_OPTION_LEAKS))
		print_leaks();
	if (!hak_option(HAK_OPTION_VERBOSE))
		return;
	hak_samples_read(&counts, sizeof(counts));
	if (counts.profiled || counts.guarded)
		hak_say("%zu samples, %zu without room; %zu guarded blocks, %zu without a page",
			counts.profiled, counts.profile_missed, counts.guarded,
			counts.guard_missed);
}
