/* SPDX-License-Identifier: MIT */
/*
 * A block that is written beyond its ends, until that faults: what of the allocator has
 * changed by then? Nothing may. The program has blocks of all sizes, so many that there are
 * several SuperSlabs for bitmaps and many records. Then a child for each place where the
 * SuperSlabs of blocks end, up and down, and for each of some strides below HAK_GUARD:
 * it writes from inside of the last block on, and beyond. Before and after it sums up all
 * memory that is writable, but for SuperSlabs of blocks and the stack: records, bitmaps, and
 * the static data of the library, of libc and of this program.
 *
 * And every mapping of the allocator's own has no neighbour that can be written to.
 *
 * What is mapped is read from /proc/self/maps, what is for bitmaps from hak_dump().
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hakmem/hakmem.h>
#include <hakmem/provider.h>
#include <hakmem/stats.h>

#define MOST	  512u /* SuperSlabs, and mappings */
#define SUPER	  HAK_SUPERSLAB_SIZE
#define BLOCKS	  20000u
#define UNTOUCHED 700000u /* of 400 bytes: more than one SuperSlab of bitmaps tells of */
#define ROOM	  ((size_t)64 << 20)
#define FAR	  ((size_t)8 << 20)

struct map {
	uintptr_t start, end;
	uint64_t sum;
	bool writable, readable, stack, anonymous;
};

/* All that is found out before it starts lies here, and is not summed up. */
static struct facts {
	uintptr_t super[MOST];
	bool is_metadata[MOST];
	unsigned supers;
	char text[256 << 10];
	size_t length;
	struct map map[MOST];
	unsigned maps;
	sigjmp_buf faulted;
} * facts;

static void collect(void *ctx, const char *text, size_t length)
{
	(void)ctx;
	if (facts->length + length < sizeof(facts->text)) {
		memcpy(facts->text + facts->length, text, length);
		facts->length += length;
	}
}

/* The SuperSlabs, from the lines of the second table. */
static void read_superslabs(void)
{
	facts->length = facts->supers = 0;
	hak_dump(collect, NULL);
	facts->text[facts->length] = 0;
	for (char *line = facts->text; (line = strstr(line, "\n0x")) && facts->supers < MOST;) {
		char *end = strchr(line + 1, '\n');

		facts->super[facts->supers] = strtoul(line + 1, NULL, 16);
		facts->is_metadata[facts->supers++] =
			end[-1] == '|' && memchr(line, 'b', end - line);
		line = end;
	}
}

static void read_maps(void)
{
	int file = open("/proc/self/maps", O_RDONLY);
	size_t length = 0;
	ssize_t got;

	while ((got = read(file, facts->text + length, sizeof(facts->text) - 1 - length)) > 0)
		length += (size_t)got;
	close(file);
	facts->text[length] = 0;
	facts->maps = 0;
	for (char *line = facts->text; *line && facts->maps < MOST; line = strchr(line, '\n') + 1) {
		struct map *map = &facts->map[facts->maps++];
		char *rest, *end = strchr(line, '\n');

		map->start = strtoul(line, &rest, 16);
		map->end = strtoul(rest + 1, &rest, 16);
		map->readable = rest[1] == 'r';
		map->writable = rest[2] == 'w';
		map->stack = memmem(line, end - line, "[stack]", 7);
		map->anonymous = memmem(line, end - line, " 00:00 0 ", 9);
	}
}

/* Is @address in a SuperSlab of blocks (1), or of bitmaps (2)? */
static int kind_of(uintptr_t address)
{
	for (unsigned i = 0; i < facts->supers; i++)
		if (address - facts->super[i] < SUPER)
			return facts->is_metadata[i] ? 2 : 1;
	return 0;
}

/*
 * Is this the start of what may change: 2 MiB in a mapping that begins or ends with a SuperSlab of
 * blocks? Some of them may only be mapped ahead.
 */
static bool is_heap(uintptr_t at, const struct map *map)
{
	return at % SUPER == 0 && map->end - at >= SUPER && kind_of(at) != 2 &&
	       (kind_of(map->start) == 1 || kind_of(map->end - 1) == 1);
}

/* The sum of all in a mapping that may not change. */
static uint64_t sum_of(const struct map *map)
{
	uint64_t sum = 14695981039346656037u;

	if (!map->writable || map->stack || map->start == (uintptr_t)facts)
		return 0;
	for (uintptr_t at = map->start; at < map->end;) {
		if (is_heap(at, map)) {
			at += SUPER;
			continue;
		}
		for (size_t end = at + HAK_GRANULE; at < end; at += 8)
			sum = (sum ^ *(volatile uint64_t *)at) * 1099511628211u;
	}
	return sum;
}

static void sum_up(void)
{
	for (unsigned i = 0; i < facts->maps; i++)
		facts->map[i].sum = sum_of(&facts->map[i]);
}

/* Has anything changed since? Says what. */
static bool has_changed(void)
{
	for (unsigned i = 0; i < facts->maps; i++) {
		const struct map *map = &facts->map[i];

		if (sum_of(map) == map->sum)
			continue;
		printf("changed: %lx-%lx\n", map->start, map->end);
		return true;
	}
	return false;
}

static void on_fault(int number)
{
	(void)number;
	siglongjmp(facts->faulted, 1);
}

