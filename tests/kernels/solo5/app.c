/* SPDX-License-Identifier: MIT */
/*
 * An image that plays Solo5 and an application on it, with a C library that has errno numbers of
 * its own.
 */
#include <errno.h>
#include <solo5.h>

#include <cpu.h>
#include <hakmem/frames.h>
#include <hakmem/hakmem.h>

#include "../../../platform/solo5/hakmem_solo5.h"
#include "../../test.h"
#include "../kernels.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

void *malloc(size_t size);
void free(void *block);
void *calloc(size_t n, size_t size);
void *realloc(void *block, size_t size);
void *aligned_alloc(size_t align, size_t size);
int posix_memalign(void **out, size_t align, size_t size);
size_t malloc_usable_size(void *block);

_Noreturn void hak_machine_exit(int status);

int errno;

static struct solo5_start_info info;

/* ------------------------------------------------------------------------ Solo5 */

#define SERIAL	     0x3f8
#define SERIAL_STATE (SERIAL + 5)
#define SERIAL_READY 0x20

void solo5_console_write(const char *text, size_t size)
{
	while (size--) {
		while (!(io_read8(SERIAL_STATE) & SERIAL_READY))
			cpu_relax();
		io_write8(SERIAL, (uint8_t)*text++);
	}
}

void solo5_abort(void)
{
	test_print("FAIL solo5: aborted\n");
	hak_machine_exit(1);
}

/* ------------------------------------------------------------------------ tests */

static void makes_the_heap(void)
{
	CHECK(hak_solo5_init(info.heap_start, info.heap_size));
	CHECK(!hak_solo5_init(info.heap_start, info.heap_size));
}

static void names(void)
{
	void *block = malloc(100), *out = &out;

	CHECK(block && malloc_usable_size(block) >= 100);
	block = realloc(block, 5000);
	CHECK(block);
	free(block);
	errno = 0;
	CHECK(!malloc(SIZE_MAX / 2) && errno == ENOMEM);
	CHECK(!aligned_alloc(24, 100) && errno == EINVAL);
	CHECK(posix_memalign(&out, 24, 100) == EINVAL && out == &out);
	CHECK(posix_memalign(&out, 64, SIZE_MAX / 2) == ENOMEM && out == &out);
	CHECK(posix_memalign(&out, 4096, 100) == 0 && (uintptr_t)out % 4096 == 0);
	free(out);
	block = calloc(100, 100);
	CHECK(block);
	for (unsigned i = 0; i < 10000; i++)
		CHECK(((char *)block)[i] == 0);
	free(block);
}

/* Blocks to the last one, and then pages: none is the stack's. */
static void exhaustion(void)
{
	uintptr_t end = info.heap_start + info.heap_size - MIB;
	struct hak_mapping page;
	void **list = NULL, **block;
	size_t count = 0;

	while ((block = malloc(64))) {
		CHECK((uintptr_t)block >= info.heap_start && (uintptr_t)block + 64 <= end);
		*block = list;
		list = block;
		count++;
	}
	CHECK(errno == ENOMEM && count * 64 >= (info.heap_size - 5 * MIB) / 10 * 9);
	while (!hak_frames_provider.map(NULL, HAK_GRANULE, HAK_GRANULE, HAK_WANT_META, &page))
		CHECK((uintptr_t)page.base + HAK_GRANULE <= end);
	while (list) {
		block = *list;
		free(list);
		list = (void **)block;
	}
	CHECK(!hak_check());
}

int solo5_app_main(const struct solo5_start_info *start)
{
	info = *start;
	TEST_RUN(makes_the_heap);
	if (test_has_failed())
		return test_finish();
	TEST_RUN(names);
	TEST_RUN(exhaustion);
	return test_finish();
}

int kernel_main(void)
{
	/* it ends with a whole frame, of which the stack has a part */
	uintptr_t end = (kernel_memory + kernel_memory_size) / (2 * MIB) * (2 * MIB);
	const struct solo5_start_info start = { "", kernel_memory, end - kernel_memory };

	return solo5_app_main(&start);
}
