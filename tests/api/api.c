/* SPDX-License-Identifier: MIT */
/*
 * The names of the C library, as a program sees them: semantics and errno of
 * each edge as glibc has them (malloc(3), posix_memalign(3)). The program
 * knows nothing of hakmem, so that the same source runs with the library
 * preloaded, linked, or linked statically.
 *
 *	api WHICH		all tests; WHICH is for the names of the tests
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define BUFFER 512

/* Not in every <malloc.h> or <stdlib.h>; some in no library but ours. */
void *pvalloc(size_t size);
int malloc_trim(size_t pad);
__attribute__((weak)) void cfree(void *block);
__attribute__((weak)) void free_sized(void *block, size_t size);
__attribute__((weak)) void free_aligned_sized(void *block, size_t align, size_t size);
void *__libc_malloc(size_t size);
void __libc_free(void *block);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t align, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);

/* The compiler knows these functions, and which calls of them make no sense. */
static void *volatile hidden;

/* The expression is NULL, and errno says why. */
#define FAILS(expression, reason)                                                                  \
	do {                                                                                       \
		errno = 0;                                                                         \
		hidden = (expression);                                                             \
		CHECK(hidden == NULL);                                                             \
		CHECK(errno == (reason));                                                          \
	} while (0)

static const size_t too_large[] = {
	(size_t)PTRDIFF_MAX,
	(size_t)PTRDIFF_MAX + 1,
	(size_t)PTRDIFF_MAX + 4096,
	SIZE_MAX - (2UL << 20),
	SIZE_MAX - 4096,
	SIZE_MAX - 15,
	SIZE_MAX - 8,
	SIZE_MAX - 7,
	SIZE_MAX,
	(size_t)1 << 47,
};

#define NR_TOO_LARGE (sizeof(too_large) / sizeof(too_large[0]))

/* ----------------------------------------------------------------------- malloc */

/* Nothing of what follows means anything if this is another allocator. */
static void is_hakmem(void)
{
	void *block = malloc(1);

	CHECK(malloc_usable_size(block) == 16); /* glibc's has 24 */
	free(block);
}

static void malloc_aligns_to_16(void)
{
	for (size_t size = 0; size < 100000; size += size < 2000 ? 1 : 777) {
		char *one = malloc(size), *two = malloc(size);

		CHECK(one && two && one != two);
		CHECK((uintptr_t)one % 16 == 0 && (uintptr_t)two % 16 == 0);
		CHECK(malloc_usable_size(one) >= size);
		memset(one, 1, malloc_usable_size(one));
		memset(two, 2, malloc_usable_size(two));
		CHECK(is_filled((unsigned char *)one, 1, malloc_usable_size(one)));
		free(one);
		free(two);
	}
}

static void malloc_of_nothing_is_unique(void)
{
	void *block[100];

	for (unsigned i = 0; i < 100; i++) {
		block[i] = malloc(hide(0));
		CHECK(block[i]);
		for (unsigned j = 0; j < i; j++)
			CHECK(block[i] != block[j]);
	}
	for (unsigned i = 0; i < 100; i++)
		free(block[i]);
}

static void malloc_of_too_much(void)
{
	for (size_t i = 0; i < NR_TOO_LARGE; i++)
		FAILS(malloc(hide(too_large[i])), ENOMEM);
	free(malloc(100));
}

/* ------------------------------------------------------------------------- free */

static void free_of_null(void)
{
	free(NULL);
	free(hidden = NULL);
}

/* Also where it gives memory back to the kernel. */
static void free_keeps_errno(void)
{
	static const size_t sizes[] = { 16, 1000, 30000, 100000, 3 << 20, 64 << 20 };
	void *block[1000];

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		unsigned n = sizes[s] > 100000 ? 3 : 1000;

		for (unsigned i = 0; i < n; i++) {
			block[i] = malloc(sizes[s]);
			CHECK(block[i]);
		}
		errno = 4711;
		for (unsigned i = 0; i < n; i++)
			free(block[i]);
		CHECK(errno == 4711);
	}
	errno = 4711;
	free(NULL);
	CHECK(errno == 4711);
}

