/* SPDX-License-Identifier: MIT */
/*
 * Guarded samples, on both platforms: which accesses fault, what is said of them, and how long.
 */
#include "../test.h"

#include <base/sizeclass.h>
#include <hakmem/hakmem.h>
#include <hakmem/samples.h>
#include <pages/pagemap.h>

#include "fault.h"
#include "text.h"

#define SLOTS ((HAK_GUARD_PAGES - 1) / 2)
#define PAGE  4096

static char *blocks[SLOTS + 8];

static bool says(const char *part)
{
	for (size_t i = 0; i < length; i++) {
		size_t n = 0;

		while (part[n] && text[i + n] == part[n])
			n++;
		if (!part[n])
			return true;
	}
	return false;
}

/* The report of an access that has faulted, by @frame. */
static bool is_reported(const void *address, void *frame)
{
	length = 0;
	return hak_guard_report(address, frame ? &frame : NULL, frame != NULL, collect, NULL);
}

static bool is_guarded(const void *block)
{
	return pagemap_class((uintptr_t)block) == CLASS_MIXED;
}

static bool begin(size_t one_in)
{
	hak_fini();
	return hak_init(port_provider()) && hak_guard_start(one_in);
}

static bool end(void)
{
	bool right = !hak_check();

	hak_fini();
	return right;
}

/* A guarded block: those before it, of a class that is not used otherwise, may be ordinary ones. */
static char *guarded(size_t size)
{
	for (unsigned i = 0; i < 512; i++) {
		char *block = hak_malloc(size);

		if (!block || is_guarded(block))
			return block;
	}
	return NULL;
}

/* All bytes of a block can be used, and the first on one side of it cannot. */
static bool is_at_edge(char *block, size_t size)
{
	bool left = (uintptr_t)block % PAGE == 0;
	char *bad = left ? block - 1 : block + size;

	for (size_t i = 0; i < size; i++)
		if (fault_by_write(block + i) || fault_by_read(block + i))
			return false;
	if (!fault_by_read(bad) || !fault_by_write(bad) || !is_reported(bad, NULL))
		return false;
	return says("guard: overflow: access to 0x") && says("allocated by:\n    0x") &&
	       !says("freed by") && says("accessed by:\n    unknown\n") &&
	       says(left ? ", 1 bytes before the start of a block of "
			 : ", 0 bytes behind the end of a block of ");
}

static void guard_finds_overflows(void)
{
	unsigned left = 0, n = 0;

	CHECK(begin(1));
	for (size_t size = 16; size <= PAGE && n < SLOTS - 1; size += 240, n++) {
		char *block = guarded(size);

		CHECK(block && hak_usable_size(block) == size);
		CHECK(is_at_edge(block, size));
		left += (uintptr_t)block % PAGE == 0;
	}
	CHECK(left > 0 && left < n);
	CHECK(end());
}

static void guard_finds_use_after_free(void)
{
	char *block;
	int here;

	CHECK(begin(1));
	block = guarded(200);
	CHECK(block && !fault_by_write(block));
	hak_free(block);
	CHECK(fault_by_read(block) && fault_by_write(block + 199) && fault_by_read(block + 50));
	CHECK(is_reported(block + 50, &here));
	CHECK(says("guard: use after free: access to 0x") &&
	      says(", 50 bytes into a block of 200 bytes at 0x"));
	CHECK(says("allocated by:\n    0x") && says("freed by:\n    0x"));
	CHECK(says("accessed by:\n    0x"));
	CHECK(!is_reported(&here, NULL) && !is_reported(NULL, NULL) && !length);
	CHECK(end());
}

/* A page is used again as late as possible. */
static void guard_keeps_freed_blocks(void)
{
	char *first;

	CHECK(begin(1));
	first = guarded(64);
	CHECK(first);
	hak_free(first);
	for (unsigned i = 1; i < SLOTS; i++) {
		char *block = guarded(64);

		CHECK(block && (uintptr_t)block / PAGE != (uintptr_t)first / PAGE);
		CHECK(fault_by_read(first));
		hak_free(block);
	}
	blocks[0] = guarded(64);
	CHECK((uintptr_t)blocks[0] / PAGE == (uintptr_t)first / PAGE);
	CHECK(!fault_by_read(blocks[0]));
	hak_free(blocks[0]);
	CHECK(end());
}

