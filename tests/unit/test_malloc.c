/* SPDX-License-Identifier: MIT */
/*
 * core/api: every function of the API, at the edges of its arguments and at
 * the edges between classes and spans, over memory that is never zero by luck.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <pages/pages.h>
#include <cache/cache.h>
#include <cache/magazine.h>
#include <base/sizeclass.h>
#include <superslab/superslab.h>

#define TOO_LARGE ((size_t)PTRDIFF_MAX + 1)

/* The compiler warns of sizes that nothing can hold; these are meant. */
static size_t hidden(size_t size)
{
	OPTIMIZER_HIDE_VAR(size);
	return size;
}

static uint64_t active(void)
{
	struct arena_counters counters;

	arena_read_counters(&counters);
	return counters.active;
}

/* Each class and its neighbours, and spans up to some MiB. */
static void malloc_sizes(void)
{
	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	for (size_t size = 0; size <= 3 * MIB; size += size < 40000 ? 1 + size / 64 : 70001) {
		size_t good = hak_good_size(size);
		uint8_t *block = hak_malloc(size);

		CHECK(block && (uintptr_t)block % HAK_MIN_ALIGN == 0);
		CHECK(size <= 8 || (uintptr_t)block % 16 == 0);
		CHECK(good >= size && good && hak_usable_size(block) == good);
		CHECK(hak_owns(block) && hak_owns(block + good - 1));
		unit_fill(block, good, (unsigned)size);
		CHECK(unit_is_filled(block, good, (unsigned)size));
		hak_free(block);
	}
	CHECK(!hak_check());
	hak_trim(HAK_TRIM_ALL);
	CHECK(active() == 0);
	CHECK(unit_close());
}

static void malloc_zero_bytes(void)
{
	void *one, *two;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	one = hak_malloc(0);
	two = hak_malloc(0);
	CHECK(one && two && at(one) != at(two));
	CHECK(hak_usable_size(one) == HAK_MIN_ALIGN);
	hak_free(one);
	hak_free(two);
	hak_free(NULL);
	hak_free_sized(NULL, 5);
	one = hak_zalloc(0);
	two = hak_calloc(0, SIZE_MAX);
	CHECK(one && two && at(one) != at(two));
	hak_free(one);
	hak_free(two);
	two = hak_calloc(SIZE_MAX, 0);
	CHECK(two);
	hak_free(two);
	CHECK(unit_close());
}

/* Sizes that no memory can hold: NULL, and nothing has changed. */
static void malloc_too_large(void)
{
	static const size_t sizes[] = { TOO_LARGE,   SIZE_MAX,	      SIZE_MAX - 4096,
					PTRDIFF_MAX, (size_t)1 << 48, 16 * MIB };
	uint8_t *block, *span;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	block = hak_malloc(100);
	span = hak_malloc(100000);
	CHECK(block && span);
	unit_fill(block, 100, 1);
	unit_fill(span, 100000, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t size = hidden(sizes[i]);

		CHECK(!hak_malloc(size));
		CHECK(!hak_zalloc(size));
		CHECK(!hak_calloc(1, size) && !hak_calloc(size, 1) && !hak_calloc(size, 2));
		CHECK(!hak_aligned_alloc(16, size) && !hak_aligned_alloc(1 * MIB, size));
		CHECK(!hak_realloc(NULL, size));
		CHECK(!hak_realloc(block, size) && !hak_realloc(span, size));
		CHECK(unit_is_filled(block, 100, 1) && unit_is_filled(span, 100000, 2));
		CHECK(hak_good_size(size) == (size > PTRDIFF_MAX ? 0 : ALIGN_UP(size, PAGE_SIZE)));
	}
	CHECK(!hak_check());
	hak_free(block);
	hak_free(span);
	/* all of it is still there to be had */
	block = hak_malloc(14 * MIB);
	CHECK(block);
	hak_free(block);
	CHECK(unit_close());
}

