/* SPDX-License-Identifier: MIT */
/*
 * What the library says reaches its reader: from a thread that is to be cancelled, through a
 * pipe that is full for a moment, and while signals come.
 *
 *	output NAME	NAME is for the names of the tests
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

void malloc_stats(void);
int malloc_info(int options, FILE *stream);

static volatile bool came_through;

static void *cancelled(void *function)
{
	pthread_cancel(pthread_self());
	((void (*)(void))function)();
	came_through = true;
	pthread_testcancel();
	return NULL;
}

static void free_what_is_foreign(void)
{
	static char foreign[64];
	void *volatile block = foreign + 16;

	free(block);
}

static void print_stats(void)
{
	malloc_stats();
}

static void print_info(void)
{
	FILE *file = fdopen(STDERR_FILENO, "w");

	setvbuf(file, NULL, _IONBF, 0);
	malloc_info(0, file);
}

struct said {
	char text[200000];
	size_t length;
	int status;
};

/* A child whose stderr is a pipe, which is first read after @ms. */
static void listen_to(struct said *said, void (*run)(void *), void *ctx, unsigned ms, int flags)
{
	int ends[2];
	ssize_t n;
	pid_t pid;

	memset(said, 0, sizeof(*said));
	said->status = -1;
	if (pipe(ends))
		return;
	fcntl(ends[1], F_SETPIPE_SZ, 4096);
	fcntl(ends[1], F_SETFL, flags);
	pid = fork();
	if (!pid) {
		alarm(HANGS);
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		run(ctx);
		_exit(came_through ? 0 : 3);
	}
	close(ends[1]);
	usleep(ms * 1000);
	while ((n = read(ends[0], said->text + said->length,
			 sizeof(said->text) - 1 - said->length)) > 0)
		said->length += (size_t)n;
	close(ends[0]);
	waitpid(pid, &said->status, 0);
}

static void in_thread(void *function)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, cancelled, function) == 0)
		pthread_join(thread, NULL);
}

static bool ends_with(const struct said *said, const char *text)
{
	const char *found = strstr(said->text, text);

	return found && strchr(found, '\n') == said->text + said->length - 1;
}

static struct said said;

static void cancelled_thread_reports(void)
{
	listen_to(&said, in_thread, free_what_is_foreign, 0, 0);
	CHECK(WIFSIGNALED(said.status) && WTERMSIG(said.status) == SIGABRT);
	CHECK(ends_with(&said, "not from this heap (mapped by"));
}

static void cancelled_thread_prints_stats(void)
{
	listen_to(&said, in_thread, print_stats, 0, 0);
	CHECK(said.status == 0);
	CHECK(ends_with(&said, "memory: "));
}

static void cancelled_thread_prints_info(void)
{
	listen_to(&said, in_thread, print_info, 0, 0);
	CHECK(said.status == 0);
	CHECK(ends_with(&said, "</malloc>"));
}

#define TIMES 20

static void tick(int signal)
{
	(void)signal;
}

static void print_often(void *signals)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	struct sigaction action = { .sa_handler = tick }; /* calls end early */

	if (signals) {
		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &often, NULL);
	}
	for (unsigned i = 0; i < TIMES; i++)
		malloc_stats();
	came_through = true;
}

/* Is each text there, from the first line to the last? */
static bool has_all(void)
{
	unsigned begins = 0, ends = 0;

	for (const char *at = said.text; (at = strstr(at, "Arena 0:\n")); at++)
		begins++;
	for (const char *at = said.text; (at = strstr(at, "KiB for descriptors\n")); at++)
		ends++;
	return begins == TIMES && ends == TIMES;
}

static void full_pipe_loses_nothing(void)
{
	listen_to(&said, print_often, NULL, 300, O_NONBLOCK);
	CHECK(said.status == 0);
	CHECK(has_all());
}

static void signals_lose_nothing(void)
{
	listen_to(&said, print_often, "signals", 300, 0);
	CHECK(said.status == 0);
	CHECK(has_all());
	listen_to(&said, print_often, "signals", 300, O_NONBLOCK);
	CHECK(said.status == 0);
	CHECK(has_all());
}

static const struct api_test tests[] = {
	TEST(cancelled_thread_reports),	    TEST(cancelled_thread_prints_stats),
	TEST(cancelled_thread_prints_info), TEST(full_pipe_loses_nothing),
	TEST(signals_lose_nothing),
};

int main(int argc, char **argv)
{
	return run_tests(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
