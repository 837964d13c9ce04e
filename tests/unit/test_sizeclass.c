/* SPDX-License-Identifier: MIT */
/*
 * core/base/sizeclass.c: the tables and the arithmetic, against a list of the sizes
 * that is written out here and a search that any reader believes.
 */
#include "unit.h"

#include <base/sizeclass.h>

static const uint32_t sizes[] = {
	0,     8,     16,    32,    48,	   64,	  80,	 96,	112,  128,  160,  192,	224,
	256,   320,   384,   448,   512,   640,	  768,	 896,	1024, 1152, 1280, 1536, 1792,
	2048,  2304,  2560,  3072,  3584,  4096,  4608,	 5120,	6144, 7168, 8192,
#if HAK_UNIT_SIZE == 4096
	10240, 12288, 14336, 16384, 20480, 24576, 28672, 32768,
#elif HAK_CACHED_MAX
	9344, 10880, 13056, 14336, 16384, 20480, 21760, 24576, 28672, 32768,
#else
	9344, 10880, 13056, 16384, 21760, 32768,
#endif
};

/* Those of spans, from CLASS_SPAN_FIRST on. */
static const uint32_t span_sizes[] = {
#if HAK_UNIT_SIZE == 4096
	40960,	49152,	57344,	65536,	 81920,	 98304,	 114688, 131072,
#else
	36864,	40960,	49152,	57344,	65536,	73728,
	81920,	90112,	98304,	106496, 114688, 131072,
#endif
	163840, 196608, 229376, 262144,	 327680, 393216, 458752, 524288,
	655360, 786432, 917504, 1048576,
};

static unsigned naive_class(size_t size)
{
	unsigned class = HAK_MIN_ALIGN > 8 ? 2 : 1;

	while (class < ARRAY_SIZE(sizes) && sizes[class] < size)
		++class;
	if (class < ARRAY_SIZE(sizes))
		return class;
	for (class = 0; size <= cached_max() && class < ARRAY_SIZE(span_sizes); ++class)
		if (span_sizes[class] >= size)
			return CLASS_SPAN_FIRST + class;
	return CLASS_SPAN;
}

/* How many blocks a slab has: as many as fit, and as its bitmaps have bits. */
static void check_slabs(unsigned class)
{
	size_t units = size_class[class].units, size = sizes[class];

	if (UNITS_PER_SLAB == 1) {
		CHECK(units == 1 && size_class[class].blocks == SLAB_SIZE / size);
		return;
	}
	CHECK(units && units <= UNITS_PER_SLAB);
	CHECK(size <= 1024 ? units == UNITS_PER_SLAB : units * UNIT_SIZE % size == 0);
	CHECK(size <= 1024 || size > 8192 || size_class[class].blocks >= 4);
	CHECK(size <= 8192 || size_class[class].blocks <= 2);
	for (unsigned n = (unsigned)DIV_ROUND_UP(size, UNIT_SIZE); n <= units; n++) {
		unsigned blocks = slab_fit_blocks(class, n), words = slab_bitmaps(class, blocks, n);

		CHECK(blocks && blocks * size <= n * UNIT_SIZE);
		CHECK(size <= 16 || (blocks + 1) * size > n * UNIT_SIZE);
		CHECK(words <= SLAB_INLINE_WORDS || words * 8 <= (n - 1) * sizeof(struct slab));
	}
	CHECK(size < 32 || slab_bitmaps(class, size_class[class].blocks, (unsigned)units) >
				   bitmap_words(size_class[class].blocks));
}

/* Spans of a class fill all but a sixteenth of their units, alone or in groups of up to 64. */
static void check_group(unsigned class)
{
	unsigned units = size_class[class].units, spans = size_class[class].blocks;
	size_t size = size_class[class].size, alone = DIV_ROUND_UP(size, UNIT_SIZE) * UNIT_SIZE;

	CHECK(class_has_groups(class) == (spans > 0) && !units == !spans && spans <= 64);
	if (spans)
		CHECK(spans > 1 && units * UNIT_SIZE - spans * size <= units * PAGE_SIZE);
	else
		CHECK(!HAS_GROUPS || size > 256 * 1024 || alone - size <= alone / 16);
}

static void sizeclass_rows(void)
{
	CHECK(ARRAY_SIZE(sizes) == CLASS_SLAB_LAST + 1);
	CHECK(sizes[CLASS_SLAB_LAST] == SLAB_MAX);
	CHECK(NR_SPAN_CLASSES == (HAK_CACHED_MAX ? ARRAY_SIZE(span_sizes) : 0));
	CHECK(HAK_CACHED_MAX == 0 || HAK_CACHED_MAX == size_class[CLASS_LAST].size);
	for (unsigned class = CLASS_SPAN_FIRST; class < CLASS_SPAN; ++class) {
		CHECK(size_class[class].size == span_sizes[class - CLASS_SPAN_FIRST]);
		CHECK(size_class[class].size % PAGE_SIZE == 0);
		check_group(class);
	}
	CHECK(CLASS_SMALLEST == naive_class(0));
	for (unsigned class = CLASS_FIRST; class <= CLASS_SLAB_LAST; ++class) {
		CHECK(size_class[class].size == sizes[class]);
		CHECK(size_class[class].size > size_class[class - 1].size);
		check_slabs(class);
	}
	CHECK(size_class[CLASS_NONE].size == 0 && size_class[CLASS_NONE].capacity == 0);
	CHECK(size_class[CLASS_BITMAP_512].size == 512);
	CHECK(size_class[CLASS_BITMAP_512].capacity == 0);
	CHECK(size_class[CLASS_BITMAP_1024].size == 1024);
	CHECK(size_class[CLASS_BITMAP_1024].capacity == 0);
}

