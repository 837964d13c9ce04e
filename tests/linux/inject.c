/* SPDX-License-Identifier: MIT */
/*
 * A library that stands between libhakmem.so and the kernel: calls of mmap(),
 * munmap(), madvise() and mremap() are counted, and fail from a given one on.
 * Only what libhakmem.so calls: libc does not come by here for its own needs.
 *
 *	INJECT_CALL	mmap, munmap, madvise, mremap or any
 *	INJECT_FROM	number of the first call that fails, from 1; 0: none
 *	INJECT_COUNT	how many fail
 *	INJECT_OLD	mremap() is as in Linux 5.7 to 6.16: it moves nothing but
 *			what lies in one mapping, and if asked for more has
 *			unmapped the target when it finds out
 *
 * inject_failed() tells how many did, or were refused for being of several
 * mappings; what there is at the end of a program that needed no failure tells the
 * one who runs it to stop.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *wanted;
static int old;
static unsigned long first, count;
static unsigned long calls, failures;

__attribute__((visibility("default"))) unsigned long inject_failed(void)
{
	return __atomic_load_n(&failures, __ATOMIC_RELAXED);
}

static void read_environment(void)
{
	wanted = getenv("INJECT_CALL");
	first = getenv("INJECT_FROM") ? strtoul(getenv("INJECT_FROM"), NULL, 10) : 0;
	count = getenv("INJECT_COUNT") ? strtoul(getenv("INJECT_COUNT"), NULL, 10) : 0;
	old = getenv("INJECT_OLD") != NULL;
}

static int fails(const char *name)
{
	unsigned long n;

	if (!wanted)
		read_environment();
	if (!wanted || !first || (strcmp(wanted, "any") && strcmp(wanted, name)))
		return 0;
	n = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	if (n < first || n - first >= count)
		return 0;
	__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	errno = ENOMEM;
	return 1;
}

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
	if (fails("mmap"))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, size, protection, flags, file, offset);
}

int munmap(void *at, size_t size)
{
	return fails("munmap") ? -1 : (int)syscall(SYS_munmap, at, size);
}

int madvise(void *at, size_t size, int advice)
{
	return fails("madvise") ? -1 : (int)syscall(SYS_madvise, at, size, advice);
}

/* The end of the mapping that @address lies in, by /proc/self/maps; 0: none. */
static uintptr_t end_of_mapping(uintptr_t address)
{
	static char text[1 << 18]; /* one thread moves */
	int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t got, length = 0;
	uintptr_t start = 0, end = 0;

	while ((got = read(file, text + length, sizeof(text) - 1 - length)) > 0)
		length += got;
	close(file);
	text[length] = 0;
	for (char *line = text; *line && end <= address; line = strchr(line, '\n') + 1) {
		start = strtoul(line, &line, 16);
		end = strtoul(line + 1, &line, 16);
	}
	return address >= start && address < end ? end : 0;
}

void *mremap(void *at, size_t size, size_t new_size, int flags, ...)
{
	va_list more;
	void *target, *result;

	va_start(more, flags);
	target = flags & MREMAP_FIXED ? va_arg(more, void *) : NULL;
	va_end(more);
	if (fails("mremap"))
		return MAP_FAILED;
	if (old && flags & MREMAP_FIXED && end_of_mapping((uintptr_t)at) < (uintptr_t)at + size) {
		syscall(SYS_munmap, target, new_size);
		result = MAP_FAILED;
		errno = EFAULT;
	} else {
		result = (void *)syscall(SYS_mremap, at, size, new_size, flags, target);
	}
	/* of several mappings: a run in which that never happens shows nothing */
	if (old && result == MAP_FAILED && errno == EFAULT)
		__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	return result;
}
