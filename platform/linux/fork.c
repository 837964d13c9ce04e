/* SPDX-License-Identifier: MIT */
/*
 * Around fork() all locks are held, so that the child finds the heap in order.
 *
 * Our handler has to take them last: the handlers of others may wait for threads that
 * allocate. The handler that is registered first is called last, so ours is registered
 * before all others. The shared library is marked to be initialised first, which glibc
 * 2.34 and later does, and in a static program this constructor is one of the first. (In
 * a program with shared libraries, the archive is initialised after these.)
 */
#include <pthread.h>

#include "api/fork.h"
#include "linux.h"

void hak_forked_in_child(void)
{
	fork_in_child();
	fork_done();
	hak_reaper_after_fork();
}

__attribute__((constructor(101))) static void watch_forks(void)
{
	pthread_atfork(fork_prepare, fork_done, hak_forked_in_child);
}
