/* SPDX-License-Identifier: MIT */
/*
 * What the core asks of its host (hakmem/host.h), answered by Linux with
 * system calls that allocate nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <hakmem/host.h>

#include "linux.h"

_Noreturn void hak_host_panic(const char *line)
{
	hak_say_line(line);
	abort();
}

/*
 * For 10 ms at most: who is about to wake the caller may have been interrupted by a signal
 * handler, which may wait for what the caller has.
 */
void hak_host_wait(_Atomic unsigned *word, unsigned seen)
{
	const struct timespec most = { .tv_nsec = 10000000 };
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &most, NULL, 0);
	errno = saved;
}

void hak_host_wake(_Atomic unsigned *word)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	errno = saved;
}

void hak_host_set_error(enum hak_error error)
{
	errno = error == HAK_EINVAL ? EINVAL : ENOMEM;
}
