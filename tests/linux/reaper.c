/* SPDX-License-Identifier: MIT */
/*
 * The thread that gives memory back, as an ordinary program meets it: one that
 * was built without the library and runs under LD_PRELOAD. Each case is a process
 * of its own, this program called with the name of the case, because a case is
 * about threads, the environment and the memory of a whole process.
 *
 *	reaper [CASE]	without: all of them
 *
 * Nothing here depends on how fast the machine is: what has to happen is waited
 * for, at most PATIENCE; only what must not happen is watched for a fixed time.
 * What depends on how long calls take has the process's own time (own_clock).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hakmem/stats.h>

#define PATIENCE   60000u /* milliseconds for what has to happen */
#define HANGS	   600u	  /* seconds after which a case is said to hang */
#define TICK	   20u
#define NR_THREADS 8u
#define MIB	   ((size_t)1 << 20)
#define SKIPPED	   77

static const char *current;

/* A case that fails is over. printf would not reach a parent from a child's _exit(). */
static _Noreturn void fail(int line, const char *what)
{
	dprintf(STDOUT_FILENO, "FAIL %s: tests/linux/reaper.c:%d: %s\n", current, line, what);
	_exit(1);
}

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail(__LINE__, #condition);                                                \
	} while (0)

static void sleep_ms(unsigned ms)
{
	usleep(ms * 1000);
}

/* Wait until @condition holds. Calls nothing of the allocator by itself. */
#define CHECK_SOON(condition)                                                                      \
	do {                                                                                       \
		unsigned waited = 0;                                                               \
		while (!(condition) && waited < PATIENCE) {                                        \
			sleep_ms(TICK);                                                            \
			waited += TICK;                                                            \
		}                                                                                  \
		CHECK(condition);                                                                  \
	} while (0)

/* The exit status of a child, or -1 if it takes too long: then it is ended. */
static int wait_for(pid_t pid)
{
	int status = 0;

	for (unsigned waited = 0; waited < HANGS / 2 * 1000; waited++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		sleep_ms(1);
	}
	kill(pid, SIGKILL); /* the reaper blocks all others */
	waitpid(pid, &status, 0);
	return -1;
}

/* A program, or a library in it, that looks after threads, and allocates in each new one. */
static _Atomic bool wraps;

struct wrapped {
	void *(*function)(void *);
	void *argument;
};

static void *wrapped_runs(void *argument)
{
	struct wrapped wrapped = *(struct wrapped *)argument;
	char *record = strdup("of this thread");
	void *result;

	free(argument);
	result = wrapped.function(wrapped.argument);
	free(record);
	return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
		   void *argument)
{
	int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
		dlsym(RTLD_NEXT, "pthread_create");
	struct wrapped *wrapped;

	if (!wraps)
		return next(thread, attributes, function, argument);
	wrapped = malloc(sizeof(*wrapped));
	*wrapped = (struct wrapped){ function, argument };
	return next(thread, attributes, wrapped_runs, wrapped);
}

/*
 * The library asks this program what time it is. From own_clock() on, time passes as the process
 * uses the CPU: then a busy machine is as fast as one that is not.
 */
static struct timespec own_since, own_used;
static bool own;

int clock_gettime(clockid_t clock, struct timespec *time)
{
	struct timespec used;
	int64_t ns;

	if (!own)
		return (int)syscall(SYS_clock_gettime, clock, time);
	syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &used);
	ns = own_since.tv_nsec + used.tv_nsec - own_used.tv_nsec;
	time->tv_sec = own_since.tv_sec + used.tv_sec - own_used.tv_sec;
	time->tv_sec += ns / 1000000000 - (ns < 0);
	time->tv_nsec = (ns + 1000000000) % 1000000000;
	return 0;
}

static void own_clock(void)
{
	clock_gettime(CLOCK_MONOTONIC, &own_since);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own_used);
	own = true;
}

/* -------------------------------------------------------------- what /proc says */

/* All without stdio, which would allocate. */
static void read_file(const char *path, char *text, size_t size)
{
	int file = open(path, O_RDONLY);
	ssize_t n = file < 0 ? -1 : read(file, text, size - 1);

	if (file >= 0)
		close(file);
	text[n < 0 ? 0 : n] = '\0';
}

/* The number behind @name in a file of lines "NAME: NUMBER". */
static uint64_t number_in(const char *path, const char *name, int base)
{
	char text[4096];
	const char *line;

	read_file(path, text, sizeof(text));
	line = strstr(text, name);
	CHECK(line);
	return strtoull(line + strlen(name), NULL, base);
}

static size_t resident(void)
{
	return (size_t)number_in("/proc/self/smaps_rollup", "\nRss:", 10) << 10;
}

static unsigned threads(void)
{
	return (unsigned)number_in("/proc/self/status", "\nThreads:", 10);
}

/* The reaper's task; 0 if there is none, or more than one. */
static int reaper_task(void)
{
	static char entries[8192] __attribute__((aligned(8)));
	struct dirent64 *entry;
	int directory = open("/proc/self/task", O_RDONLY | O_DIRECTORY), found = 0;
	long n = getdents64(directory, entries, sizeof(entries));

	close(directory);
	for (long at = 0; at < n; at += entry->d_reclen) {
		char path[64], name[32];

		entry = (void *)(entries + at);
		snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", entry->d_name);
		read_file(path, name, sizeof(name));
		if (strcmp(name, "hakmem\n") == 0)
			found = found ? -1 : atoi(entry->d_name);
	}
	return found > 0 ? found : 0;
}

