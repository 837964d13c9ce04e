/* SPDX-License-Identifier: MIT */
/*
 * The reaper: who gives idle memory back on Linux. It scans the heap
 * (core/reclaim/scan.c) nine times in HAKMEM_PURGE_DELAY_MS.
 *
 * Freed memory goes at the second scan after it was freed. An empty SuperSlab goes when two
 * intervals of core/base/policy.c, of two scans each, did not need it: after four to six scans.
 * So what was freed last has gone one delay later. A SuperSlab that only blocks in magazines
 * kept becomes empty with the second scan, and goes as much later. The delay is 500 ms because a
 * program that grew and shrank by 240 MiB every 100 to 200 ms took 1.4 to 2.2 times the CPU time,
 * for page faults, with 200 ms.
 *
 * A program that has one thread keeps one thread: what may be done only in such a
 * program (unshare(), a filter for system calls, capabilities, fork() in a signal handler)
 * is done as without us. There malloc and free give memory back (scan_inline.c). They
 * also do where no thread is wanted (HAKMEM_REAPER=0), or none can be had.
 *
 * A program that has made threads gets one more when it has asked for 4 MiB: a smaller
 * heap is not worth a thread. Only malloc starts it, because glibc frees memory with its
 * lock for thread stacks held, which pthread_create() needs. The child of a vfork() does
 * not start it, since it would be the child's, and end with it. The child of a fork() has
 * no reaper; it starts its own, by the same rule, when it has grown by as much.
 *
 * The thread ends with the last other thread that has a cache, so that a process whose
 * main thread has left by pthread_exit() can end. That other thread waits until it has
 * ended, since the last thread calls the handlers of exit(), which need more stack. Once
 * a minute the thread looks whether others have ended without a word.
 *
 * A filter for system calls may kill the thread. The slow paths look for that now and
 * then. If it was killed in a scan, nobody scans any more, since the filter would kill the
 * program's own threads, too.
 *
 * Scans that find nothing take at most a hundredth of a CPU: the pause after one of them
 * grows with its cost, up to ten intervals. Beside a program that does little, the thread
 * does little: each scan that gives hardly anything back doubles the pause. It ends early
 * when a SuperSlab becomes empty, or slow paths have come by more than a few times.
 *
 * Lock: none. The words of `reaper` change by atomic operations.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <hakmem/host.h>

#include "cache/cache.h"
#include "linux.h"
#include "options.h"
#include "pages/pages.h"
#include "reclaim/scan.h"
#include "superslab/arena.h"
#include "superslab/span.h"
#include "base/policy.h"

#define GROWN	 ((uint64_t)4 << 20)
#define STACK	 ((size_t)256 << 10)
#define SHARE	 100u /* of the time, at most one part goes to scans that find nothing */
#define STRETCH	 10u
#define STEP	 16u /* SuperSlabs in a piece: fork() waits for one at most */
#define SCANS	 9u  /* in a delay */
#define AGE	 2u  /* of these are an interval of core/base/policy.c, at least */
#define NS_IN_MS 1000000u
#define SECOND	 ((uint64_t)1000 * NS_IN_MS)
#define MINUTE	 (60 * SECOND)

#define DOZE   12u    /* intervals in a pause at most */
#define LITTLE 65536u /* bytes: so much is hardly anything */
#define CALLS  256u   /* one slow path in so many shows that the program is not idle */

/* Is the reaper to be woken? */
enum {
	AWAKE, /* no */
	DOZES, /* if there is more to do than usual */
	SLEEPS /* by the first one who comes by */
};
enum reaper_state {
	REAPER_EARLY, /* the options are not known yet */
	REAPER_NONE,  /* there is no thread: malloc and free scan */
	REAPER_RUNS,
	REAPER_LOST, /* it was killed in a scan: nobody scans */
};

/* Slow paths that come by serve others, too: written once, before there are threads. */
static bool serves;

