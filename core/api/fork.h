/* SPDX-License-Identifier: MIT */
/*
 * For a platform on which processes are copied. At the moment of the copy, no other thread
 * holds a lock. See fork.c.
 */
#ifndef HAKMEM_API_FORK_H
#define HAKMEM_API_FORK_H

/**
 * fork_prepare() - take every lock, before the process is copied
 *
 * The caller may allocate until fork_done(). May be called in a signal handler, also in one
 * that has interrupted the allocator; such a caller may not allocate.
 */
void fork_prepare(void);

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
