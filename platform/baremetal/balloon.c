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
 * up. Others wait for as long as for the device. Interrupt handlers call nothing here.
 */
#include "balloon.h"

#include "balloon_lock.h"
#include "machine.h"
#include "virtio.h"

#define PAGE_SIZE   4096u
#define REPORT_MOST ((size_t)1 << 30) /* bytes at once */

#define FEATURE_DEFLATE (1u << 2) /* the driver may take pages back when memory is out */
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
	_Atomic unsigned lock;
	bool found, reports; /* both false again if the device does not answer */
	bool deflates;	     /* on its own, when memory is out */
	size_t wanted;	     /* in bytes, when it was last read */
	struct virtio_device device;
	struct virtio_queue inflate, deflate, report;
	/* Numbers of those that an exchange is about; all in one page. */
	uint32_t pages[256] __attribute__((aligned(1024)));
} balloon;

/* acquire and release pair with each other */
bool hak_balloon_try_lock(_Atomic unsigned *lock)
{
	return !atomic_exchange_explicit(lock, 1, memory_order_acquire);
}

/*
 * Its holder may wait for the device. Or it is preempted, and cannot go on before the caller
 * does: the caller may have been called for an allocation, with a lock of the kernel held.
 */
bool hak_balloon_lock(_Atomic unsigned *lock)
{
	struct virtio_wait wait = { 0 };

	while (!hak_balloon_try_lock(lock)) {
		if (!hak_virtio_wait(&wait))
			return false;
		hak_host_wait(lock, 1);
	}
	return true;
}

void hak_balloon_unlock(_Atomic unsigned *lock)
{
	atomic_store_explicit(lock, 0, memory_order_release);
	hak_host_wake(lock);
}

static int set_up(const struct virtio_device *device)
{
	uint32_t features = FEATURE_REPORTS | FEATURE_DEFLATE;
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
	balloon.deflates = features & FEATURE_DEFLATE;
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
	hak_balloon_unlock(&balloon.lock);
	return done;
}

int hak_balloon_report(void *base, size_t size)
{
	return hak_balloon_lock(&balloon.lock) && report_locked(base, size) ? 0 : -1;
}

bool hak_balloon_try_report(void *base, size_t size)
{
	return hak_balloon_try_lock(&balloon.lock) && report_locked(base, size);
}

size_t hak_balloon_wanted(void)
{
	size_t wanted = 0;

	if (!hak_balloon_lock(&balloon.lock))
		return balloon.wanted;
	if (balloon.found)
		wanted = hak_virtio_read_config(&balloon.device, CONFIG_WANTED) * (size_t)PAGE_SIZE;
	balloon.wanted = wanted;
	hak_balloon_unlock(&balloon.lock);
	return wanted;
}

bool hak_balloon_may_deflate(void)
{
	return balloon.found && balloon.deflates;
}

static int move(struct virtio_queue *queue, const char *base, size_t size, size_t held)
{
	const char *end = base + size;
	bool done;

	if (!hak_balloon_lock(&balloon.lock))
		return -1;
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
	hak_balloon_unlock(&balloon.lock);
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