static void malloc_calloc_overflow(void)
{
	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(!hak_calloc(hidden(SIZE_MAX), 2) && !hak_calloc(2, hidden(SIZE_MAX)));
	CHECK(!hak_calloc(hidden((size_t)1 << 32), (size_t)1 << 32));
	CHECK(!hak_calloc(hidden(SIZE_MAX / 3), 4));	      /* wraps to something small */
	CHECK(!hak_calloc(hidden(((size_t)1 << 63) + 1), 2)); /* wraps to 2 */
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* Zero, after everything that it may get was written to. */
static void malloc_zeroed(void)
{
	static const unsigned flags[] = { 0, FAKE_ZERO };

	for (unsigned f = 0; f < ARRAY_SIZE(flags); f++) {
		CHECK(unit_open(16 * MIB, flags[f], f ? FAKE_PURGE_ZERO : FAKE_PURGE_DIRTY));
		for (unsigned round = 0; round < 2; round++) {
			for (size_t size = 1; size <= 3 * MIB; size += 1 + size / 4) {
				uint8_t *block = hak_malloc(size);

				CHECK(block);
				__builtin_memset(block, 0xff, hak_usable_size(block));
				hak_free(block);
				block = hak_zalloc(size);
				CHECK(block && unit_is_zero(block, size));
				__builtin_memset(block, 0xff, hak_usable_size(block));
				hak_free(block);
				block = hak_calloc(size / 3 + 1, 3);
				CHECK(block && unit_is_zero(block, size));
				__builtin_memset(block, 0xff, hak_usable_size(block));
				hak_free(block);
			}
			hak_trim(HAK_TRIM_ALL);
		}
		CHECK(unit_close());
	}
}

static void malloc_aligned(void)
{
	CHECK(unit_open_aligned(32 * MIB, 8 * MIB, 0, FAKE_PURGE_NONE));
	for (size_t align = 1; align <= 4 * MIB; align *= 2) {
		static const size_t sizes[] = {
			0,     1,     8,     24,    100,    1000,    4097,
			16384, 20000, 32768, 32769, 100000, 2 * MIB, 2100000
		};

		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			size_t size = sizes[i];
			uint8_t *one = hak_aligned_alloc(align, size);
			uint8_t *two = hak_aligned_alloc(align, size);

			CHECK(one && two && at(one) != at(two));
			CHECK(at(one) % align == 0 && at(two) % align == 0);
			CHECK(hak_usable_size(one) >= size);
			unit_fill(one, size, 1);
			unit_fill(two, size, 2);
			CHECK(unit_is_filled(one, size, 1));
			hak_free(one);
			hak_free_aligned_sized(two, align, size);
		}
	}
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* An alignment costs no more than the class or the slabs that have it. */
/* All bytes are @byte. */
static bool is_all(const uint8_t *block, size_t size, uint8_t byte)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != byte)
			return false;
	return true;
}

/* Zeros at any alignment, also where the memory was used before. */
static void zalloc_aligned(void)
{
	CHECK(unit_open_aligned(32 * MIB, 8 * MIB, 0, FAKE_PURGE_NONE));
	for (size_t align = 1; align <= 4 * MIB; align *= 2)
		for (size_t size = 1; size < MIB; size = size * 5 / 2 + 1) {
			uint8_t *block = hak_zalloc_aligned(align, size);

			CHECK(block && at(block) % align == 0 && is_all(block, size, 0));
			__builtin_memset(block, 0xaa, size);
			hak_free_aligned_sized(block, align, size);
		}
	CHECK(!hak_zalloc_aligned(hidden(0), 16) && !hak_zalloc_aligned(hidden(48), 100000));
	CHECK(!hak_zalloc_aligned(64, hidden(TOO_LARGE)) &&
	      !hak_zalloc_aligned(8, hidden(TOO_LARGE)));
	CHECK(unit_close());
}

/* Blocks grow and shrink at any alignment, with what is in them. */
static void realloc_aligned(void)
{
	static const size_t sizes[] = { 1, 100, 90, 5000, 70000, 69000, 300000, 1000, 8, 24 };

	CHECK(unit_open_aligned(32 * MIB, 8 * MIB, 0, FAKE_PURGE_NONE));
	for (size_t align = 1; align <= MIB; align *= 2) {
		uint8_t *block = NULL;
		size_t kept = 0;

		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			kept = MIN(kept, sizes[i]);
			block = hak_realloc_aligned(block, align, sizes[i]);
			CHECK(block && at(block) % align == 0 && is_all(block, kept, 0x5a));
			CHECK(hak_usable_size(block) >= sizes[i]);
			kept = sizes[i];
			__builtin_memset(block, 0x5a, kept);
		}
		/* nothing has changed after a failure */
		CHECK(!hak_realloc_aligned(block, hidden(align * 3), 1000));
		CHECK(!hak_realloc_aligned(block, hidden(0), 0));
		CHECK(!hak_realloc_aligned(block, align, hidden(TOO_LARGE)));
		CHECK(is_all(block, kept, 0x5a));
		hak_free_aligned_sized(block, align, kept);
	}
	/* from an alignment to a larger one, though it is large enough */
	for (unsigned i = 0; i < 8; i++) {
		uint8_t *block = hak_malloc(4000);

		CHECK(block);
		__builtin_memset(block, 0x5a, 4000);
		block = hak_realloc_aligned(block, 4096, 3900);
		CHECK(block && at(block) % 4096 == 0 && is_all(block, 3900, 0x5a));
		CHECK(!hak_realloc_aligned(block, 4096, 0));
	}
	CHECK(unit_close());
}

