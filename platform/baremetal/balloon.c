/* SPDX-License-Identifier: MIT */
/*
 * The virtio balloon as a device: reports pages that are free ("free page
 * reporting"), and moves pages between the machine and its host on the host's
 * request ("inflate", "deflate"). The caller says which pages, and when
 * (balloon_frames.c, or a kernel).
 *
 * The host may drop reported pages, and may keep them. So they are not said to read
 * zero afterwards. Page poisoning would settle that, but the host could not back them
 * with its zero page then, so the driver does not agree to it.
 *
 * Failure: a device that does not answer is reset and then left alone. It wants nothing from
 * then on, so the caller takes back what the host has, without a word to it. The driver has
 * not agreed to tell it (VIRTIO_BALLOON_F_MUST_TELL_HOST).
 *
 * This file owns the device, its queues and the list of page numbers in them.
 *
 * Lock: one, over a call of the device. A caller that holds another lock, which an
 * interrupt handler may want, does not wait for this one: hak_balloon_try_report() gives
 * up. Interrupt handlers call nothing here.
 */
#include "balloon.h"

#include "machine.h"
#include "virtio.h"

#include <cpu.h>

#include <stdatomic.h>

#define PAGE_SIZE   4096u
#define REPORT_MOST ((size_t)1 << 30) /* bytes at once */

#define FEATURE_HINTS	(1u << 3) /* the device has one queue more before that of reports */
#define FEATURE_REPORTS (1u << 5)

/* Queues of the device. */
#define QUEUE_INFLATE 0
#define QUEUE_DEFLATE 1
#define QUEUE_REPORTS 3

/* Its configuration, in pages. */
#define CONFIG_WANTED 0
#define CONFIG_HELD   4

static struct {
	atomic_flag lock;
	bool found, reports; /* both false again if the device does not answer */
	struct virtio_device device;
	struct virtio_queue inflate, deflate, report;
	/* Numbers of those that an exchange is about; all in one page. */
	uint32_t pages[256] __attribute__((aligned(1024)));
} balloon = { .lock = ATOMIC_FLAG_INIT };

/* acquire and release pair with each other */
static bool balloon_try_lock(void)
{
	return !atomic_flag_test_and_set_explicit(&balloon.lock, memory_order_acquire);
}

static void balloon_lock(void)
{
	while (!balloon_try_lock())
		cpu_relax();
}

static void balloon_unlock(void)
{
	atomic_flag_clear_explicit(&balloon.lock, memory_order_release);
}

static int set_up(const struct virtio_device *device)
{
	uint32_t features = FEATURE_REPORTS;
	unsigned reports = QUEUE_REPORTS;

	if (hak_virtio_begin(device, &features))
		return HAK_BALLOON_UNUSABLE;
	if (hak_virtio_add_queue(device, &balloon.inflate, QUEUE_INFLATE) ||
	    hak_virtio_add_queue(device, &balloon.deflate, QUEUE_DEFLATE))
		return HAK_BALLOON_UNUSABLE;
	if (hak_virtio_offers(device, FEATURE_HINTS))
		reports++;
	if (features & FEATURE_REPORTS && hak_virtio_add_queue(device, &balloon.report, reports))
		return HAK_BALLOON_UNUSABLE;
	hak_virtio_ready(device);
	balloon.reports = features & FEATURE_REPORTS;
	balloon.found = true;
	return 0;
}

int hak_balloon_init(uintptr_t mmio, unsigned count)
{
	int error = hak_virtio_find(&balloon.device, VIRTIO_BALLOON, mmio, count);

	if (error)
		return error == VIRTIO_NONE ? HAK_BALLOON_NONE : HAK_BALLOON_UNUSABLE;
	error = set_up(&balloon.device);
	if (error)
		hak_virtio_fail(&balloon.device);
	return error;
}

static bool exchange(struct virtio_queue *queue, void *base, size_t size,
		     enum virtio_direction direction)
{
	if (!hak_virtio_exchange(&balloon.device, queue, base, size, direction))
		return true;
	balloon.found = balloon.reports = false;
	return false;
}

/* How many of the @size bytes at @base, at most REPORT_MOST, are one piece for a device? */
static size_t piece_at(const char *base, size_t size)
{
	uint64_t physical = hak_host_physical(base);
	size_t length = PAGE_SIZE;

	while (length < size && length < REPORT_MOST &&
	       hak_host_physical(base + length) == physical + length)
		length += PAGE_SIZE;
	return length < size ? length : size;
}

/* A buffer's length has 32 bits, and must not be 0. */
static bool report_locked(char *base, size_t size)
{
	bool done;

	for (size_t part; balloon.reports && size; base += part, size -= part) {
		part = piece_at(base, size);
		if (!exchange(&balloon.report, base, part, VIRTIO_FROM_DEVICE))
			break;
	}
	done = balloon.reports;
	balloon_unlock();
	return done;
}

int hak_balloon_report(void *base, size_t size)
{
	balloon_lock();
	return report_locked(base, size) ? 0 : -1;
}

bool hak_balloon_try_report(void *base, size_t size)
{
	return balloon_try_lock() && report_locked(base, size);
}

size_t hak_balloon_wanted(void)
{
	if (!balloon.found)
		return 0;
	return (size_t)hak_virtio_read_config(&balloon.device, CONFIG_WANTED) * PAGE_SIZE;
}

static int move(struct virtio_queue *queue, const char *base, size_t size, size_t held)
{
	const char *end = base + size;
	bool done;

	balloon_lock();
	while (balloon.found && base < end) {
		size_t n = 0;

		for (; base < end && n < sizeof(balloon.pages) / sizeof(balloon.pages[0]);
		     base += PAGE_SIZE)
			balloon.pages[n++] = (uint32_t)(hak_host_physical(base) / PAGE_SIZE);
		exchange(queue, balloon.pages, n * sizeof(balloon.pages[0]), VIRTIO_FOR_DEVICE);
	}
	done = balloon.found;
	if (done)
		hak_virtio_write_config(&balloon.device, CONFIG_HELD, (uint32_t)(held / PAGE_SIZE));
	balloon_unlock();
	return done ? 0 : -1;
}

int hak_balloon_give(void *base, size_t size, size_t held)
{
	return move(&balloon.inflate, base, size, held);
}

int hak_balloon_take(void *base, size_t size, size_t held)
{
	return move(&balloon.deflate, base, size, held);
}
