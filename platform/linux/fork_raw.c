/* SPDX-License-Identifier: MIT */
/*
 * _Fork(), the fork() that calls no handlers, in place of the C library's: its
 * child is to find the heap in order as well. Only a signal handler has to be
 * content with it, and we wait for nothing that one could have interrupted.
 *
 * In the shared library alone. In a static program there would be no other one
 * behind it, and what fork() itself calls there would be ours.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/types.h>

#include "api/fork.h"
#include "linux.h"

pid_t _Fork(void);

static pid_t (*next)(void);

/* Early, as handlers may not ask the dynamic linker. */
__attribute__((constructor)) static void find_next(void)
{
	*(void **)&next = dlsym(RTLD_NEXT, "_Fork");
}

__attribute__((visibility("default"))) pid_t _Fork(void)
{
	pid_t pid;

	if (!next)
		find_next();
	if (!next) { /* a C library that has none */
		errno = ENOSYS;
		return -1;
	}
	fork_prepare();
	pid = next();
	if (pid)
		fork_done();
	else
		hak_forked_in_child();
	return pid;
}