static uint64_t task_number(int task, const char *name, int base)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", task);
	return number_in(path, name, base);
}

/* How often the reaper has slept. */
static uint64_t sleeps(int task)
{
	return task_number(task, "\nvoluntary_ctxt_switches:", 10);
}

/* It sleeps, and for longer than between two scans: somebody has to wake it. */
static bool is_asleep(int task)
{
	char path[64], text[256], *at;
	uint64_t arguments[4];
	const struct timespec *time;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", task);
	read_file(path, text, sizeof(text));
	if (strtol(text, &at, 10) != SYS_futex)
		return false;
	for (unsigned i = 0; i < 4; i++)
		arguments[i] = strtoull(at, &at, 16);
	time = (const void *)(uintptr_t)arguments[3]; /* on its stack */
	return !time || time->tv_sec > 10;
}

/* Nothing wakes it, for some time. */
static bool stays_asleep(int task)
{
	uint64_t before = sleeps(task);

	sleep_ms(1000);
	return is_asleep(task) && sleeps(task) == before;
}

static const struct hak_stats *read_stats(void)
{
	static struct hak_stats stats;
	void (*read)(struct hak_stats *, size_t) = dlsym(RTLD_DEFAULT, "hak_stats_read");

	CHECK(read);
	read(&stats, sizeof(stats));
	return &stats;
}

/* ---------------------------------------------------------------------- memory */

/* Each word of a block follows from where it is and from @tag. */
static void *make(size_t size, uint64_t tag)
{
	uint64_t *word = malloc(size);

	CHECK(word);
	for (size_t i = 0; i < size / sizeof(*word); i++)
		word[i] = tag + (uintptr_t)&word[i];
	return word;
}

static void destroy(void *block, size_t size, uint64_t tag)
{
	const uint64_t *word = block;

	for (size_t i = 0; i < size / sizeof(*word); i++)
		CHECK(word[i] == tag + (uintptr_t)&word[i]);
	free(block);
}

/*
 * 64 MiB in blocks of 1 KiB, and then one block of them in each slab or so: what
 * is left has to go back page by page.
 */
#define SPIKE	    (64 * MIB)
#define SPIKE_BLOCK ((size_t)1024)
#define NR_SPIKE    (SPIKE / SPIKE_BLOCK)
#define SPIKE_KEEP  61u
#define SPIKE_LEFT  (16 * MIB) /* far more than the blocks kept need, far less than SPIKE */

static void *spike[NR_SPIKE];

static void spike_up(void)
{
	for (size_t i = 0; i < NR_SPIKE; i++)
		spike[i] = make(SPIKE_BLOCK, i);
}

static void spike_down(void)
{
	for (size_t i = 0; i < NR_SPIKE; i++)
		if (i % SPIKE_KEEP)
			destroy(spike[i], SPIKE_BLOCK, i);
}

static void spike_end(void)
{
	for (size_t i = 0; i < NR_SPIKE; i += SPIKE_KEEP)
		destroy(spike[i], SPIKE_BLOCK, i);
}

/* Returns how much memory there was before. */
static size_t spike_up_and_down(void)
{
	size_t before = resident();

	spike_up();
	CHECK(resident() >= SPIKE);
	spike_down();
	return before;
}

static void grow(size_t bytes)
{
	static __thread void *block[1024];
	size_t n = bytes / 16384;

	for (size_t i = 0; i < n; i++)
		block[i] = make(16384, i);
	for (size_t i = 0; i < n; i++)
		destroy(block[i], 16384, i);
}

/* Blocks of all classes, enough to fill a magazine of each when they are freed. */
#define MOST_BLOCKS 512u
#define NR_SIZES    40u

struct hoard {
	void *block[NR_SIZES][MOST_BLOCKS];
};

static struct hoard hoards[NR_THREADS];

/* 16, 20, 24, 28, 32, 40, ...: four sizes in each power of two, up to 16 KiB. */
static size_t size_of(unsigned i)
{
	return (size_t)(4 + i % 4) << (2 + i / 4);
}

static unsigned count_of(unsigned i)
{
	size_t n = 256 * 1024 / size_of(i);

	return n < MOST_BLOCKS ? (unsigned)n : MOST_BLOCKS;
}

static void hoard_fill(struct hoard *hoard, uint64_t tag)
{
	for (unsigned i = 0; i < NR_SIZES; i++)
		for (unsigned j = 0; j < count_of(i); j++)
			hoard->block[i][j] = make(size_of(i), tag + j);
}

static void hoard_free(struct hoard *hoard, uint64_t tag)
{
	for (unsigned i = 0; i < NR_SIZES; i++)
		for (unsigned j = 0; j < count_of(i); j++)
			destroy(hoard->block[i][j], size_of(i), tag + j);
}

/* ----------------------------------------------------------------- is it there? */

