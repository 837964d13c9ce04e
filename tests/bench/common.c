/* SPDX-License-Identifier: MIT */
/*
 * What the benchmarks have in common: messages, time, random numbers, sizes,
 * and memory that is not the heap's. They run with any malloc, so nothing here
 * may allocate: a run would measure its own tools.
 */
#define _GNU_SOURCE /* program_invocation_short_name, RTLD_DEFAULT */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

uint64_t random_run = 1;
static uint64_t resident_mapped; /* bytes */

static void write_text(int file, const char *format, va_list arguments)
{
	static char text[1024];
	int length = vsnprintf(text, sizeof(text), format, arguments);

	if (length >= (int)sizeof(text) || write(file, text, (size_t)length) != length)
		_exit(2);
}

void fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_text(STDERR_FILENO, format, arguments);
	va_end(arguments);
	_exit(1);
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_text(STDOUT_FILENO, format, arguments);
	va_end(arguments);
}

void *map_memory(size_t size, int flags)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags,
			  -1, 0);

	if (base == MAP_FAILED)
		fail("%s: cannot map %zu bytes: %s\n", program_invocation_short_name, size,
		     strerror(errno));
	return base;
}

void *map_resident(size_t size)
{
	resident_mapped += size;
	return map_memory(size, MAP_POPULATE);
}

uint64_t read_number(const char *path, const char *key)
{
	char text[8192];
	int file = open(path, O_RDONLY);
	ssize_t n = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
	const char *found;

	if (file >= 0)
		close(file);
	text[n < 0 ? 0 : n] = '\0';
	found = strstr(text, key);
	if (!found)
		fail("%s: no %s in %s\n", program_invocation_short_name, key, path);
	return strtoull(found + strlen(key), NULL, 10);
}

uint64_t own_kib(void)
{
	const char *status = "/proc/self/status";
	uint64_t anonymous = read_number(status, "\nRssAnon:");
	uint64_t now = read_number(status, "\nVmRSS:"), peak = read_number(status, "\nVmHWM:");

	return anonymous + (peak > now ? peak - now : 0) - resident_mapped / KIB;
}

uint64_t peak_kib(void)
{
	return read_number("/proc/self/status", "\nVmHWM:") - resident_mapped / KIB;
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

uint64_t cpu_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
}

void sleep_ms(uint64_t ms)
{
	struct timespec time = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

/* splitmix64: states that have nothing to do with each other, and none is 0. */
uint64_t random_seed(uint64_t number)
{
	uint64_t z = (random_run << 32 | (number + 1)) * 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) | 1;
}

void mix_log_uniform(struct mix *mix, uint32_t least, uint32_t most)
{
	for (uint32_t i = 0; i < MIX_SIZES; i++) {
		double share = (i + 0.5) / MIX_SIZES;

		mix->sizes[i] = (uint32_t)(least * pow((double)most / least, share));
	}
}

void mix_uniform(struct mix *mix, uint32_t least, uint32_t most)
{
	for (uint32_t i = 0; i < MIX_SIZES; i++)
		mix->sizes[i] = least + (uint32_t)((uint64_t)i * (most - least + 1) / MIX_SIZES);
}

bool options_parse(const struct option *options, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(options[i].name);
		char *end;

		if (strncmp(text, options[i].name, length) || text[length] != '=')
			continue;
		*options[i].value = strtoull(text + length + 1, &end, 10);
		return end > text + length + 1 && !*end;
	}
	return false;
}

void options_print(const struct option *options, size_t n)
{
	for (size_t i = 0; i < n; i++)
		print("%10s=%llu\n", options[i].name, (unsigned long long)*options[i].value);
}

bool read_stats(struct hak_stats *stats)
{
	void (*stats_read)(struct hak_stats * stats, size_t size);

	*(void **)&stats_read = dlsym(RTLD_DEFAULT, "hak_stats_read");
	if (stats_read)
		stats_read(stats, sizeof(*stats));
	return stats_read;
}
