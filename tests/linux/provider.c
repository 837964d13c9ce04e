/* SPDX-License-Identifier: MIT */
/*
 * The provider of the Linux platform, asked directly: alignment, nothing left
 * behind, purging, moving, residency, that errno stays what it was; and through
 * the heap, what it maps ahead.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <hakmem/hakmem.h>
#include <hakmem/host.h>

#include "../test.h"

#define MIB  ((size_t)1 << 20)
#define PAGE HAK_GRANULE

static const struct hak_provider *linux_provider;

static char *map(size_t size, size_t align)
{
	struct hak_mapping mapping = { 0 };

	if (linux_provider->map(NULL, size, align, HAK_WANT_HEAP, &mapping))
		return NULL;
	return mapping.base;
}

static bool unmap(void *base, size_t size)
{
	return linux_provider->unmap(NULL, base, size) == 0;
}

/* Bytes of address space that the process has. */
static size_t virtual_size(void)
{
	size_t pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file && fscanf(file, "%zu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * PAGE;
}

static bool reads(const char *base, size_t size, char value)
{
	for (size_t i = 0; i < size; i++)
		if (base[i] != value)
			return false;
	return true;
}

static void provider_aligns(void)
{
	size_t before = virtual_size();

	for (size_t align = PAGE; align <= 64 * MIB; align *= 2) {
		char *odd = map(PAGE, PAGE), *base = map(2 * MIB, align);

		CHECK(odd && base);
		CHECK(((uintptr_t)base & (align - 1)) == 0);
		CHECK(reads(base, 2 * MIB, 0));
		/* exactly that, and no slack around it */
		CHECK(virtual_size() == before + 2 * MIB + PAGE);
		CHECK(unmap(base, 2 * MIB) && unmap(odd, PAGE));
		CHECK(virtual_size() == before);
	}
}

/* Can the byte at @address be read? The kernel tells, without a fault. */
static bool is_there(const char *address)
{
	int pipes[2];
	bool there;

	if (pipe(pipes))
		return false;
	there = write(pipes[1], address, 1) == 1;
	close(pipes[0]);
	close(pipes[1]);
	return there;
}

/* What is for records has guards inside of it, which go with it. */
static void provider_guards(void)
{
	static const size_t sizes[] = { 3 * HAK_GUARD, 2 * MIB, 5 * MIB };

	for (unsigned i = 0; i < 3; i++) {
		size_t size = sizes[i], align = i == 1 ? 2 * MIB : PAGE, before = virtual_size();
		struct hak_mapping mapping = { 0 };
		char *base, *first, *end;

		CHECK(!linux_provider->map(NULL, size, align, HAK_WANT_META, &mapping));
		base = mapping.base;
		first = base + HAK_GUARD;
		end = base + size - HAK_GUARD;
		CHECK(((uintptr_t)base & (align - 1)) == 0 && virtual_size() == before + size);
		CHECK(!is_there(base) && !is_there(first - 1) && is_there(first));
		CHECK(is_there(end - 1) && !is_there(end) && !is_there(base + size - 1));
		CHECK(reads(first, (size_t)(end - first), 0));
		memset(first, 1, (size_t)(end - first));
		CHECK(unmap(base, size) && virtual_size() == before);
	}
}

/* When no address space is left for more than the mapping: a guard takes none. */
static void provider_guards_at_limit(void)
{
	struct rlimit old, none = { virtual_size() + MIB + HAK_GUARD / 2, RLIM_INFINITY };
	struct hak_mapping mapping = { 0 };
	bool mapped, guarded;

	CHECK(getrlimit(RLIMIT_AS, &old) == 0);
	none.rlim_max = old.rlim_max;
	CHECK(setrlimit(RLIMIT_AS, &none) == 0);
	mapped = !linux_provider->map(NULL, MIB, PAGE, HAK_WANT_META, &mapping);
	guarded = mapped && !is_there(mapping.base);
	setrlimit(RLIMIT_AS, &old);
	CHECK(mapped && guarded && unmap(mapping.base, MIB));
}

static void provider_takes_parts_back(void)
{
	char *base = map(6 * MIB, 2 * MIB);
	size_t bytes;

	memset(base, 1, 6 * MIB);
	CHECK(unmap(base + 2 * MIB, 2 * MIB));
	CHECK(linux_provider->resident(NULL, base, 2 * MIB, &bytes) == 0 && bytes == 2 * MIB);
	CHECK(linux_provider->resident(NULL, base + 2 * MIB, PAGE, &bytes) != 0);
	CHECK(reads(base, 2 * MIB, 1) && reads(base + 4 * MIB, 2 * MIB, 1));
	CHECK(unmap(base, 2 * MIB) && unmap(base + 4 * MIB, 2 * MIB));
}

static void provider_purges(void)
{
	char *base = map(2 * MIB, 2 * MIB);
	size_t bytes;

	memset(base, 1, 2 * MIB);
	CHECK(linux_provider->purge(NULL, base + PAGE, 3 * PAGE) ==
	      (HAK_PAGES_ZERO | HAK_PAGES_PURGE));
	CHECK(linux_provider->resident(NULL, base, 2 * MIB, &bytes) == 0);
	CHECK(bytes == 2 * MIB - 3 * PAGE);
	CHECK(reads(base + PAGE, 3 * PAGE, 0));
	CHECK(base[0] == 1 && base[4 * PAGE] == 1);
	CHECK(unmap(base, 2 * MIB));
	CHECK(linux_provider->purge(NULL, base, PAGE) < 0);
}

/* Locked pages cannot be purged: a refusal, and they are as they were. */
static void provider_refuses_locked(void)
{
	char *base = map(2 * MIB, 2 * MIB);

	memset(base, 1, PAGE);
	CHECK(mlock(base, PAGE) == 0);
	CHECK(linux_provider->purge(NULL, base, PAGE) < 0);
	CHECK(base[0] == 1);
	CHECK(unmap(base, 2 * MIB));
}

/* Memory is there before it is touched, and what it reads stays; a hint that fails does no harm. */
static void provider_populates(void)
{
	char *base = map(2 * MIB, 2 * MIB);
	size_t bytes;

	base[PAGE] = 7;
	errno = 77;
	linux_provider->populate(NULL, base, 16 * PAGE);
	CHECK(linux_provider->resident(NULL, base, 2 * MIB, &bytes) == 0);
	CHECK(bytes == 16 * PAGE || bytes == PAGE); /* before Linux 5.14 */
	CHECK(base[PAGE] == 7 && reads(base, PAGE, 0));
	CHECK(unmap(base, 2 * MIB));
	linux_provider->populate(NULL, base, PAGE); /* nothing is there */
	CHECK(errno == 77);
}

/* It makes a spare mapping, which stays. */
static void first_move(void)
{
	char *from = map(2 * MIB, 2 * MIB), *to = map(2 * MIB, 2 * MIB);

	linux_provider->move(NULL, from, to, 2 * MIB);
	unmap(from, 2 * MIB);
	unmap(to, 2 * MIB);
}

/* What was here is there, without a copy; here it reads zero, and nothing is lost or gained. */
static void provider_moves(void)
{
	size_t before = virtual_size(), bytes;
	char *from = map(2 * MIB, 2 * MIB), *to = map(4 * MIB, 2 * MIB);

	memset(from, 7, MIB);
	memset(to, 8, MIB);
	errno = 77;
	CHECK(linux_provider->move(NULL, from, to + MIB, 2 * MIB) ==
	      (int)(HAK_PAGES_ZERO | HAK_PAGES_PURGE));
	CHECK(linux_provider->resident(NULL, from, 2 * MIB, &bytes) == 0 && bytes == 0);
	CHECK(reads(from, 2 * MIB, 0));
	CHECK(reads(to, MIB, 8) && reads(to + MIB, MIB, 7) && reads(to + 2 * MIB, MIB, 0));
	memset(from, 9, 2 * MIB);
	CHECK(linux_provider->move(NULL, from + PAGE, to, PAGE) >= 0);
	CHECK(reads(to, PAGE, 9) && reads(from + PAGE, PAGE, 0) && reads(from, PAGE, 9));
	CHECK(unmap(from, 2 * MIB));
	CHECK(linux_provider->move(NULL, from, to, 2 * MIB) < 0); /* nothing is there */
	CHECK(reads(to, PAGE, 9) && errno == 77);
	CHECK(unmap(to, 4 * MIB));
	CHECK(virtual_size() == before);
}

/* What is asked for is more than the limit leaves and the gap beside the heap gives up. */
static void provider_runs_out(void)
{
	struct rlimit old, tight;
	char *base;

	getrlimit(RLIMIT_AS, &old);
	tight = old;
	tight.rlim_cur = virtual_size() + 16 * MIB;
	CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
	errno = 77;
	base = map(256 * MIB, 2 * MIB);
	setrlimit(RLIMIT_AS, &old);
	CHECK(!base && errno == 77);
	CHECK(map((size_t)1 << 60, 2 * MIB) == NULL);
	CHECK(map(SIZE_MAX & ~(2 * MIB - 1), 4 * MIB) == NULL);
	CHECK(errno == 77);
}

#define BLOCK (2 * MIB) /* all of a SuperSlab */

/* Let the heap grow until more is mapped than it asked for; how many SuperSlabs that is. */
static size_t grow_until_ahead(void)
{
	for (unsigned i = 0; i < 200; i++) {
		size_t before = virtual_size(), more;

		if (!hak_malloc(BLOCK))
			break;
		more = virtual_size() - before;
		if (more > 2 * MIB)
			return more / (2 * MIB) - 1;
	}
	return 0;
}

static void limit_to(size_t size)
{
	struct rlimit limit;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = size;
	setrlimit(RLIMIT_AS, &limit);
}

/* A large heap has address space in store, which is given up before a mapping fails. */
static void provider_maps_ahead(void)
{
	size_t left;

	for (unsigned i = 0; i < 40; i++)
		CHECK(hak_malloc(BLOCK));
	left = grow_until_ahead();
	CHECK(left > 1 && left <= 16);
	limit_to(virtual_size() + MIB); /* for descriptors */
	for (size_t i = 0; i < left; i++)
		CHECK(hak_malloc(BLOCK));
	CHECK(!hak_malloc(BLOCK));
	limit_to(RLIM_INFINITY);

	left = grow_until_ahead();
	CHECK(left > 1 && left <= 16);
	limit_to(virtual_size() + 3 * MIB);
	CHECK(hak_malloc(left * 2 * MIB + BLOCK));
	limit_to(RLIM_INFINITY);
	CHECK(!hak_check());
}

int main(void)
{
	linux_provider = port_provider();
	provider_aligns(); /* once unmeasured: stdio allocates */
	first_move();
	TEST_RUN(provider_aligns);
	TEST_RUN(provider_guards);
	TEST_RUN(provider_guards_at_limit);
	TEST_RUN(provider_takes_parts_back);
	TEST_RUN(provider_purges);
	TEST_RUN(provider_refuses_locked);
	TEST_RUN(provider_populates);
	TEST_RUN(provider_moves);
	TEST_RUN(provider_runs_out);
	TEST_RUN(provider_maps_ahead);
	return test_finish();
}