static void small_program_has_no_thread(void)
{
	grow(MIB);
	sleep_ms(100);
	grow(MIB);
	CHECK(threads() == 1);
	CHECK(!reaper_task());
}

/* One thread, however much it needs: what may be done only with one still may. */
static void one_thread_stays_one(void)
{
	for (unsigned i = 0; i < 5; i++) {
		grow(16 * MIB);
		sleep_ms(100);
	}
	spike_up_and_down();
	spike_end();
	CHECK(threads() == 1);
	CHECK(unshare(CLONE_THREAD) == 0); /* refused in a process that has another thread */
}

static void growth_starts_it(void)
{
	CHECK(threads() == 1);
	grow(8 * MIB);
	CHECK(threads() == 2);
	CHECK_SOON(reaper_task());
	for (unsigned i = 0; i < 20; i++)
		grow(16 * MIB);
	CHECK(threads() == 2);
}

static void *short_thread(void *unused)
{
	free(malloc(100));
	return unused;
}

static void make_thread(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, short_thread, NULL) == 0);
	pthread_join(thread, NULL);
}

/* Then there is one from when the program has made a thread, though that has ended. */
static void threads_start_it(void)
{
	grow(16 * MIB);
	CHECK(threads() == 1);
	make_thread();
	grow(8 * MIB);
	CHECK(threads() == 2);
	CHECK_SOON(reaper_task());
}

/* Never, though there are threads. */
static void is_not_wanted(void)
{
	make_thread();
	grow(16 * MIB);
	CHECK(threads() == 1);
}

/* All signals but those that cannot be blocked, SIGSYS, and the two that glibc keeps. */
static void has_name_and_no_signals(void)
{
	uint64_t unblocked = (uint64_t)1 << (SIGKILL - 1) | (uint64_t)1 << (SIGSTOP - 1) |
			     (uint64_t)1 << (SIGSYS - 1);
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGSYS);
	CHECK(pthread_sigmask(SIG_SETMASK, &blocked, NULL) == 0);
	grow(8 * MIB);
	CHECK_SOON(reaper_task());
	CHECK((task_number(reaper_task(), "\nSigBlk:", 16) | (uint64_t)3 << 31) == ~unblocked);
	CHECK(pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0);
	CHECK(!sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGSYS));
}

static void *odd_thread(void *cpus)
{
	struct sched_param priority = { 0 };
	int cpu = 0;
	cpu_set_t one;

	while (!CPU_ISSET(cpu, (cpu_set_t *)cpus))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
	CHECK(sched_setscheduler(0, SCHED_BATCH, &priority) == 0);
	grow(8 * MIB);
	return NULL;
}

/* The thread is not like the one that happened to need it. */
static void is_like_the_process(void)
{
	cpu_set_t all, its;
	pthread_t thread;

	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	CHECK(pthread_create(&thread, NULL, odd_thread, &all) == 0);
	pthread_join(thread, NULL);
	CHECK_SOON(reaper_task());
	CHECK_SOON(sched_getscheduler(reaper_task()) == SCHED_OTHER);
	CHECK_SOON(sched_getaffinity(reaper_task(), sizeof(its), &its) == 0 &&
		   CPU_EQUAL(&its, &all));
}

/* What a vfork() child allocates is its parent's, but a thread that it starts is not. */
static void survives_vfork(void)
{
	static void *blocks[64];
	int status;
	pid_t pid = vfork();

	if (!pid) {
		for (unsigned i = 0; i < 64; i++)
			blocks[i] = malloc(400000);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	for (unsigned i = 0; i < 64; i++)
		free(blocks[i]);
	grow(16 * MIB);
	grow(16 * MIB);
	CHECK(threads() == 2);
	CHECK_SOON(reaper_task());
}

/* ------------------------------------------------------------- what does it do? */

static void spike_goes_back(void)
{
	size_t before = spike_up_and_down();

	CHECK_SOON(resident() < before + SPIKE_LEFT);
	spike_end();
	spike_up();
	spike_down();
	CHECK_SOON(resident() < before + SPIKE_LEFT);
	spike_end();
}

static pthread_barrier_t barrier;

static void meet(void)
{
	pthread_barrier_wait(&barrier);
}

static void *idle_thread(void *number)
{
	uintptr_t n = (uintptr_t)number;

	hoard_fill(&hoards[n], n);
	meet(); /* all have theirs */
	meet(); /* and are seen to */
	hoard_free(&hoards[n], n);
	meet();
	meet(); /* idle until here */
	for (unsigned i = 0; i < 10; i++) {
		hoard_fill(&hoards[n], i + n);
		meet();
		hoard_free(&hoards[(n + i) % NR_THREADS], i + (n + i) % NR_THREADS);
		meet();
	}
	return NULL;
}

static void start_threads(pthread_t *thread, void *(*function)(void *))
{
	CHECK(pthread_barrier_init(&barrier, NULL, NR_THREADS + 1) == 0);
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, function, (void *)i) == 0);
}

