/* SPDX-License-Identifier: MIT */
/*
 * Allocation at the edges of a process's and a thread's life: before any
 * constructor, in signal handlers, by threads that are nearly gone, around all
 * ways to start a process, after main() has returned. A program of a user, like
 * api.c.
 *
 *	life WHICH
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hakmem/stats.h>

#include "check.h"

#define KEYS 40 /* more than a thread has room for without asking malloc() */

extern char **environ;
int malloc_trim(size_t pad);
__attribute__((weak)) void hak_stats_read(struct hak_stats *stats, size_t size);

static void *volatile in_handler, *volatile before_all, *volatile in_constructor;
static pthread_key_t key[KEYS], last_key;

static void handler(int signal)
{
	int saved = errno;

	(void)signal;
	in_handler = malloc(100);
	if (in_handler)
		memset(in_handler, 7, 100);
	errno = saved;
}

static void catch (int signal, void (*function)(int))
{
	struct sigaction action = { .sa_handler = function, .sa_flags = SA_RESTART };

	sigaction(signal, &action, NULL);
}

static void last_destructor(void *round);

/* Called before the constructors of any library: the process has asked for nothing yet. */
static void before_constructors(void)
{
	catch (SIGUSR1, handler);
	raise(SIGUSR1);
	before_all = in_handler;
	pthread_key_create(&last_key, last_destructor);
	for (unsigned i = 0; i < KEYS; i++)
		pthread_key_create(&key[i], NULL);
}

__attribute__((section(".preinit_array"),
	       used)) static void (*const preinit)(void) = before_constructors;

__attribute__((constructor(101))) static void constructor(void)
{
	if (!before_all) /* musl has no such array */
		before_constructors();
	in_constructor = calloc(100, 1);
}

static void first_block_is_a_signal_handlers(void)
{
	CHECK(before_all && is_filled(before_all, 7, 100));
	CHECK(in_constructor && is_filled(in_constructor, 0, 100));
	CHECK(malloc_usable_size(before_all) == 112);
	free(before_all);
	free(in_constructor);
}

/* ---------------------------------------------------------------------- threads */

static void *run(void *(*function)(void *), void *argument)
{
	pthread_t thread;
	void *result = NULL;

	if (!pthread_create(&thread, NULL, function, argument))
		pthread_join(thread, &result);
	return result;
}

static void *raise_first(void *unused)
{
	(void)unused;
	in_handler = NULL;
	raise(SIGUSR1);
	return in_handler;
}

static void first_act_of_thread_is_in_handler(void)
{
	for (unsigned i = 0; i < 50; i++) {
		unsigned char *block = run(raise_first, NULL);

		CHECK(block && is_filled(block, 7, 100));
		free(block);
	}
}

static void *return_blocks(void *unused)
{
	void **block = malloc(1000 * sizeof(*block));

	(void)unused;
	for (unsigned i = 0; block && i < 1000; i++)
		block[i] = memset(malloc(i + 1), 9, i + 1);
	return block;
}

static void *free_blocks(void *blocks)
{
	void **block = blocks;

	for (unsigned i = 0; block && i < 1000; i++)
		free(block[i]);
	free(block);
	return blocks;
}

/* Blocks outlive their threads; others free them, of which it is all that they do. */
static void blocks_outlive_their_threads(void)
{
	for (unsigned i = 0; i < 50; i++) {
		void **block = run(return_blocks, NULL);

		CHECK(block);
		for (unsigned b = 0; b < 1000; b++)
			CHECK(block[b] && is_filled(block[b], 9, b + 1));
		if (i % 2)
			free_blocks(block);
		else
			CHECK(run(free_blocks, block) == block);
	}
}

static pthread_key_t late[3];
static _Atomic unsigned rounds;

/* glibc has four rounds of destructors: allocate and free in all of them. */
static void late_destructor(void *blocks)
{
	void **block = blocks;

	rounds++;
	for (unsigned i = 0; i < 100; i++) {
		free(block[i]);
		block[i] = malloc(10 * i);
	}
	if (rounds < 9 && block[1]) {
		for (unsigned i = 0; i < 3; i++)
			if (!pthread_getspecific(late[i])) {
				pthread_setspecific(late[i], block);
				return;
			}
	}
	for (unsigned i = 0; i < 100; i++)
		free(block[i]);
	free(block);
}

