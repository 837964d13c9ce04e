/* SPDX-License-Identifier: MIT */
/*
 * Samples of a profile, on both platforms: what they say of a heap whose contents are known, what
 * becomes of them in each function of the API, and what is found wrong with them.
 *
 * Each function that allocates here is one stack. It is told by its first return address, which
 * is the only one that an image without frame pointers is sure to have.
 */
#include "../test.h"

#include <base/sizeclass.h>
#include <diag/check.h>
#include <diag/trace.h>
#include <hakmem/hakmem.h>
#include <hakmem/samples.h>
#include <pages/pagemap.h>

#include "text.h"

#define MIB	  ((size_t)1 << 20)
#define MOST_CODE 64 /* bytes of a function that allocates */

/* Is the platform one that has memory for 10000 samples? */
#define IS_LARGE (HAK_SAMPLE_RECORDS > 16)
#define SAMPLES	 (IS_LARGE ? 10000u : 2500u)
/* For the worst of the stacks below, 4.5 times the error that is to be expected; all have 5 %. */
#define PERCENT (IS_LARGE ? 5u : 10u)

#define HIDE(pointer) __asm__ volatile("" : "+r"(pointer))

/* No tail calls, and none is as another: the linker may take them for one. */
#define ALLOCATOR(name, call)                                                                      \
	__attribute__((noinline, aligned(MOST_CODE))) static void *name(size_t size)               \
	{                                                                                          \
		void *block = call;                                                                \
                                                                                                   \
		__asm__ volatile("" : "+r"(block) : "i"(#name));                                   \
		return block;                                                                      \
	}

ALLOCATOR(alloc_one, hak_malloc(size))
ALLOCATOR(alloc_two, hak_malloc(size))
ALLOCATOR(alloc_three, hak_malloc(size))
ALLOCATOR(alloc_span, hak_malloc(size))
ALLOCATOR(alloc_briefly, hak_malloc(size))

typedef void *allocator(size_t size);

/* What the samples whose first frame lies in a function stand for. */
static struct stack_counts live_of(allocator *function)
{
	struct stack_counts sum = { 0 };

	for (const struct stack *stack = trace_stacks; stack; stack = stack->older) {
		uintptr_t frame = stack->n ? (uintptr_t)stack->frames[0] : 0;

		if (frame - (uintptr_t)function >= MOST_CODE)
			continue;
		sum.blocks += stack->live.blocks;
		sum.bytes += stack->live.bytes;
	}
	sum.blocks /= BLOCK_PARTS;
	return sum;
}

static bool is_near(uint64_t value, uint64_t right, unsigned percent)
{
	uint64_t error = value > right ? value - right : right - value;

	if (error * 100 > right * percent)
		test_print("%lu instead of %lu\n", (unsigned long)value, (unsigned long)right);
	return error * 100 <= right * percent;
}

static bool is_live(allocator *function, uint64_t blocks, size_t size)
{
	struct stack_counts live = live_of(function);

	return is_near(live.bytes, blocks * size, PERCENT) && is_near(live.blocks, blocks, PERCENT);
}

static bool begin(size_t period)
{
	const struct hak_provider *provider = port_provider();

	hak_fini();
	return hak_init(provider) && hak_profile_start(period);
}

static bool end(void)
{
	bool right = !hak_check();

	hak_fini();
	return right;
}

/* Blocks in a list, each with a pointer to the next. */
struct list {
	void *first;
	uint64_t n;
};

static bool list_grow(struct list *list, allocator *function, size_t size)
{
	void *block = function(size);

	if (!block)
		return false;
	*(void **)block = list->first;
	list->first = block;
	list->n++;
	return true;
}

static void list_free(struct list *list, uint64_t n)
{
	while (n-- && list->n) {
		void *next = *(void **)list->first;

		hak_free(list->first);
		list->first = next;
		list->n--;
	}
}

static size_t size_one(uint64_t *random)
{
	(void)random;
	return 64;
}

/*
 * Three stacks, two of which share a class in turns, while blocks of all classes come and go
 * between them. Each has a third of the bytes.
 */
static bool grow(struct list *list, size_t bytes, uint64_t *random)
{
	size_t done = 0;

	while (done < bytes) {
		for (unsigned i = 0; i < 12; i++) {
			if (!list_grow(&list[0], alloc_one, size_one(random)) ||
			    !list_grow(&list[1], alloc_two, size_one(random)))
				return false;
			hak_free(alloc_briefly(64));
			hak_free(alloc_briefly(16 + test_random(random) % 2000));
		}
		if (!list_grow(&list[2], alloc_three, 768))
			return false;
		done += 2 * 12 * 64 + 768;
	}
	return true;
}

static void profile_tells_live_bytes(void)
{
	struct list list[3] = { 0 };
	size_t period = 4096;
	uint64_t random = 7;

	CHECK(begin(period));
	CHECK(grow(list, SAMPLES * period, &random));
	CHECK(is_live(alloc_one, list[0].n, 64));
	CHECK(is_live(alloc_two, list[1].n, 64));
	CHECK(is_live(alloc_three, list[2].n, 768));
	CHECK(live_of(alloc_briefly).blocks == 0);
	CHECK(!hak_check());
	/* a stack of which less is live */
	list_free(&list[0], list[0].n / 2);
	CHECK(is_live(alloc_one, list[0].n, 64));
	CHECK(is_live(alloc_two, list[1].n, 64));
	/* what is freed is not made up for by others, and what comes then is new */
	list_free(&list[0], list[0].n);
	list_free(&list[1], list[1].n);
	CHECK(live_of(alloc_one).bytes == 0 && live_of(alloc_two).bytes == 0);
	CHECK(is_live(alloc_three, list[2].n, 768));
	for (unsigned i = 0; i < SAMPLES / 4 * period / 64; i++)
		CHECK(list_grow(&list[1], alloc_two, 64));
	CHECK(is_near(live_of(alloc_two).bytes, list[1].n * 64, PERCENT));
	for (unsigned i = 0; i < 3; i++)
		list_free(&list[i], list[i].n);
	CHECK(live_of(alloc_two).bytes == 0 && live_of(alloc_three).bytes == 0);
	CHECK(end());
}

/* One stack finds an empty magazine each time, another one never does, as if threads began. */
static void profile_is_fair(void)
{
	struct list list[2] = { 0 };
	size_t period = 4096;

	CHECK(begin(period));
	for (size_t done = 0; done < 2000 * period; done += 4 * 64) {
		hak_flush();
		CHECK(list_grow(&list[0], alloc_one, 64));
		for (unsigned i = 0; i < 3; i++)
			CHECK(list_grow(&list[1], alloc_two, 64));
	}
	CHECK(is_near(live_of(alloc_one).bytes, list[0].n * 64, 20));
	CHECK(is_near(live_of(alloc_two).bytes, list[1].n * 64, 10));
	list_free(&list[0], list[0].n);
	list_free(&list[1], list[1].n);
	CHECK(end());
}

/* Spans, below the period and above it: those stand for themselves. */
static void profile_tells_spans(void)
{
	size_t small = 40000, large = 3 * MIB, period = IS_LARGE ? 256 << 10 : 64 << 10;
	struct list list[2] = { 0 };

	CHECK(begin(period));
	for (unsigned i = 0; i < (IS_LARGE ? 4000 : 800); i++)
		CHECK(list_grow(&list[0], alloc_span, small));
	for (unsigned i = 0; i < 3; i++)
		CHECK(list_grow(&list[1], alloc_one, large));
	CHECK(is_near(live_of(alloc_span).bytes, list[0].n * small, 15));
	CHECK(live_of(alloc_one).bytes == 3 * large && live_of(alloc_one).blocks == 3);
	CHECK(!hak_check());
	list_free(&list[1], 1);
	CHECK(live_of(alloc_one).bytes == 2 * large);
	list_free(&list[0], list[0].n);
	CHECK(live_of(alloc_span).bytes == 0);
	list_free(&list[1], 2);
	CHECK(end());
}

/* What was there before is not known, and does not hide what comes. */
static void profile_begins_late(void)
{
	struct list before = { 0 }, list = { 0 };
	unsigned n = 100000;

	hak_fini();
	CHECK(hak_init(port_provider()));
	for (unsigned i = 0; i < n; i++)
		CHECK(list_grow(&before, alloc_one, 64));
	CHECK(hak_profile_start(4096) && !hak_profile_start(4096) && !hak_profile_start(0));
	for (unsigned i = 0; i < n; i++)
		CHECK(list_grow(&list, alloc_two, 64));
	CHECK(is_near(live_of(alloc_two).bytes, n * 64, 5) && live_of(alloc_one).bytes == 0);
	list_free(&before, n);
	CHECK(is_near(live_of(alloc_two).bytes, n * 64, 5));
	for (unsigned i = 0; i < n; i++)
		CHECK(list_grow(&list, alloc_two, 64));
	CHECK(is_near(live_of(alloc_two).bytes, n * 128, 5));
	hak_profile_stop();
	for (unsigned i = 0; i < n; i++)
		CHECK(list_grow(&before, alloc_three, 64));
	CHECK(live_of(alloc_three).bytes == 0);
	list_free(&list, list.n);
	CHECK(live_of(alloc_two).bytes == 0);
	list_free(&before, n);
	CHECK(end());
}

/* ------------------------------------------------------------------------- the API */

static void *blocks[512];

static bool is_sample(const void *block)
{
	return pagemap_class((uintptr_t)block) == CLASS_MIXED;
}

static bool is_filled(const char *block, size_t size, char with)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != with)
			return false;
	return true;
}