static void idle_threads_keep_nothing(void)
{
	size_t before = resident(), most;
	pthread_t thread[NR_THREADS];

	start_threads(thread, idle_thread);
	meet();
	most = resident();
	CHECK(most > before + 32 * MIB);
	meet();
	meet();
	CHECK_SOON(read_stats()->total.magazine_blocks <= NR_THREADS);
	CHECK_SOON(resident() < before + (most - before) / 4);
	meet();
	for (unsigned i = 0; i < 20; i++)
		meet();
	for (unsigned i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	CHECK_SOON(read_stats()->total.magazine_blocks <= 1);
}

static void sleeps_when_nothing_is_left(void)
{
	int task;

	spike_up_and_down();
	task = reaper_task();
	CHECK(task);
	CHECK_SOON(is_asleep(task));
	CHECK(stays_asleep(task));
	spike_end(); /* wakes it, and it goes to sleep again */
	CHECK_SOON(is_asleep(task));
	CHECK(reaper_task() == task);
}

/* A program that does little: some blocks are replaced ten times a second. */
static void work_lightly(unsigned seconds)
{
	static unsigned next;

	for (unsigned i = 0; i < seconds * 10; i++) {
		for (unsigned j = 0; j < 8; j++, next = (next + 977) % NR_SPIKE) {
			destroy(spike[next], SPIKE_BLOCK, next);
			spike[next] = make(SPIKE_BLOCK, next);
		}
		sleep_ms(100);
	}
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/*
 * The thread does little then, too: it does not come by at each interval of 50 ms, but five times
 * less often. Where the machine is busy the work takes longer.
 */
static void dozes_beside_light_work(void)
{
	uint64_t before, began;

	spike_up();
	CHECK_SOON(reaper_task());
	work_lightly(4);
	before = sleeps(reaper_task());
	began = now_ms();
	work_lightly(4);
	CHECK((sleeps(reaper_task()) - before) * 250 <= now_ms() - began);
	spike_down(); /* that is more than little */
	CHECK_SOON(resident() < SPIKE_LEFT + 8 * MIB);
}

static void errno_is_kept(void)
{
	size_t before = resident();

	errno = 12345;
	grow(16 * MIB); /* one is started */
	CHECK(errno == 12345);
	CHECK_SOON(!reaper_task() || is_asleep(reaper_task()));
	for (unsigned i = 0; i < 3; i++) {
		errno = 12345;
		spike_up(); /* it is woken by malloc */
		CHECK(errno == 12345);
		CHECK_SOON(!reaper_task() || is_asleep(reaper_task()));
		errno = 12345;
		spike_down(); /* by free */
		CHECK(errno == 12345);
		spike_end();
		CHECK(errno == 12345);
		CHECK_SOON(!reaper_task() || resident() < before + SPIKE_LEFT);
	}
}

/* ------------------------------------------------------------------------- fork */

/* fork(): true in the child, which has to end; false in the parent when it has. */
static bool in_child(void)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid)
		return true;
	status = wait_for(pid);
	CHECK(status >= 0); /* it hangs */
	CHECK(status == 0);
	return false;
}

static void child_gets_its_own(void)
{
	size_t before;

	grow(16 * MIB);
	CHECK_SOON(reaper_task());
	if (in_child()) {
		CHECK(threads() == 1);
		grow(MIB);
		CHECK(threads() == 1);
		before = spike_up_and_down();
		CHECK_SOON(threads() == 2 && reaper_task());
		CHECK_SOON(resident() < before + SPIKE_LEFT);
		CHECK_SOON(is_asleep(reaper_task()));
		_exit(0);
	}
	CHECK_SOON(threads() == 2 && reaper_task());
	before = spike_up_and_down();
	CHECK_SOON(resident() < before + SPIKE_LEFT);
}

/* What makes a magazine refill and spill. */
static void few_calls(void)
{
	static void *block[2000];

	for (unsigned i = 0; i < 2000; i++)
		block[i] = make(48, i);
	for (unsigned i = 0; i < 2000; i++)
		destroy(block[i], 48, i);
}

static bool is_below(size_t bytes);

/* By itself, if there was a thread; in calls, if not. */
static void child_of_two_threads(void)
{
	make_thread();
	child_gets_its_own();
}

static void child_of_one_thread(void)
{
	size_t before = resident();

	spike_up();
	if (in_child()) {
		spike_down();
		CHECK(resident() < before + 2 * SPIKE_LEFT); /* there may be no call any more */
		CHECK_SOON(is_below(before + SPIKE_LEFT));
		CHECK(threads() == 1);
		_exit(0);
	}
	CHECK(threads() == 1);
	spike_down();
	CHECK_SOON(is_below(before + SPIKE_LEFT));
}

/* It frees what it has from its parent, and asks for nothing. */
static void child_of_two_threads_frees(void)
{
	size_t before = resident();

	make_thread();
	spike_up();
	CHECK(threads() == 2);
	if (in_child()) {
		spike_down();
		CHECK(resident() < before + 2 * SPIKE_LEFT);
		_exit(0);
	}
}

static _Atomic bool forks_done;

/* Always about to free much of what it has, so that there is much to do. */
static void *busy_thread(void *number)
{
	static void *block[NR_THREADS][1000];
	uintptr_t n = (uintptr_t)number;

	while (!forks_done) {
		for (unsigned i = 0; i < 1000; i++)
			block[n][i] = make(64 + i * 5, i);
		for (unsigned i = 0; i < 1000; i++)
			destroy(block[n][i], 64 + i * 5, i);
		if (n == 0)
			sleep_ms(5);
	}
	return NULL;
}

