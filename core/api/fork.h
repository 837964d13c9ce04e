/* SPDX-License-Identifier: MIT */
/*
 * For a platform on which processes are copied. At the moment of the copy, no other thread
 * holds a lock. See fork.c.
 */
#ifndef HAKMEM_API_FORK_H
#define HAKMEM_API_FORK_H

#include <stdbool.h>

/**
 * fork_prepare() - take every lock, before the process is copied
 *
 * The caller may allocate until fork_done(). May be called in a signal handler, also in one
 * that has interrupted the allocator; such a caller may not allocate.
 */
void fork_prepare(void);

/**
 * fork_begin() - for a caller who has to have a lock of others, too: take that of the scan
 *
 * The holder of that lock of others may wait for the rest of ours, not for this one. So the
 * caller takes the lock of others next, and then calls fork_try_prepare().
 */
void fork_begin(void);

/**
 * fork_try_prepare() - take the rest of the locks, or give up: if one is held for long, or if a
 *			signal handler forks that has interrupted the allocator
 * @tries: how often to try in all; a thousand takes some 50 us
 *
 * One thread at a time calls this. Returns false if it gave up: then the caller drops the lock
 * of others, and after that calls fork_done().
 */
bool fork_try_prepare(unsigned tries);

/**
 * fork_in_child() - take over the locks and the caches of threads that are not there
 *
 * Called in the child, where the caller is the only thread, before fork_done().
 */
void fork_in_child(void);

/**
 * fork_done() - drop the locks, in the parent and in the child
 *
 * Called by the thread that called fork_prepare(), once for each time.
 */
void fork_done(void);

#endif
