/* SPDX-License-Identifier: MIT */
/*
 * newlib over the allocator: a C library that knows nothing of us, and which
 * allocates behind the caller's back, must find its memory here.
 *
 * Every function that returns memory is asked whether the memory is ours
 * (hak_owns), and for those that use memory unseen the allocator's counters
 * must have moved. That newlib's own heap is not in the image is shown by
 * check-newlib-map.sh, which reads the link map.
 */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

/* Defined by the library; this newlib does not declare it. */
int posix_memalign(void **out, size_t align, size_t size);

static unsigned nr_failed, nr_failed_tests;

#define check(condition) check_at(__LINE__, #condition, condition)

static void check_at(int line, const char *text, int good)
{
	if (good)
		return;
	if (!nr_failed++)
		printf("FAIL newlib: newlib.c:%d: %s\n", line, text);
}

/* One test: its line says ok unless one of its checks has said FAIL. */
static void run(const char *name, void (*test)(void))
{
	nr_failed = 0;
	test();
	nr_failed_tests += nr_failed > 0;
	if (!nr_failed)
		printf("ok newlib_%s\n", name);
}

/* Calls that returned a block so far. */
static uint64_t allocations(void)
{
	static struct hak_stats stats;

	hak_stats_read(&stats, sizeof(stats));
	return stats.total.allocations;
}

static uint64_t live_blocks(void)
{
	static struct hak_stats stats;

	hak_stats_read(&stats, sizeof(stats));
	return stats.total.live_blocks;
}

static int aligned(const void *block, size_t align)
{
	return block && (uintptr_t)block % align == 0;
}

static int filled(const unsigned char *block, int value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != value)
			return 0;
	return 1;
}

static void test_malloc_calloc(void)
{
	unsigned char *block;

	for (size_t size = 1; size <= 4u << 20; size = size * 3 + 1) {
		block = malloc(size);
		check(block && hak_owns(block) && malloc_usable_size(block) >= size);
		memset(block, 0xa5, size);
		free(block);
		block = calloc(size, 1);
		check(block && hak_owns(block) && filled(block, 0, size));
		free(block);
	}
	block = malloc(0);
	check(block && hak_owns(block));
	free(block);
	free(NULL);
	check(malloc_usable_size(NULL) == 0);
}

static void test_realloc(void)
{
	unsigned char *block = realloc(NULL, 1);
	size_t size = 1, old;

	check(block && hak_owns(block));
	*block = 0x5a;
	while (size < 3u << 20) {
		old = size;
		size = size * 2 + 5;
		block = realloc(block, size);
		check(block && hak_owns(block) && filled(block, 0x5a, old));
		memset(block, 0x5a, size);
	}
	block = realloc(block, 10);
	check(block && filled(block, 0x5a, 10));
	check(realloc(block, 0) == NULL);
	block = reallocarray(NULL, 100, 100);
	check(block && hak_owns(block));
	free(block);
}

static void test_aligned(void)
{
	void *block;

	for (size_t align = 8; align <= 4u << 20; align *= 2) {
		block = aligned_alloc(align, 3 * align);
		check(aligned(block, align) && hak_owns(block));
		free(block);
		block = memalign(align, 100);
		check(aligned(block, align) && hak_owns(block));
		free(block);
		block = NULL;
		check(posix_memalign(&block, align, 1) == 0);
		check(aligned(block, align) && hak_owns(block));
		free(block);
	}
}

static void test_errors(void)
{
	/* volatile, because compilers warn of errors that they see */
	volatile size_t huge = (size_t)-8, odd = 24;
	void *block = &nr_failed;

	errno = 0;
	check(malloc(huge) == NULL && errno == ENOMEM);
	errno = 0;
	check(malloc((size_t)1 << 40) == NULL && errno == ENOMEM);
	errno = 0;
	check(calloc(huge / 4, 8) == NULL && errno == ENOMEM);
	errno = 0;
	check(realloc(NULL, huge) == NULL && errno == ENOMEM);
	errno = 0;
	check(aligned_alloc(odd, 24) == NULL && errno == EINVAL);
	check(posix_memalign(&block, odd, 8) == EINVAL && block == &nr_failed);
	check(posix_memalign(&block, 0, 8) == EINVAL && block == &nr_failed);
	check(posix_memalign(&block, 4, 8) == EINVAL && block == &nr_failed);
	check(posix_memalign(&block, 64, huge) == ENOMEM && block == &nr_failed);
	block = malloc(100);
	errno = 0;
	check(realloc(block, huge) == NULL && errno == ENOMEM && hak_owns(block));
	errno = 77;
	free(block);
	check(errno == 77);
}

static void test_reentrant(void)
{
	char *block = _malloc_r(_REENT, 20);

	check(block && hak_owns(block) && _malloc_usable_size_r(_REENT, block) >= 20);
	strcpy(block, "reentrant");
	block = _realloc_r(_REENT, block, 20000);
	check(block && hak_owns(block) && !strcmp(block, "reentrant"));
	_free_r(_REENT, block);
	block = _calloc_r(_REENT, 30, 30);
	check(block && hak_owns(block) && filled((unsigned char *)block, 0, 900));
	_free_r(_REENT, block);
	block = _memalign_r(_REENT, 4096, 10);
	check(aligned(block, 4096) && hak_owns(block));
	_free_r(_REENT, block);
}

