/* SPDX-License-Identifier: MIT */
/*
 * A kernel whose image is in the upper half (-mcmodel=kernel), and whose heap is mapped one to
 * one: the library's static data has other addresses for a device than for the CPU.
 *
 * The machine has at least 64 MiB and a balloon.
 */
#include <balloon.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <machine.h>

#include "../test.h"
#include "upper.h"

#define SPIKE (24 * MIB)

static struct hak_cpu upper_cpu;

static bool is_filled(const char *base, size_t size, char with)
{
	for (size_t i = 0; i < size; i++)
		if (base[i] != with)
			return false;
	return true;
}

static void upper_half(void)
{
	CHECK((uintptr_t)&upper_cpu >= UPPER);
	CHECK(hak_frames_free() >= UPPER_MEMORY / HAK_SUPERSLAB_SIZE - 3);
}

/* What the host was told to drop reads zero, and nothing else does; QEMU does so. */
static void upper_reports(void)
{
	char *frame = port_map(HAK_SUPERSLAB_SIZE);
	char *alias = (char *)(UPPER + (uintptr_t)frame);

	CHECK(frame);
	__builtin_memset(frame, 'x', HAK_SUPERSLAB_SIZE);
	CHECK(!hak_balloon_report(frame + 4 * HAK_GRANULE, 16 * HAK_GRANULE));
	CHECK(is_filled(frame, 4 * HAK_GRANULE, 'x'));
	CHECK(is_filled(frame + 4 * HAK_GRANULE, 16 * HAK_GRANULE, 0));
	CHECK(is_filled(frame + 20 * HAK_GRANULE, HAK_SUPERSLAB_SIZE - 20 * HAK_GRANULE, 'x'));
	/* the same memory by its other address */
	CHECK(!hak_balloon_report(alias + MIB, HAK_GRANULE));
	CHECK(is_filled(frame + MIB, HAK_GRANULE, 0));
	CHECK(is_filled(frame + MIB + HAK_GRANULE, MIB - HAK_GRANULE, 'x'));
	port_unmap(frame, HAK_SUPERSLAB_SIZE);
}

static void upper_gives_and_takes(void)
{
	char *frame = port_map(HAK_SUPERSLAB_SIZE);

	CHECK(frame);
	__builtin_memset(frame, 'x', HAK_SUPERSLAB_SIZE);
	CHECK(!hak_balloon_give(frame + MIB, MIB, MIB));
	CHECK(!hak_balloon_take(frame + MIB, MIB, 0));
	CHECK(is_filled(frame, MIB, 'x') && is_filled(frame + MIB, MIB, 0));
	port_unmap(frame, HAK_SUPERSLAB_SIZE);
}

static void upper_heap(void)
{
	size_t before, total = hak_frames_total();
	void *block;

	CHECK(hak_init(&hak_frames_provider));
	before = hak_frames_free();
	block = hak_malloc(SPIKE);
	CHECK(block && hak_usable_size(block) >= SPIKE);
	__builtin_memset(block, 1, SPIKE);
	hak_free(block);
	while (hak_idle(8) || hak_balloon_poll())
		;
	CHECK(hak_frames_free() >= before - 1);
	for (size_t size = 1; size < MIB; size += size) {
		block = hak_malloc(size);
		CHECK(block);
		__builtin_memset(block, 1, size);
		hak_free(block);
	}
	CHECK(!hak_check());
	hak_fini();
	CHECK(hak_frames_total() == total);
}

_Noreturn void upper_main(const struct pvh_start_info *info)
{
	uintptr_t end = (uintptr_t)upper_end - UPPER;
	int error;

	(void)info;
	hak_console_init();
	hak_cpu_init(&upper_cpu, 0);
	error = hak_region_add(end, UPPER_MEMORY - end);
	if (!error)
		error = hak_balloon_start(HAK_BALLOON_MICROVM, HAK_BALLOON_MICROVM_COUNT);
	if (error) {
		test_print("FAIL upper: no memory, or no balloon: %d\n", error);
		hak_machine_exit(1);
	}
	TEST_RUN(upper_half);
	TEST_RUN(upper_reports);
	TEST_RUN(upper_gives_and_takes);
	TEST_RUN(upper_heap);
	hak_machine_exit(test_finish());
}
