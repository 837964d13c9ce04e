/* SPDX-License-Identifier: MIT */
/*
 * For a platform on which processes are copied. At the moment of the copy, no other thread
 * holds a lock. See fork.c.
 */
#ifndef HAKMEM_API_FORK_H
#define HAKMEM_API_FORK_H

#include <stdbool.h>

/**
 * fork_begin() - the caller will fork, and is about to wait for locks of others
 *
 * The holders of these may wait for ours. If the caller is a signal handler that has interrupted
 * the allocator, fork_prepare() of other threads does not wait for it, until fork_done().
 */
void fork_begin(void);

/**
 * fork_prepare() - take every lock, before the process is copied
 * @anyway: take those that can be had in some seconds, and return true
 *
 * The caller may allocate until fork_done(). May be called in a signal handler, also in one
 * that has interrupted the allocator; such a caller may not allocate.
 *
 * Returns false if such a handler of another thread forks as well, or if a lock cannot be had for
 * long. Then none is taken. The caller drops what others may wait for, waits for a moment, and
 * tries again. If a child does without a lock that somebody else had, it stops when it needs it.
 */
bool fork_prepare(bool anyway);

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
