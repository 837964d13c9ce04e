/* SPDX-License-Identifier: MIT */
/*
 * What the allocator needs of its surroundings besides pages: a handful of
 * functions, resolved when the program or the image is linked. The Linux
 * library and the bare-metal archive bring their own; a kernel that has better
 * ones defines them before it links the archive.
 *
 * None of them may call the allocator, but for hak_host_set_cache() and
 * hak_host_reap().
 */
#ifndef HAKMEM_HOST_H
#define HAKMEM_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include <hakmem/provider.h>

struct hak_cache;

/**
 * hak_host_panic() - print one line and stop the program or the machine
 * @line: the message, without a newline
 *
 * Called with no lock held. Does not return.
 */
_Noreturn void hak_host_panic(const char *line);

/**
 * hak_host_wait() - wait until a lock word may have changed
 * @word: the lock word
 * @seen: the value it had; if it has another by now, return at once
 *
 * Returns early whenever it likes: the caller looks again.
 */
void hak_host_wait(_Atomic unsigned *word, unsigned seen);

/**
 * hak_host_wake() - wake one that waits in hak_host_wait() for @word
 */
void hak_host_wake(_Atomic unsigned *word);

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
 * hak_host_provider() - the provider to use when none was given to hak_init()
 *
 * Returns NULL if there is none: allocation then fails until hak_init().
 */
const struct hak_provider *hak_host_provider(void);

/**
 * hak_host_set_cache() - make @cache the one that this_cache() finds from here
 *
 * Called by the thread or on the CPU that is to own it. When a thread ends its
 * platform hands the cache back with hak_cache_detach(). Returns false if that
 * could not be arranged: the caller then works without a cache.
 */
bool hak_host_set_cache(struct hak_cache *cache);

/**
 * hak_host_barrier() - make every other CPU pass a memory barrier
 *
 * When it returns, each thread of the program, or each CPU that may use the
 * allocator, has passed one since the call began; one that does not run has
 * passed it when it was stopped. Returns false, always, if the host has no such
 * thing: then blocks are never taken out of the magazines of others.
 *
 * Called with a lock of the allocator held, so it may not wait for any other
 * that may be inside it. A single CPU returns true.
 */
bool hak_host_barrier(void);

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

#endif
