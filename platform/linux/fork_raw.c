/* SPDX-License-Identifier: MIT */
/*
 * _Fork(), the fork() that calls no handlers, in place of the C library's: its child is
 * to find the heap in order as well. Signal handlers may call it, so it waits for nothing
 * that a signal handler could have interrupted.
 *
 * Only the shared library has it. In a static program the C library's own could not be
 * reached behind it, and fork() itself would call ours.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/types.h>

#include "api/fork.h"
#include "linux.h"

pid_t _Fork(void);

static pid_t (*next)(void);

/* This is asked early, as signal handlers may not ask the dynamic linker. */
__attribute__((constructor)) static void find_next(void)
{
	*(void **)&next = dlsym(RTLD_NEXT, "_Fork");
}

__attribute__((visibility("default"))) pid_t _Fork(void)
{
	pid_t pid;

	if (!next)
		find_next();
	if (!next) { /* this C library has none */
		errno = ENOSYS;
		return -1;
	}
	hak_fork_prepare();
	pid = next();
	if (pid)
		fork_done();
	else
		hak_forked_in_child();
	return pid;
}
