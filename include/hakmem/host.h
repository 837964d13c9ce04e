/* SPDX-License-Identifier: MIT */
/*
 * What the allocator needs of its surroundings besides pages: eight functions,
 * resolved when the program or the image is linked. The Linux library and the
 * bare-metal archive bring their own; a kernel that has better ones defines
 * them before it links the archive.
 *
 * None of them may call the allocator, but for hak_host_reap(). All may be
 * called from an interrupt handler, if one allocates, and with interrupts off.
 */
#ifndef HAKMEM_HOST_H
#define HAKMEM_HOST_H

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
 * hak_host_panic() - print one line and stop the program or the machine
 * @line: the message, without a newline
 *
 * Called with no lock held. Does not return.
 */
HAK_NORETURN void hak_host_panic(const char *line);

/**
 * hak_host_wait() - wait until a lock word may have changed
 * @word: the lock word
 * @seen: the value it had; if it has another by now, return at once
 *
 * Returns early whenever it likes: the caller looks again. A host that would
 * rather run something else meanwhile must see for itself whether it may: not
 * with interrupts off, and not in a handler.
 */
void hak_host_wait(hak_lock_word *word, unsigned seen);

/**
 * hak_host_wake() - wake one that waits in hak_host_wait() for @word
 */
void hak_host_wake(hak_lock_word *word);

/* Why an allocation returned NULL. */
enum hak_error {
	HAK_ENOMEM, /* no memory, or a size that no memory can hold */
	HAK_EINVAL, /* an alignment that is not a power of two */
};

/**
 * hak_host_set_error() - note why NULL is about to be returned (errno)
 */
void hak_host_set_error(enum hak_error error);

/**
 * hak_host_barrier() - make every other CPU pass a memory barrier
 *
 * When it returns, each thread of the program, or each CPU that may use the
 * allocator, has passed one since the call began; one that does not run has
 * passed it when it was stopped. Returns false, always, if the host has no such
 * thing: then blocks are never taken out of the magazines of others.
 *
 * Called with a lock of the allocator held and interrupts off, and others may
 * wait for that lock with interrupts off: so it may not wait for anything but
 * the barrier itself, for instance a non-maskable interrupt. A single CPU
 * returns true.
 */
bool hak_host_barrier(void);

/**
 * hak_host_irq_save() - keep interrupts from this CPU; bare metal only
 *
 * Returns what hak_host_irq_restore() needs to make it as it was. What nests is
 * restored in the opposite order. A kernel that shall preempt nobody meanwhile
 * sees to that as well.
 */
unsigned long hak_host_irq_save(void);

/**
 * hak_host_irq_restore() - make it as it was before hak_host_irq_save()
 */
void hak_host_irq_restore(unsigned long saved);

/* In what the allocator was called. */
enum hak_reap_why {
	HAK_REAP_MALLOC, /* it may need more memory than before */
	HAK_REAP_FREE,	 /* there may be something to give back */
};

/**
 * hak_host_reap() - there may be something to give back: see that hak_idle() is called
 *
 * Called from the slow paths of malloc and free with no lock held, whenever
 * nobody is known to look by himself. A host whose idle loop calls hak_idle()
 * has nothing to do here.
 */
void hak_host_reap(enum hak_reap_why why);

#ifdef __cplusplus
}
#endif

#endif
