/* SPDX-License-Identifier: MIT */
/*
 * The reaper: the thread that gives idle memory back on Linux. It scans the heap
 * (core/reclaim/scan.c) ten times in HAKMEM_PURGE_DELAY_MS.
 *
 * Freed memory goes at the second scan after it was freed. An empty SuperSlab goes when
 * it was not needed for six intervals. A SuperSlab that only blocks in magazines kept
 * becomes empty with the second scan. So everything has gone one delay later. The delay
 * is 500 ms because a program that grew and shrank by 240 MiB every 100 to 200 ms took
 * 1.4 to 2.2 times the CPU time, for page faults, with 200 ms.
 *
 * The thread is started when the program has asked for 4 MiB: a smaller heap is not
 * worth a thread. Only malloc starts it, because glibc frees memory with its lock for
 * thread stacks held, which pthread_create() needs. It ends with the last other thread
 * that has a cache, so that a process whose main thread has left by pthread_exit() can
 * end. That other thread waits until it has ended, since the last thread calls the
 * handlers of exit(), which need more stack. The child of a fork() has no reaper, and
 * starts its own when it has grown by as much.
 *
 * Scans that find nothing take at most a hundredth of a CPU: the pause after one of them
 * grows with its cost, up to ten intervals. It ends early when a SuperSlab becomes empty.
 *
 * Where no thread is wanted (HAKMEM_REAPER=0), or none can be started, the slow paths of
 * malloc and free scan when it is time. SuperSlabs that become empty are kept until such
 * a scan: to unmap and map one for each large block would cost much more than the block.
 *
 * Lock: none. The words of `reaper` change by atomic operations.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <hakmem/host.h>

#include "cache/cache.h"
#include "linux.h"
#include "options.h"
#include "pages/pages.h"
#include "reclaim/scan.h"
#include "base/policy.h"

#define GROWN	 ((uint64_t)4 << 20)
#define STACK	 ((size_t)256 << 10)
#define SHARE	 100u /* of the time, at most one part goes to scans that find nothing */
#define STRETCH	 10u
#define STEP	 16u /* SuperSlabs in a piece: fork() waits for one at most */
#define SCANS	 10u /* in a delay */
#define NS_IN_MS 1000000u

enum reaper_state {
	REAPER_EARLY, /* the options are not known yet */
	REAPER_NONE,
	REAPER_RUNS,
	REAPER_INLINE, /* there is no thread, and will be none */
};

static struct {
	_Atomic unsigned state;
	_Atomic unsigned asleep; /* 1: the thread sleeps until somebody makes it 0 */
	_Atomic unsigned ending; /* 1: the thread is to end */
	_Atomic uint64_t due;	 /* inline: when to scan next, in nanoseconds */
	uint64_t requested;	 /* what was asked of the kernel before */
	_Atomic bool joinable;	 /* who makes it false ends `thread` and waits for it */
	pthread_t thread;
} reaper;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now = { 0 }; /* the system may refuse the call */

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 * NS_IN_MS + (uint64_t)now.tv_nsec;
}

static uint64_t interval_ns(void)
{
	uint64_t delay = (uint64_t)hak_option(HAK_OPTION_PURGE_DELAY_MS) * NS_IN_MS;

	return delay / SCANS > NS_IN_MS ? delay / SCANS : NS_IN_MS;
}

/* Wait until *word is not @seen, or the time is over; 0 is for ever. */
static void wait(_Atomic unsigned *word, unsigned seen, uint64_t ns)
{
	struct timespec time = { (time_t)(ns / (1000 * NS_IN_MS)), (long)(ns % (1000 * NS_IN_MS)) };

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, ns ? &time : NULL, NULL, 0);
}

/* Scan once, and look at @clock what that costs. Sets how many intervals to wait then. */
static enum scan_state scan(clockid_t clock, unsigned *pause)
{
	uint64_t before = scan_given_back(), start = clock_ns(clock), cost;
	enum scan_state state;

	do
		state = scan_step(STEP);
	while (state == SCAN_MORE);
	cost = (clock_ns(clock) - start) * SHARE / interval_ns();
	*pause = 1;
	if (scan_given_back() == before && cost)
		*pause = cost < STRETCH ? (unsigned)cost : STRETCH;
	return state;
}

static void wait_between_scans(unsigned pause)
{
	uint64_t emptied = scan_count_emptied();

	do
		wait(&reaper.ending, 0, interval_ns());
	while (--pause && !reaper.ending && scan_count_emptied() == emptied);
}

