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
 * Before malloc returns NULL, frames are taken back, if the host allows it. It gets no more then
 * until it asks for another amount, as it is with Linux (virtio_balloon.c). Else the next frame
 * that is free would go to the host, and be taken back the next moment.
 *
 * This file owns two bits for each frame: `held`, the host has it, and `absent`, which
 * frames.c explains. `busy` is the lock: a poll that finds it taken leaves the work to
 * its holder.
 *
 * Failure: when there is no free frame the host waits for what it asked for. A host that does
 * not answer any more wants nothing, so it loses what it has.
 */
#include "balloon.h"

#include "balloon_lock.h"
#include "frames.h"

#define FRAME_SIZE  HAK_SUPERSLAB_SIZE
#define REPORT_MOST 2u /* frames in one report */

static struct {
	_Atomic unsigned busy;
	bool started;
	bool was_short; /* memory was taken back, while the host wanted `wanted` */
	size_t wanted;
	_Atomic size_t nr_held;
	size_t last; /* the highest frame that has been held */
	uint64_t held[HAK_FRAMES_MAX / 64];
	uint64_t absent[HAK_FRAMES_MAX / 64];
} balloon;

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
	hak_purge_enable();
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

static bool is_held(size_t frame)
{
	return balloon.held[frame / 64] >> frame % 64 & 1;
}

static void take_back(size_t frame)
{
	void *base = (void *)(hak_frames_base() + frame * FRAME_SIZE);

	balloon.held[frame / 64] &= ~((uint64_t)1 << frame % 64);
	balloon.nr_held--;
	hak_balloon_take(base, FRAME_SIZE, hak_balloon_held());
	hak_frames_provider.unmap(NULL, base, FRAME_SIZE);
}

/* Take one back. The uppermost first: long runs of free frames are up there. */
static void deflate(void)
{
	while (!is_held(balloon.last))
		balloon.last--;
	take_back(balloon.last);
}

/*
 * Take back what is missing to @count frames in one piece, if that is at most @most. If nothing
 * is missing, the records of a heap may need one more. Or there is enough now, since another CPU
 * has taken some back.
 */
static bool deflate_run(size_t count, size_t most)
{
	size_t nr_held, first = hak_frames_find(count, balloon.held, &nr_held);

	if (first == HAK_FRAMES_NONE || nr_held > most)
		return false;
	for (size_t i = 0; nr_held && i < count; i++)
		if (is_held(first + i))
			take_back(first + i);
	if (!nr_held && hak_frames_free() <= count) {
		if (!balloon.nr_held || !most)
			return false;
		deflate();
	}
	return true;
}

bool hak_balloon_deflate(size_t bytes)
{
	size_t count = bytes ? (bytes - 1) / FRAME_SIZE + 1 : 1;
	size_t wanted, held;
	bool enough;

	if (!balloon.started || !hak_balloon_lock(&balloon.busy))
		return false;
	wanted = hak_balloon_wanted();
	held = hak_balloon_held();
	if (hak_balloon_may_deflate())
		enough = deflate_run(count, HAK_FRAMES_MAX);
	else
		enough = deflate_run(count, held > wanted ? (held - wanted) / FRAME_SIZE : 0);
	if (hak_balloon_held() < held && hak_balloon_held() < wanted) {
		balloon.was_short = true;
		balloon.wanted = wanted;
	}
	hak_balloon_unlock(&balloon.busy);
	return enough;
}

static bool step(void)
{
	size_t wanted = hak_balloon_wanted(), held = hak_balloon_held();

	if (held > wanted) {
		deflate();
		return true;
	}
	if (wanted != balloon.wanted)
		balloon.was_short = false;
	if (!balloon.was_short && wanted - held >= FRAME_SIZE && inflate())
		return true;
	return hak_frames_report(REPORT_MOST) != 0;
}

bool hak_balloon_poll(void)
{
	bool more;

	if (!balloon.started || !hak_balloon_try_lock(&balloon.busy))
		return false;
	more = step();
	hak_balloon_unlock(&balloon.busy);
	return more;
}
