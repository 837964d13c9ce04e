/* SPDX-License-Identifier: MIT */
/*
 * Crimes against the heap of a debug build, each in a heap of its own, with blocks of all sizes, on
 * both platforms: what each letter of HAKMEM_DEBUG finds, when, and what the report says.
 */
#include "../test.h"

#include <base/format.h>
#include <debug/choice.h>
#include <debug/record.h>
#include <hakmem/hakmem.h>

#include "../harden/catch.h"

static const size_t sizes[] = {
	1,    2,    7,	  8,	16,    24,    40,    100,    255,     1000,
	1024, 4000, 4096, 9000, 20000, 32656, 32768, 100000, 1 << 20, 2 << 20,
};

/* Hidden from the compiler, which would know that all this is wrong. */
static char *volatile block;
static char *volatile other;
static void *volatile lost;
static volatile size_t size;
static volatile ptrdiff_t at;
static volatile char value;

static bool begin(const char *letters)
{
	struct hak_options options = {
		.size = sizeof(options),
		.provider = port_provider(),
		.debug = letters,
	};

	return hak_init_with(&options) == HAK_INIT_DONE;
}

static void end(void)
{
	hak_fini();
}

static NOINLINE void *allocate_one(void)
{
	void *allocated = hak_malloc(size);

	OPTIMIZER_HIDE_VAR(allocated);
	return allocated;
}

/* With neighbours. */
static void allocate(void)
{
	lost = allocate_one();
	block = allocate_one();
	lost = allocate_one();
}

/* Blocks that are longer than all that may wait are not poisoned when they are freed. */
static bool waits(void)
{
	return size + RECORD_EXTRA + 4096 <= HAK_CACHE_BYTES;
}

/*
 * This stops, and @line is in the last line. The memory of a block that does not wait may be gone
 * at once: then it is known that it is in use no longer, and nothing else.
 */
static void expect_line(const char *letters, void (*commit)(void), const char *line)
{
	enum caught caught;

	CHECK(begin(letters));
	allocate();
	CHECK(block);
	caught = catch (commit);
	end();
	if (caught != CAUGHT_STOP || !test_find(caught_line, line))
		test_print("size %zu, letters %s: caught %u: %s\nnot: %s\n", size, letters, caught,
			   caught_line, line);
	CHECK(caught == CAUGHT_STOP && test_find(caught_line, line));
}

static void expect_lines(const char *letters, void (*commit)(void), const char *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes) && !test_has_failed(); i++) {
		size = sizes[i];
		expect_line(letters, commit, line);
	}
}

/* It is long gone when it is freed again. */
static void flush_between(void)
{
	hak_free(block);
	hak_flush();
	hak_free(block);
}

static bool is_kept(void (*commit)(void))
{
	return commit == flush_between ? size < 4096 : waits();
}

static void expect_double_free(const char *letters, void (*commit)(void))
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes) && !test_has_failed(); i++) {
		size = sizes[i];
		expect_line(letters, commit, is_kept(commit) ? "double free of a block of" : "");
	}
}

/* The line that says which byte was changed. */
static void expect_byte(const char *letters, void (*commit)(void), ptrdiff_t byte,
			unsigned expected, const char *how)
{
	struct hak_line line = { 0 };

	hak_format(hak_line_append, &line,
		   "byte %ld of a block of %zu bytes is 0x%02x, not 0x%02x: it was written to %s",
		   (long)byte, size, (unsigned)(uint8_t)value, expected, how);
	expect_line(letters, commit, line.text);
}

/* ----------------------------------------------------------------------- red zones */

/* As many bytes as the least zone has, from or to the one at @at. */
static bool all;

static void overflow(void)
{
	for (ptrdiff_t i = 0; i < (all ? (ptrdiff_t)ZONE_LEAST : 1); i++)
		block[at < 0 ? at - i : at + i] = value;
}

static void overflow_and_free(void)
{
	overflow();
	hak_free(block);
}

static void overflow_and_free_sized(void)
{
	overflow();
	hak_free_sized(block, size);
}

static void overflow_and_realloc(void)
{
	overflow();
	lost = hak_realloc(block, size + 1);
}

static void overflow_and_realloc_less(void)
{
	overflow();
	lost = hak_realloc(block, 1);
}

static void overflow_and_check(void)
{
	overflow();
	hak_check();
}

static void overflow_and_scan(void)
{
	overflow();
	while (hak_idle(1))
		;
}

static void overflow_and_trim(void)
{
	overflow();
	hak_trim(HAK_TRIM_ALL);
}

/* It was freed already, and waits. */
static void free_and_overflow(void)
{
	hak_free(block);
	overflow();
	hak_flush();
}