/* Sizes around all classes, and of spans. */
static size_t some_size(unsigned i)
{
	return i < 64 ? 8 * i : (size_t)3 << (i % 18);
}

static void samples_are_blocks(void)
{
	CHECK(begin(1));
	hak_flush();
	for (unsigned i = 0; i < 512; i++) {
		size_t size = some_size(i), usable;

		blocks[i] = i % 3 ? hak_malloc(size) : hak_zalloc(size);
		CHECK(blocks[i] && is_sample(blocks[i]) && hak_owns(blocks[i]));
		usable = hak_usable_size(blocks[i]);
		CHECK(usable >= size && usable == hak_good_size(size));
		CHECK((uintptr_t)blocks[i] % HAK_MIN_ALIGN == 0);
		CHECK(i % 3 || is_filled(blocks[i], size, 0));
		__builtin_memset(blocks[i], (int)i, usable);
	}
	for (unsigned i = 0; i < 512; i++)
		CHECK(is_filled(blocks[i], hak_usable_size(blocks[i]), (char)i));
	CHECK(!hak_check());
	for (unsigned i = 0; i < 512; i++)
		hak_free_sized(blocks[i], some_size(i));
	CHECK(!hak_check());
	for (const struct stack *stack = trace_stacks; stack; stack = stack->older)
		CHECK(!stack->live.blocks && !stack->live.bytes);
	CHECK(end());
}