static struct {
	_Atomic unsigned state;
	_Atomic unsigned asleep;  /* AWAKE, or what makes somebody wake the thread */
	_Atomic uint64_t emptied; /* SuperSlabs that had become empty when it began to doze */
	_Atomic bool waits;	  /* a large block waited then */
	_Atomic unsigned ending;  /* 1: the thread is to end */
	_Atomic uint64_t alive;	  /* when the thread came by, or was woken */
	_Atomic uint64_t owner;	  /* its this_owner(); 0: it has not begun */
	_Atomic bool scanning;	  /* it is in a scan */
	_Atomic bool refused;	  /* no thread can be had */
	_Atomic bool joinable;	  /* who makes it false ends `thread` and waits for it */
	pid_t process;		  /* the one that may have a thread */
	uint64_t looked;	  /* when the thread looked for threads that have gone */
	uint64_t requested;	  /* what was asked of the kernel before */
	uint64_t aged;		  /* when an interval of core/base/policy.c was over */
	pthread_t thread;
} reaper;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now = { 0 }; /* the system may refuse the call */

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 * NS_IN_MS + (uint64_t)now.tv_nsec;
}

uint64_t hak_interval_ns(void)
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

uint64_t hak_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

/* Scan once. Sets how many intervals to wait then. @clock: what to take the cost by. */
enum scan_state hak_scan_once(clockid_t clock, unsigned *pause)
{
	uint64_t before = scan_given_back(), start = clock_ns(clock), cost, now = hak_now_ns();
	uint64_t ages = (now - reaper.aged) / (AGE * hak_interval_ns());
	enum scan_state state;

	if (ages)
		reaper.aged = now;
	do
		state = scan_step(STEP, ages < 2 ? (unsigned)ages : 2);
	while (state == SCAN_MORE);
	cost = (clock_ns(clock) - start) * SHARE / hak_interval_ns();
	*pause = 1;
	if (scan_given_back() == before && cost)
		*pause = cost < STRETCH ? (unsigned)cost : STRETCH;
	return state;
}

/* ------------------------------------------------------------------ in the thread */

/* Does a large block wait, of a SuperSlab or more? */
static bool does_large_wait(void)
{
	return span_waiting() >= UNITS_PER_SUPERSLAB;
}

/* Scan once. *pause: how many intervals to wait, at least *least, before and after. */
static enum scan_state scan_in_thread(unsigned *least, unsigned *pause)
{
	uint64_t before = scan_given_back();
	/* what is kept ages by scans */
	unsigned most = READ_ONCE(hak_arena.counters.reserve) || does_large_wait() ? 1 : DOZE;
	enum scan_state state;

	reaper.scanning = true;
	state = hak_scan_once(CLOCK_THREAD_CPUTIME_ID, least);
	reaper.scanning = false;
	reaper.alive = hak_now_ns();
	*pause = scan_given_back() - before >= LITTLE ? 1 : *pause * 2;
	if (*pause > most)
		*pause = most;
	return state;
}

/* Returns how long the next pause may be. */
static unsigned wait_between_scans(unsigned least, unsigned pause)
{
	uint64_t began = hak_now_ns(), interval = hak_interval_ns(), passed;
	bool early = false;

	reaper.emptied = READ_ONCE(hak_arena.counters.emptied);
	reaper.waits = does_large_wait();
	if (pause > least) {
		reaper.asleep = DOZES;
		if (!reaper.ending)
			wait(&reaper.asleep, DOZES, pause * interval);
		early = atomic_exchange(&reaper.asleep, AWAKE) == AWAKE;
	}
	if (hak_top_is_on)
		hak_top_tick();
	passed = hak_now_ns() - began;
	if (passed < least * interval && !reaper.ending)
		wait(&reaper.ending, 0, least * interval - passed);
	reaper.alive = hak_now_ns();
	return early ? 1 : pause;
}

/* Is no other thread left? Once a minute, those that ended without a word are found. */
static bool is_alone(void)
{
	uint64_t now = hak_now_ns();

	if (now - reaper.looked >= MINUTE) {
		reaper.looked = now;
		cache_detach_gone(true);
	}
	return !cache_count();
}

