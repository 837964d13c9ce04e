/* SPDX-License-Identifier: MIT */
/*
 * Runs a program with a library preloaded, and says how long it took and how
 * much memory it had at most.
 *
 *	program LIBRARY COMMAND [ARGUMENT ...]
 *
 * Prints "ns=N ops=1 peak_kib=N" on standard output; what the program prints
 * there is thrown away. The peak is that of the largest of its processes, all
 * those that were waited for: a compiler's work is done by its children. This
 * starter is small, and may be: ru_maxrss of a child is never less than what its
 * parent had when it forked.
 *
 * Exits as the program does, or with 128 and the signal's number.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

static _Noreturn void become(const char *library, char **command)
{
	int null = open("/dev/null", O_WRONLY);

	if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || setenv("LD_PRELOAD", library, 1))
		fail("program: %s\n", strerror(errno));
	execvp(command[0], command);
	fail("program: %s: %s\n", command[0], strerror(errno));
}

int main(int argc, char **argv)
{
	uint64_t start = now_ns(), took;
	struct rusage usage;
	pid_t child;
	int status;

	if (argc < 3) {
		print("usage: program LIBRARY COMMAND [ARGUMENT ...]\n");
		return 2;
	}
	child = fork();
	if (child == 0)
		become(argv[1], argv + 2);
	if (child < 0 || wait4(child, &status, 0, &usage) < 0)
		fail("program: %s\n", strerror(errno));
	took = now_ns() - start;
	if (!WIFEXITED(status))
		return 128 + WTERMSIG(status);
	if (WEXITSTATUS(status) == 0)
		print("ns=%llu ops=1 peak_kib=%ld\n", (unsigned long long)took, usage.ru_maxrss);
	return WEXITSTATUS(status);
}
