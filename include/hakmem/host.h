/* SPDX-License-Identifier: MIT */
/*
 * What the allocator needs of its surroundings besides pages: thirteen functions, which are found
 * when the program or the image is linked. The Linux library and the bare-metal archive bring
 * them along. A kernel that has better ones defines these before it links the archive.
 *
 * None of them may call the allocator, but for hak_host_reap(), hak_host_pressure() and
 * hak_host_low_water(). If interrupt handlers allocate, all may be called there but the last two
 * of these. The functions above hak_host_supply() are also called with interrupts off; the others
 * have interrupts as the caller of the allocator has them.
 */
#ifndef HAK_HOST_H
#define HAK_HOST_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
typedef unsigned hak_lock_word;
#else
typedef _Atomic unsigned hak_lock_word;
#endif

#define HAK_NORETURN __attribute__((noreturn))

/**
 * hak_host_panic() - print one line, and stop the program or the machine
 * @line: the message, terminated, without a newline
 *
 * Called with no lock of the allocator held, unless an assertion of a debug build has failed.
 */
HAK_NORETURN void hak_host_panic(const char *line);

/**
 * hak_host_wait() - wait until a lock word may have changed
 * @word: the lock word
 * @seen: the value that it had; if it has another one by now, return at once
 *
 * It may return early, as often as it likes: the caller reads the word again. A host that
 * would let something else run meanwhile must find out whether it may. It may not in an
 * interrupt handler, nor with interrupts off.
 */
void hak_host_wait(hak_lock_word *word, unsigned seen);

/**
 * hak_host_wake() - wake at least one caller of hak_host_wait() for @word
 */
void hak_host_wake(hak_lock_word *word);

/* Why an allocation returned NULL. The values are those of errno on Linux and in newlib. */
enum hak_error {
	HAK_ENOMEM = 12, /* no memory, or a size that no memory can hold */
	HAK_EINVAL = 22, /* an alignment that is not a power of two */
};

/**
 * hak_host_set_error() - NULL is about to be returned: note why (errno)
 */
void hak_host_set_error(enum hak_error error);

/**
 * hak_host_barrier() - make every CPU pass a memory barrier
 *
 * When it returns true, each thread of the program has passed one since the call began, or
 * each CPU that may use the allocator has, between two of its instructions. A thread that
 * does not run has passed one when it was stopped. A single CPU returns true.
 *
 * The scan asks for it, and malloc before it returns NULL, since the memory may lie in magazines.
 * A host without such a thing returns false, always. So does one on an emulated machine where
 * the barrier may fall inside of an instruction. Blocks are then never taken from the
 * magazines of others.
 *
 * Called with a lock of the allocator held and interrupts off. Other CPUs may wait for that
 * lock, with interrupts off. So it may wait for nothing but the barrier itself, for instance
 * for a non-maskable interrupt.
 */
bool hak_host_barrier(void);

/**
 * hak_host_irq_save() - turn interrupts off on this CPU; bare metal only
 *
 * A kernel that preempts threads must not do so on this CPU either, until
 * hak_host_irq_restore(). Calls nest, and are undone in the opposite order. Returns what
 * hak_host_irq_restore() needs.
 */
unsigned long hak_host_irq_save(void);

/**
 * hak_host_irq_restore() - make interrupts what they were before hak_host_irq_save()
 */
void hak_host_irq_restore(unsigned long saved);

/**
 * struct hak_supply - how much memory the provider still has
 * @bytes:   of whole SuperSlabs; SIZE_MAX if nothing limits it but the machine
 * @largest: the longest run of them, in bytes
 * @records: what it could map for records besides, in pieces of 64 KiB, without a part of @bytes
 */
struct hak_supply {
	size_t bytes, largest, records;
};

/**
 * hak_host_supply() - how much could the provider map?
 * @base: as if this SuperSlab, which is mapped, was unmapped first; may be NULL
 * @supply: is filled in; it may say too little, but never too much
 *
 * Only hak_available() and hak_largest() call it, with no lock held. The library's version
 * knows what hak_region_add() was given, and on Linux what RLIMIT_AS leaves. A kernel with a
 * provider of its own defines this function; if it does not, what its provider has is not
 * counted.
 */
void hak_host_supply(const void *base, struct hak_supply *supply);

/* What was called when there may be something to give back. */
enum hak_reap_why {
	HAK_REAP_MALLOC, /* malloc: it may need more memory than before */
	HAK_REAP_FREE,	 /* free: what was freed may go back */
};

/**
 * hak_host_reap() - there may be something to give back: see that hak_idle() is called
 *
 * Called from the slow paths of malloc and free, with no lock held, as long as the platform
 * does not scan at intervals by itself. A host whose idle loop calls hak_idle() has nothing
 * to do here.
 */
void hak_host_reap(enum hak_reap_why why);

/**
 * hak_host_pressure() - an allocation is about to return NULL; bare metal only
 * @bytes: the size that was asked for
 *
 * Free what can be freed, @bytes or more if possible, in whatever way: by hak_free(),
 * hak_region_add(), hak_balloon_deflate(). Returns whether it was worth while, and then the
 * allocation is tried again. After 32 tries it fails nevertheless. The library's version asks
 * the balloon, if there is one.
 *
 * Called with nothing of the allocator's held, and interrupts as the caller of the allocation has
 * them. It may call the whole of the allocator, and wait. An allocation in it returns NULL at
 * once if there is no memory: this function is not called by itself, nor while
 * hak_host_low_water() is under way on this CPU. It is not called in an interrupt handler (where
 * hak_interrupt_enter() was called), nor on a CPU after hak_cpu_fini(). Other CPUs may be in it
 * at the same time. A kernel that preempts threads keeps one that is in it on its CPU; while it
 * is there, this function is not called for others on the CPU.
 */
bool hak_host_pressure(size_t bytes);

/**
 * hak_host_low_water() - free memory has fallen below the mark of hak_low_water(); bare metal only
 *
 * Called when the slow path is over that took the memory, or one after it; with nothing held, and
 * where hak_host_pressure() might be called. It may do what that one may do, and is not called by
 * itself, either. It is called once, and again when more memory was free meanwhile.
 */
void hak_host_low_water(void);

/**
 * hak_host_trace() - whom was the caller called by?
 * @frame:  where the frame of the function is whose caller comes first: the word there is the
 *	    caller's frame pointer, and the next one its return address
 * @frames: is filled in with return addresses, the innermost first
 * @most:   of them
 *
 * Only samples (samples.h) and debug builds call it, with nothing held, and interrupts as the
 * caller of malloc or free has them. It may not call the allocator. Returns how many it has found.
 * That of the bare-metal library follows frame pointers, in the 16 KiB above the stack pointer at
 * most. Linux has the unwinder of gcc, and takes no note of @frame.
 */
unsigned hak_host_trace(const void *frame, void **frames, unsigned most);

/**
 * hak_host_protect() - let accesses to some pages fault, or no longer
 * @base:    of whole pages of the heap, of HAK_GRANULE bytes each
 * @size:    in bytes
 * @faults:  false: they can be read and written again, and have their contents
 *
 * Only guarded samples call it (hak_guard_start()), with nothing held. Returns false if it
 * cannot: nothing has changed then. That of the bare-metal library returns false. A kernel with
 * page tables changes the entries of these pages, and has all CPUs forget what they know of them.
 */
bool hak_host_protect(void *base, size_t size, bool faults);

#ifdef __cplusplus
}
#endif

#endif