/* No later scan would find more: sleep until something is freed. */
static void sleep_unless_needed(void)
{
	unsigned pause;

	reaper.asleep = 1;
	scan_awake = false;
	/* this scan sees what happened before this; hak_host_reap() sees what happens later */
	if (scan(CLOCK_THREAD_CPUTIME_ID, &pause) == SCAN_AGAIN)
		reaper.asleep = 0;
	while (reaper.asleep && !reaper.ending)
		wait(&reaper.asleep, 1, 0);
	scan_awake = true;
}

static void *reaper_runs(void *unused)
{
	unsigned pause = 1;

	(void)unused;
	policy_set_mode(RELEASE_LATER);
	for (;;) {
		wait_between_scans(pause);
		if (reaper.ending)
			break;
		if (scan(CLOCK_THREAD_CPUTIME_ID, &pause) == SCAN_DONE)
			sleep_unless_needed();
	}
	policy_set_mode(RELEASE_AT_ONCE);
	reaper.ending = 0;
	scan_awake = false;
	reaper.state = REAPER_NONE;
	return NULL;
}

/* The thread has all signals blocked: they are for the program's own threads. */
static int create(void)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	failed = pthread_create(&reaper.thread, &attributes, reaper_runs, NULL);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed;
}

/* There is no thread: malloc and free scan. */
static void do_without(void)
{
	reaper.state = REAPER_INLINE;
	policy_set_mode(RELEASE_LATER);
}

static void start(void)
{
	unsigned none = REAPER_NONE;
	int saved = errno;

	/* not by a thread that has no cache any more: no thread would end this one */
	if (this_cache() == CACHE_NEVER)
		return;
	/* first: pthread_create() calls malloc */
	if (!atomic_compare_exchange_strong(&reaper.state, &none, REAPER_RUNS))
		return;
	scan_awake = true;
	reaper.ending = 0; /* two threads may have ended at once */
	reaper.requested = pages_counters.requested;
	if (create()) {
		do_without();
		scan_awake = false;
	} else {
		pthread_setname_np(reaper.thread, "hakmem");
		reaper.joinable = true;
	}
	if (hak_option(HAK_OPTION_VERBOSE))
		hak_say(reaper.state == REAPER_RUNS ? "a thread gives memory back"
						    : "no thread can be had; malloc and free scan");
	errno = saved;
}

/*
 * There is no thread: scan, if it is time and no other caller scans. Only the coarse clock
 * is read without a system call on all machines; on the average it tells what a scan costs.
 */
static void scan_inline(void)
{
	uint64_t due = reaper.due;
	unsigned pause;

	if (clock_ns(CLOCK_MONOTONIC_COARSE) < due ||
	    !atomic_compare_exchange_strong(&reaper.due, &due, UINT64_MAX))
		return;
	scan(CLOCK_MONOTONIC_COARSE, &pause);
	reaper.due = clock_ns(CLOCK_MONOTONIC_COARSE) + pause * interval_ns();
}

void hak_host_reap(enum hak_reap_why why)
{
	enum reaper_state state = reaper.state;

	switch (state) {
	case REAPER_EARLY:
		break;
	case REAPER_RUNS:
		if (reaper.asleep && atomic_exchange(&reaper.asleep, 0))
			hak_host_wake(&reaper.asleep);
		break;
	case REAPER_NONE:
		if (why == HAK_REAP_MALLOC && pages_counters.requested - reaper.requested >= GROWN)
			start();
		break;
	case REAPER_INLINE:
		if (pages_counters.requested >= GROWN)
			scan_inline();
		break;
	}
}

/* A thread has given its cache back. If it was the last one, the reaper ends before it does. */
void hak_reaper_thread_ended(void)
{
	pthread_t thread;
	int cancel;

	if (cache_count() || !atomic_exchange(&reaper.joinable, false))
		return;
	thread = reaper.thread; /* as soon as it has ended there may be another */
	reaper.ending = 1;
	hak_host_wake(&reaper.ending);
	if (atomic_exchange(&reaper.asleep, 0))
		hak_host_wake(&reaper.asleep);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_join(thread, NULL);
	pthread_setcancelstate(cancel, NULL);
}

/* In the child, which has no other thread. */
void hak_reaper_after_fork(void)
{
	if (reaper.state != REAPER_RUNS)
		return;
	policy_set_mode(RELEASE_AT_ONCE);
	reaper.joinable = false;
	reaper.asleep = 0;
	reaper.ending = 0;
	reaper.requested = pages_counters.requested;
	reaper.state = REAPER_NONE;
	scan_awake = false;
}

/* The options are known now. */
void hak_reaper_configure(void)
{
	if (hak_option(HAK_OPTION_REAPER))
		reaper.state = REAPER_NONE;
	else
		do_without();
	if (hak_option(HAK_OPTION_PURGE_DELAY_MS) < 0) {
		policy_set_mode(RELEASE_NEVER);
		scan_awake = true; /* as far as the core is concerned */
	}
}