static void samples_are_aligned(void)
{
	CHECK(begin(1));
	for (unsigned i = 0; i < 256; i++) {
		size_t align = (size_t)1 << (i % 18), size = 1 + some_size(i / 2) / 4;

		blocks[i] = hak_aligned_alloc(align, size);
		CHECK(blocks[i] && is_sample(blocks[i]) && (uintptr_t)blocks[i] % align == 0);
		CHECK(hak_usable_size(blocks[i]) >= size);
		__builtin_memset(blocks[i], (int)i, size);
	}
	for (unsigned i = 0; i < 256; i++) {
		CHECK(is_filled(blocks[i], 1 + some_size(i / 2) / 4, (char)i));
		hak_free_aligned_sized(blocks[i], (size_t)1 << (i % 18), 1 + some_size(i / 2) / 4);
	}
	CHECK(end());
}

static void samples_are_resized(void)
{
	uint64_t random = 3;
	size_t sizes[64];

	CHECK(begin(1));
	for (unsigned i = 0; i < 64; i++) {
		sizes[i] = 1 + i;
		blocks[i] = hak_malloc(sizes[i]);
		CHECK(blocks[i]);
		__builtin_memset(blocks[i], (int)i, sizes[i]);
	}
	for (unsigned turn = 0; turn < 3000; turn++) {
		unsigned i = turn % 64;
		size_t size = 1 + (test_random(&random) >> (64 - 4 - turn % 15));
		size_t kept = MIN(size, sizes[i]);
		void *block = hak_realloc(blocks[i], size);

		CHECK(block && is_filled(block, kept, (char)i));
		CHECK(hak_usable_size(block) >= size);
		blocks[i] = block;
		sizes[i] = size;
		__builtin_memset(block, (int)i, size);
	}
	CHECK(!hak_check());
	for (unsigned i = 0; i < 64; i++)
		hak_free(blocks[i]);
	CHECK(end());
}

/* A heap without memory for samples goes on without them. */
static void samples_run_out(void)
{
	struct hak_samples counts;
	struct list list = { 0 };

	CHECK(begin(2)); /* nearly all blocks are, and records are not for all */
	for (unsigned i = 0; i < 60000; i++)
		CHECK(list_grow(&list, alloc_one, 40));
	hak_samples_read(&counts, sizeof(counts));
	CHECK(counts.profiled > 1000 && counts.profile_missed > 10);
	CHECK(counts.record_bytes <= HAK_SAMPLE_RECORDS * (16u << 10));
	list_free(&list, list.n);
	CHECK(live_of(alloc_one).bytes == 0);
	CHECK(end());
}

/* ------------------------------------------------------------------------- the text */

static bool begins_with(const char *with)
{
	for (size_t i = 0; with[i]; i++)
		if (text[i] != with[i])
			return false;
	return true;
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < length; i++)
		n += text[i] == '\n';
	return n;
}

static void profile_as_text(void)
{
	struct list list = { 0 };

	CHECK(begin(1));
	for (volatile unsigned i = 0; i < 5; i++) /* not unrolled: that would be five stacks */
		CHECK(list_grow(&list, alloc_one, 100));
	list_free(&list, 2);
	length = 0;
	hak_profile_text(collect, NULL);
	CHECK(begins_with("heap profile: 3: 300 [5: 500] @ heapprofile\n3: 300 [5: 500] @ 0x"));
	CHECK(lines() == 2);
	length = 0;
	hak_leaks(collect, NULL);
	CHECK(begins_with("300 bytes in 3 blocks are live\n"
			  "300 bytes in 3 blocks, allocated by:\n    0x"));
	list_free(&list, 3);
	length = 0;
	hak_leaks(collect, NULL);
	CHECK(begins_with("0 bytes in 0 blocks are live\n") && lines() == 1);
	CHECK(end());
}

int main(void)
{
	TEST_RUN(profile_tells_live_bytes);
	TEST_RUN(profile_is_fair);
	TEST_RUN(profile_tells_spans);
	TEST_RUN(profile_begins_late);
	TEST_RUN(samples_are_blocks);
	TEST_RUN(samples_are_aligned);
	TEST_RUN(samples_are_resized);
	TEST_RUN(samples_run_out);
	TEST_RUN(profile_as_text);
	return test_finish();
}