/* When all pages are in use, blocks are ordinary ones. */
static void guard_runs_out(void)
{
	struct hak_samples counts;
	unsigned n = 0;

	CHECK(begin(1));
	for (unsigned i = 0; i < SLOTS; i++) {
		blocks[i] = guarded(500);
		CHECK(blocks[i] && is_guarded(blocks[i]));
	}
	hak_samples_read(&counts, sizeof(counts));
	CHECK(counts.guarded == SLOTS && counts.guard_missed == 0);
	for (unsigned i = 0; i < 100; i++) {
		void *block = hak_malloc(500);

		CHECK(block && !is_guarded(block));
	}
	hak_samples_read(&counts, sizeof(counts));
	CHECK(counts.guarded == SLOTS && counts.guard_missed > 0);
	for (unsigned i = 0; i < SLOTS; i++)
		hak_free(blocks[i]);
	for (unsigned i = 0; i < 100; i++)
		n += is_guarded(hak_malloc(500));
	CHECK(n > 0);
	hak_guard_stop();
	for (unsigned i = 0; i < 100; i++)
		CHECK(!is_guarded(hak_malloc(700)));
	CHECK(end());
}

/* Of what is fetched from slabs, one in so many. */
static void guard_is_rare(void)
{
	struct hak_samples counts;
	unsigned n = 200000;
	size_t right = n / 10000, got;

	CHECK(begin(10000));
	for (unsigned i = 0; i < n; i++) {
		void *block = hak_malloc(24);

		CHECK(block);
	}
	hak_samples_read(&counts, sizeof(counts));
	got = counts.guarded + counts.guard_missed;
	CHECK(got > right / 2 && got < right * 2);
	CHECK(end());
}

static void guarded_blocks_are_blocks(void)
{
	char *block;

	CHECK(begin(1));
	block = guarded(300);
	CHECK(block);
	__builtin_memset(block, 7, 300);
	block = hak_realloc(block, 290); /* it stays */
	CHECK(block && is_guarded(block));
	block = hak_realloc(block, 4000);
	CHECK(block && block[0] == 7 && block[289] == 7);
	hak_free(block);
	for (unsigned i = 0; i < 32; i++) {
		size_t align = (size_t)1 << (4 + i % 9);

		block = hak_aligned_alloc(align, 100);
		CHECK(block && (uintptr_t)block % align == 0);
		hak_free_aligned_sized(block, align, 100);
		block = hak_zalloc(100);
		for (unsigned j = 0; j < 100; j++)
			CHECK(block && !block[j]);
		hak_free_sized(block, 100);
	}
	CHECK(!hak_guard_start(0) && hak_guard_start(5));
	CHECK(end());
}

/* After hak_fini(), no page of the provider faults. */
static void guard_ends(void)
{
	CHECK(begin(1));
	for (unsigned i = 0; i < 4; i++)
		hak_free(guarded(64));
	hak_fini();
	CHECK(hak_init(port_provider()));
	for (unsigned i = 0; i < 32; i++) {
		char *block = hak_malloc(1 << 20);

		CHECK(block);
		for (size_t j = 0; j < 1 << 20; j += PAGE)
			CHECK(!fault_by_write(block + j));
	}
	CHECK(end());
}

int main(void)
{
	fault_init();
	TEST_RUN(guard_finds_overflows);
	TEST_RUN(guard_finds_use_after_free);
	TEST_RUN(guard_keeps_freed_blocks);
	TEST_RUN(guard_runs_out);
	TEST_RUN(guard_is_rare);
	TEST_RUN(guarded_blocks_are_blocks);
	TEST_RUN(guard_ends);
	return test_finish();
}
