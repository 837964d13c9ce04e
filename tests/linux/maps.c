/* SPDX-License-Identifier: MIT */
/*
 * A process with as many mappings as it may have (vm.max_map_count): the kernel
 * then refuses to unmap what has neighbours on both sides. What is free loses its
 * memory all the same, stays the heap's, and goes when there is room again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <hakmem/hakmem.h>
#include <hakmem/provider.h>
#include <hakmem/stats.h>

#define PAGE   ((size_t)4096)
#define PAGES  ((size_t)1 << 20) /* more than any kernel allows mappings by default */
#define SIZE   ((size_t)4000)
#define BLOCKS 24000u /* 96 MiB */
#define MIB    ((uint64_t)1 << 20)

static unsigned char *block[BLOCKS];
static struct hak_stats stats;

static _Noreturn void die(const char *why)
{
	if (write(STDERR_FILENO, why, strlen(why)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		_exit(3);
	_exit(1);
}

static void expect(bool good, const char *otherwise)
{
	if (!good)
		die(otherwise);
}

static uint64_t resident(void)
{
	char text[100] = "", *at;
	int file = open("/proc/self/statm", O_RDONLY);

	expect(file >= 0 && read(file, text, sizeof(text) - 1) > 0,
	       "/proc/self/statm is unreadable");
	close(file);
	at = strchr(text, ' ');
	return at ? strtoull(at, NULL, 10) * PAGE : 0;
}

/* Every other page of a mapping with other rights, until there can be no more. */
static char *use_up_mappings(void)
{
	char *base = mmap(NULL, PAGES * PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t page = 0;

	expect(base != MAP_FAILED, "no address space");
	while (page < PAGES && !mprotect(base + page * PAGE, PAGE, PROT_READ))
		page += 2;
	expect(page < PAGES && errno == ENOMEM, "there is no end of mappings");
	/* that took two at once; the last one */
	while (page > 1 && !mprotect(base + (page - 1) * PAGE, PAGE, PROT_WRITE))
		page = 1;
	return base;
}

/* A block of every third SuperSlab's blocks stays. */
static bool stays(unsigned i)
{
	return (uintptr_t)block[i] / HAK_SUPERSLAB_SIZE % 3 == 0;
}

static void fill(unsigned i)
{
	block[i] = malloc(SIZE);
	if (block[i])
		memset(block[i], (int)(i % 251), SIZE);
	else
		expect(errno == ENOMEM, "no ENOMEM");
}

static void check(unsigned i)
{
	for (size_t at = 0; block[i] && at < SIZE; at++)
		expect(block[i][at] == i % 251, "a block has changed");
}

int main(void)
{
	uint64_t before, peak, after;
	unsigned freed = 0, refilled = 0;
	char *used_up;

	before = resident();
	for (unsigned i = 0; i < BLOCKS; i++) {
		fill(i);
		expect(block[i], "no memory");
	}
	peak = resident();
	used_up = use_up_mappings();

	for (unsigned i = 0; i < BLOCKS; i++)
		if (!stays(i)) {
			free(block[i]);
			block[i] = NULL;
			freed++;
		}
	hak_trim(HAK_TRIM_ALL);
	hak_stats_read(&stats, sizeof(stats));
	after = resident();
	expect(stats.superslabs_refused > 0, "nothing was refused");
	expect(freed * SIZE > 40 * MIB, "nothing was freed");
	expect(peak - after > freed * SIZE / 10 * 9, "what cannot be unmapped keeps its memory");
	expect(!hak_check(), "the heap is damaged");
	expect(malloc((size_t)1 << 46) == NULL && errno == ENOMEM, "no ENOMEM");

	for (unsigned i = 0; i < BLOCKS; i++) {
		check(i);
		if (!block[i]) {
			fill(i);
			refilled += block[i] != NULL;
		}
	}
	expect(refilled * SIZE > 40 * MIB, "what was refused is not used again");
	for (unsigned i = 0; i < BLOCKS; i++)
		check(i);
	munmap(used_up, PAGES * PAGE);
	for (unsigned i = 0; i < BLOCKS; i++)
		free(block[i]);
	hak_trim(HAK_TRIM_ALL);
	hak_stats_read(&stats, sizeof(stats));
	/* one has what libc allocated for the library's own thread */
	expect(stats.superslabs_active <= 1 && stats.superslabs_peak > 40,
	       "what was refused stays");
	expect(resident() < before + 2 * MIB, "memory stays");
	expect(!hak_check(), "the heap is damaged");
	return 0;
}