static void overflows_of(const char *letters, bool many)
{
	static void (*const ways[])(void) = {
		overflow_and_free,	   overflow_and_free_sized, overflow_and_realloc,
		overflow_and_realloc_less, overflow_and_check,	    overflow_and_scan,
		overflow_and_trim,	   free_and_overflow,
	};

	all = many;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (size_t w = 0; w < ARRAY_SIZE(ways) && !test_has_failed(); w++) {
			size = sizes[i];
			if (ways[w] == free_and_overflow && !waits())
				continue;
			value = w % 2 ? 'A' : 0;
			at = (ptrdiff_t)size;
			expect_byte(letters, ways[w], at, RED, "behind its end");
			at = -1;
			expect_byte(letters, ways[w], many ? -(ptrdiff_t)ZONE_LEAST : -1, RED,
				    "before its start");
		}
	}
}

static void zones_by_one(void)
{
	overflows_of("Z", false);
}

static void zones_by_many(void)
{
	overflows_of("FZPU", true);
}

/* Next to an alignment, and behind what realloc has left in place. */
static void resize_and_overflow(void)
{
	block = hak_realloc(block, size);
	overflow_and_free();
}

static void align_and_overflow(void)
{
	block = hak_aligned_alloc(4096, size);
	overflow_and_free();
}

static void zones_of_others(void)
{
	value = 'A';
	all = false;
	for (size = 1; size < 3000 && !test_has_failed(); size = 2 * size + 1) {
		for (unsigned side = 0; side < 2; side++) {
			const char *how = side ? "behind its end" : "before its start";

			at = side ? (ptrdiff_t)size : -1;
			expect_byte("Z", resize_and_overflow, at, RED, how);
			expect_byte("ZP", align_and_overflow, at, RED, how);
			if (side)
				continue;
			at = -3000; /* all that lies before an alignment is red */
			expect_byte("Z", align_and_overflow, at, RED, how);
		}
	}
}

/* -------------------------------------------------------------------------- poison */

static void write_after_free(void)
{
	hak_free(block);
	block[at] = value;
}

static void write_and_use(void)
{
	write_after_free();
	for (unsigned i = 0; i < 2000; i++)
		hak_free(hak_malloc(size));
}

static void write_and_check(void)
{
	write_after_free();
	hak_check();
}

static void write_and_scan(void)
{
	write_after_free();
	while (hak_idle(1))
		;
}

static void write_and_flush(void)
{
	write_after_free();
	hak_flush();
}

static void poison_after_free(void)
{
	static void (*const ways[])(void) = { write_and_use, write_and_check, write_and_scan,
					      write_and_flush };

	value = 'w';
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size = sizes[i];
		for (size_t w = 0; w < ARRAY_SIZE(ways) && waits() && !test_has_failed(); w++) {
			bool last = w % 2 || size == 1;

			at = last ? (ptrdiff_t)size - 1 : (ptrdiff_t)size / 2 - 1 + (size < 4);
			last = (size_t)at == size - 1;
			expect_byte("P", ways[w], at, last ? POISON_FREE_END : POISON_FREE,
				    "after its free");
		}
	}
}

static bool reads(const char *bytes, size_t n, unsigned expected)
{
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)bytes[i] != expected)
			return false;
	return true;
}

static void poison_is_read(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size = sizes[i];
		CHECK(begin("P"));
		allocate();
		CHECK(reads(block, size, POISON_NEW));
		other = hak_realloc(block, size + 100);
		CHECK(other && reads(other, size + 100, POISON_NEW));
		block = hak_zalloc(size);
		CHECK(block && reads(block, size, 0));
		other = hak_calloc(1, size);
		CHECK(other && reads(other, size, 0));
		hak_free(block);
		if (waits())
			CHECK(reads(block, size - 1, POISON_FREE) &&
			      reads(block + size - 1, 1, POISON_FREE_END));
		CHECK(!hak_check());
		end();
	}
}

/* ------------------------------------------------------------------ what F and U know */

static void free_twice(void)
{
	hak_free(block);
	hak_free(block);
}

static void free_after_move(void)
{
	lost = hak_realloc(block, size + 200000);
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
	size = hak_usable_size(block);
}

static void double_frees(void)
{
	expect_double_free("F", free_twice);
	expect_double_free("FZPU", free_after_move);
	expect_double_free("F", realloc_freed);
	expect_double_free("FU", size_of_freed);
	expect_double_free("FZPU", flush_between);
}

static void free_inside(void)
{
	hak_free(block + 1);
}

static void free_before(void)
{
	hak_free(block - 8);
}

static void free_start(void)
{
	hak_free(block - RECORD_PLACE);
}