/* In a child: 0 if nothing changed that may not, 1 if something did, 2 if nothing faults. */
static int overflow(volatile uintptr_t from, ptrdiff_t stride)
{
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sum_up();
	if (!sigsetjmp(facts->faulted, 1)) {
		for (size_t done = 0; done < FAR; done += (size_t)labs(stride), from += stride)
			*(volatile uint64_t *)from ^= 0xa5a5a5a5a5a5a5a5u;
		return has_changed() ? 1 : 2;
	}
	if (has_changed())
		return 1;
	if (hak_check())
		return 1;
	for (unsigned i = 0; i < 1000; i++) {
		void *block = malloc(1 + i);

		if (!block || kind_of((uintptr_t)block) == 2)
			return 1;
	}
	return 0;
}

static int status;

static void fail(const char *name, uintptr_t from, ptrdiff_t stride, const char *why)
{
	fprintf(stdout, "FAIL %s: from %#lx in steps of %ld: %s\n", name, from, stride, why);
	status = 1;
}

static void test_edge(uintptr_t from, int way)
{
	static const ptrdiff_t strides[] = { 8, 200, 4096, 65528 };

	for (unsigned i = 0; i < 4; i++) {
		int result;
		pid_t child = fork();

		if (!child)
			_exit(overflow(from, way * strides[i]));
		waitpid(child, &result, 0);
		if (!WIFEXITED(result))
			fail("overflow", from, way * strides[i], "it was killed");
		else if (WEXITSTATUS(result) == 1)
			fail("overflow", from, way * strides[i],
			     "something of the allocator's changed");
	}
}

/* Each side of each SuperSlab of blocks that has no other one of blocks there. */
static void test_edges(void)
{
	unsigned edges = 0;

	for (unsigned i = 0; i < facts->supers; i++) {
		uintptr_t base = facts->super[i];

		if (facts->is_metadata[i])
			continue;
		if (kind_of(base + SUPER) != 1) {
			test_edge(base + SUPER - 4096, 1);
			edges++;
		}
		if (kind_of(base - SUPER) != 1) {
			test_edge(base + 4096, -1);
			edges++;
		}
	}
	if (edges < 4)
		fail("overflow", edges, 0, "so few edges");
	if (!status)
		printf("ok overflow (%u edges)\n", edges);
}

/* What `free()` says of an address. */
static bool is_internal(uintptr_t address)
{
	char text[256] = "";
	int pipes[2], result;
	pid_t child;

	if (pipe(pipes) || (child = fork()) < 0)
		return false;
	if (!child) {
		dup2(pipes[1], STDERR_FILENO);
		free((void *)address);
		_exit(0);
	}
	waitpid(child, &result, 0);
	if (read(pipes[0], text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(pipes[0]);
	close(pipes[1]);
	return strstr(text, "memory that the allocator itself uses");
}

/* Before and behind each mapping of the allocator's lies one that nobody can write to. */
static void test_guards(void)
{
	unsigned pieces = 0, bitmaps = 0;
	bool good = true;

	for (unsigned i = 1; i + 1 < facts->maps; i++) {
		struct map *map = &facts->map[i];
		bool bitmap = kind_of(map->start) == 2;

		if (!map->writable || !map->anonymous || map->stack ||
		    (!bitmap && (kind_of(map->start) || !is_internal(map->start + 64))))
			continue;
		pieces++;
		bitmaps += bitmap;
		if (map[-1].end != map->start || map[-1].readable || map[-1].writable ||
		    map[1].start != map->end || map[1].readable || map[1].writable ||
		    map[-1].end - map[-1].start < HAK_GUARD ||
		    map[1].end - map[1].start < HAK_GUARD) {
			fail("guards", map->start, 0, "without a guard");
			good = false;
		}
	}
	if (pieces < 4 || bitmaps < 2)
		fail("guards", pieces, bitmaps, "so few pieces");
	else if (good)
		printf("ok guards (%u mappings, %u of bitmaps)\n", pieces, bitmaps);
}

int main(void)
{
	static void *block[BLOCKS];
	cpu_set_t cpus = { 0 };
	char *room;
	unsigned metadata = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	/* the kernel notes in thread-local storage which CPU this is on */
	CPU_SET(sched_getcpu(), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	/* far from all that a child writes to */
	room = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	facts = (struct facts *)(room + ROOM / 2);
	if (room == MAP_FAILED || mprotect(facts, sizeof(*facts), PROT_READ | PROT_WRITE))
		return 2;
	for (unsigned i = 0; i < BLOCKS; i++) {
		block[i] = malloc(i % 1000 ? 1 + i * 7919u % 3000 : i * 60);
		if (block[i])
			memset(block[i], 1, 16);
	}
	for (unsigned i = 0; i < UNTOUCHED; i++)
		if (!malloc(400))
			return 2;
	for (unsigned i = 0; i < BLOCKS; i += 2)
		free(block[i]);
	read_superslabs();
	read_maps();
	for (unsigned i = 0; i < facts->supers; i++)
		metadata += facts->is_metadata[i];
	if (metadata < 2) {
		fail("overflow", facts->supers, metadata,
		     "bitmaps have no SuperSlabs of their own");
		return 1;
	}
	test_guards();
	test_edges();
	return status;
}