/* As many blocks as fit in the bytes of a magazine, within limits; of large ones perhaps none. */
static void sizeclass_capacities(void)
{
	unsigned slots = 0, classes = 0;

	for_each_class(class)
	{
		unsigned capacity = HAK_MAGAZINE_BYTES / size_class[class].size;
		unsigned most =
			size_class[class].size <= 512 ? HAK_MAGAZINE_MAX : HAK_MAGAZINE_MAX_LARGE;
		bool span = class > CLASS_SLAB_LAST;

		if (capacity > most)
			capacity = most;
		if (capacity < (span ? 1 : MAGAZINE_MIN))
			capacity = span ? 1 : MAGAZINE_MIN;
		if (span && size_class[class].size > HAK_CACHED_MAX)
			capacity = 0;
		CHECK(size_class[class].capacity == capacity);
		CHECK(class_is_span(class) == span);
		slots += !capacity ? 0
				   : 1 + (capacity < HAK_MAGAZINE_NEAR ? capacity
								       : HAK_MAGAZINE_NEAR);
		slots += capacity > HAK_MAGAZINE_NEAR ? 1 + capacity : 0;
		classes++;
	}
	CHECK(slots == MAGAZINE_SLOTS);
	CHECK(classes == ARRAY_SIZE(sizes) - 1 + NR_SPAN_CLASSES);
}

static void sizeclass_order(void)
{
	unsigned class = CLASS_FIRST, n = 0;

	for_each_class(next)
	{
		CHECK(class == next && class_after(class) != class);
		class = class_after(class);
		n++;
	}
	CHECK(class == CLASS_FIRST && n == CLASS_SLAB_LAST + NR_SPAN_CLASSES);
}

static void sizeclass_every_size(void)
{
	for (size_t size = 0; size <= (1 << 20) + 1; size++) {
		unsigned class = class_of(size);

		CHECK(class == naive_class(size));
		if (size <= SMALL_MAX)
			CHECK(class_of_small(size) == class);
		else if (class < CLASS_SPAN)
			CHECK((size <= TABLE_MAX ? class_of_medium(size) : class_of_large(size)) ==
			      class);
	}
	CHECK(class_of(SIZE_MAX) == CLASS_SPAN);
}

/*
 * At most a fifth of a block is wasted up to 8 KiB, a quarter up to 21760, then half, or a
 * seventh.
 */
static void sizeclass_waste(void)
{
	for (size_t size = 129; size <= SLAB_MAX; size++) {
		size_t block = size_class[class_of(size)].size;

		CHECK((block - size) * (size <= 8192				  ? 5
					: size <= 21760				  ? 4
					: HAK_CACHED_MAX || HAK_UNIT_SIZE == 4096 ? 7
										  : 2) <=
		      block);
	}
	for (size_t size = HAK_MIN_ALIGN + 1; size <= 128; size++)
		CHECK(size_class[class_of(size)].size - size < 16);
	for (unsigned class = CLASS_FIRST; class <= CLASS_SLAB_LAST; ++class)
		CHECK(size_class[class].units * UNIT_SIZE % sizes[class] *
			      (HAK_CACHED_MAX ? 4 : 16) <=
		      SLAB_SIZE);
}

static void sizeclass_block_index(void)
{
	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; ++class) {
		uint32_t size = size_class[class].size, index = 0, rest = 0;

		for (size_t offset = 0; offset < SLAB_SIZE; offset++) {
			bool start;

			CHECK(class_block_index(class, offset, &start) == index);
			CHECK(start == (rest == 0));
			if (++rest == size) {
				rest = 0;
				index++;
			}
		}
	}
}

/* Multiples of 16 from 16 up; powers of two are aligned to themselves. */
static void sizeclass_alignment(void)
{
	unsigned powers = 0;

	for (unsigned class = CLASS_FIRST; class <= CLASS_SLAB_LAST; ++class) {
		CHECK(class == CLASS_FIRST ? sizes[class] == 8 : sizes[class] % 16 == 0);
		if (is_power_of_two(sizes[class])) {
			CHECK(SLAB_SIZE % sizes[class] == 0);
			powers++;
		}
	}
	CHECK(powers == 13); /* 2^3 .. 2^15 */
	CHECK(size_class[CLASS_SMALLEST].size == HAK_MIN_ALIGN);
}

static void sizeclass_bits(void)
{
	for (unsigned i = 0; i < 64; i++) {
		CHECK(lowest_bit((uint64_t)1 << i) == i);
		CHECK(lowest_bit(~(uint64_t)0 << i) == i);
		CHECK(highest_bit((uint64_t)1 << i) == i);
		CHECK(highest_bit(~(uint64_t)0 >> i) == 63 - i);
		CHECK(count_bits(~(uint64_t)0 >> i) == 64 - i);
		CHECK(count_bits(0x123456789abcdef0u >> i << i) <= 32);
	}
	CHECK(count_bits(0) == 0);
	CHECK(count_bits(0x123456789abcdef0u) == 32);
	CHECK(bit_run(0, 32) == 0xffffffffu);
	CHECK(bit_run(31, 1) == 0x80000000u);
	CHECK(bit_run(4, 8) == 0xff0u);
	CHECK(is_power_of_two(1) && is_power_of_two((size_t)1 << 63));
	CHECK(!is_power_of_two(0) && !is_power_of_two(3) && !is_power_of_two(SIZE_MAX));
}

void unit_sizeclass(void)
{
	TEST_RUN(sizeclass_rows);
	TEST_RUN(sizeclass_capacities);
	TEST_RUN(sizeclass_order);
	TEST_RUN(sizeclass_every_size);
	TEST_RUN(sizeclass_waste);
	TEST_RUN(sizeclass_block_index);
	TEST_RUN(sizeclass_alignment);
	TEST_RUN(sizeclass_bits);
}