static void sleep_for(uint64_t ns)
{
	wait(&reaper.asleep, SLEEPS, ns);
	if (hak_top_is_on)
		hak_top_tick();
}

/* No later scan would find more: sleep until something is freed. */
static void sleep_unless_needed(unsigned *least, unsigned *pause)
{
	reaper.asleep = SLEEPS;
	/* this scan sees what happened before this; hak_host_reap() sees what happens later */
	if (scan_in_thread(least, pause) == SCAN_AGAIN)
		reaper.asleep = AWAKE;
	while (reaper.asleep && !reaper.ending && !is_alone())
		sleep_for(hak_top_is_on ? SECOND : MINUTE);
	reaper.asleep = AWAKE;
	reaper.alive = hak_now_ns();
}

/*
 * The thread is like the process, not like the thread that happened to need it: of the
 * usual kind, and on the CPUs of the first thread. System calls, since musl has not all of
 * these functions; what is refused is done without.
 */
static void be_ordinary(void)
{
	static PLATFORM_SPARSE unsigned long cpus[1024];
	struct sched_param priority = { 0 };
	long size;

	prctl(PR_SET_NAME, "hakmem");
	syscall(SYS_sched_setscheduler, 0L, (long)SCHED_OTHER, &priority);
	size = syscall(SYS_sched_getaffinity, (long)getpid(), sizeof(cpus), cpus);
	if (size > 0)
		syscall(SYS_sched_setaffinity, 0L, size, cpus);
}

static void *reaper_runs(void *unused)
{
	unsigned least = 1, pause = 1;

	(void)unused;
	hak_do_without_cache();
	reaper.owner = this_owner();
	be_ordinary();
	for (;;) {
		pause = wait_between_scans(least, pause);
		if (reaper.ending || is_alone())
			break;
		if (scan_in_thread(&least, &pause) == SCAN_DONE)
			sleep_unless_needed(&least, &pause);
	}
	if (atomic_exchange(&reaper.joinable, false)) /* nobody waits */
		pthread_detach(pthread_self());
	reaper.ending = 0;
	reaper.state = REAPER_NONE;
	return NULL;
}

/* ---------------------------------------------------------------- in the program */

/*
 * The thread has all signals blocked: they are for the program's own threads. But a system
 * call that a filter traps would kill the process if SIGSYS was.
 */