static void allocate_in_child(void)
{
	static void *block[20000];

	for (unsigned i = 0; i < 20000; i++)
		block[i] = make(16 + i % 300, i);
	for (unsigned i = 0; i < 20000; i++)
		destroy(block[i], 16 + i % 300, i);
	_exit(0);
}

static void forks_while_it_is_busy(void)
{
	pthread_t thread[3];

	grow(16 * MIB);
	CHECK_SOON(reaper_task());
	for (uintptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&thread[i], NULL, busy_thread, (void *)i) == 0);
	for (unsigned i = 0; i < 200; i++)
		if (in_child())
			allocate_in_child();
	forks_done = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	CHECK_SOON(reaper_task());
}

static void *full_thread(void *number)
{
	uintptr_t n = (uintptr_t)number;

	hoard_fill(&hoards[n], n);
	hoard_free(&hoards[n], n);
	meet();
	meet();
	return NULL;
}

/* The delay is so long here that no scan empties them before. */
static void child_takes_magazines_over(void)
{
	pthread_t thread[NR_THREADS];

	start_threads(thread, full_thread);
	meet();
	CHECK(read_stats()->total.magazine_blocks > 1000);
	if (in_child()) {
		malloc_trim(0);
		CHECK(read_stats()->total.magazine_blocks <= NR_THREADS);
		allocate_in_child();
	}
	CHECK(read_stats()->total.magazine_blocks > 1000);
	meet();
	for (unsigned i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
}

/* ------------------------------------------------------- the end of the process */

/* Each but the last starts the next one, and has gone soon after. */
static void *chained_thread(void *left)
{
	uintptr_t n = (uintptr_t)left;
	pthread_t next;

	grow(8 * MIB);
	if (n)
		CHECK(pthread_create(&next, NULL, chained_thread, (void *)(n - 1)) == 0);
	grow(MIB);
	return NULL;
}

static void *late_thread(void *unused)
{
	sleep_ms(500);
	grow(8 * MIB);
	return unused;
}

/* Calls nothing of the allocator, and is the last one. */
static void *silent_thread(void *unused)
{
	sleep_ms(700);
	return unused;
}

static void main_leaves_last(void)
{
	grow(16 * MIB);
	CHECK_SOON(reaper_task());
	pthread_exit(NULL);
}

static void main_leaves_others(void)
{
	pthread_t thread;

	grow(16 * MIB);
	CHECK(pthread_create(&thread, NULL, chained_thread, (void *)30) == 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK(pthread_create(&thread, NULL, late_thread, NULL) == 0);
	pthread_exit(NULL);
}

static void main_leaves_silent_one(void)
{
	pthread_t thread;

	grow(16 * MIB);
	CHECK(pthread_create(&thread, NULL, silent_thread, NULL) == 0);
	pthread_exit(NULL);
}

static void *leaving_thread(void *unused)
{
	pthread_exit(unused);
}

/* The first pthread_exit() allocates, as it loads a library: that is not to hide anything. */
static void main_leaves_as_it_falls_asleep(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, leaving_thread, NULL) == 0);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 1500; i++) {
		if (in_child()) {
			grow(8 * MIB);
			usleep(i % 500 * 20);
			pthread_exit(NULL);
		}
	}
}

static void allocates_late(void *unused)
{
	(void)unused;
	destroy(make(1000, 1), 1000, 1);
}

/* A destructor that is called after the allocator's allocates: that starts no new one. */
static void main_leaves_in_destructors(void)
{
	pthread_key_t key;

	for (unsigned i = 0; i < 20; i++) {
		if (in_child()) {
			grow(16 * MIB);
			CHECK(pthread_key_create(&key, allocates_late) == 0);
			CHECK(pthread_setspecific(key, &key) == 0);
			pthread_exit(NULL);
		}
	}
}

static void main_leaves_wrapped(void)
{
	wraps = true;
	for (unsigned i = 0; i < 20; i++) {
		if (in_child()) {
			grow(16 * MIB);
			usleep(i * 500);
			pthread_exit(NULL);
		}
	}
}

static void *raw_thread(void *unused)
{
	destroy(make(1000, 1), 1000, 1);
	syscall(SYS_exit, 0);
	return unused;
}

/* Only the caller is killed by @number from now on, or (@all) any thread. */
static void kill_at(long number, bool all)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all ? SECCOMP_FILTER_FLAG_TSYNC : 0,
		      &program) == 0);
}

static void ends_by_raw_exit(void)
{
	pthread_t thread;

	grow(16 * MIB);
	CHECK(pthread_create(&thread, NULL, raw_thread, NULL) == 0);
	pthread_exit(NULL);
}

static void ends_killed(void)
{
	grow(16 * MIB);
	CHECK_SOON(reaper_task());
	kill_at(SYS_getppid, false);
	getppid();
	_exit(3);
}

