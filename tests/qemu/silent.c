/* SPDX-License-Identifier: MIT */
/*
 * A balloon that does not answer, played by memory: its registers are words that read as they
 * were written. The machine has no PCI (microvm).
 *
 * All calls end, also those that come while another one has the locks, and what the host had of
 * the machine comes back. They take 2^34 cycles each, so the machine of the suite has slow
 * instructions.
 */
#include <balloon.h>
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>

#include <machine.h>

#include "../test.h"

#define FRAME	 HAK_SUPERSLAB_SIZE
#define PATIENCE ((uint64_t)1 << 34)

/* Registers of the legacy interface that the driver reads, by words of 32 bits. */
#define MAGIC	      0
#define VERSION	      1
#define KIND	      2
#define HOST_FEATURES 4
#define MOST_IN_QUEUE 13
#define STATUS	      28
#define CONFIG_WANTED 64
#define REPORTING     (1u << 5)

static volatile uint32_t registers[128];

static void play(uint32_t wanted)
{
	registers[MAGIC] = 0x74726976;
	registers[VERSION] = 1;
	registers[KIND] = 5;
	registers[HOST_FEATURES] = REPORTING;
	registers[MOST_IN_QUEUE] = 64;
	registers[CONFIG_WANTED] = wanted;
}

static void silent_give(void)
{
	size_t before = hak_frames_free();

	play(FRAME / HAK_GRANULE);
	CHECK(!hak_balloon_start((uintptr_t)registers, 1));
	CHECK(hak_balloon_wanted() == FRAME);
	CHECK(registers[STATUS] == 7);
	hak_balloon_poll();
	CHECK(registers[STATUS] == 0); /* it was reset */
	CHECK(hak_balloon_wanted() == 0 && hak_balloon_held() == 0);
	CHECK(hak_frames_free() == before);
	CHECK(!hak_balloon_poll() && !hak_balloon_poll());
}

/* What comes while the driver has its locks, and asks where memory is. */
static void (*in_between)(void);

uint64_t hak_host_physical(const void *address)
{
	void (*call)(void) = in_between;

	in_between = NULL;
	if (call)
		call();
	return (uintptr_t)address;
}

static uint64_t last_time;

/* Since the last time: did the caller wait for a lock, and no longer than for a device? */
static bool has_waited(void)
{
	uint64_t time = cpu_read_tsc() - last_time;

	last_time += time;
	return time > PATIENCE && time < 2 * PATIENCE;
}

/* The holder of the locks is preempted, and cannot go on before these calls return. */
static void others_come(void)
{
	void *frame = port_map(FRAME), *most;
	size_t before = hak_frames_free();

	last_time = cpu_read_tsc();
	CHECK(!hak_balloon_try_report(frame, FRAME) && !hak_balloon_poll());
	CHECK(hak_balloon_report(frame, FRAME) == -1 && has_waited());
	CHECK(hak_balloon_give(frame, FRAME, FRAME) == -1 && has_waited());
	CHECK(hak_balloon_take(frame, FRAME, 0) == -1 && has_waited());
	CHECK(hak_balloon_wanted() == FRAME && has_waited()); /* what it was at last */
	CHECK(!hak_balloon_deflate(FRAME) && has_waited());
	CHECK(!hak_malloc(hak_frames_total() * FRAME) && has_waited());
	CHECK(hak_frames_free() == before && hak_balloon_held() == 0);
	most = hak_malloc(hak_largest());
	CHECK(most);
	hak_free(most);
	port_unmap(frame, FRAME);
}

static void silent_locks(void)
{
	size_t before = hak_frames_free();

	CHECK(hak_init(&hak_frames_provider));
	play(FRAME / HAK_GRANULE);
	CHECK(!hak_balloon_start((uintptr_t)registers, 1));
	in_between = others_come;
	hak_balloon_poll();
	CHECK(!in_between && registers[STATUS] == 0);
	CHECK(hak_balloon_wanted() == 0 && hak_balloon_held() == 0);
	CHECK(!hak_balloon_poll() && !hak_check());
	hak_fini();
	CHECK(hak_frames_free() == before);
}

static void silent_report(void)
{
	void *frame = port_map(FRAME);

	CHECK(frame && hak_balloon_report(frame, FRAME) == -1); /* it is known by now */
	play(0);
	CHECK(!hak_balloon_init((uintptr_t)registers, 1));
	CHECK(hak_balloon_report(frame, FRAME) == -1 && registers[STATUS] == 0);
	CHECK(hak_balloon_report(frame, FRAME) == -1);
	CHECK(!hak_balloon_try_report(frame, FRAME));
	CHECK(hak_balloon_give(frame, FRAME, FRAME) == -1);
	CHECK(hak_balloon_take(frame, FRAME, 0) == -1);
	port_unmap(frame, FRAME);
}

/* The heap works as if there were no balloon. */
static void silent_heap(void)
{
	size_t before = hak_frames_free();
	void *block;

	CHECK(hak_init(&hak_frames_provider));
	for (unsigned i = 0; i < 10; i++) {
		block = hak_malloc(8 * FRAME);
		CHECK(block);
		hak_free(block);
		while (hak_idle(8) || hak_balloon_poll())
			;
		hak_trim(HAK_TRIM_ALL);
	}
	CHECK(!hak_check());
	hak_fini();
	CHECK(hak_frames_free() == before);
}

int main(void)
{
	TEST_RUN(silent_give);
	TEST_RUN(silent_locks);
	TEST_RUN(silent_report);
	TEST_RUN(silent_heap);
	return test_finish();
}
