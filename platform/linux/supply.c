/* SPDX-License-Identifier: MIT */
/*
 * How much the provider could map (hakmem/host.h): what RLIMIT_AS leaves, or no limit at all. The
 * kernel tells how much address space the process has only in /proc, so that is read if there is
 * a limit. Memory itself may be short before that; nobody can tell.
 *
 * By system calls, since open() and read() of the C library are cancellation points.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <hakmem/host.h>
#include <hakmem/provider.h>

#include "linux.h"

/* What is mapped to align in, and guards and records, which grow with what there is. */
#define LEAST_MARGIN	  (4 * HAK_SUPERSLAB_SIZE)
#define PARTS_FOR_RECORDS 256u

/* Bytes of address space that the process has; SIZE_MAX if that cannot be read. */
static size_t address_space(void)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/statm", O_RDONLY | O_CLOEXEC);
	size_t pages = 0;
	char text[32];
	ssize_t n;

	if (fd < 0)
		return SIZE_MAX;
	n = syscall(SYS_read, fd, text, sizeof(text));
	syscall(SYS_close, fd);
	for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		pages = pages * 10 + (size_t)(text[i] - '0');
	return n > 0 ? pages * HAK_GRANULE : SIZE_MAX;
}

void hak_host_supply(const void *base, struct hak_supply *supply)
{
	int saved = errno;
	struct rlimit limit;
	size_t used, left, margin;

	*supply = (struct hak_supply){ SIZE_MAX, SIZE_MAX, SIZE_MAX };
	if (syscall(SYS_prlimit64, 0, RLIMIT_AS, NULL, &limit) || limit.rlim_cur == RLIM_INFINITY)
		goto out;
	used = address_space();
	left = limit.rlim_cur > used ? limit.rlim_cur - used : 0;
	left += base ? HAK_SUPERSLAB_SIZE : 0;
	margin = LEAST_MARGIN + left / PARTS_FOR_RECORDS;
	left = left > margin ? (left - margin) / HAK_SUPERSLAB_SIZE * HAK_SUPERSLAB_SIZE : 0;
	supply->bytes = supply->largest = left;
out:
	errno = saved;
}