static void malloc_aligned_cost(void)
{
	static const struct {
		size_t align, size, usable;
	} cases[] = {
		{ 16, 24, 32 },
		{ 32, 40, 64 },
		{ 64, 65, 128 },
		{ 64, 129, 192 },
		{ 32, 100, 128 },
		{ 256, 700, 768 },
		{ 4096, 1, 4096 },
		{ 4096, 5000, 8192 },
		{ 16384, 9000, 16384 },
		{ 32768, 1, 32768 },
		{ 65536, 1, HAK_CACHED_MAX ? 65536 : 4096 },
		{ 131072, 1, 4096 },
		{ 4194304, 70000, 73728 },
	};

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		void *block = hak_aligned_alloc(cases[i].align, cases[i].size);

		CHECK(block && hak_usable_size(block) == cases[i].usable);
		hak_free(block);
	}
	CHECK(unit_close());
}

static void malloc_bad_alignment(void)
{
	static const size_t bad[] = { 0, 3, 6, 12, 24, 48, 4095, 4097, SIZE_MAX, TOO_LARGE + 1 };

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(!hak_aligned_alloc(hidden(bad[i]), 16));
		CHECK(!hak_aligned_alloc(hidden(bad[i]), 100000));
	}
	/* powers of two that nothing can satisfy */
	CHECK(!hak_aligned_alloc(hidden(TOO_LARGE), 16));
	CHECK(!hak_aligned_alloc(hidden((size_t)1 << 62), 16));
	CHECK(!hak_aligned_alloc(hidden((size_t)1 << 40), 16));
	CHECK(!hak_aligned_alloc(64, hidden(TOO_LARGE)));
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* When there is no slab left, a free block of a larger class serves, if it is aligned so. */
static void malloc_larger_class(void)
{
	unsigned blocks = size_class[class_of(1280)].blocks;
	void *block, *other, *aligned, *larger;

	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	other = hak_malloc(1200); /* of 1280 bytes */
	CHECK(other);
	hak_flush();
	while (unit_span_alloc(UNIT_SIZE))
		;
	block = hak_malloc(500);
	CHECK(block && hak_usable_size(block) == 1280 && at(block) != at(other));
	aligned = hak_aligned_alloc(256, 400);
	CHECK(aligned && hak_usable_size(aligned) == 1280 && at(aligned) % 256 == 0);
	CHECK(!hak_aligned_alloc(512, 400) && !hak_malloc(SLAB_SIZE));
	larger = hak_malloc(1300); /* two neighbours, if any */
	CHECK(HAK_GAPS ? hak_usable_size(larger) == 2560 : !larger);
	hak_free(larger);
	for (unsigned i = 3; i < blocks; i++)
		CHECK(hak_malloc(500));
	CHECK(!hak_malloc(500));
	hak_free(block);
	CHECK(at(hak_malloc(1200)) == at(block) && !hak_check());
	CHECK(unit_close());
}

static void malloc_good_size(void)
{
	CHECK(hak_good_size(0) == HAK_MIN_ALIGN);
	CHECK(hak_good_size(1) == HAK_MIN_ALIGN);
	CHECK(hak_good_size(17) == 32);
	CHECK(hak_good_size(1024) == 1024);
	CHECK(hak_good_size(1025) == 1152);
	CHECK(hak_good_size(32768) == 32768);
	CHECK(hak_good_size(32769) == (HAK_CACHED_MAX && HAK_UNIT_SIZE == 4096 ? 40960 : 36864));
	CHECK(hak_good_size(65536) == 65536);
	CHECK(hak_good_size(65537) == (HAS_GROUPS ? 73728 : HAK_CACHED_MAX ? 81920 : 69632));
	CHECK(hak_good_size(PTRDIFF_MAX) == (size_t)1 << 63);
	CHECK(hak_good_size(TOO_LARGE) == 0);
	CHECK(hak_good_size(SIZE_MAX) == 0);
	for (size_t size = 0; size < 200000; size += 7) {
		CHECK(hak_good_size(size) >= size);
		CHECK(hak_good_size(hak_good_size(size)) == hak_good_size(size));
	}
}

