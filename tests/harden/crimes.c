/* SPDX-License-Identifier: MIT */
/*
 * Crimes against the heap of the hardened build, each in a heap of its own, with blocks of all
 * sizes, on both platforms: who catches it, and when.
 */
#include "../test.h"

#include <base/sizeclass.h>
#include <hakmem/hakmem.h>

#include "catch.h"

#define SLAB_MOST 32760 /* larger blocks have a guard */

static const size_t sizes[] = {
	0,    1,    8,	  15,	16,    24,    40,    64,    100,    120,     256,	    1000,
	1024, 4000, 4096, 9000, 16384, 20000, 32760, 32768, 100000, 1 << 20, (3 << 20) + 5,
};

/* Hidden from the compiler, which would know that all this is wrong. */
static char *volatile block;
static char *volatile other;
static void *volatile lost;
static volatile size_t size, at;
static volatile char value;
static bool guards; /* pages can be made to fault */

static bool is_large(void)
{
	return size > SLAB_MOST;
}

/* Some neighbours, so that the slab stays. */
static char *allocate(void)
{
	lost = hak_malloc(size);
	block = hak_malloc(size);
	lost = hak_malloc(size);
	return block;
}

static bool line_has(const char *part)
{
	return test_find(caught_line, part);
}

static bool begin(void)
{
	return hak_init(port_provider());
}

static void end(void)
{
	hak_fini();
}

/* @what is in the line with which this stops, whatever the size. */
static void expect_stop(void (*commit)(void), const char *what)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		enum caught caught;

		size = sizes[i];
		CHECK(begin());
		allocate();
		CHECK(block);
		caught = catch (commit);
		end();
		if (caught != CAUGHT_STOP || !line_has(what))
			test_print("size %zu: caught %u: %s\n", size, caught, caught_line);
		CHECK(caught == CAUGHT_STOP && line_has(what));
	}
}

/* ---------------------------------------------------------------------- bad frees */

static void free_twice(void)
{
	hak_free(block);
	hak_free(block);
}

static void free_other_between(void)
{
	other = hak_malloc(size);
	hak_free(block);
	hak_free(other);
	hak_free(block);
}

/* It has left the quarantine, and the magazine. */
static void free_many_between(void)
{
	static void *volatile many[200];

	hak_free(block);
	for (unsigned turn = 0; turn < 5; turn++) {
		for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
			many[i] = size > 20000 ? NULL : hak_malloc(size);
		for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
			hak_free(many[i]);
	}
	hak_flush();
	for (unsigned i = 0; i < 300 && is_large(); i++)
		hak_free(hak_malloc(size));
	hak_free(block);
}

static void free_after_move(void)
{
	lost = hak_realloc(block, size + 200000);
	hak_free(block);
}

static void free_after_realloc(void)
{
	other = hak_realloc(block, size ? size : 1);
	hak_free(other);
	hak_free(block);
}

static void realloc_freed(void)
{
	hak_free(block);
	lost = hak_realloc(block, size + 1);
}

static void size_of_freed(void)
{
	hak_free(block);
	at = hak_usable_size(block);
}

static void sized_of_freed(void)
{
	hak_free(block);
	hak_free_sized(block, size);
}

static void bad_frees(void)
{
	expect_stop(free_twice, "double free");
	expect_stop(free_after_move, "double free");
	expect_stop(realloc_freed, "double free");
	expect_stop(size_of_freed, "double free");
	expect_stop(sized_of_freed, "double free");
}

/* Its slab, or span, may be gone, or begin with something else. */
static void late_frees(void)
{
	expect_stop(free_other_between, "");
	expect_stop(free_many_between, "");
	expect_stop(free_after_realloc, ""); /* where it moves, the other one may take its place */
}

static void free_inside(void)
{
	hak_free(block + (size ? 8 : 4));
}

static void free_far_inside(void)
{
	hak_free(block + (size > 32 ? size / 2 : 4));
}

static void free_last_byte(void)
{
	hak_free(block + (size ? size - 1 : 3) + (size == 1));
}