static void *free_first(void *block)
{
	errno = 4711;
	free(block);
	return (void *)(uintptr_t)errno;
}

static void free_as_first_act_of_thread(void)
{
	pthread_t thread;
	void *result;

	for (unsigned i = 0; i < 100; i++) {
		CHECK(pthread_create(&thread, NULL, free_first, malloc(100 * i)) == 0);
		CHECK(pthread_join(thread, &result) == 0);
		CHECK((uintptr_t)result == 4711);
	}
}

/* A pointer that is not malloc's ends the program, with one line that says so. */
static void free_of_stack_is_reported(void)
{
	const struct rlimit no_core = { 0, 0 };
	char text[BUFFER], expected[BUFFER];
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	hidden = text;
	CHECK(pipe(ends) == 0);
	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(ends[1], STDERR_FILENO);
		free(hidden);
		_exit(0);
	}
	close(ends[1]);
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	CHECK(n > 0);
	text[n] = '\0';
	snprintf(expected, sizeof(expected),
		 "hakmem: %s[%d]: free(%p): not from this heap (mapped by someone else)\n",
		 program_invocation_short_name, (int)pid, hidden);
	CHECK(strcmp(text, expected) == 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* --------------------------------------------------------------- calloc, realloc */

static void calloc_is_zero(void)
{
	static const size_t sizes[] = { 1, 16, 100, 1024, 5000, 32768, 32769, 200000, 5 << 20 };

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (unsigned i = 0; i < 20; i++) {
			unsigned char *block = calloc(i % 2 ? 1 : sizes[s], i % 2 ? sizes[s] : 1);

			CHECK(block);
			CHECK(is_filled(block, 0, sizes[s]));
			memset(block, 0xff, malloc_usable_size(block));
			free(block);
		}
	}
}

static void calloc_of_nothing(void)
{
	void *one = calloc(hide(0), 8), *two = calloc(8, hide(0));

	CHECK(one && two && one != two);
	free(one);
	free(two);
}

static void calloc_overflow(void)
{
	FAILS(calloc(hide(SIZE_MAX), 2), ENOMEM);
	FAILS(calloc(2, hide(SIZE_MAX)), ENOMEM);
	FAILS(calloc(hide((size_t)1 << 32), (size_t)1 << 32), ENOMEM);
	FAILS(calloc(hide(((size_t)1 << 32) + 1), (size_t)1 << 32), ENOMEM);
	FAILS(calloc(hide(SIZE_MAX / 2), 3), ENOMEM);
	for (size_t i = 0; i < NR_TOO_LARGE; i++)
		FAILS(calloc(1, hide(too_large[i])), ENOMEM);
}

static void realloc_keeps_contents(void)
{
	static const size_t sizes[] = { 1,     100,   17,	5000,	  40000,   30000, 3 << 20,
					70000, 20000, 10 << 20, 64 << 20, 1 << 20, 64,	  16 };
	unsigned char *block = realloc(NULL, 24);
	size_t old = 24;

	CHECK(block);
	memset(block, 0x5a, old);
	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		block = realloc(block, sizes[s]);
		CHECK(block);
		CHECK((uintptr_t)block % 16 == 0);
		CHECK(malloc_usable_size(block) >= sizes[s]);
		CHECK(is_filled(block, 0x5a, old < sizes[s] ? old : sizes[s]));
		old = sizes[s];
		memset(block, 0x5a, old);
	}
	free(block);
}

/* As glibc: the block is freed, the result NULL, and that is no error. */
static void realloc_to_nothing_frees(void)
{
	errno = 4711;
	for (unsigned i = 0; i < 1000; i++) {
		hidden = malloc(1 << 20);
		CHECK(hidden);
		hidden = realloc(hidden, hide(0));
		CHECK(hidden == NULL);
	}
	CHECK(errno == 4711);
	hidden = realloc(NULL, hide(0)); /* this is malloc(0) */
	CHECK(hidden);
	free(hidden);
}

static void realloc_to_too_much(void)
{
	static const size_t sizes[] = { 24, 20000, 200000, 5 << 20 };

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		unsigned char *block = malloc(sizes[s]);

		CHECK(block);
		memset(block, 0x5a, sizes[s]);
		for (size_t i = 0; i < NR_TOO_LARGE; i++)
			FAILS(realloc(block, hide(too_large[i])), ENOMEM);
		CHECK(is_filled(block, 0x5a, sizes[s]));
		free(block);
	}
}

