/* SPDX-License-Identifier: MIT */
/*
 * The shared library is initialised before all others, libc among them: see fork.c. It
 * needs something then that libc has not set yet. The dynamic linker passes that to
 * constructors. (glibc's linker does; others pass nothing, so the archive lacks this file.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

__attribute__((constructor(101))) static void go_before_libc(int argc, char **argv, char **envp)
{
	char *slash;

	if (environ || *program_invocation_short_name)
		return; /* libc is ready: another library was the first */
	environ = envp;
	if (!argc)
		return;
	slash = strrchr(argv[0], '/');
	program_invocation_short_name = slash ? slash + 1 : argv[0];
}
