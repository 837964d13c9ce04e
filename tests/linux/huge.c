/* SPDX-License-Identifier: MIT */
/*
 * A heap of many small blocks, of which then one in 16 stays, and then none. For huge.sh: it prints
 * in KiB what the process has for itself, what of it is huge pages, the most that was resident, and
 * what its control group has.
 *
 *	huge MIB GROUP		GROUP is a directory of a control group, or -
 */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE_MEAN 200u

static char usage[4096];

/* The number behind @key in a file, in front of which there is nothing if @key is empty; or 0. */
static unsigned long number(const char *path, const char *key)
{
	static char text[65536];
	int file = open(path, O_RDONLY);
	ssize_t n = file < 0 ? 0 : read(file, text, sizeof(text) - 1);
	const char *found;

	if (file >= 0)
		close(file);
	text[n < 0 ? 0 : n] = '\0';
	found = strstr(text, key);
	return found ? strtoul(found + strlen(key), NULL, 10) : 0;
}

static void join(const char *group)
{
	static const char *const names[] = { "memory.current", "memory.usage_in_bytes" };
	char path[4096];
	int file;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	file = open(path, O_WRONLY);
	if (file < 0 || write(file, "0", 1) != 1)
		return;
	close(file);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", group, names[i]);
		if (!access(path, R_OK))
			strcpy(usage, path);
	}
}

static void print(const char *when)
{
	printf("%s %lu %lu %lu %lu\n", when, number("/proc/self/status", "RssAnon:"),
	       number("/proc/self/smaps_rollup", "AnonHugePages:"),
	       number("/proc/self/status", "VmHWM:"), number(usage, "") / 1024);
}

int main(int argc, char **argv)
{
	size_t n = (strtoul(argv[1], NULL, 10) << 20) / SIZE_MEAN;
	char **blocks = mmap(NULL, n * sizeof(*blocks), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (blocks == MAP_FAILED)
		return 1;
	madvise(blocks, n * sizeof(*blocks), MADV_NOHUGEPAGE); /* these are not the heap's */
	join(argv[argc - 1]);
	for (size_t i = 0; i < n; i++) {
		size_t size = SIZE_MEAN / 2 + i * 7919 % SIZE_MEAN;

		blocks[i] = malloc(size);
		if (!blocks[i])
			return 1;
		memset(blocks[i], (int)i | 1, size);
	}
	print("built");
	for (size_t i = 0; i < n; i++)
		if (i % 16)
			free(blocks[i]);
	malloc_trim(0);
	print("scattered");
	for (size_t i = 0; i < n; i += 16) {
		if (blocks[i][0] != (char)(i | 1) || blocks[i][SIZE_MEAN / 2 - 1] != (char)(i | 1))
			return 1;
		free(blocks[i]);
	}
	malloc_trim(0);
	print("empty");
	return 0;
}
