/* SPDX-License-Identifier: MIT */
/*
 * Around fork() all locks are held, so that the child finds the heap in order.
 */
#include <pthread.h>

#include "fork.h"
#include "linux.h"

void hak_forked_in_child(void)
{
	fork_in_child();
	fork_done();
	hak_reaper_after_fork();
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(fork_prepare, fork_done, hak_forked_in_child);
}