/* In a scan: then the library does nothing that a filter forbids, and forks as ever. */
static void goes_on_when_it_is_killed(void)
{
	grow(16 * MIB);
	CHECK_SOON(reaper_task());
	spike_up();
	kill_at(SYS_madvise, true);
	spike_down();
	CHECK_SOON(threads() == 1);
	for (unsigned i = 0; i < 450; i++) {
		few_calls();
		sleep_ms(100);
	}
	if (in_child()) {
		few_calls();
		_exit(0);
	}
	spike_end();
	_exit(0);
}

/* Threads that end without a word, the library's among them, are noticed within a minute. */
static void ends_without_a_word(void)
{
	static void (*const functions[])(void) = { ends_by_raw_exit, ends_killed,
						   goes_on_when_it_is_killed };
	pid_t pids[3];

	for (unsigned i = 0; i < 3; i++) {
		pids[i] = fork();
		CHECK(pids[i] >= 0);
		if (!pids[i])
			functions[i]();
	}
	for (unsigned i = 0; i < 3; i++) {
		int status = wait_for(pids[i]);

		CHECK(status >= 0);
		CHECK(i == 1 || status == 0);
	}
}

static void uses_much_stack(void)
{
	volatile char room[1 << 20];

	for (size_t i = 0; i < sizeof(room); i += 4096)
		room[i] = 1;
}

/* The last thread calls them, and that is not the one of the allocator. */
static void exit_handlers_have_a_stack(void)
{
	for (unsigned i = 0; i < 20; i++) {
		if (in_child()) {
			atexit(uses_much_stack);
			grow(16 * MIB);
			CHECK_SOON(reaper_task());
			usleep(100000); /* it sleeps, and ends later than this one */
			pthread_exit(NULL);
		}
	}
}

/* ---------------------------------------------------------------------- options */

static bool is_below(size_t bytes)
{
	few_calls();
	return resident() < bytes;
}

static void without_it_calls_do_it(void)
{
	size_t before = spike_up_and_down();

	CHECK(threads() == 1);
	CHECK_SOON(is_below(before + SPIKE_LEFT));
	CHECK(threads() == 1);
	spike_end();
}

static long page_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static uint64_t random_below(uint64_t bound)
{
	static uint64_t random = 1;

	random = random * 6364136223846793005u + 1442695040888963407u;
	return (random >> 33) % bound;
}

static void *blocks[1000000];
static size_t block_size[1000000];

/* Blocks of so many bytes, in any order. Returns how many there are. */
static unsigned make_blocks(size_t bytes, size_t (*size)(void))
{
	size_t before, live = 0;
	unsigned n = 0;

	for (; live < bytes && n < sizeof(blocks) / sizeof(blocks[0]); live += block_size[n++]) {
		block_size[n] = size();
		blocks[n] = make(block_size[n], n);
	}
	for (unsigned i = n; i > 1; i--) {
		unsigned other = (unsigned)random_below(i);
		void *block = blocks[i - 1];

		before = block_size[i - 1];
		blocks[i - 1] = blocks[other];
		block_size[i - 1] = block_size[other];
		blocks[other] = block;
		block_size[other] = before;
	}
	return n;
}

/* What was resident before any of them was there. */
static size_t resident_before_blocks(void)
{
	memset(blocks, 1, sizeof(blocks));
	memset(block_size, 1, sizeof(block_size));
	return resident();
}

static size_t always_16(void)
{
	return 16;
}

/* All is freed, in any order, and nothing is called any more. */
static void freed_goes_at_once(void)
{
	size_t before = resident_before_blocks();
	unsigned n = make_blocks(16000000, always_16);

	for (unsigned i = 0; i < n; i++)
		free(blocks[i]);
	CHECK(n == 1000000 && resident() < before + MIB);
	CHECK(threads() == 1);
}

/* 32 bytes to 4 KiB: as many of each power of two. */
static size_t any_size(void)
{
	size_t least = (size_t)32 << random_below(7);

	return least + random_below(least);
}

#define LIVE_PAGES ((size_t)1 << 20) /* so far the blocks are from each other at most: 4 GiB */

/* Bytes of the pages in which there is something of every 16th block. */
static size_t pages_of_survivors(unsigned n)
{
	static bool live[LIVE_PAGES];
	uintptr_t least = UINTPTR_MAX;
	size_t pages = 0;

	for (unsigned i = 0; i < n; i += 16)
		if ((uintptr_t)blocks[i] < least)
			least = (uintptr_t)blocks[i];
	for (unsigned i = 0; i < n; i += 16) {
		size_t page = (uintptr_t)blocks[i] / 4096 - least / 4096;
		size_t last = ((uintptr_t)blocks[i] + block_size[i] - 1) / 4096 - least / 4096;

		CHECK(last < LIVE_PAGES);
		for (; page <= last; page++) {
			pages += !live[page];
			live[page] = true;
		}
	}
	return pages * 4096;
}

/*
 * One block in 16 stays. Each other one that is in a magazine keeps a page, as a live one does. The
 * free of the last one leaves few of them, since no later call need come by.
 */
static void survivors_keep_their_pages(void)
{
	size_t before = resident_before_blocks(), after;
	unsigned n = make_blocks(160 * MIB, any_size);

	for (unsigned i = 0; i < n; i++)
		if (i % 16)
			free(blocks[i]);
	after = resident();
	CHECK(after < before + pages_of_survivors(n) / 10 * 11 + 6 * MIB);
	CHECK(threads() == 1);
}

