/* SPDX-License-Identifier: MIT */
/*
 * A kernel whose only heap is an array in its image. (Frames that the boot code has added are taken
 * by somebody else before.) The array has any alignment, so it has whole frames and a rest.
 */
#include <machine.h>

#include "blocks.h"

#define MIB ((size_t)1 << 20)

static char array[16 * MIB + 100 * 1024];

static void take_all_frames(void)
{
	struct hak_mapping mapping;

	while (!hak_frames_provider.map(NULL, HAK_SUPERSLAB_SIZE, HAK_SUPERSLAB_SIZE, HAK_WANT_HEAP,
					&mapping) ||
	       !hak_frames_provider.map(NULL, HAK_GRANULE, HAK_GRANULE, HAK_WANT_META, &mapping))
		;
}

static bool is_in_array(const void *block)
{
	return (uintptr_t)block - (uintptr_t)array < sizeof(array);
}

static void array_is_the_heap(void)
{
	size_t frames = hak_frames_total();

	take_all_frames();
	CHECK(hak_init(&hak_frames_provider) && !hak_malloc(1));
	CHECK(hak_region_add((uintptr_t)array, sizeof(array)) == HAK_REGION_ADDED);
	CHECK(hak_frames_total() - frames >= 7);
	CHECK(blocks_come_and_go(400));
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		CHECK(is_in_array(blocks[i]));
	blocks_print_pair();
	for (unsigned i = 0; i < NR_BLOCKS; i++)
		hak_free(blocks[i]);
	CHECK(!hak_check());
}

/* Nearly all of it is had, and it can be had again. */
static void array_is_used_up(void)
{
	void **list = NULL, **block;
	size_t n = 0;

	while ((block = hak_malloc(64))) {
		*block = list;
		list = block;
		n++;
	}
	test_print("%zu of %zu KiB in blocks of 64 bytes\n", n / 16, sizeof(array) / 1024);
	CHECK(n * 64 > sizeof(array) / 100 * 80);
	while ((block = list)) {
		list = *block;
		hak_free(block);
	}
	CHECK(!hak_check());
	hak_fini();
}

/* The kernel has it back. */
static void array_is_taken_back(void)
{
	struct hak_region_held held;

	CHECK(hak_region_remove((uintptr_t)array, sizeof(array), &held) == HAK_REGION_REMOVED);
	CHECK(hak_init(&hak_frames_provider) && !hak_malloc(1));
}

int main(void)
{
	TEST_RUN(array_is_the_heap);
	TEST_RUN(array_is_used_up);
	TEST_RUN(array_is_taken_back);
	return test_finish();
}
