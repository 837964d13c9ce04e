/* SPDX-License-Identifier: MIT */
/*
 * What fork() of a static program calls in place of the C library's malloc, after it has
 * taken all other locks: see fork.c. glibc has three functions (2.24 and later), musl has one
 * (1.2.2 and later). Both call them only in a process with threads.
 *
 * Only the archive has them. In a program with shared libraries nobody calls them.
 */
#include "api/fork.h"
#include "linux.h"

#include <hakmem/hakmem.h>

/*
 * libc has locks for which others may wait who have ours: in a signal handler that has interrupted
 * malloc, and forks as well. libc cannot be asked to drop them. So after some seconds the caller
 * does without.
 */
#define ROUNDS 10

static void take_locks(void)
{
	for (unsigned i = 0; !fork_prepare(i == ROUNDS); i++)
		;
}

HAK_API void __malloc_fork_lock_parent(void);
HAK_API void __malloc_fork_unlock_parent(void);
HAK_API void __malloc_fork_unlock_child(void);
HAK_API void __malloc_atfork(int who);

HAK_API void __malloc_fork_lock_parent(void)
{
	take_locks();
}

HAK_API void __malloc_fork_unlock_parent(void)
{
	fork_done();
}

HAK_API void __malloc_fork_unlock_child(void)
{
	hak_forked_in_child();
}

HAK_API void __malloc_atfork(int who)
{
	if (who < 0)
		take_locks();
	else if (who)
		hak_forked_in_child();
	else
		fork_done();
}