static void *leave_blocks(void *how)
{
	for (unsigned i = 0; i < 3; i++)
		pthread_setspecific(late[i], calloc(100, sizeof(void *)));
	if (how)
		for (unsigned i = 0; i < KEYS; i++)
			pthread_setspecific(key[i], how); /* the far keys: malloc() inside */
	return how;
}

static void destructors_of_threads_allocate(void)
{
	for (unsigned i = 0; i < 3; i++)
		CHECK(!pthread_key_create(&late[i], late_destructor));
	for (unsigned i = 0; i < 100; i++) {
		rounds = 0;
		run(leave_blocks, i % 2 ? &late : NULL);
		CHECK(rounds > 9); /* three in each: the fourth round was reached */
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_key_delete(late[i]);
}

static _Atomic unsigned last_blocks;

/* In the last round, after which no destructor runs at the end of the thread. */
static void last_destructor(void *round)
{
	char *first = NULL;

	if (round != first + 4) {
		pthread_setspecific(last_key, (char *)round + 1);
		return;
	}
	first = malloc(100);
	last_blocks += first != NULL;
	free(first);
}

static void *do_nothing(void *unused)
{
	pthread_setspecific(last_key, (char *)NULL + 1);
	return unused;
}

static void first_act_of_thread_is_its_last(void)
{
	struct hak_stats stats;

	for (unsigned i = 0; i < 300; i++)
		run(do_nothing, NULL);
	CHECK(last_blocks == 300);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.caches <= 32); /* those of the others serve again */
}

#ifdef __GLIBC__
static void *with_small_stack(void *unused)
{
	for (size_t i = 0; i < 20000; i++)
		free(realloc(malloc(i * 37 % 300000), i * 13 % 500000 + 1));
	malloc_trim(0);
	return mallinfo2().arena ? unused : NULL;
}

/* glibc's own needs no more. */
static void smallest_stack_suffices(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	void *result;

	pthread_attr_init(&attributes);
	CHECK(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) == 0);
	CHECK(pthread_create(&thread, &attributes, with_small_stack, &thread) == 0);
	pthread_join(thread, &result);
	pthread_attr_destroy(&attributes);
	CHECK(result == &thread);
}

/* All of the above, and nothing is left of it. */
static void ended_threads_leave_nothing(void)
{
	struct mallinfo2 before, after;

	for (unsigned i = 0; i < 3; i++) {
		if (i == 1)
			before = mallinfo2();
		blocks_outlive_their_threads();
		destructors_of_threads_allocate();
	}
	after = mallinfo2();
	CHECK(after.uordblks == before.uordblks && after.hblkhd == before.hblkhd);
	malloc_trim(0);
	CHECK(mallinfo2().arena <= before.arena);
}
#endif

/* -------------------------------------------------------------------- processes */

static volatile bool stop;

static void *churn(void *count)
{
	for (size_t i = 0; !stop && i < (size_t)count; i++) {
		char *block = malloc(i * 7919 % 40000);

		if (!block)
			return NULL;
		block = realloc(block, i % 5000 + 1);
		block[0] = 1;
		free(block);
	}
	return count;
}

#define FOR_EVER ((void *)((size_t)1 << 40))
#define A_WHILE	 ((void *)(size_t)2000)

static pthread_t churning[3];

static bool start_churning(void)
{
	stop = false;
	for (unsigned i = 0; i < 3; i++)
		if (pthread_create(&churning[i], NULL, churn, FOR_EVER))
			return false;
	return true;
}

static void stop_churning(void)
{
	stop = true;
	for (unsigned i = 0; i < 3; i++)
		pthread_join(churning[i], NULL);
	stop = false;
}

static bool succeeds(pid_t pid)
{
	int status;
	pid_t ended;

	do
		ended = waitpid(pid, &status, 0);
	while (ended < 0 && errno == EINTR);
	return pid > 0 && ended == pid && status == 0;
}

static void children_among_threads(void)
{
	char *const command[] = { "sh", "-c", "exit 0", NULL };
	pid_t pid;

	CHECK(start_churning());
	for (unsigned i = 0; i < 30; i++) {
		pid = fork();
		if (!pid) {
			alarm(HANGS);
			_exit(churn(A_WHILE) ? 0 : 1);
		}
		CHECK(succeeds(pid));
		CHECK(!posix_spawnp(&pid, "sh", NULL, NULL, command, environ) && succeeds(pid));
		pid = vfork();
		if (!pid)
			_exit(malloc(i) ? 0 : 1); /* of its parent's heap: one block is lost */
		CHECK(succeeds(pid));
	}
	CHECK(system("exit 0") == 0);
	stop_churning();
}