static void free_larger_size(void)
{
	hak_free_sized(block, size + 1);
}

static void free_smaller_size(void)
{
	hak_free_sized(block, size - 1);
}

static void free_wrong_align(void)
{
	hak_free_aligned_sized(block, 1 << 22, size);
}

static void break_record(void)
{
	__builtin_memset(block - 50, value, 20);
	hak_free(block);
}

static void free_stack(void)
{
	char local[64];

	other = local;
	hak_free(other + 16);
}

static void bad_calls(void)
{
	expect_lines("F", free_inside, "1 bytes inside a block of");
	expect_lines("F", free_before, "8 bytes before a block of");
	expect_lines("FZPU", free_start, "bytes before a block of");
	expect_lines("F", free_larger_size, "given for a block of");
	expect_lines("F", free_smaller_size, "given for a block of");
	expect_lines("F", free_wrong_align, "given for a block of");
	expect_lines("F", break_record, "the record before it was overwritten");
	expect_lines("FZPU", free_stack, "not from this heap");
}

/* Return addresses are in the function that has called. */
static bool is_in(const struct track *track, const void *function)
{
	return track->stack && track->stack->n &&
	       (uintptr_t)track->stack->frames[0] - (uintptr_t)function < 256;
}

static NOINLINE void free_one(void)
{
	hak_free(block);
	COMPILER_BARRIER();
}

static void users(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct record *record;

		size = sizes[i];
		CHECK(begin("U"));
		allocate();
		record = (const struct record *)(block - RECORD_PLACE);
		CHECK(record_is(record) && is_in(&record->allocated, (void *)allocate_one));
		CHECK(record->allocated.time && record->allocated.who == hak_debug_who());
		CHECK(!record->freed.stack);
		if (waits()) {
			free_one();
			CHECK(is_in(&record->freed, (void *)free_one));
			CHECK(record->freed.time >= record->allocated.time);
		}
		CHECK(!hak_check());
		end();
	}
	size = 100;
	expect_line("U", free_twice, "double free of a block of 100 bytes");
	CHECK(test_find(caught_report, "allocated by " PLATFORM_WHO) &&
	      test_find(caught_report, "freed by " PLATFORM_WHO));
	CHECK(test_find(caught_report, "before it: 0x") &&
	      test_find(caught_report, "behind it: 0x"));
	CHECK(test_find(caught_report, "this: 0x") &&
	      test_find(caught_report, "a block of 100 bytes, 224 "));
	expect_line("F", free_twice, "double free of a block of 100 bytes");
	CHECK(!test_find(caught_report, "allocated by") &&
	      test_find(caught_report, "behind it: 0x"));
}

/* ---------------------------------------------------------------------- the letters */

static bool has_letters(size_t of, unsigned letters)
{
	char *mine = hak_malloc(of);
	const struct record *record = (const struct record *)(mine - RECORD_PLACE);
	bool right = letters ? hak_usable_size(mine) == of && record->letters == letters
			     : hak_usable_size(mine) == hak_good_size(of);

	hak_free(mine);
	return right && (letters ? hak_good_size(of) == of : hak_good_size(of) > of);
}

static void letters_by_size(void)
{
	const unsigned every = LETTER_F | LETTER_Z | LETTER_P | LETTER_U;

	CHECK(begin("-"));
	CHECK(has_letters(10, 0) && has_letters(100, 0) && has_letters(100001, 0));
	end();
	CHECK(begin("ZP,100,3000"));
	CHECK(has_letters(10, 0) && has_letters(100, LETTER_Z | LETTER_P));
	CHECK(has_letters(97, LETTER_Z | LETTER_P) && has_letters(96 - 1, 0));
	CHECK(has_letters(3000, LETTER_Z | LETTER_P) && has_letters(100001, 0));
	end();
	CHECK(begin("f;FzpU,200,50000;,12;-,1000"));
	CHECK(has_letters(10, every) && has_letters(100, LETTER_F) && has_letters(200, every));
	CHECK(has_letters(1000, 0) && has_letters(100001, every));
	CHECK(hak_aligned_alloc(4096, 1000) && hak_zalloc(1000));
	end();
	CHECK(begin(NULL)); /* as it was */
	CHECK(has_letters(1000, 0) && has_letters(200, every));
	end();
}

static void letters_wrong(void)
{
	/* clang-format off */
	static const char *const wrong[] = {
		"", "X", "FX", "F ", " F", "F,", "F,x", "F,12x", "F;", ";F", "F;;Z", "F,12,",
		"F,-12", "12,F", "--", "-F", "FZ 12", "1", "F,99999999999999999999",
	};
	/* clang-format on */

	CHECK(begin("FZ"));
	end();
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct hak_options options = {
			.size = sizeof(options),
			.provider = port_provider(),
			.debug = wrong[i],
		};
		int result = hak_init_with(&options);

		if (result != HAK_INIT_DEBUG)
			test_print("letters \"%s\": %d\n", wrong[i], result);
		CHECK(result == HAK_INIT_DEBUG);
	}
	CHECK(begin(NULL) && has_letters(100, LETTER_F | LETTER_Z));
	end();
}

