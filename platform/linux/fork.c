/* SPDX-License-Identifier: MIT */
/*
 * Around fork() all locks are held, so that the child finds the heap in order. Others hold
 * locks of libc while they allocate, so where fork() takes those as well, they have to come
 * first. What libc takes after the handlers of pthread_atfork(), and how ours come later:
 *
 *	glibc, dynamic	the list of all FILEs, for which fflush(NULL) waits with every FILE, and
 *			getline() allocates with its FILE. We take the list in our handler, before
 *			our locks; fork() then takes it once more. (The lock of the NSS database
 *			is taken, too, but nobody allocates with it. That of the list of handlers
 *			is since 2.36, and pthread_atfork() allocates with it when the list grows.
 *			fork() drops it while it calls us, and then takes it again. A thread in
 *			pthread_atfork() may have it by then, and wait for our locks. This cannot
 *			be helped: the lock cannot be had from outside, nothing of ours is called
 *			after it is taken, and the thread may not allocate before the copy is made.)
 *	glibc, static	the same. It calls what its own malloc would have there, after all others:
 *			fork_static.c has these functions.
 *	musl, static	a dozen of locks, the list of all FILEs among them. It calls what its own
 *			malloc would have there, too.
 *
 * So in a static program the handler is only for what follows in the child of a process with
 * one thread, where libc takes no lock and calls nothing of malloc's.
 *
 * In a dynamic program our handler has to be the last: the handlers of others may wait for
 * threads that allocate. The handler that is registered first is called last, so ours is
 * registered before all others. The shared library is marked to be initialised first, which
 * glibc 2.34 and later does. (In a program with shared libraries, the archive is initialised
 * after these.)
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "api/fork.h"
#include "base/lock.h"
#include "linux.h"

/* glibc's list of all FILEs; its lock can be taken again by the thread that has it. */
extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));
extern void _IO_list_resetlock(void) __attribute__((weak));

/* Only in static programs: of glibc, and of musl with a fork() that knows malloc's locks. */
extern void __libc_setup_tls(void) __attribute__((weak));
extern void __ldso_atfork(int who) __attribute__((weak));

/* The thread has the list so many times, or more: signal handlers that come in fork() may fork. */
static __thread uint16_t lists __attribute__((tls_model("initial-exec")));

/* Set in the child by hak_forked_in_child(): there is nothing left to do. */
static bool child_done;

static bool fork_calls_malloc(void)
{
	return __libc_setup_tls || __ldso_atfork;
}

/*
 * While there is one thread nobody else has the list, and a handler may have interrupted
 * this one where it takes it.
 */
static bool needs_list(void)
{
	return _IO_list_lock && _IO_list_unlock && _IO_list_resetlock && (lists || !hak_is_alone());
}

/*
 * Take our locks. A handler of another thread that has interrupted malloc, and forks as well, may
 * wait for the list. So it can have the list for a moment.
 */
void hak_fork_prepare(void)
{
	static _Atomic unsigned never;

	while (!fork_prepare(false)) {
		for (unsigned i = 0; i < lists; i++)
			_IO_list_unlock();
		hak_host_wait(&never, 0);
		for (unsigned i = 0; i < lists; i++)
			_IO_list_lock();
	}
}

static void before_fork(void)
{
	fork_begin();
	if (fork_calls_malloc())
		return;
	if (needs_list()) {
		_IO_list_lock();
		lists++;
	}
	hak_fork_prepare();
}

static void after_fork_in_parent(void)
{
	if (fork_calls_malloc())
		return;
	fork_done();
	if (lists) {
		lists--;
		_IO_list_unlock();
	}
}

/* glibc has made the lock of the list as new, or not, if it believed in a single thread. */
static void after_fork_in_child(void)
{
	if (!fork_calls_malloc()) {
		hak_forked_in_child();
	} else if (!child_done) {
		hak_fork_prepare();
		hak_forked_in_child();
	}
	child_done = false;
	if (lists) {
		_IO_list_resetlock();
		lists--;
		for (unsigned i = 0; i < lists; i++)
			_IO_list_lock();
	}
}

void hak_forked_in_child(void)
{
	hak_samples_after_fork();
	hak_cache_after_fork();
	fork_in_child();
	fork_done();
	hak_reaper_after_fork();
	child_done = true;
}

__attribute__((constructor(101))) static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