static pid_t bare_clone(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* Its parent has ended, whose threads had the numbers that the library knows. */
static int live_as_orphan(pid_t parent)
{
	void *block[64] = { NULL };
	pthread_t thread;

	alarm(HANGS);
	while (getppid() == parent)
		sched_yield();
	for (unsigned i = 0; i < 200; i++) {
		if (pthread_create(&thread, NULL, churn, A_WHILE))
			return 1;
		for (unsigned j = 0; j < 1000; j++) {
			free(block[j % 64]);
			block[j % 64] = calloc(1, j * 7 % 2000 + 1);
			if (!block[j % 64] || *(char *)block[j % 64])
				return 2;
			*(char *)block[j % 64] = 1;
		}
		pthread_join(thread, NULL);
	}
	return 0;
}

/* Daemons do that: the copy goes on, with threads, when what it was copied from has ended. */
static void orphans_start_threads(void)
{
	static pid_t (*const ways[])(void) = { fork, bare_clone };

	for (unsigned way = 0; way < 2; way++) {
		char result = 'x';
		int ends[2];
		pid_t pid;

		CHECK(!pipe(ends));
		pid = fork();
		if (!pid) {
			pid_t parent = getpid();

			free(malloc(100));
			if (ways[way]() == 0) {
				result = (char)('0' + live_as_orphan(parent));
				_exit(write(ends[1], &result, 1) != 1);
			}
			_exit(0);
		}
		close(ends[1]);
		CHECK(succeeds(pid));
		CHECK(read(ends[0], &result, 1) == 1 && result == '0');
		close(ends[0]);
	}
}

#ifdef __GLIBC__
/* In a process with one thread, no library is in the way of it. */
static void bare_fork(void)
{
	for (unsigned i = 0; i < 20; i++) {
		pid_t pid = _Fork();

		if (!pid) {
			alarm(HANGS);
			_exit(churn(A_WHILE) ? 0 : 1);
		}
		CHECK(succeeds(pid));
	}
}

/* Among threads it is the shared library's. */
static bool bare_fork_is_ours(void)
{
	return !strcmp(which, "life") || !strcmp(which, "life-linked");
}

static void bare_fork_among_threads(void)
{
	if (!bare_fork_is_ours())
		return;
	CHECK(start_churning());
	for (unsigned i = 0; i < 10; i++)
		bare_fork();
	stop_churning();
}
#endif

static void child_forks_and_its_threads_too(void)
{
	pid_t pid;

	CHECK(start_churning());
	for (unsigned i = 0; i < 10; i++) {
		pid = fork();
		if (!pid) {
			alarm(HANGS);
			if (run(churn, A_WHILE) != A_WHILE)
				_exit(1);
			pid = fork();
			if (!pid)
				_exit(run(churn, A_WHILE) == A_WHILE ? 0 : 1);
			_exit(succeeds(pid) ? 0 : 1);
		}
		CHECK(succeeds(pid));
	}
	stop_churning();
}

static volatile sig_atomic_t forks, is_child, bad_children;

/* Once: a regular timer would leave no time between its signals. */
static void interrupt_soon(void)
{
	const struct itimerval once = { .it_value = { 0, 200 + forks % 7 * 30 } };

	setitimer(ITIMER_REAL, &once, NULL);
}

static pid_t (*fork_in_it)(void) = fork;

static void fork_in_handler(int signal)
{
	int saved = errno;
	pid_t pid = fork_in_it();

	(void)signal;
	if (!pid) {
		catch (SIGALRM, SIG_DFL);
		alarm(HANGS);
		is_child = 1; /* goes on where malloc() was interrupted */
	} else {
		forks++;
		bad_children += !succeeds(pid);
		interrupt_soon();
	}
	errno = saved;
}

static void fork_interrupts_malloc(void)
{
	void *block[64] = { NULL };
	unsigned left = 2000;

	forks = 0;
	catch (SIGALRM, fork_in_handler);
	interrupt_soon();
	for (size_t i = 0; forks < 200 && left; i++) {
		free(block[i % 64]);
		block[i % 64] = malloc(i * 37 % 3000);
		left -= is_child;
	}
	if (is_child)
		_exit(0);
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	catch (SIGALRM, SIG_IGN); /* one may be pending */
	catch (SIGALRM, SIG_DFL); /* for the children of other tests */
	for (unsigned i = 0; i < 64; i++)
		free(block[i]);
	CHECK(bad_children == 0);
}

#ifdef __GLIBC__
static void bare_fork_interrupts_malloc(void)
{
	fork_in_it = bare_fork_is_ours() ? _Fork : fork;
	fork_interrupts_malloc();
	fork_in_it = fork;
}
#endif

/* ----------------------------------------------------------------------- memory */

/* What may not be purged keeps its contents, and calloc() must not take it for zeros. */
static void locked_memory_is_zeroed(void)
{
	static unsigned char *block[200];

	if (mlockall(MCL_CURRENT | MCL_FUTURE)) {
		printf("%s: no memory may be locked here: mlockall() is not tried\n", which);
		return;
	}
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 200; i++) {
			size_t size = i % 2 ? 3000 : 50000;

			block[i] = calloc(1, size);
			CHECK(block[i] && is_filled(block[i], 0, size));
			memset(block[i], 0xff, size);
		}
		for (unsigned i = 0; i < 200; i++)
			free(block[i]);
		malloc_trim(0);
	}
	munlockall();
}