static void malloc_owns(void)
{
	char on_stack, *block, *span;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(!hak_owns(unit_fake.arena));
	block = hak_malloc(4096); /* its bitmap is in the descriptor */
	span = hak_malloc(17 * SLAB_SIZE);
	CHECK(block && span);
	CHECK(hak_owns(block) && hak_owns(block + 5) && hak_owns(block + 4095));
	CHECK(hak_owns(span) && hak_owns(span + 17 * SLAB_SIZE - 1));
	CHECK(!hak_owns(span + 17 * SLAB_SIZE));
	CHECK(!hak_owns(NULL) && !hak_owns(&on_stack) && !hak_owns(&unit_fake));
	CHECK(!hak_owns((void *)UINTPTR_MAX) && !hak_owns((void *)((uintptr_t)1 << 60)));
	hak_free(span);
	CHECK(!hak_owns(span));
	hak_free(block);
	hak_flush();
	CHECK(!hak_owns(block));
	/* the slab of bitmaps that this makes is no block of the program */
	block = hak_malloc(16);
	CHECK(block && hak_owns(block));
	for (size_t i = 0; i < UNITS_PER_SUPERSLAB; i++) {
		char *slab = unit_fake.arena + i * SLAB_SIZE;

		CHECK(hak_owns(slab) == (slab == block - (uintptr_t)block % SLAB_SIZE));
	}
	CHECK(unit_close());
	CHECK(!hak_owns(block));
}

static void malloc_realloc_edges(void)
{
	void *block;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	block = hak_realloc(NULL, 100);
	CHECK(block && hak_usable_size(block) == 112);
	CHECK(!hak_realloc(block, 0)); /* freed */
	CHECK(at(hak_malloc(100)) == at(block));
	block = hak_realloc(NULL, 0);
	CHECK(block);
	CHECK(!hak_realloc(block, 0));
	block = hak_malloc(2000000);
	CHECK(block && !hak_realloc(block, 0));
	CHECK(!hak_owns(block));
	CHECK(!hak_check());
	CHECK(unit_close());
}

/*
 * A large block that has to go elsewhere takes its memory along, as far as the
 * provider moves it: the @moves-th call fails, and all that follow.
 */
static bool realloc_moves(size_t size, unsigned moves)
{
	char *block, *moved, *zeros;

	CHECK_OR(unit_open(64 * MIB, FAKE_MOVES, FAKE_PURGE_ZERO), false);
	CHECK_OR(hak_malloc(3 * SLAB_SIZE), false); /* so that edges do not coincide */
	block = unit_span_alloc(size);
	CHECK_OR(block && unit_span_alloc(SLAB_SIZE), false);
	unit_fill(block, size, 7);
	if (moves)
		fake_fail(&unit_fake, FAKE_MOVE, moves, true, FAKE_FAILS);
	moved = hak_realloc(block, size + 9 * MIB);
	CHECK_OR(moved && moved != block && unit_is_filled(moved, size, 7), false);
	CHECK_OR((pages_counters.moved > 0) == (PLATFORM_MOVES && size >= 128 * KIB && moves != 1),
		 false);
	CHECK_OR(!hak_check(), false);
	/* what it left behind is known to be zero, as far as that is so */
	zeros = hak_calloc(1, size);
	CHECK_OR(zeros && unit_is_zero(zeros, size), false);
	hak_free(zeros);
	unit_fill(moved, size + 9 * MIB, 8);
	hak_free(moved);
	zeros = hak_calloc(1, size + 9 * MIB);
	CHECK_OR(zeros && unit_is_zero(zeros, size + 9 * MIB) && !hak_check(), false);
	return unit_close();
}

static void malloc_realloc_moves(void)
{
	static const size_t sizes[] = { 100 * KIB,     128 * KIB,      200 * KIB + 1, 1 * MIB,
					2 * MIB + 777, 5 * MIB + 4096, 7 * MIB };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned moves = 0; moves < 5; moves++)
			CHECK(realloc_moves(sizes[i], moves));
}

