/* SPDX-License-Identifier: MIT */
/*
 * Around fork() all locks are held, so that the child finds the heap in order.
 *
 * They are to be taken last: what others do when a process forks may wait for
 * threads that allocate. What is registered first is called last, so this is done
 * before all others register: the shared library is marked to be initialised
 * first, as glibc 2.34 and later does, and in a static program this constructor is
 * one of the first. (The archive in a program with shared libraries comes after those.)
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