static void reallocarray_checks_overflow(void)
{
	unsigned char *block = reallocarray(NULL, 3, 100);

	CHECK(block);
	memset(block, 0x5a, 300);
	FAILS(reallocarray(block, hide(SIZE_MAX), 2), ENOMEM);
	FAILS(reallocarray(block, hide((size_t)1 << 32), (size_t)1 << 32), ENOMEM);
	FAILS(reallocarray(block, 1, hide(SIZE_MAX)), ENOMEM);
	CHECK(is_filled(block, 0x5a, 300));
	block = reallocarray(block, 1000, 7);
	CHECK(block && is_filled(block, 0x5a, 300));
	hidden = reallocarray(block, hide(0), 7);
	CHECK(hidden == NULL);
}

/* -------------------------------------------------------------------- alignments */

static void aligned_alloc_aligns(void)
{
	for (size_t align = 1; align <= (size_t)8 << 20; align <<= 1) {
		static const size_t sizes[] = { 0, 1, 100, 4096, 33000, 3 << 20 };

		for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			void *block = aligned_alloc(hide(align), sizes[s]);

			CHECK(block);
			CHECK((uintptr_t)block % align == 0 && (uintptr_t)block % 16 == 0);
			CHECK(malloc_usable_size(block) >= sizes[s]);
			memset(block, 1, sizes[s]);
			free(block);
		}
	}
}

static void aligned_alloc_fails(void)
{
	FAILS(aligned_alloc(hide(0), 16), EINVAL);
	FAILS(aligned_alloc(hide(3), 16), EINVAL);
	FAILS(aligned_alloc(hide(48), 96), EINVAL);
	FAILS(aligned_alloc(hide(SIZE_MAX), 16), EINVAL);
	FAILS(aligned_alloc(hide((size_t)1 << 63), 16), ENOMEM);
	FAILS(aligned_alloc(hide((size_t)1 << 62), 16), ENOMEM);
	for (size_t i = 0; i < NR_TOO_LARGE; i++)
		FAILS(aligned_alloc(64, hide(too_large[i])), ENOMEM);
}

/* glibc: an alignment that is no power of two means the next one. */
static void memalign_rounds_up(void)
{
	static const size_t pairs[][2] = { { 0, 1 },	   { 1, 1 },	      { 3, 4 },
					   { 17, 32 },	   { 48, 64 },	      { 65, 128 },
					   { 4097, 8192 }, { 100000, 131072 } };

	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		void *block = memalign(hide(pairs[i][0]), 100);

		CHECK(block);
		CHECK((uintptr_t)block % pairs[i][1] == 0 && (uintptr_t)block % 16 == 0);
		free(block);
	}
	FAILS(memalign(hide(SIZE_MAX), 16), EINVAL);
	FAILS(memalign(hide(((size_t)1 << 63) + 1), 16), EINVAL);
	FAILS(memalign(hide((size_t)1 << 63), 16), ENOMEM);
	for (size_t i = 0; i < NR_TOO_LARGE; i++)
		FAILS(memalign(64, hide(too_large[i])), ENOMEM);
}

static void posix_memalign_aligns(void)
{
	for (size_t align = sizeof(void *); align <= (size_t)4 << 20; align <<= 1) {
		void *block = NULL;

		CHECK(posix_memalign(&block, align, align + 8) == 0);
		CHECK(block && (uintptr_t)block % align == 0);
		free(block);
		block = NULL;
		CHECK(posix_memalign(&block, align, hide(0)) == 0);
		CHECK(block && (uintptr_t)block % align == 0);
		free(block);
	}
}