/* Who grows and shrinks by turns does not pay for it in page faults each time. */
static void turns_keep_their_memory(void)
{
	long before;

	own_clock();
	for (unsigned i = 0; i < 3; i++) {
		spike_up();
		spike_down();
		spike_end();
	}
	before = page_faults();
	for (unsigned i = 0; i < 10; i++) {
		spike_up();
		spike_down();
		spike_end();
	}
	CHECK(page_faults() - before < (long)(3 * SPIKE / 4096));
}

/* A block at random is replaced by one of 1 to 8 MiB, written page by page; page faults of all. */
static long replace_large(unsigned char **blocks, unsigned live, unsigned n)
{
	static uint64_t random = 1;
	long before = page_faults();

	for (unsigned i = 0; i < n; i++) {
		unsigned char **block = &blocks[i < live ? i : (random >> 33) % live];
		size_t size;

		random = random * 6364136223846793005u + 1442695040888963407u;
		size = (1u << 20) + (random >> 33) % (7u << 20);
		free(*block);
		*block = malloc(size);
		CHECK(*block);
		for (size_t byte = 0; byte < size; byte += 4096)
			(*block)[byte] = 1;
	}
	return page_faults() - before;
}

/* What becomes empty, and is wanted again at once, does not go and come back page by page. */
static void without_it_a_reserve_is_kept(void)
{
	unsigned char *blocks[16] = { NULL };

	own_clock();
	replace_large(blocks, 16, 200);
	CHECK(replace_large(blocks, 16, 500) < 500 * 100);
	for (unsigned i = 0; i < 16; i++)
		free(blocks[i]);
}

/* A trim scans already: what it gives up on the way does not begin another scan. */
static void trim_without_it(void)
{
	size_t (*trim)(enum hak_trim_level) = dlsym(RTLD_DEFAULT, "hak_trim");

	CHECK(trim);
	spike_up_and_down();
	for (unsigned i = 0; i < 3; i++) {
		void *block = malloc(100); /* its magazine is filled */

		free(block);
		sleep_ms(500); /* it is time for a scan */
		trim(i % 2 ? HAK_TRIM_ALL : HAK_TRIM_OWN);
	}
	spike_end();
}

static void never_is_never(void)
{
	size_t before = spike_up_and_down(), most = before + SPIKE;

	for (unsigned i = 0; i < 20; i++) {
		sleep_ms(100);
		CHECK(!is_below(most - 4 * MIB));
	}
	CHECK(threads() == 1);
	CHECK(malloc_trim(0) == 1);
	CHECK(resident() < before + SPIKE_LEFT);
	spike_end();
	spike_up();
	for (size_t i = 0; i < NR_SPIKE; i++) /* SuperSlabs become empty */
		destroy(spike[i], SPIKE_BLOCK, i);
	CHECK(resident() > before + SPIKE / 2);
	CHECK(malloc_trim(0) == 1);
	CHECK(resident() < before + SPIKE_LEFT);
}

/* Memory goes back as by default: for lines_about(). */
static void is_as_ever(void)
{
	size_t before = spike_up_and_down();

	CHECK_SOON(is_below(before + SPIKE_LEFT));
}

/* Run a case with @name set to @value; how many lines of errors does it write? */
static unsigned lines_about(const char *name, const char *value)
{
	char text[4096] = "";
	unsigned lines = 0;
	int pipes[2], status = -1;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	CHECK(pipe(pipes) == 0);
	pid = fork();
	if (!pid) {
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		setenv(name, value, 1);
		execl("/proc/self/exe", "reaper", "is_as_ever", NULL);
		_exit(1);
	}
	close(pipes[1]);
	while ((n = read(pipes[0], text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)n;
	close(pipes[0]);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	CHECK(!length || (text[length - 1] == '\n' && strstr(text, name)));
	return lines;
}

static void wrong_values_are_told_once(void)
{
	static const char *const names[] = { "HAKMEM_REAPER", "HAKMEM_PURGE_DELAY_MS" };
	static const char *const wrong[] = { "abc", "99999999999", "", "-5", "1x", "-", " 1" };
	char *long_value = make(2000, 0);

	memset(long_value, '9', 1999);
	long_value[1999] = '\0';
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++)
			CHECK(lines_about(names[i], wrong[j]) == 1);
		CHECK(lines_about(names[i], long_value) == 1);
		CHECK(lines_about(names[i], "1") == 0);
	}
	free(long_value);
}

/* ----------------------------------------------------------------- locked memory */

static void locked_memory_stays(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE)) {
		dprintf(STDOUT_FILENO, "skipped %s: mlockall: %s\n", current, strerror(errno));
		_exit(SKIPPED);
	}
	spike_up_and_down();
	CHECK_SOON(read_stats()->provider_purges_refused > 0);
	malloc_trim(0);
	CHECK(read_stats()->provider_purges_refused > 0);
	spike_end();
	spike_up();
	spike_down();
	spike_end();
	CHECK_SOON(!reaper_task() || is_asleep(reaper_task()));
}

/* ------------------------------------------------------------------------- main */