static void free_never_allocated(void)
{
	hak_free(block + (is_large() ? 65536 + 8 : 5 * hak_good_size(size) + 40));
}

static void free_stack(void)
{
	char local[64];

	other = local;
	hak_free(other + 16);
}

static void free_wrong_size(void)
{
	hak_free_sized(block, size + 1);
}

static void free_smaller_size(void)
{
	hak_free_sized(block, size ? size - 1 : 16);
}

static void free_wrong_align(void)
{
	hak_free_aligned_sized(block, 1 << 22, size);
}

static void bad_pointers(void)
{
	expect_stop(free_inside, "inside a block");
	expect_stop(free_far_inside, "inside a block");
	expect_stop(free_last_byte, "inside a block");
	expect_stop(free_never_allocated, "");
	expect_stop(free_stack, "not from this heap");
}

static void bad_sizes(void)
{
	expect_stop(free_wrong_size, "given for a block of");
	expect_stop(free_smaller_size, "given for a block of");
	expect_stop(free_wrong_align, "given for a block of");
}

/* --------------------------------------------------------------- writes after free */

static void write_after_free(void)
{
	hak_free(block);
	block[at] = 'w';
}

static void write_and_use(void)
{
	write_after_free();
	for (unsigned i = 0; i < 20000; i++)
		hak_free(hak_malloc(size));
}

static void write_and_scan(void)
{
	write_after_free();
	while (hak_idle(1))
		;
}

static void write_and_check(void)
{
	write_after_free();
	hak_check();
}

static void writes(void)
{
	static void (*const ways[])(void) = { write_and_use, write_and_scan, write_and_check };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned w = 0; w < 9 && sizes[i]; w++) {
			enum caught caught;

			size = sizes[i];
			at = w % 3 == 0 ? 0 : w % 3 == 1 ? size / 2 : size - 1;
			CHECK(begin());
			allocate();
			if (!guards && is_large()) {
				end();
				continue;
			}
			caught = catch (ways[w / 3]);
			end();
			if (caught == CAUGHT_NOT)
				test_print("size %zu, byte %zu, way %u\n", size, at, w / 3);
			CHECK(caught == (is_large() ? CAUGHT_FAULT : CAUGHT_STOP));
			CHECK(is_large() || line_has("after its free"));
		}
	}
}

static void read_after_free(void)
{
	__builtin_memset(block, 0x5a, size);
	hak_free(block);
	for (size_t i = 0; i < size; i++)
		at |= (size_t)block[i];
}

static void reads(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		enum caught caught;

		size = sizes[i];
		at = 0;
		CHECK(begin());
		allocate();
		caught = catch (read_after_free);
		end();
		CHECK(caught == (guards && is_large() ? CAUGHT_FAULT : CAUGHT_NOT) && !at);
	}
}

/* ----------------------------------------------------------------------- overflows */

static void overflow_by_one(void)
{
	block[size] = value;
}

static void overflow_by_many(void)
{
	for (size_t i = 0; i < 24; i++)
		block[size + i] = value;
}

static void (*volatile overflow)(void);

static void overflow_and_free(void)
{
	overflow();
	hak_free(block);
}

static void overflow_and_realloc(void)
{
	overflow();
	lost = hak_realloc(block, size + 1);
}

static void overflow_and_scan(void)
{
	overflow();
	while (hak_idle(1))
		;
}

static void overflow_and_check(void)
{
	overflow();
	hak_check();
}

/* A large block is mostly caught by its guard. What lies before the guard is compared by free. */
static void expect_overflow(void (*commit)(void), bool at_free)
{
	static const char values[] = { 0, 'A', (char)0xff };
	bool faults = guards && is_large() && (overflow == overflow_by_many || size % 16 == 0);
	enum caught caught;

	if (is_large() && !faults && !at_free)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		value = values[i];
		/* a seal of zeros is that of a free block: only free knows better */
		if (!value && !at_free && overflow == overflow_by_many && !faults)
			continue;
		CHECK(begin());
		allocate();
		caught = catch (commit);
		end();
		if (caught == CAUGHT_NOT)
			test_print("size %zu, value %u\n", size, (unsigned)value & 0xff);
		CHECK(caught == (faults ? CAUGHT_FAULT : CAUGHT_STOP));
		CHECK(faults || line_has("behind its end") || (!value && line_has("double free")));
	}
}

