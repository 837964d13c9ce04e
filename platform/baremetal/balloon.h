/* SPDX-License-Identifier: MIT */
/*
 * Memory goes back to the host through the virtio balloon that it gave this machine.
 * Only images that call it are linked with it.
 *
 * A kernel that uses hak_frames_provider calls hak_balloon_start() and
 * hak_balloon_poll(). One with a provider of its own calls hak_balloon_init(),
 * and hak_balloon_report() in its purge and for pages that it has free.
 */
#ifndef HAKMEM_BALLOON_H
#define HAKMEM_BALLOON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why there is no balloon. */
enum hak_balloon_error {
	HAK_BALLOON_NONE = -1,	   /* the machine has none */
	HAK_BALLOON_UNUSABLE = -2, /* it has no legacy interface, or too large queues */
};

/* Where QEMU's microvm has its devices; a kernel has it mapped, as it has its static data. */
#define HAK_BALLOON_MICROVM	  ((uintptr_t)0xfeb00000)
#define HAK_BALLOON_MICROVM_COUNT 24u

/**
 * hak_balloon_start() - find the balloon, and connect it with the frames
 * @mmio:  on a machine without PCI, where it may be: the first of
 * @count: windows of 512 bytes for devices
 *
 * It is called once, before hak_init(): memory that the heap has by then is not purged.
 * Returns 0 or an enum hak_balloon_error. Everything else works without a balloon.
 */
int hak_balloon_start(uintptr_t mmio, unsigned count);

/**
 * hak_balloon_poll() - do a piece of what there is to do with the host
 *
 * The idle loop calls it beside hak_idle(). It hands the host what it asks for, takes
 * back what it returns, and reports free frames, at most 4 MiB a call. Returns whether
 * there may be more to do now; false without a balloon, or while another CPU does it.
 * Interrupt handlers may not call it.
 *
 * The host's wishes are seen here only, so an idle loop should come by now and
 * then even if nothing happens.
 */
bool hak_balloon_poll(void);

/**
 * hak_balloon_held() - bytes that the host has asked for and got
 *
 * These are whole frames, so the host gets up to 2 MiB less than it asks for.
 */
size_t hak_balloon_held(void);

/**
 * hak_balloon_init() - find the balloon, and nothing more; see hak_balloon_start()
 */
int hak_balloon_init(uintptr_t mmio, unsigned count);

/**
 * hak_balloon_report() - what is in these pages is not needed any more
 *
 * They may be used again at any time. They read as zeros then, or as before: a host may
 * ignore the report. Returns when the host has seen it: 0, or -1 if there is no balloon
 * or the host takes no reports. Interrupt handlers may not call it.
 */
int hak_balloon_report(void *base, size_t size);

/**
 * hak_balloon_try_report() - likewise, but not if another CPU uses the balloon
 */
bool hak_balloon_try_report(void *base, size_t size);

/**
 * hak_balloon_wanted() - how many bytes the host would have in all
 */
size_t hak_balloon_wanted(void);

/**
 * hak_balloon_give() - let the host have pages, which the machine may not touch then
 * hak_balloon_take() - pages that the host had are ours again
 * @held: bytes that it has after that
 */
void hak_balloon_give(void *base, size_t size, size_t held);
void hak_balloon_take(void *base, size_t size, size_t held);

#ifdef __cplusplus
}
#endif

#endif