/* The reason is what it returns; neither errno nor the result are touched. */
static void posix_memalign_fails(void)
{
	static const size_t bad[] = { 0, 1, 2, 4, 7, 12, 24, 40, 4095, SIZE_MAX };
	char mark;
	void *block = &mark;

	errno = 4711;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(posix_memalign(&block, hide(bad[i]), 16) == EINVAL);
	CHECK(posix_memalign(&block, hide(3), SIZE_MAX) == EINVAL);
	for (size_t i = 0; i < NR_TOO_LARGE; i++)
		CHECK(posix_memalign(&block, 64, hide(too_large[i])) == ENOMEM);
	CHECK(posix_memalign(&block, hide((size_t)1 << 62), 16) == ENOMEM);
	CHECK(block == &mark);
	CHECK(errno == 4711);
}

static void valloc_and_pvalloc(void)
{
	static const size_t sizes[] = { 0, 1, 4096, 4097, 100000 };

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		char *one = valloc(hide(sizes[s])), *two = pvalloc(hide(sizes[s]));

		CHECK(one && two && one != two);
		CHECK((uintptr_t)one % 4096 == 0 && (uintptr_t)two % 4096 == 0);
		CHECK(malloc_usable_size(one) >= sizes[s]);
		CHECK(malloc_usable_size(two) >= (sizes[s] + 4095) / 4096 * 4096);
		free(one);
		free(two);
	}
	for (size_t i = 0; i < NR_TOO_LARGE; i++) {
		FAILS(valloc(hide(too_large[i])), ENOMEM);
		FAILS(pvalloc(hide(too_large[i])), ENOMEM);
	}
}

static void usable_size_is_usable(void)
{
	CHECK(malloc_usable_size(NULL) == 0);
	for (size_t size = 0; size < 300000; size = size * 9 / 8 + 1) {
		unsigned char *block = malloc(size);
		size_t usable = malloc_usable_size(block);

		CHECK(usable >= size);
		memset(block, 0x77, usable);
		block = realloc(block, usable);
		CHECK(block && malloc_usable_size(block) == usable);
		CHECK(is_filled(block, 0x77, usable));
		free(block);
	}
}

/* Bytes that are resident, read without stdio, which would allocate. */
static size_t resident(void)
{
	char text[BUFFER] = "", *end;
	int file = open("/proc/self/statm", O_RDONLY);
	ssize_t n = read(file, text, sizeof(text) - 1);

	close(file);
	if (n <= 0)
		return 0;
	strtoul(text, &end, 10);
	return strtoul(end, NULL, 10) * 4096;
}

/* What is not known to be zero is cleared; of a very large block little is in memory then. */
static void calloc_touches_little(void)
{
	size_t before, mib = 1 << 20;
	char *dirty = malloc(12 * mib), *block;

	memset(dirty, 1, 12 * mib);
	free(dirty);
	before = resident();
	for (unsigned i = 0; i < 4; i++) {
		block = calloc(1, hide(1024 * mib));
		if (!block)
			return; /* the machine is too small */
		CHECK(resident() < before + 8 * mib);
		for (size_t at = 0; at < 1024 * mib; at += 16 * mib) {
			CHECK(!block[at] && !block[at + mib / 2]);
			block[at] = 1;
		}
		CHECK(resident() < before + 8 * mib);
		free(block);
	}
}

/* So that everybody who looks sees it: not with MADV_FREE. */
static void trim_gives_back(void)
{
	static void *block[20000];
	size_t before;

	for (unsigned i = 0; i < 20000; i++)
		block[i] = memset(malloc(1000), 1, 1000);
	before = resident();
	for (unsigned i = 0; i < 20000; i++)
		free(block[i]);
	CHECK(malloc_trim(0) == 1);
	CHECK(resident() + 18000000 < before);
	CHECK(malloc_trim(0) == 0);
	CHECK(malloc_trim(1 << 20) == 0);
}

/* ------------------------------------------------------ sizes that are given, aliases */

static void free_takes_sizes(void)
{
	CHECK(free_sized && free_aligned_sized && cfree);
	errno = 4711;
	for (size_t size = 0; size < 200000; size = size * 9 / 8 + 1) {
		free_sized(malloc(size), size);
		free_sized(calloc(1, size), size);
		free_sized(realloc(malloc(size / 2 + 1), size + 1), size + 1);
		free_aligned_sized(aligned_alloc(256, size), 256, size);
		free_aligned_sized(memalign(8192, size), 8192, size);
		cfree(malloc(size));
	}
	free_sized(NULL, 100);
	free_aligned_sized(NULL, 64, 100);
	cfree(NULL);
	CHECK(errno == 4711);
}

