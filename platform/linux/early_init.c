/* SPDX-License-Identifier: MIT */
/*
 * The shared library is initialised before all others, libc among them: see fork.c.
 * What is needed then of what libc has not set yet, the dynamic linker passes to
 * constructors. (It is glibc's; others pass nothing, so the archive has not this.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor(101))) static void go_before_libc(int argc, char **argv, char **envp)
{
	char *slash;

	if (environ || *program_invocation_short_name)
		return; /* libc is ready: there was another to be the first */
	environ = envp;
	if (!argc)
		return;
	slash = strrchr(argv[0], '/');
	program_invocation_short_name = slash ? slash + 1 : argv[0];
}
