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
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hakmem/stats.h>

#define PATIENCE   10000u /* milliseconds for what has to happen */
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
static int wait_for(pid_t pid, unsigned seconds)
{
	int status = 0;

	for (unsigned waited = 0; waited < seconds * 1000; waited++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		sleep_ms(1);
	}
	kill(pid, SIGKILL); /* the reaper blocks all others */
	waitpid(pid, &status, 0);
	return -1;
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

/* How often the reaper has slept or was interrupted. */
static uint64_t switches(int task)
{
	return task_number(task, "\nvoluntary_ctxt_switches:", 10) +
	       task_number(task, "\nnonvoluntary_ctxt_switches:", 10);
}

/* It sleeps, and nothing wakes it for 2.5 s: more than it ever pauses with a delay of 100 ms. */
static bool is_quiet(int task)
{
	uint64_t before = switches(task);

	sleep_ms(2500);
	return switches(task) == before;
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

static void growth_starts_it(void)
{
	CHECK(threads() == 1);
	grow(8 * MIB);
	CHECK(threads() == 2);
	CHECK(reaper_task());
	for (unsigned i = 0; i < 20; i++)
		grow(16 * MIB);
	CHECK(threads() == 2);
}

/* All signals but the two that cannot be blocked, and the two that glibc keeps. */
static void has_name_and_no_signals(void)
{
	uint64_t unblockable =
		(uint64_t)1 << (SIGKILL - 1) | (uint64_t)1 << (SIGSTOP - 1) | (uint64_t)3 << 31;
	sigset_t blocked;

	grow(8 * MIB);
	CHECK(reaper_task());
	CHECK((task_number(reaper_task(), "\nSigBlk:", 16) | unblockable) == UINT64_MAX);
	CHECK(pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0);
	CHECK(!sigismember(&blocked, SIGTERM));
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
	CHECK_SOON(is_quiet(task));
	CHECK(is_quiet(task));
	spike_end(); /* wakes it, and it goes to sleep again */
	CHECK_SOON(is_quiet(task));
	CHECK(reaper_task() == task);
}

static void errno_is_kept(void)
{
	size_t before = resident();

	errno = 12345;
	grow(16 * MIB); /* one is started */
	CHECK(errno == 12345);
	CHECK_SOON(!reaper_task() || is_quiet(reaper_task()));
	for (unsigned i = 0; i < 3; i++) {
		errno = 12345;
		spike_up(); /* it is woken by malloc */
		CHECK(errno == 12345);
		CHECK_SOON(!reaper_task() || is_quiet(reaper_task()));
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
	status = wait_for(pid, 20);
	CHECK(status >= 0); /* it hangs */
	CHECK(status == 0);
	return false;
}

static void child_gets_its_own(void)
{
	size_t before;

	grow(16 * MIB);
	CHECK(reaper_task());
	if (in_child()) {
		CHECK(threads() == 1);
		grow(MIB);
		CHECK(threads() == 1);
		before = spike_up_and_down();
		CHECK(threads() == 2 && reaper_task());
		CHECK_SOON(resident() < before + SPIKE_LEFT);
		CHECK_SOON(is_quiet(reaper_task()));
		_exit(0);
	}
	CHECK(threads() == 2 && reaper_task());
	before = spike_up_and_down();
	CHECK_SOON(resident() < before + SPIKE_LEFT);
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
	CHECK(reaper_task());
	for (uintptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&thread[i], NULL, busy_thread, (void *)i) == 0);
	for (unsigned i = 0; i < 200; i++)
		if (in_child())
			allocate_in_child();
	forks_done = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	CHECK(reaper_task());
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
	CHECK(reaper_task());
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
			CHECK(reaper_task());
			usleep(100000); /* it sleeps, and ends later than this one */
			pthread_exit(NULL);
		}
	}
}

/* ---------------------------------------------------------------------- options */

/* What makes a magazine refill and spill. */
static void few_calls(void)
{
	static void *block[2000];

	for (unsigned i = 0; i < 2000; i++)
		block[i] = make(48, i);
	for (unsigned i = 0; i < 2000; i++)
		destroy(block[i], 48, i);
}

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