/* Blocks that were there before have no records. All that can be done with them is as it was. */
static char *early[5];

static void free_early_inside(void)
{
	hak_free(early[0] + 8);
}

static void free_early_twice(void)
{
	hak_free(early[0]);
	hak_free(early[0]);
}

static void expect_early(void (*commit)(void), const char *line)
{
	CHECK(begin("-"));
	for (unsigned i = 0; i < ARRAY_SIZE(early); i++) {
		early[i] = hak_malloc(size);
		__builtin_memset(early[i], 0x77, size);
	}
	CHECK(hak_debug_choose("FZPU", true));
	CHECK(hak_usable_size(early[1]) >= size && !hak_check());
	early[1] = hak_realloc(early[1], size + 1000);
	CHECK(hak_usable_size(early[1]) == size + 1000 && reads(early[1], size, 0x77));
	CHECK(reads(early[1] + size + 999, 1, POISON_NEW) || size > 8000);
	hak_free(early[1]);
	hak_free(early[2]);
	CHECK(!hak_realloc(early[3], 0) && !hak_check());
	CHECK(catch (commit) == CAUGHT_STOP && test_find(caught_line, line));
	end();
}

static void letters_come_late(void)
{
	for (size_t i = 3; i < ARRAY_SIZE(sizes) && !test_has_failed(); i++) {
		size = sizes[i];
		if (size > 8)
			expect_early(free_early_inside, "8 bytes inside a block of");
		expect_early(free_early_twice, "");
	}
}

/* -------------------------------------------------------------------- what is right */

/* All of the API, and what it says of blocks. */
static void manners(void)
{
	size_t none = SIZE_MAX;

	OPTIMIZER_HIDE_VAR(none);
	CHECK(begin("FZPU"));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size = sizes[i];
		block = hak_calloc(1, size);
		CHECK(block && hak_usable_size(block) == size && hak_good_size(size) == size);
		__builtin_memset(block, 0x77, size);
		for (size_t to = size; to < size + 100; to += 7) {
			block = hak_realloc(block, to + 1);
			CHECK(block && hak_usable_size(block) == to + 1);
			CHECK(reads(block, MIN(size, (size_t)5000), 0x77));
		}
		block = hak_realloc(block, size / 3 + 1);
		CHECK(block && hak_usable_size(block) == size / 3 + 1);
		hak_free_sized(block, size / 3 + 1);
		CHECK(size > 30000 || hak_prefill(size, 1));
		for (size_t align = 1; align <= (1 << 21); align *= 4) {
			block = hak_aligned_alloc(align, size);
			CHECK(block && (uintptr_t)block % align == 0);
			CHECK(hak_usable_size(block) == size);
			hak_free_aligned_sized(block, align, size);
			block = hak_zalloc_aligned(align, size);
			CHECK(block && (uintptr_t)block % align == 0);
			CHECK(reads(block, MIN(size, (size_t)5000), 0));
			block = hak_realloc_aligned(block, align, size + 1);
			CHECK(block && (uintptr_t)block % align == 0);
			hak_free_aligned_sized(block, align, size + 1);
		}
		CHECK(!hak_check());
	}
	CHECK(!hak_aligned_alloc(48, 100) && !hak_malloc(none) && !hak_malloc(none / 2));
	CHECK(!hak_calloc(SIZE_MAX / 2, 4) && !hak_aligned_alloc((size_t)1 << 63, 100));
	block = hak_malloc(0);
	CHECK(block && !hak_usable_size(block));
	CHECK(!hak_realloc(block, SIZE_MAX / 2));
	hak_free(block);
	hak_free(NULL);
	(void)hak_trim(HAK_TRIM_ALL);
	CHECK(!hak_check());
	end();
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	catch_init();
	hak_fini();
	TEST_RUN(zones_by_one);
	TEST_RUN(zones_by_many);
	TEST_RUN(zones_of_others);
	TEST_RUN(poison_after_free);
	TEST_RUN(poison_is_read);
	TEST_RUN(double_frees);
	TEST_RUN(bad_calls);
	TEST_RUN(users);
	TEST_RUN(letters_by_size);
	TEST_RUN(letters_wrong);
	TEST_RUN(letters_come_late);
	TEST_RUN(manners);
	return test_finish();
}