/* The block behind this one may not be read. */
static bool guard(char *const *block, unsigned n, size_t size, unsigned *found)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < n; j++)
			if (block[j] == block[i] + size) {
				*found = i;
				return !mprotect(block[j], size, PROT_NONE);
			}
	return false;
}

static void realloc_reads_no_further(void)
{
	static const size_t sizes[] = { 4096, (size_t)2 << 20 };
	char *block[16];
	unsigned found;

	for (unsigned s = 0; s < 2; s++) {
		size_t size = sizes[s];

		for (unsigned i = 0; i < 16; i++) {
			block[i] = aligned_alloc(size, size);
			CHECK(block[i] && malloc_usable_size(block[i]) == size);
			memset(block[i], 3, size);
		}
		CHECK(guard(block, 16, size, &found));
		mprotect(block[found], size, PROT_READ | PROT_WRITE);
		block[found] = realloc(block[found], 3 * size);
		CHECK(block[found] && is_filled(block[found], 3, size));
		for (unsigned i = 0; i < 16; i++) {
			/* it is one of them that is guarded */
			if (i != found)
				mprotect(block[i], size, PROT_READ | PROT_WRITE);
			free(block[i]);
		}
	}
}

/* ------------------------------------------------------------------ after main() */

static void say_late(const char *name, bool good)
{
	char line[100];
	int n = snprintf(line, sizeof(line), "%s %s-%s%s\n", good ? "ok" : "FAIL", which, name,
			 good ? "" : ": no block");

	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		_exit(1);
}

static bool can_allocate(void)
{
	static char *block[200];
	bool good = true;

	for (unsigned i = 0; i < 200; i++) {
		block[i] = malloc(i * 500);
		good &= block[i] != NULL;
		if (block[i])
			memset(block[i], 1, i * 500);
	}
	for (unsigned i = 0; i < 200; i += 2)
		free(block[i]);
	return good && churn(A_WHILE);
}

static void at_exit(void)
{
	say_late("atexit-allocates", can_allocate());
}

__attribute__((destructor(101))) static void destructor(void)
{
	if (which)
		say_late("last-destructor-allocates", can_allocate());
}

static const struct api_test tests[] = {
#ifdef __GLIBC__
	TEST(bare_fork), /* before there are threads, the library's own too */
#endif
	TEST(orphans_start_threads), /* likewise */
	TEST(fork_interrupts_malloc),
	TEST(first_block_is_a_signal_handlers),
	TEST(first_act_of_thread_is_in_handler),
	TEST(blocks_outlive_their_threads),
	TEST(destructors_of_threads_allocate),
	TEST(first_act_of_thread_is_its_last),
#ifdef __GLIBC__
	TEST(smallest_stack_suffices),
	TEST(ended_threads_leave_nothing),
#endif
	TEST(children_among_threads),
	TEST(child_forks_and_its_threads_too),
	TEST(fork_interrupts_malloc),
#ifdef __GLIBC__
	TEST(bare_fork_among_threads),
	TEST(bare_fork_interrupts_malloc),
#endif
	TEST(locked_memory_is_zeroed),
	TEST(realloc_reads_no_further),
};

int main(int argc, char **argv)
{
	atexit(at_exit);
	return run_tests(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