/* Is as by default: for lines_about(). */
static void is_as_ever(void)
{
	spike_goes_back();
	CHECK(reaper_task());
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
	CHECK_SOON(!reaper_task() || is_quiet(reaper_task()));
}

/* ------------------------------------------------------------------------- main */

static const struct test_case {
	const char *name;
	void (*function)(void);
	unsigned seconds;
	const char *variable, *value;
} cases[] = {
#define CASE(function, ...)                                                                        \
	{                                                                                          \
#function, function, __VA_ARGS__                                                   \
	}
	CASE(small_program_has_no_thread, 30, NULL, NULL),
	CASE(growth_starts_it, 30, NULL, NULL),
	CASE(has_name_and_no_signals, 30, NULL, NULL),
	CASE(spike_goes_back, 60, NULL, NULL),
	CASE(idle_threads_keep_nothing, 60, NULL, NULL),
	CASE(sleeps_when_nothing_is_left, 90, "HAKMEM_PURGE_DELAY_MS", "100"),
	CASE(errno_is_kept, 120, "HAKMEM_PURGE_DELAY_MS", "100"),
	CASE(child_gets_its_own, 60, "HAKMEM_PURGE_DELAY_MS", "100"),
	CASE(forks_while_it_is_busy, 120, "HAKMEM_PURGE_DELAY_MS", "2"),
	CASE(child_takes_magazines_over, 60, "HAKMEM_PURGE_DELAY_MS", "60000"),
	CASE(main_leaves_last, 10, NULL, NULL),
	CASE(main_leaves_others, 10, NULL, NULL),
	CASE(main_leaves_silent_one, 10, NULL, NULL),
	CASE(main_leaves_as_it_falls_asleep, 120, "HAKMEM_PURGE_DELAY_MS", "2"),
	CASE(main_leaves_in_destructors, 30, NULL, NULL),
	CASE(exit_handlers_have_a_stack, 60, NULL, NULL),
	CASE(without_it_calls_do_it, 60, "HAKMEM_REAPER", "0"),
	CASE(without_it_a_reserve_is_kept, 60, "HAKMEM_REAPER", "0"),
	CASE(never_is_never, 60, "HAKMEM_PURGE_DELAY_MS", "-1"),
	CASE(wrong_values_are_told_once, 240, NULL, NULL),
	CASE(locked_memory_stays, 60, "HAKMEM_PURGE_DELAY_MS", "100"),
	CASE(trim_without_it, 20, "HAKMEM_REAPER", "0"),
	{ "errno_is_kept_without_it", errno_is_kept, 60, "HAKMEM_REAPER", "0" },
};

#define NR_CASES (sizeof(cases) / sizeof(cases[0]))

static int status_of(const struct test_case *test)
{
	pid_t pid = fork();

	if (pid)
		return wait_for(pid, test->seconds);
	if (test->variable)
		setenv(test->variable, test->value, 1);
	execl("/proc/self/exe", "reaper", test->name, NULL);
	_exit(127);
}

static bool run(const struct test_case *test)
{
	int status = status_of(test);

	if (status == 0)
		printf("ok %s\n", test->name);
	else if (status < 0)
		printf("FAIL %s: takes more than %u s\n", test->name, test->seconds);
	else if (WIFSIGNALED(status))
		printf("FAIL %s: ended by signal %d\n", test->name, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 1 && WEXITSTATUS(status) != SKIPPED)
		printf("FAIL %s: exit status %d\n", test->name, WEXITSTATUS(status));
	fflush(stdout); /* a case that fails has said so */
	return status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED);
}

int main(int argc, char **argv)
{
	bool failed = false;

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* what goes would else be seen in 2 MiB */
	current = argc > 1 ? argv[1] : "reaper";
	if (argc > 1 && strcmp(current, "is_as_ever") == 0)
		return is_as_ever(), 0;
	for (size_t i = 0; i < NR_CASES; i++) {
		if (argc == 1)
			failed |= !run(&cases[i]);
		else if (strcmp(current, cases[i].name) == 0)
			return cases[i].function(), 0;
	}
	return argc > 1 ? 2 : failed;
}
