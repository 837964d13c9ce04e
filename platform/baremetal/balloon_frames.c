/* SPDX-License-Identifier: MIT */
/*
 * What goes to the host, and when. The idle loop reports free frames. Pages inside frames
 * that the heap uses are reported as the heap purges them. Frames are given away and
 * taken back as the host asks.
 *
 * A frame is not reported when it becomes free, but when the CPU is idle. So free() is
 * not slowed down, and a frame that is used again soon stays. The heap gives frames back
 * only when it has not needed them for a while, so there is no second delay here.
 *
 * To touch a page again costs about twice its report (balloon.elf cost measures both), and
 * in large pieces memory goes and comes for a tenth. All sizes are reported nevertheless:
 * with survivors scattered over the heap only 4 KiB pages are free, and the heap asks only
 * for what two scans found unused, neighbours in one call. Few free frames go at a time,
 * since a caller that wants one waits meanwhile, maybe with interrupts off.
 *
 * This file owns two bits for each frame: `held`, the host has it, and `absent`, which
 * frames.c explains. `busy` is the lock: a caller that finds it taken leaves the work to
 * its holder.
 *
 * Failure: when there is no free frame the host waits for what it asked for. A host that does
 * not answer any more wants nothing, so it loses what it has.
 */
#include "balloon.h"

#include "frames.h"

#include <stdatomic.h>

#define FRAME_SIZE  HAK_SUPERSLAB_SIZE
#define REPORT_MOST 2u /* frames in one report */

static struct {
	atomic_flag busy;
	bool started;
	_Atomic size_t nr_held;
	size_t last; /* the highest frame that has been held */
	uint64_t held[HAK_FRAMES_MAX / 64];
	uint64_t absent[HAK_FRAMES_MAX / 64];
} balloon = { .busy = ATOMIC_FLAG_INIT };

static int purge(void *base, size_t size)
{
	return hak_balloon_report(base, size) ? -1 : (int)HAK_PAGES_PURGE;
}

static const struct hak_frames_host host = {
	.purge = purge,
	.report = hak_balloon_try_report,
	.absent = balloon.absent,
};

int hak_balloon_start(uintptr_t mmio, unsigned count)
{
	int error = hak_balloon_init(mmio, count);

	if (error)
		return error;
	balloon.started = true;
	hak_frames_set_host(&host);
	return 0;
}

size_t hak_balloon_held(void)
{
	return balloon.nr_held * FRAME_SIZE;
}

/* Give the host a frame; false if none is free, or if the host does not answer. */
static bool inflate(void)
{
	struct hak_mapping mapping;
	size_t frame;

	if (hak_frames_provider.map(NULL, FRAME_SIZE, FRAME_SIZE, HAK_WANT_HEAP, &mapping))
		return false;
	if (hak_balloon_give(mapping.base, FRAME_SIZE, hak_balloon_held() + FRAME_SIZE)) {
		hak_frames_provider.unmap(NULL, mapping.base, FRAME_SIZE);
		return false;
	}
	frame = ((uintptr_t)mapping.base - hak_frames_base()) / FRAME_SIZE;
	balloon.held[frame / 64] |= (uint64_t)1 << frame % 64;
	if (frame > balloon.last)
		balloon.last = frame;
	balloon.nr_held++;
	return true;
}

/* Take one back. The uppermost first: long runs of free frames are up there. */
static void deflate(void)
{
	size_t frame = balloon.last;
	void *base;

	while (!(balloon.held[frame / 64] >> frame % 64 & 1))
		frame--;
	base = (void *)(hak_frames_base() + frame * FRAME_SIZE);
	balloon.held[frame / 64] &= ~((uint64_t)1 << frame % 64);
	balloon.last = frame;
	balloon.nr_held--;
	hak_balloon_take(base, FRAME_SIZE, hak_balloon_held());
	hak_frames_provider.unmap(NULL, base, FRAME_SIZE);
}

static bool step(void)
{
	size_t wanted = hak_balloon_wanted(), held = hak_balloon_held();

	if (held > wanted) {
		deflate();
		return true;
	}
	if (wanted - held >= FRAME_SIZE && inflate())
		return true;
	return hak_frames_report(REPORT_MOST) != 0;
}

bool hak_balloon_poll(void)
{
	bool more;

	/* acquire and release pair with each other */
	if (!balloon.started ||
	    atomic_flag_test_and_set_explicit(&balloon.busy, memory_order_acquire))
		return false;
	more = step();
	atomic_flag_clear_explicit(&balloon.busy, memory_order_release);
	return more;
}
