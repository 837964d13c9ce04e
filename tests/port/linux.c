/* SPDX-License-Identifier: MIT */
/*
 * What tests need of Linux.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <base/policy.h>
#include <reclaim/scan.h>

#include "../test.h"

void port_write(const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(STDOUT_FILENO, text, length);

		if (n <= 0)
			_exit(1);
		text += n;
		length -= (size_t)n;
	}
}

void *port_map(size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return base == MAP_FAILED ? NULL : base;
}

void port_unmap(void *base, size_t size)
{
	munmap(base, size);
}

const struct hak_provider *port_provider(void)
{
	return platform_provider();
}

/* VmRSS of /proc/self/status, read without stdio, which would allocate. */
uint64_t port_resident(void)
{
	char text[4096];
	int file = open("/proc/self/status", O_RDONLY);
	ssize_t n = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
	const char *line;

	if (file >= 0)
		close(file);
	if (n < 0)
		return 0;
	text[n] = '\0';
	line = strstr(text, "VmRSS:");
	return line ? strtoull(line + 6, NULL, 10) << 10 : 0;
}

bool port_counts_pages(void)
{
	return true;
}

const char *port_name(void)
{
	return "Linux";
}

/*
 * Huge pages would hide which pages were touched, where they are switched on,
 * and nobody but the test itself is to give memory back while it counts.
 */
__attribute__((constructor)) static void make_exact(void)
{
	scan_awake = true;
	policy_set_mode(RELEASE_AT_ONCE); /* so no scan will come by */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}