/* What the provider refuses as a whole goes in parts. */
static void malloc_realloc_moves_in_parts(void)
{
	static const size_t seams[] = { 1, 2, 37, 255, 256, 300, 383 };
	const size_t size = 384 * PAGE_SIZE;
	char *block, *moved;

	for (unsigned i = 0; PLATFORM_MOVES && i < ARRAY_SIZE(seams); i++) {
		CHECK(unit_open(32 * MIB, FAKE_MOVES, FAKE_PURGE_ZERO));
		block = unit_span_alloc(size);
		CHECK(block && unit_span_alloc(SLAB_SIZE));
		unit_fill(block, size, 7);
		unit_fake.seam = (uintptr_t)block + seams[i] * PAGE_SIZE;
		moved = hak_realloc(block, 4 * MIB);
		CHECK(moved && moved != block && unit_is_filled(moved, size, 7));
		CHECK(pages_counters.moved == size && !hak_check());
		unit_fake.seam = 0;
		CHECK(unit_close());
	}
}

/* In a heap of 512 MiB, a block has to have 1 MiB to be moved. */
static void malloc_realloc_moves_in_large_heaps(void)
{
	static const size_t sizes[] = { 200 * KIB, MIB - PAGE_SIZE, 1 * MIB + SLAB_SIZE };
	char *block, *moved;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		CHECK(unit_open(32 * MIB, FAKE_MOVES, FAKE_PURGE_ZERO));
		block = unit_span_alloc(sizes[i]);
		CHECK(block && unit_span_alloc(SLAB_SIZE));
		unit_fill(block, sizes[i], 7);
		pages_counters.mapped += 512 * MIB;
		moved = hak_realloc(block, 4 * MIB);
		pages_counters.mapped -= 512 * MIB;
		CHECK(moved && moved != block && unit_is_filled(moved, sizes[i], 7));
		CHECK((pages_counters.moved > 0) == (PLATFORM_MOVES && sizes[i] > MIB));
		CHECK(unit_close());
	}
}

/* Where most slabs have memory, it is kept and the contents are copied. */
static void malloc_realloc_copies(void)
{
	char *first, *filled, *block;

	CHECK(unit_open(32 * MIB, FAKE_ZERO | FAKE_MOVES, FAKE_PURGE_ZERO));
	CHECK(unit_span_alloc(14 * MIB)); /* so the others are small, and get the shortest runs */
	first = unit_span_alloc(5 * SLAB_SIZE);
	CHECK(first && unit_span_alloc(SLAB_SIZE));
	filled = unit_span_alloc(7 * SLAB_SIZE);
	CHECK(filled && unit_span_alloc(8 * SLAB_SIZE)); /* 11 are left */
	unit_fill(first, 5 * SLAB_SIZE, 1);
	hak_free(filled);
	block = hak_realloc(first, 7 * SLAB_SIZE);
	CHECK(at(block) == at(filled) && unit_is_filled(block, 5 * SLAB_SIZE, 1));
	CHECK(pages_counters.moved == 0);
	block = hak_realloc(block, 11 * SLAB_SIZE);
	CHECK(block == first + 21 * SLAB_SIZE && unit_is_filled(block, 5 * SLAB_SIZE, 1));
	CHECK((pages_counters.moved > 0) == PLATFORM_MOVES);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* One of few large blocks that grow gets the longest run, and stays there. */
static void malloc_realloc_grows_on(void)
{
	char *first, *shorter, *block;

	CHECK(unit_open(32 * MIB, FAKE_ZERO | FAKE_MOVES, FAKE_PURGE_ZERO));
	first = unit_span_alloc(5 * SLAB_SIZE);
	CHECK(first && unit_span_alloc(SLAB_SIZE));
	shorter = unit_span_alloc(8 * SLAB_SIZE);
	CHECK(shorter && unit_span_alloc(SLAB_SIZE)); /* 17 are left */
	unit_fill(first, 5 * SLAB_SIZE, 1);
	hak_free(shorter);
	block = hak_realloc(first, 8 * SLAB_SIZE);
	CHECK(block == first + 15 * SLAB_SIZE && unit_is_filled(block, 5 * SLAB_SIZE, 1));
	for (unsigned slabs = 9; slabs <= 17; slabs++)
		CHECK(hak_realloc(block, slabs * SLAB_SIZE) == block);
	CHECK(unit_is_filled(block, 5 * SLAB_SIZE, 1) && !hak_check());
	CHECK(unit_close());
}

/* One that came from a magazine does not go back there without its memory. */
static void malloc_realloc_moves_cached(void)
{
	char *block, *again;

	CHECK(unit_open(32 * MIB, FAKE_ZERO | FAKE_MOVES, FAKE_PURGE_ZERO));
	block = hak_malloc(500 * KIB);
	CHECK(block && unit_span_alloc(SLAB_SIZE));
	unit_fill(block, 500 * KIB, 1);
	block = hak_realloc(block, 10 * MIB);
	CHECK(block && unit_is_filled(block, 500 * KIB, 1));
	again = hak_malloc(500 * KIB);
	CHECK(again);
	unit_fill(again, 500 * KIB, 2);
	hak_free(again);
	hak_flush();
	CHECK(!hak_check());
	while ((again = hak_calloc(1, 8 * SLAB_SIZE)))
		CHECK(unit_is_zero(again, 8 * SLAB_SIZE));
	CHECK(unit_close());
}

/* In place as long as more than half of the block is used. */
static void malloc_realloc_in_place(void)
{
	char *block, *moved;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_NONE));
	block = hak_malloc(1000);
	CHECK(block);
	unit_fill(block, 1024, 1);
	CHECK(at(hak_realloc(block, 1024)) == at(block));
	CHECK(at(hak_realloc(block, 900)) == at(block));
	if (!IS_ENABLED(CONFIG_HAK_DEBUG)) /* there each size has its own class */
		CHECK(at(hak_realloc(block, 513)) == at(block));
	moved = hak_realloc(block, 512);
	CHECK(moved && at(moved) != at(block) && hak_usable_size(moved) == 512);
	CHECK(unit_is_filled(moved, 512, 1));
	block = hak_realloc(moved, 513);
	CHECK(block && at(block) != at(moved) && hak_usable_size(block) == 640);
	CHECK(unit_is_filled(block, 512, 1));
	hak_free(block);
	CHECK(!hak_check());
	CHECK(unit_close());
}

