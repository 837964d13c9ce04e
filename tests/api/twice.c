/* SPDX-License-Identifier: MIT */
/*
 * A block that is freed twice in a row: the call that does it does not return, and says which
 * block it was, under every name that frees.
 *
 *	twice NAME	NAME is for the names of the tests
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* They may be there only when the library is preloaded. */
#define WEAK __attribute__((weak))
WEAK void free_sized(void *block, size_t size);
WEAK void free_aligned_sized(void *block, size_t align, size_t size);
WEAK void cfree(void *block);

/* In memory that parent and child share. */
static struct evidence {
	void *block;
	bool survived;
} * evidence;

static void *allocate(size_t size)
{
	evidence->block = malloc(hide(size));
	return evidence->block;
}

static void smallest(void)
{
	free(allocate(1));
	free(evidence->block);
}

static void small(void)
{
	free(allocate(1000));
	free(evidence->block);
}

static void large(void)
{
	free(allocate(20000));
	free(evidence->block);
}

static void span(void)
{
	free(allocate(300000));
	free(evidence->block);
}

static void aligned(void)
{
	if (!posix_memalign(&evidence->block, 4096, 100))
		free(evidence->block);
	free(evidence->block);
}

static void first_by_realloc(void)
{
	if (!realloc(allocate(100), 0))
		free(evidence->block);
}

static void by_realloc_to_nothing(void)
{
	free(allocate(100));
	if (!realloc(evidence->block, 0))
		free(NULL);
}

static void by_realloc(void)
{
	free(allocate(100));
	if (realloc(evidence->block, 300))
		free(NULL);
}

static void by_cfree(void)
{
	cfree(allocate(100));
	cfree(evidence->block);
}

static void by_free_sized(void)
{
	free_sized(allocate(100), 100);
	free_sized(evidence->block, 100);
}

static void by_free_aligned_sized(void)
{
	evidence->block = aligned_alloc(64, hide(128));
	free_aligned_sized(evidence->block, 64, 128);
	free_aligned_sized(evidence->block, 64, 128);
}

static const struct crime {
	const char *name;
	void (*commit)(void);
	const char *function;
	size_t size;
} crimes[] = {
	{ "smallest", smallest, "free", 16 },
	{ "small", small, "free", 1024 },
	{ "large", large, "free", 20480 },
	{ "span", span, "free", 327680 },
	{ "aligned", aligned, "free", 4096 },
	{ "first-by-realloc", first_by_realloc, "free", 112 },
	{ "by-realloc-to-nothing", by_realloc_to_nothing, "realloc", 112 },
	{ "by-realloc", by_realloc, "realloc", 112 },
	{ "by-cfree", by_cfree, "free", 112 },
	{ "by-free_sized", by_free_sized, "free_sized", 112 },
	{ "by-free_aligned_sized", by_free_aligned_sized, "free_aligned_sized", 128 },
};

static const struct crime *crime;

static void judge(void)
{
	char said[1000] = "", expected[1000];
	size_t length = 0;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	CHECK(pipe(ends) == 0);
	evidence->survived = false;
	pid = fork();
	if (!pid) {
		alarm(HANGS);
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		dup2(ends[1], STDERR_FILENO);
		crime->commit();
		evidence->survived = true;
		_exit(0);
	}
	close(ends[1]);
	while ((n = read(ends[0], said + length, sizeof(said) - 1 - length)) > 0)
		length += (size_t)n;
	close(ends[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(!evidence->survived && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	snprintf(expected, sizeof(expected),
		 "hakmem: %s[%d]: %s(%p): double free of a block of %zu bytes\n",
		 program_invocation_short_name, (int)pid, crime->function, evidence->block,
		 crime->size);
	if (strcmp(said, expected))
		printf("expected: %ssaid: %s\n", expected, said);
	CHECK(strcmp(said, expected) == 0);
}

int main(int argc, char **argv)
{
	static struct api_test tests[sizeof(crimes) / sizeof(crimes[0])];
	int any_failed = 0;

	evidence = mmap(NULL, sizeof(*evidence), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (evidence == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < sizeof(crimes) / sizeof(crimes[0]); i++) {
		crime = &crimes[i];
		tests[i] = (struct api_test){ crime->name, judge };
		any_failed |= run_tests(argc, argv, &tests[i], 1);
	}
	return any_failed;
}