/* One heap, by whatever name. */
static void aliases_are_the_same(void)
{
	void *block[] = {
		__libc_malloc(100),	  __libc_calloc(10, 10), __libc_realloc(malloc(3), 100),
		__libc_memalign(64, 100), __libc_valloc(100),	 __libc_pvalloc(100),
	};

	for (unsigned i = 0; i < sizeof(block) / sizeof(block[0]); i++) {
		CHECK(block[i]);
		CHECK(malloc_usable_size(block[i]) == (i < 3 ? 112 : i == 3 ? 128 : 4096));
		free(block[i]);
	}
	__libc_free(malloc(100));
}

/* -------------------------------------------------------- what a heap says of itself */

#ifdef __GLIBC__ /* musl has none of these */

#define BIG ((size_t)64 << 20)

static void mallinfo_adds_up(void)
{
	static void *block[1000];
	struct mallinfo2 before = mallinfo2(), during, after;
	struct mallinfo small;
	void *big = malloc(BIG);

	for (unsigned i = 0; i < 1000; i++)
		block[i] = malloc(1000);
	during = mallinfo2();
	small = mallinfo();
	CHECK(big && before.arena == before.uordblks + before.fordblks);
	CHECK(during.arena == during.uordblks + during.fordblks);
	CHECK(during.uordblks == before.uordblks + 1000 * 1024);
	CHECK(during.hblks == before.hblks + 1 && during.hblkhd == before.hblkhd + BIG);
	CHECK(small.uordblks == (int)during.uordblks && small.hblkhd == (int)during.hblkhd);
	CHECK(small.arena == (int)during.arena && small.fordblks == (int)during.fordblks);
	for (unsigned i = 0; i < 1000; i++)
		free(block[i]);
	free(big);
	after = mallinfo2();
	CHECK(after.uordblks == before.uordblks && after.hblkhd == before.hblkhd);
	CHECK(after.fsmblks >= 16 && after.smblks > 0 && after.ordblks > 0);
}

/* 3 GiB, of which nothing is touched: more than an int can say. */
static void mallinfo_does_not_wrap(void)
{
	hidden = malloc((size_t)3 << 30);
	CHECK(hidden);
	CHECK(mallinfo().hblkhd == INT_MAX);
	CHECK(mallinfo2().hblkhd >= (size_t)3 << 30);
	free(hidden);
}

/* Every tag is closed, in the right order. */
static bool is_well_formed(const char *xml)
{
	char open[16][32];
	unsigned depth = 0;

	while ((xml = strchr(xml, '<'))) {
		const char *end = strchr(xml, '>');
		char name[32];

		if (!end || sscanf(xml, "<%31[/a-z]", name) != 1)
			return false;
		if (name[0] == '/') {
			if (!depth || strcmp(open[--depth], name + 1))
				return false;
		} else if (end[-1] != '/') {
			if (depth == 16)
				return false;
			strcpy(open[depth++], name);
		}
		xml = end;
	}
	return !depth;
}

static void malloc_info_is_xml(void)
{
	static const char *const parts[] = {
		"<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n",
		"  <size from=\"897\" to=\"1024\" total=\"",
		"<total type=\"fast\" count=\"",
		"<total type=\"rest\" count=\"",
		"<total type=\"mmap\" count=\"",
		"<system type=\"current\" size=\"",
		"<system type=\"max\" size=\"",
		"<aspace type=\"total\" size=\"",
		"<aspace type=\"mprotect\" size=\"",
	};
	void *block = malloc(1000);
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	CHECK(stream && block);
	malloc_trim(0); /* the magazine has all blocks of that size, perhaps */
	CHECK(malloc_info(1, stream) == EINVAL);
	CHECK(malloc_info(0, stream) == 0);
	CHECK(fclose(stream) == 0 && size > 100);
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		CHECK(strstr(text, parts[i]));
	CHECK(strncmp(text, parts[0], strlen(parts[0])) == 0);
	CHECK(strcmp(text + size - 10, "</malloc>\n") == 0);
	CHECK(is_well_formed(text));
	free(text);
	free(block);
}