static const struct test_case {
	const char *name;
	void (*function)(void);
	const char *reaper, *delay; /* HAKMEM_REAPER and HAKMEM_PURGE_DELAY_MS; NULL: not set */
} cases[] = {
#define CASE(function, ...)                                                                        \
	{                                                                                          \
#function, function, __VA_ARGS__                                                   \
	}
	CASE(ends_without_a_word, "1", NULL), /* a minute: beside all others */
	CASE(small_program_has_no_thread, "1", NULL),
	CASE(one_thread_stays_one, NULL, NULL),
	CASE(growth_starts_it, "1", NULL),
	CASE(threads_start_it, NULL, NULL),
	CASE(is_not_wanted, "0", NULL),
	CASE(has_name_and_no_signals, "1", NULL),
	CASE(is_like_the_process, NULL, NULL),
	CASE(survives_vfork, "1", NULL),
	CASE(spike_goes_back, "1", NULL),
	CASE(idle_threads_keep_nothing, NULL, NULL),
	CASE(sleeps_when_nothing_is_left, "1", "100"),
	CASE(dozes_beside_light_work, "1", NULL),
	CASE(errno_is_kept, "1", "100"),
	CASE(child_gets_its_own, "1", "100"),
	CASE(child_of_two_threads, NULL, "100"),
	CASE(child_of_two_threads_frees, NULL, NULL),
	CASE(child_of_one_thread, NULL, NULL),
	CASE(forks_while_it_is_busy, "1", "2"),
	CASE(child_takes_magazines_over, NULL, "60000"),
	CASE(main_leaves_last, "1", NULL),
	CASE(main_leaves_others, "1", NULL),
	CASE(main_leaves_silent_one, "1", NULL),
	CASE(main_leaves_as_it_falls_asleep, "1", "2"),
	CASE(main_leaves_in_destructors, "1", NULL),
	CASE(main_leaves_wrapped, "1", NULL),
	CASE(exit_handlers_have_a_stack, "1", NULL),
	CASE(without_it_calls_do_it, "0", NULL),
	CASE(without_it_a_reserve_is_kept, "0", NULL),
	CASE(freed_goes_at_once, NULL, NULL),
	CASE(survivors_keep_their_pages, NULL, NULL),
	CASE(turns_keep_their_memory, NULL, NULL),
	CASE(never_is_never, NULL, "-1"),
	CASE(wrong_values_are_told_once, NULL, NULL),
	CASE(locked_memory_stays, "1", "100"),
	CASE(trim_without_it, "0", NULL),
	{ "errno_is_kept_without_it", errno_is_kept, "0", NULL },
};

#define NR_CASES (sizeof(cases) / sizeof(cases[0]))
#define AT_ONCE	 6u /* most of them wait most of the time */

static struct {
	pid_t pid; /* 0: it does not run */
	uint64_t began;
} running[NR_CASES];

static void start(size_t i)
{
	running[i].began = now_ms();
	running[i].pid = fork();
	CHECK(running[i].pid >= 0);
	if (running[i].pid)
		return;
	if (cases[i].reaper)
		setenv("HAKMEM_REAPER", cases[i].reaper, 1);
	if (cases[i].delay)
		setenv("HAKMEM_PURGE_DELAY_MS", cases[i].delay, 1);
	execl("/proc/self/exe", "reaper", cases[i].name, "alone", NULL);
	_exit(127);
}

/* Whether a case has ended well; one that fails has said so. */
static bool report(const char *name, int status)
{
	if (status == 0)
		printf("ok %s\n", name);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		printf("FAIL %s: killed, after %u s at the latest\n", name, HANGS);
	else if (WIFSIGNALED(status))
		printf("FAIL %s: ended by signal %d\n", name, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 1 && WEXITSTATUS(status) != SKIPPED)
		printf("FAIL %s: exit status %d\n", name, WEXITSTATUS(status));
	fflush(stdout);
	return status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED);
}

/* Wait until any case has ended; one that hangs is killed, as the reaper blocks all else. */
static bool end_one(void)
{
	for (;; sleep_ms(TICK)) {
		for (size_t i = 0; i < NR_CASES; i++) {
			int status;

			if (!running[i].pid)
				continue;
			if (waitpid(running[i].pid, &status, WNOHANG) == running[i].pid) {
				running[i].pid = 0;
				return report(cases[i].name, status);
			}
			if (now_ms() - running[i].began > HANGS * 1000)
				kill(running[i].pid, SIGKILL);
		}
	}
}

int main(int argc, char **argv)
{
	unsigned at_once = 0;
	bool failed = false;

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* what goes would else be seen in 2 MiB */
	current = argc > 1 ? argv[1] : "reaper";
	if (argc > 1 && strcmp(current, "is_as_ever") == 0)
		return is_as_ever(), 0;
	for (size_t i = 0; i < NR_CASES; i++) {
		bool named = argc > 1 && strcmp(current, cases[i].name) == 0;

		if (argc > 2 && named)
			return cases[i].function(), 0;
		if (argc > 1 && !named)
			continue;
		if (at_once++ >= AT_ONCE)
			failed |= !end_one();
		start(i);
	}
	if (at_once > AT_ONCE)
		at_once = AT_ONCE;
	for (; at_once; at_once--)
		failed |= !end_one();
	return failed;
}