static void test_strings(void)
{
	char *copy = strdup("a string of newlib's");
	char *part = strndup("a string of newlib's", 8);
	char *print = NULL;
	char number[400];
	uint64_t before;

	check(copy && hak_owns(copy) && !strcmp(copy, "a string of newlib's"));
	check(part && hak_owns(part) && !strcmp(part, "a string"));
	check(asprintf(&print, "%s|%5d|%-5x|%c", part, 42, 255, 'z') == 22);
	check(print && hak_owns(print) && !strcmp(print, "a string|   42|ff   |z"));
	free(copy);
	free(part);
	free(print);

	/* floating point keeps its big numbers in memory of its own */
	before = allocations();
	check(sprintf(number, "%.300f", 1e-300) == 302 && number[301] == '1');
	check(allocations() > before);
	sprintf(number, "%f %g %.10e", 3.14159265, 1e100, -2.5);
	check(!strcmp(number, "3.141593 1e+100 -2.5000000000e+00"));
	before = allocations();
	check(strtod("1234567890123456789012345678901234567890e-30", NULL) > 1234567890.0);
	check(strtod("0.1", NULL) == 0.1);
}

static int compare(const void *one, const void *other)
{
	uint32_t a = *(const uint32_t *)one;
	uint32_t b = *(const uint32_t *)other;

	return (a > b) - (a < b);
}

static void test_sort(void)
{
	enum { COUNT = 200000 };
	uint32_t *numbers = calloc(COUNT, sizeof(*numbers));
	uint32_t state = 1, sorted = 1;
	uint64_t sum = 0;

	check(numbers && hak_owns(numbers));
	for (unsigned i = 0; i < COUNT; i++) {
		state = state * 1664525 + 1013904223;
		numbers[i] = state;
		sum += state;
	}
	qsort(numbers, COUNT, sizeof(*numbers), compare);
	for (unsigned i = 0; i < COUNT; i++) {
		sorted &= i == 0 || numbers[i - 1] <= numbers[i];
		sum -= numbers[i];
	}
	check(sorted && sum == 0);
	check(bsearch(&state, numbers, COUNT, sizeof(*numbers), compare) != NULL);
	free(numbers);
}

static void test_stdio(void)
{
	char *text = NULL;
	size_t length = 0;
	uint64_t before = live_blocks();
	FILE *stream = open_memstream(&text, &length);

	check(stream && live_blocks() > before);
	for (int i = 0; i < 10000; i++)
		fprintf(stream, "%d,", i);
	check(fclose(stream) == 0 && length == 48890);
	check(text && hak_owns(text) && !strncmp(text, "0,1,2,3,", 8) && strlen(text) == length);
	free(text);

	stream = fmemopen(NULL, 100, "w+");
	check(stream && fputs("a line\nanother\n", stream) >= 0);
	rewind(stream);
	text = NULL;
	length = 0;
	check(__getline(&text, &length, stream) == 7 && hak_owns(text) &&
	      !strcmp(text, "a line\n"));
	free(text);
	fclose(stream);
	check(fopen("no such file", "r") == NULL && errno == ENOENT);
}

/* Many blocks of all sizes at once, freed in another order, nothing lost. */
static void test_many(void)
{
	enum { COUNT = 20000, STEP = 7919 };
	unsigned char **blocks = malloc(COUNT * sizeof(*blocks));
	uint64_t before = live_blocks();
	unsigned good = 0;

	for (unsigned i = 0; i < COUNT; i++) {
		size_t size = 1 + i * 31 % 1500;

		blocks[i] = malloc(size);
		if (blocks[i])
			memset(blocks[i], (int)(i & 0xff), size);
	}
	check(live_blocks() == before + COUNT);
	for (unsigned i = 0, at = 0; i < COUNT; i++, at = (at + STEP) % COUNT) {
		good += blocks[at] && filled(blocks[at], at & 0xff, 1 + at * 31 % 1500);
		free(blocks[at]);
	}
	check(good == COUNT);
	check(live_blocks() == before);
	free(blocks);
}

/* stdout's buffer comes from the heap, or from the program. */
static void test_stdout(void)
{
	static char buffer[256];
	uint64_t before = allocations();

	printf("newlib over hakmem\n");
	check(allocations() > before);
	check(fflush(stdout) == 0 && setvbuf(stdout, buffer, _IOFBF, sizeof(buffer)) == 0);
}

static void test_heap(void)
{
	check(hak_check() == NULL);
}

int main(void)
{
	if (!hak_init(&hak_frames_provider))
		return 1;
	run("stdout", test_stdout);
	run("malloc_calloc", test_malloc_calloc);
	run("realloc", test_realloc);
	run("aligned", test_aligned);
	run("errors", test_errors);
	run("reentrant", test_reentrant);
	run("strings", test_strings);
	run("sort", test_sort);
	run("stdio", test_stdio);
	run("many", test_many);
	run("heap", test_heap);
	return fflush(stdout) || nr_failed_tests;
}