static void stats_go_to_stderr(void)
{
	static char text[16384];
	int ends[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	CHECK(pipe(ends) == 0 && saved >= 0);
	dup2(ends[1], STDERR_FILENO);
	malloc_stats();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	CHECK(n > 0);
	text[n] = '\0';
	CHECK(strncmp(text, "Arena 0:\nsystem bytes     = ", 28) == 0);
	CHECK(strstr(text, "in use bytes     = ") && strstr(text, "Total (incl. mmap):\n"));
	CHECK(strstr(text, "SuperSlabs: "));
}

static void mallopt_knows_what_it_can(void)
{
	CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1 && mallopt(M_TOP_PAD, 0) == 1);
	CHECK(mallopt(M_MMAP_MAX, 0) == 1 && mallopt(M_CHECK_ACTION, 3) == 1);
	CHECK(mallopt(M_ARENA_TEST, 1) == 1 && mallopt(M_ARENA_MAX, 1) == 1);
	CHECK(mallopt(M_MXFAST, 160) == 1 && mallopt(M_MXFAST, 161) == 0);
	CHECK(mallopt(M_MXFAST, -1) == 0);
	CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 && mallopt(M_MMAP_THRESHOLD, 1 << 30) == 0);
	CHECK(mallopt(M_PERTURB, 0x5a) == 0 && mallopt(4711, 1) == 0);
}

#endif

/* --------------------------------------------------------- the rest of the library */

static int compare(const void *one, const void *two)
{
	return *(const int *)one - *(const int *)two;
}

static void libc_uses_it(void)
{
	static int numbers[100000];
	char *text = NULL, *copy;
	size_t size = 0;
	FILE *stream;

	CHECK(asprintf(&text, "%0500d", 7) == 500);
	CHECK(malloc_usable_size(text) > 500);
	copy = strdup(text);
	CHECK(copy && strcmp(copy, text) == 0);
	free(text);
	free(copy);
	text = NULL;
	stream = open_memstream(&text, &size);
	CHECK(stream);
	for (unsigned i = 0; i < 100000; i++)
		fprintf(stream, "%u\n", i);
	CHECK(fclose(stream) == 0);
	CHECK(size == 588890);
	free(text);
	for (unsigned i = 0; i < 100000; i++)
		numbers[i] = (int)(i * 7919u % 100003u);
	qsort(numbers, 100000, sizeof(numbers[0]), compare);
	for (unsigned i = 1; i < 100000; i++)
		CHECK(numbers[i - 1] <= numbers[i]);
	text = realpath("/usr/../etc/./passwd", NULL);
	CHECK(text && strcmp(text, "/etc/passwd") == 0);
	free(text);
}

static const struct api_test tests[] = {
	TEST(is_hakmem),
	TEST(malloc_aligns_to_16),
	TEST(malloc_of_nothing_is_unique),
	TEST(malloc_of_too_much),
	TEST(free_of_null),
	TEST(free_keeps_errno),
	TEST(free_as_first_act_of_thread),
	TEST(free_of_stack_is_reported),
	TEST(calloc_is_zero),
	TEST(calloc_of_nothing),
	TEST(calloc_overflow),
	TEST(calloc_touches_little),
	TEST(realloc_keeps_contents),
	TEST(realloc_to_nothing_frees),
	TEST(realloc_to_too_much),
	TEST(reallocarray_checks_overflow),
	TEST(aligned_alloc_aligns),
	TEST(aligned_alloc_fails),
	TEST(memalign_rounds_up),
	TEST(posix_memalign_aligns),
	TEST(posix_memalign_fails),
	TEST(valloc_and_pvalloc),
	TEST(usable_size_is_usable),
	TEST(trim_gives_back),
	TEST(free_takes_sizes),
	TEST(aliases_are_the_same),
#ifdef __GLIBC__
	TEST(mallinfo_adds_up),
	TEST(mallinfo_does_not_wrap),
	TEST(malloc_info_is_xml),
	TEST(stats_go_to_stderr),
	TEST(mallopt_knows_what_it_can),
#endif
	TEST(libc_uses_it),
};

int main(int argc, char **argv)
{
	return run_tests(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