static int create(void)
{
	pthread_attr_t attributes;
	sigset_t most, before;
	int failed;

	sigfillset(&most);
	sigdelset(&most, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &most, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	failed = pthread_create(&reaper.thread, &attributes, reaper_runs, NULL);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed;
}

static HAK_COLD NOINLINE void start(void)
{
	unsigned none = REAPER_NONE;
	int saved = errno;

	/* first: pthread_create() calls malloc */
	if (!atomic_compare_exchange_strong(&reaper.state, &none, REAPER_RUNS))
		return;
	reaper.ending = 0; /* two threads may have ended at once */
	reaper.asleep = AWAKE;
	reaper.owner = 0;
	reaper.alive = reaper.looked = hak_now_ns();
	reaper.requested = pages_counters.requested;
	if (create()) {
		reaper.refused = true;
		reaper.state = REAPER_NONE;
	} else {
		reaper.joinable = true;
	}
	if (hak_option(HAK_OPTION_VERBOSE))
		hak_say(reaper.refused ? "no thread can be started: malloc and free scan"
				       : "a thread gives memory back");
	errno = saved;
}

static bool is_wanted(void)
{
	switch ((enum hak_reaper)hak_option(HAK_OPTION_REAPER)) {
	case HAK_REAPER_AUTO:
		return hak_has_threads();
	case HAK_REAPER_ALWAYS:
		return true;
	default:
		return false;
	}
}

/*
 * Not by a thread that has no cache any more: no thread would end this one. Not by the child
 * of a vfork(), which has the memory of its parent, but its own number.
 */
static bool may_start(void)
{
	return pages_counters.requested - reaper.requested >= GROWN && !reaper.refused &&
	       is_wanted() && this_cache() != CACHE_NEVER && getpid() == reaper.process;
}

/* Has the thread not come by for long? Has it been killed? */
static HAK_COLD NOINLINE void find_out_whether_killed(void)
{
	if (hak_now_ns() <= reaper.alive + MINUTE / 2)
		return;
	reaper.alive = hak_now_ns();
	if (!reaper.owner || !owner_is_gone(reaper.owner))
		return;
	reaper.joinable = false;
	reaper.refused = true;
	if (reaper.scanning) {
		reaper.state = REAPER_LOST;
		policy_set_mode(RELEASE_AT_ONCE);
		hak_do_without_madvise();
		scan_abandon();
	} else {
		reaper.state = REAPER_NONE;
	}
	if (hak_option(HAK_OPTION_VERBOSE))
		hak_say("the thread that gives memory back was killed");
}

static HAK_COLD NOINLINE void wake(void)
{
	reaper.alive = hak_now_ns();
	if (atomic_exchange(&reaper.asleep, AWAKE))
		hak_host_wake(&reaper.asleep);
}

_Static_assert(CALLS <= UINT8_MAX + 1, "they are counted in a byte");

/* A slow path has come by while there is a thread. */
static void wake_if_needed(void)
{
	/* a byte: of the memory for such variables there is little where a program opens us */
	static __thread uint8_t calls __attribute__((tls_model("initial-exec")));
	unsigned asleep = reaper.asleep;
	bool turn = ++calls % CALLS == 0;

	if (asleep == SLEEPS ||
	    (asleep == DOZES && (turn || READ_ONCE(hak_arena.counters.emptied) != reaper.emptied ||
				 (!reaper.waits && does_large_wait()))))
		wake();
	else if (turn)
		find_out_whether_killed();
}

/* Who else waits for a slow path to come by? Returns whether there is something to scan. */
static HAK_COLD NOINLINE bool serve_others(void)
{
	hak_dump_if_due();
	if (hak_top_is_on)
		hak_top_tick();
	return hak_option(HAK_OPTION_PURGE_DELAY_MS) >= 0;
}

void hak_host_reap(enum hak_reap_why why)
{
	if (unlikely(serves) && !serve_others())
		return;
	switch ((enum reaper_state)reaper.state) {
	case REAPER_EARLY:
	case REAPER_LOST:
		break;
	case REAPER_RUNS:
		wake_if_needed();
		break;
	case REAPER_NONE:
		if (pages_counters.requested < GROWN)
			break;
		if (why == HAK_REAP_MALLOC && may_start())
			start();
		else
			hak_scan_inline(why);
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
	if (atomic_exchange(&reaper.asleep, AWAKE))
		hak_host_wake(&reaper.asleep);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_join(thread, NULL);
	pthread_setcancelstate(cancel, NULL);
}

/* In the child, which has no other thread. */
void hak_reaper_after_fork(void)
{
	reaper.process = getpid();
	hak_top_after_fork();
	hak_scan_inline_after_fork();
	if (reaper.state != REAPER_RUNS)
		return;
	reaper.joinable = false;
	reaper.asleep = AWAKE;
	reaper.ending = 0;
	reaper.scanning = false;
	reaper.requested = pages_counters.requested;
	reaper.state = REAPER_NONE;
}

/* The options are known now. */
void hak_reaper_configure(void)
{
	serves = hak_option(HAK_OPTION_DUMP_SIGNAL) || hak_option(HAK_OPTION_TOP);
	reaper.process = getpid();
	reaper.state = REAPER_NONE;
	policy_set_mode(RELEASE_LATER);
	if (hak_option(HAK_OPTION_PURGE_DELAY_MS) < 0) {
		policy_set_mode(RELEASE_NEVER);
		scan_awake = !serves; /* as far as the core is concerned */
	}
}