static void malloc_realloc_spans(void)
{
	char *block, *behind, *moved;

	CHECK(unit_open(32 * MIB, 0, FAKE_PURGE_NONE));
	block = hak_malloc(4 * SLAB_SIZE);
	CHECK(block);
	unit_fill(block, 4 * SLAB_SIZE, 4);
	/* no span is behind it */
	CHECK(at(hak_realloc(block, 10 * SLAB_SIZE)) == at(block));
	CHECK(hak_usable_size(block) == 10 * SLAB_SIZE);
	behind = hak_malloc(SLAB_SIZE);
	CHECK(at(behind) == at(block) + 10 * SLAB_SIZE);
	/* now there is */
	moved = hak_realloc(block, 11 * SLAB_SIZE);
	CHECK(moved && at(moved) != at(block) && unit_is_filled(moved, 4 * SLAB_SIZE, 4));
	CHECK(!hak_owns(block));
	/* shorter: what it gives up is free at once */
	CHECK(at(hak_realloc(moved, 2 * SLAB_SIZE)) == at(moved));
	CHECK(hak_usable_size(moved) == 2 * SLAB_SIZE && !hak_owns(moved + 2 * SLAB_SIZE));
	CHECK(at(hak_realloc(moved, 32769)) == at(moved));
	CHECK(hak_usable_size(moved) == 36864);
	/* half a slab: a class holds it */
	block = hak_realloc(moved, 32768);
	CHECK(block && hak_usable_size(block) == 32768 && unit_is_filled(block, 32768, 4));
	CHECK(!hak_owns(moved));
	/* and from a class to a span */
	moved = hak_realloc(block, 40000);
	CHECK(moved && hak_usable_size(moved) == (HAS_GROUPS ? 53248 : 40960));
	CHECK(unit_is_filled(moved, 32768, 4));
	moved = hak_realloc(moved, 9 * MIB);
	CHECK(moved && unit_is_filled(moved, 32768, 4));
	hak_free(moved);
	hak_free(behind);
	hak_trim(HAK_TRIM_ALL);
	CHECK(active() == 0 && !hak_check());
	CHECK(unit_close());
}

/*
 * A block that moves to grow a little gets a quarter more, and gives it
 * up. One that grows by much has seen to that itself.
 */
