/* SPDX-License-Identifier: MIT */
/*
 * A kernel whose GS points to an area of its own, in which the library's words begin 0x28 bytes
 * behind the start, and whose area comes from the heap. The image is linked with
 * `--defsym hak_cpu_at=0x28`, or built with HAK_CPU_AT=0x28. It has one CPU.
 */
#include <boot.h>
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <platform.h>

#include "../test.h"

#define AT    0x28
#define TICKS 50000 /* of the timer */

struct area {
	uint64_t own[AT / 8];
	struct hak_cpu hak;
	uint64_t behind[3];
};

static struct area *area;
static _Atomic unsigned nr_interrupts;

static struct interrupt_frame *tick(struct interrupt_frame *frame)
{
	void *block = hak_malloc(nr_interrupts++ % 3000);

	hak_free(block);
	return frame;
}

static bool gs_is_at(const struct hak_cpu *cpu)
{
	return hak_cpu_self() == cpu && cpu_read_msr(MSR_GS_BASE) == (uintptr_t)cpu - AT;
}

static bool own_words_are_whole(void)
{
	for (unsigned i = 0; i < AT / 8; i++)
		if (area->own[i] != i + 1)
			return false;
	return area->behind[0] == ~0ul && area->behind[1] == ~0ul && area->behind[2] == ~0ul;
}

static void traffic(void)
{
	static void *blocks[500];
	uint64_t seed = 1;

	nr_interrupts = 0;
	lapic_timer(TICKS);
	cpu_interrupts_on();
	while (nr_interrupts < 50) {
		unsigned i = test_random(&seed) % 500;

		hak_free(blocks[i]);
		blocks[i] = hak_malloc(test_random(&seed) % 3000);
	}
	cpu_interrupts_off();
	lapic_timer(0);
	for (unsigned i = 0; i < 500; i++) {
		hak_free(blocks[i]);
		blocks[i] = NULL;
	}
}

/* The words move to memory of the heap, with what is in the magazines. */
static void cpu_at_moves(void)
{
	struct hak_cpu *old = this_cpu(), rubbish;
	struct hak_cache *cache;
	void *block;

	CHECK(gs_is_at(old) && old->id == 0);
	CHECK(hak_init(&hak_frames_provider));
	area = hak_malloc(sizeof(*area));
	CHECK(area);
	__builtin_memset(area, 0xff, sizeof(*area));
	for (unsigned i = 0; i < AT / 8; i++)
		area->own[i] = i + 1;
	block = hak_malloc(64);
	cache = this_cache();
	hak_free(block);
	hak_cpu_move(&area->hak);
	__builtin_memset(&rubbish, 0x11, sizeof(rubbish));
	*old = rubbish;
	CHECK(gs_is_at(&area->hak) && this_cache() == cache);
	CHECK(hak_malloc(64) == block);
	hak_free(block);
	traffic();
	CHECK(own_words_are_whole() && !hak_check());
	CHECK(__builtin_memcmp(old, &rubbish, sizeof(rubbish)) == 0);
}

/* And elsewhere again; then the area is like any other block. */
static void cpu_at_moves_back(void)
{
	static struct area other;

	hak_cpu_move(&other.hak);
	CHECK(gs_is_at(&other.hak) && own_words_are_whole());
	hak_free(area);
	traffic();
	CHECK(!hak_check());
	hak_trim(HAK_TRIM_ALL);
	CHECK(hak_frames_total() - hak_frames_free() <= 1);
	for (unsigned i = 0; i < AT / 8; i++)
		CHECK(!other.own[i]);
	hak_cpu_fini();
	hak_cpu_init(&other.hak, 7);
	CHECK(gs_is_at(&other.hak) && other.hak.id == 7 && other.hak.cache == hak_cache_none);
	traffic();
	CHECK(!hak_check());
}

int main(void)
{
	interrupt_set(VECTOR_TIMER, tick);
	TEST_RUN(cpu_at_moves);
	TEST_RUN(cpu_at_moves_back);
	return test_finish();
}
