/* SPDX-License-Identifier: MIT */
/*
 * A kernel with one CPU, in which GS leads nowhere: an access by it ends in a triple fault. It is
 * built with CONFIG_HAK_CPU_HEADER and only_cpu/hak_cpu.h.
 */
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <platform.h>

#include "../test.h"
#include "blocks.h"
#include "upper.h"

#define NOWHERE 0xffffd00000000000 /* not mapped */

struct hak_cpu only_cpu;

static void only_cpu_uses_the_heap(void)
{
	CHECK(hak_init(&hak_frames_provider));
	CHECK(blocks_come_and_go(2000));
	CHECK(only_cpu.cache != hak_cache_none && !only_cpu.held);
	CHECK(blocks_go());
}

/* As an interrupt handler does. */
static void only_cpu_handles_interrupts(void)
{
	struct hak_cache *own = only_cpu.cache, *previous = hak_interrupt_enter();
	void *block = hak_malloc(100);

	CHECK(previous == own && only_cpu.cache == hak_cache_never);
	hak_interrupt_leave(previous);
	CHECK(only_cpu.cache == own && block);
	hak_free(block);
}

static void only_cpu_pair(void)
{
	blocks_print_pair();
	hak_cpu_fini();
	CHECK(hak_frames_total() - hak_frames_free() <= 1);
}

_Noreturn void upper_main(const struct pvh_start_info *info)
{
	uintptr_t end = (uintptr_t)upper_end - UPPER;

	(void)info;
	cpu_write_msr(MSR_GS_BASE, NOWHERE);
	hak_console_init();
	hak_cpu_init(&only_cpu, 0);
	hak_region_add(end, UPPER_MEMORY - end);
	TEST_RUN(only_cpu_uses_the_heap);
	TEST_RUN(only_cpu_handles_interrupts);
	TEST_RUN(only_cpu_pair);
	hak_machine_exit(test_finish());
}