static void malloc_realloc_room(void)
{
	char *block, *behind;

	CHECK(unit_open(32 * MIB, 0, FAKE_PURGE_NONE));
	block = hak_malloc(4 * SLAB_SIZE);
	behind = hak_malloc(SLAB_SIZE);
	CHECK(block && at(behind) == at(block) + 4 * SLAB_SIZE);
	block = hak_realloc(block, 6 * SLAB_SIZE);
	CHECK(block && hak_usable_size(block) == 6 * SLAB_SIZE);
	hak_free(block);
	CHECK(hak_malloc(4 * SLAB_SIZE)); /* where it was */
	block = hak_malloc(7 * SLAB_SIZE);
	CHECK(block && hak_malloc(SLAB_SIZE) == block + 7 * SLAB_SIZE);
	block = hak_realloc(block, 8 * SLAB_SIZE);
	CHECK(block && hak_usable_size(block) == 10 * SLAB_SIZE);
	CHECK(at(hak_realloc(block, 9 * SLAB_SIZE)) == at(block));
	CHECK(hak_usable_size(block) == 10 * SLAB_SIZE);
	/* shorter than it was asked to be: the room goes, too */
	CHECK(at(hak_realloc(block, 9 * SLAB_SIZE - PAGE_SIZE + 1)) == at(block));
	CHECK(hak_usable_size(block) == 10 * SLAB_SIZE);
	CHECK(at(hak_realloc(block, 8 * SLAB_SIZE)) == at(block));
	CHECK(hak_usable_size(block) == 8 * SLAB_SIZE && !hak_owns(block + 8 * SLAB_SIZE));
	hak_free(block);
	hak_free(behind);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* Growing step by step moves a block a few times, not at every step. */
static void malloc_realloc_growth(void)
{
	char *block = NULL;
	unsigned moves = 0;

	CHECK(unit_open(64 * MIB, 0, FAKE_PURGE_NONE));
	for (size_t size = SLAB_SIZE; size <= 16 * MIB; size += SLAB_SIZE) {
		char *moved = hak_realloc(block, size);

		CHECK(moved);
		moves += at(moved) != at(block);
		block = moved;
		block[size - 1] = 1;
	}
	CHECK(moves <= 12); /* 1.25^12 = 14.6 times from 1 MiB */
	hak_free(block);
	CHECK(unit_close());
}

/* What is large enough stays, if there is no memory for less. */
static void malloc_realloc_shrink_fails(void)
{
	char *block;

	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	block = hak_malloc(32768);
	CHECK(block);
	while (hak_malloc(SLAB_SIZE))
		;
	unit_fill(block, 32768, 3);
	CHECK(at(hak_realloc(block, 100)) == at(block));
	CHECK(unit_is_filled(block, 32768, 3));
	/* a block that is no larger than it must be stays anyway */
	CHECK(unit_close());
	CHECK(unit_open((4 + 2 * HAK_METADATA_APART) * MIB, 0, FAKE_PURGE_NONE));
	block = hak_malloc(HAK_MIN_ALIGN);
	CHECK(block && at(hak_realloc(block, 1)) == at(block));
	CHECK(unit_close());
}

/* When there is no memory to move to, the block is as it was. */
static void malloc_realloc_fails(void)
{
	char *small, *span, *filler;

	CHECK(unit_open(6 * MIB, 0, FAKE_PURGE_NONE));
	small = hak_malloc(30000);
	span = hak_malloc(3 * SLAB_SIZE);
	CHECK(small && span);
	unit_fill(small, 30000, 1);
	unit_fill(span, 3 * SLAB_SIZE, 2);
	do
		filler = hak_malloc(40000);
	while (filler);
	CHECK(!hak_realloc(small, 40000) && !hak_realloc(span, 3 * SLAB_SIZE + 1));
	CHECK(unit_is_filled(small, 30000, 1) && unit_is_filled(span, 3 * SLAB_SIZE, 2));
	CHECK(hak_usable_size(small) == 32768 && hak_usable_size(span) == 3 * SLAB_SIZE);
	CHECK(!hak_check());
	CHECK(at(hak_realloc(span, 2 * SLAB_SIZE)) == at(span)); /* this one can */
	CHECK(unit_is_filled(span, 2 * SLAB_SIZE, 2));
	CHECK(hak_realloc(small, 40000));
	CHECK(unit_close());
}

/* NULL when there is no more; everything intact; later there is. */
static void malloc_exhaustion(void)
{
	static char *blocks[4096];
	unsigned n = 0;

	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned round = 0; round < 3; round++) {
		for (n = 0; n < ARRAY_SIZE(blocks) && (blocks[n] = hak_malloc(1000)); n++)
			unit_fill(blocks[n], 1000, n);
		CHECK(n == 32 * 64); /* every slab of the one SuperSlab */
		CHECK(!hak_malloc(1000) && !hak_malloc(10) && !hak_malloc(40000));
		CHECK(!hak_check());
		for (unsigned i = 0; i < n; i++)
			CHECK(unit_is_filled(blocks[i], 1000, i));
		/* the whole of one slab, of which the magazine has the most */
		for (unsigned i = 0; i < 64; i++)
			hak_free(blocks[i]);
		/* so it must be emptied for who wants a slab */
		blocks[0] = round & 1 ? hak_malloc(4000) : hak_malloc(40000);
		CHECK(blocks[0]);
		hak_free(blocks[0]);
		hak_flush();
		for (unsigned i = 64; i < n; i++)
			hak_free(blocks[i]);
		hak_flush();
		CHECK(!hak_check());
	}
	hak_trim(HAK_TRIM_ALL);
	CHECK(active() == 0 && unit_fake.outstanding_heap == 0);
	CHECK(unit_close());
}