static void overflows_of(void (*kind)(void))
{
	overflow = kind;
	for (size_t i = 0; i < ARRAY_SIZE(sizes) && !test_has_failed(); i++) {
		size = sizes[i];
		expect_overflow(overflow_and_free, true);
		expect_overflow(overflow_and_realloc, true);
		expect_overflow(overflow_and_scan, false);
		expect_overflow(overflow_and_check, false);
	}
}

static void overflows_by_one(void)
{
	overflows_of(overflow_by_one);
}

static void overflows_by_many(void)
{
	overflows_of(overflow_by_many);
}

/* -------------------------------------------------------------------- what is right */

/* A block that is freed is never the next one, and it cannot be told which one will be. */
static void reuse(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		static char *volatile mine[40];
		unsigned orders = 0, last = 0;

		size = sizes[i];
		if (size >= (1 << 20))
			continue;
		CHECK(begin());
		for (unsigned turn = 0; turn < 400; turn++) {
			unsigned n = 0;

			block = hak_malloc(size);
			hak_free(block);
			other = hak_malloc(size);
			CHECK(other != block);
			hak_free(other);
			while (n < 40 && mine[n] != other)
				n++;
			orders += n < 40 && n != (last + 1) % 40;
			last = n;
			mine[turn % 40] = other;
		}
		CHECK(orders > 10);
		CHECK(!hak_check());
		end();
	}
}

/* All of the API, and what it says of blocks. */
static void manners(void)
{
	CHECK(begin());
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size = sizes[i];
		block = hak_calloc(1, size);
		CHECK(block && hak_usable_size(block) == size && hak_good_size(size) >= size);
		for (size_t b = 0; b < size; b++)
			CHECK(!block[b]);
		__builtin_memset(block, 0x5a, size);
		for (size_t to = size; to < size + 100; to += 7) {
			block = hak_realloc(block, to + 1);
			CHECK(block && hak_usable_size(block) == to + 1);
			for (size_t b = 0; b < size; b += 1 + size / 100)
				CHECK(block[b] == 0x5a);
		}
		block = hak_realloc(block, size / 3 + 1);
		CHECK(block && hak_usable_size(block) == size / 3 + 1);
		hak_free_sized(block, size / 3 + 1);
		for (size_t align = 1; align <= (1 << 21); align *= 2) {
			block = hak_aligned_alloc(align, size);
			CHECK(block && (uintptr_t)block % align == 0);
			CHECK(hak_usable_size(block) == size);
			__builtin_memset(block, 0xff, size);
			hak_free_aligned_sized(block, align, size);
			block = hak_zalloc_aligned(align, size);
			CHECK(block && (uintptr_t)block % align == 0);
			for (size_t b = 0; b < size; b += 1 + size / 1000)
				CHECK(!block[b]);
			block = hak_realloc_aligned(block, align, size + 1);
			CHECK(block && (uintptr_t)block % align == 0);
			hak_free_aligned_sized(block, align, size + 1);
		}
		CHECK(!hak_check());
	}
	(void)hak_trim(HAK_TRIM_ALL);
	CHECK(!hak_check());
	end();
}

static void probe_guards(void)
{
	block[size] = 1;
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	catch_init();
	hak_fini();
	size = 65536;
	if (begin() && allocate())
		guards = catch (probe_guards) == CAUGHT_FAULT;
	end();
	TEST_RUN(bad_frees);
	TEST_RUN(late_frees);
	TEST_RUN(bad_pointers);
	TEST_RUN(bad_sizes);
	TEST_RUN(writes);
	TEST_RUN(reads);
	TEST_RUN(overflows_by_one);
	TEST_RUN(overflows_by_many);
	TEST_RUN(reuse);
	TEST_RUN(manners);
	return test_finish();
}
