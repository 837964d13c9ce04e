/* SPDX-License-Identifier: MIT */
/*
 * Memory goes back to the host, through the virtio balloon that the host gave this machine.
 * See balloon.c, and balloon_frames.c for what has to do with frames. Only images that call
 * these functions have them linked.
 *
 * A kernel that uses hak_frames_provider calls hak_balloon_start() and hak_balloon_poll(). A
 * kernel with a provider of its own calls hak_balloon_init(), and hak_balloon_report() in its
 * purge() and for pages that it has free.
 *
 * Sizes are in bytes, and pages are HAK_GRANULE of them. Unless a function says otherwise, it
 * waits for the host, and for another CPU that uses the balloon; so it is not for interrupt
 * handlers. A host that does not answer within some seconds (2^34 cycles) is given up: the
 * device is reset, the call fails, and from then on all is as without a balloon. A call fails,
 * too, if another caller uses the balloon for as long.
 *
 * The memory may be at any address: hak_host_physical() says where it is for the host.
 *
 * With a device of virtio 1 on PCI, each call accesses configuration space. A kernel where other
 * CPUs do so, too, defines hak_host_pci_read() and hak_host_pci_write() (machine.h).
 */
#ifndef HAK_BALLOON_H
#define HAK_BALLOON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Why there is no balloon. */
enum hak_balloon_error {
	HAK_BALLOON_NONE = -1, /* the machine has no balloon */
	/*
	 * The balloon has neither the legacy interface nor that of virtio 1, or its queues are
	 * too large; or what the library has for them is not one piece of physical memory.
	 */
	HAK_BALLOON_UNUSABLE = -2,
};

/* Where the microvm of QEMU has its devices. The kernel has these addresses mapped one to one. */
#define HAK_BALLOON_MICROVM	  ((uintptr_t)0xfeb00000)
#define HAK_BALLOON_MICROVM_COUNT 24u

/**
 * hak_balloon_start() - find the balloon, and connect it with the frames
 * @mmio:  for a machine without PCI: the address of the first window for a device, of 512
 *	   bytes
 * @count: how many such windows there are
 *
 * To be called before hak_init(): what the heap has by then will not be purged. Returns 0 or an
 * enum hak_balloon_error. While that is HAK_BALLOON_NONE, it may be called again with another
 * address: some hosts tell a kernel in its command line where their devices are. Without a
 * balloon everything else works as before.
 */
int hak_balloon_start(uintptr_t mmio, unsigned count);

/**
 * hak_balloon_poll() - do a piece of what there is to do with the host
 *
 * For the idle loop, beside hak_idle(). It hands the host what it asks for, takes back what
 * the host returns, and reports free frames, at most 4 MiB a call. Returns whether there may
 * be more to do now; false without a balloon, or while another CPU is in this function.
 *
 * What the host asks for is seen only here. So the idle loop should call it now and then,
 * even if nothing happens.
 */
bool hak_balloon_poll(void);

/**
 * hak_balloon_held() - how many bytes has the host asked for and got?
 *
 * In whole frames, so up to 2 MiB less than it asks for. May be called in any context.
 */
size_t hak_balloon_held(void);

/**
 * hak_balloon_deflate() - take memory back from the host, because there is none left
 * @bytes: how much is needed, in one piece
 *
 * For hak_host_pressure(); that of the library calls nothing else. It takes back the frames that
 * are missing to a piece of this size, wherever the host has the fewest of them; or one, if there
 * is such a piece, but no other frame. Returns whether it is worth while to try again: there is
 * such a piece now. It takes none, and returns false, if such a piece cannot come about, or if
 * the host wants the memory and does not allow it (VIRTIO_BALLOON_F_DEFLATE_ON_OOM). When it took
 * what the host wants, the host is not given more again until it asks for another amount.
 *
 * Waits for another CPU that is in hak_balloon_poll().
 */
bool hak_balloon_deflate(size_t bytes);

/**
 * hak_balloon_init() - find the balloon, and do nothing more; see hak_balloon_start()
 */
int hak_balloon_init(uintptr_t mmio, unsigned count);

/**
 * hak_balloon_report() - tell the host that what is in some pages is not needed any more
 * @base: of whole pages
 * @size: in bytes
 *
 * The pages may be used again at any time. They then read as zeros or as before, since a host
 * need not do anything. Returns 0 when the host has seen it; or -1 if there is no balloon, if
 * the host takes no reports, or if it did not answer: it may then have seen a part.
 */
int hak_balloon_report(void *base, size_t size);

/**
 * hak_balloon_try_report() - the same, but false if another CPU uses the balloon
 */
bool hak_balloon_try_report(void *base, size_t size);

/**
 * hak_balloon_wanted() - how many bytes does the host want in all?
 */
size_t hak_balloon_wanted(void);

/**
 * hak_balloon_may_deflate() - may memory be taken back while the host wants it, if there is no
 * other? (VIRTIO_BALLOON_F_DEFLATE_ON_OOM)
 */
bool hak_balloon_may_deflate(void);

/**
 * hak_balloon_give() - let the host have some pages: nobody may touch them
 * hak_balloon_take() - take pages back that the host has
 * @base: of whole pages
 * @size: in bytes
 * @held: how many bytes the host has in all after that
 *
 * Both return 0; or -1 if there is no balloon or the host did not answer. The pages are then
 * the caller's, and what they contain is undefined.
 */
int hak_balloon_give(void *base, size_t size, size_t held);
int hak_balloon_take(void *base, size_t size, size_t held);

#ifdef __cplusplus
}
#endif

#endif