static void malloc_flush_and_trim(void)
{
	char *small, *span;

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(hak_trim(HAK_TRIM_ALL) == 0);
	hak_flush();
	small = hak_malloc(100);
	span = hak_malloc(5 * MIB);
	CHECK(small && span);
	hak_free(small);
	hak_free(span);
	CHECK(hak_owns(small)); /* it waits in the magazine */
	hak_flush();
	CHECK(!hak_owns(small));
	CHECK(active() == 1); /* the reserve */
	CHECK(hak_trim(HAK_TRIM_ALL) == 2 * MIB);
	CHECK(active() == 0 && hak_trim(HAK_TRIM_ALL) == 0);
	/* a survivor: unused slabs are purged around it */
	small = hak_malloc(100);
	CHECK(small);
	span = hak_malloc(10 * SLAB_SIZE);
	hak_free(span);
	CHECK(hak_trim(HAK_TRIM_ALL) >= 10 * SLAB_SIZE && active() == 1);
	CHECK(unit_fake.purged >= 10 * SLAB_SIZE);
	hak_free(small);
	hak_trim(HAK_TRIM_ALL);
	CHECK(active() == 0);
	CHECK(unit_close());
}

/* One heap after the other, with blocks that were not freed. */
static void malloc_many_heaps(void)
{
	for (unsigned i = 0; i < 20; i++) {
		CHECK(unit_open(16 * MIB, i & 1 ? 0 : 0, FAKE_PURGE_NONE));
		for (size_t size = 1; size < 4 * MIB; size *= 3)
			CHECK(hak_malloc(size));
		CHECK(!hak_check());
		CHECK(unit_close());
		CHECK(this_cache() == CACHE_NONE && !hak_check());
	}
}

/* As large as it gets, from the platform's own provider; or not at all. */
static void malloc_gigabyte(void)
{
	const size_t size = (size_t)1 << 30;
	uint8_t *block;

	CHECK(hak_init(port_provider()));
	block = hak_malloc(size);
	if (block) {
		CHECK(hak_usable_size(block) == size);
		block[0] = 1;
		block[size / 2] = 2;
		block[size - 1] = 3;
		CHECK(hak_owns(block + size - 1) && !hak_check());
		CHECK(block[0] == 1 && block[size / 2] == 2 && block[size - 1] == 3);
		hak_free(block);
	}
	CHECK(!hak_check());
	block = hak_malloc(3 * MIB);
	CHECK(block);
	hak_free(block);
	hak_trim(HAK_TRIM_ALL);
	CHECK(active() == 0);
	hak_fini();
}

void unit_malloc(void)
{
	TEST_RUN(malloc_sizes);
	TEST_RUN(malloc_zero_bytes);
	TEST_RUN(malloc_too_large);
	TEST_RUN(malloc_calloc_overflow);
	TEST_RUN(malloc_zeroed);
	TEST_RUN(malloc_aligned);
	TEST_RUN(zalloc_aligned);
	TEST_RUN(realloc_aligned);
	TEST_RUN_SLABS(malloc_aligned_cost);
	TEST_RUN(malloc_bad_alignment);
	TEST_RUN(malloc_larger_class);
	TEST_RUN(malloc_good_size);
	TEST_RUN(malloc_owns);
	TEST_RUN(malloc_realloc_edges);
	TEST_RUN(malloc_realloc_moves);
	TEST_RUN(malloc_realloc_moves_in_parts);
	TEST_RUN(malloc_realloc_moves_in_large_heaps);
	TEST_RUN(malloc_realloc_copies);
	TEST_RUN(malloc_realloc_grows_on);
	TEST_RUN(malloc_realloc_moves_cached);
	TEST_RUN(malloc_realloc_in_place);
	TEST_RUN(malloc_realloc_spans);
	TEST_RUN(malloc_realloc_room);
	TEST_RUN(malloc_realloc_growth);
	TEST_RUN_SLABS(malloc_realloc_shrink_fails);
	TEST_RUN(malloc_realloc_fails);
	TEST_RUN(malloc_exhaustion);
	TEST_RUN(malloc_flush_and_trim);
	TEST_RUN(malloc_many_heaps);
	TEST_RUN(malloc_gigabyte);
}
