/* SPDX-License-Identifier: MIT */
/*
 * core/slab/gap.c: blocks made of free neighbours of a smaller class. Where the platform has
 * none, the tests find just that.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <base/sizeclass.h>
#include <pages/pagemap.h>
#include <reclaim/scan.h>
#include <slab/class.h>
#include <slab/gap.h>

#define CLASS_64  5
#define CLASS_640 18

static void *blocks[8192];

/* Fill a slab of a class, and keep those blocks @from it of which @keeps(index) says so. */
static bool holes(unsigned class, bool (*keeps)(unsigned index))
{
	unsigned n = size_class[class].blocks, done = 0;

	while (done < n) {
		void *batch[64];
		unsigned got = class_alloc(class, batch + 64, MIN(n - done, 64u), ALLOC_ANY);

		if (!got)
			return false;
		for (unsigned i = 0; i < got; i++)
			blocks[done++] = batch[63 - i];
	}
	for (unsigned i = 0; i < n; i++)
		if (!keeps(i))
			class_free(class, &blocks[i], 1);
	return true;
}

/* All memory that is left becomes large blocks, so that gaps are the last resort. */
static void use_up(void)
{
	while (unit_span_alloc(SLAB_SIZE))
		;
}

static struct slab *slab_of(const void *block)
{
	return address_to_slab((uintptr_t)block);
}

static unsigned byte_of(const void *block)
{
	return pagemap_class((uintptr_t)block);
}

/* Gaps of 3, 5, 4 and many blocks, in this order. */
static bool keeps_some(unsigned index)
{
	return index == 0 || index == 4 || index == 10 || index == 15;
}

static void gap_is_the_shortest(void)
{
	void *four, *three, *many;

	if (!HAK_GAPS)
		return;
	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(holes(CLASS_64, keeps_some));
	use_up();
	four = hak_malloc(256 - 20);
	CHECK(at(four) == at(blocks[11]) && hak_usable_size(four) == 256);
	CHECK(byte_of(four) == CLASS_MIXED && slab_of(four)->gaps == 1 && !hak_check());
	three = hak_malloc(192);
	CHECK(at(three) == at(blocks[1]) && hak_usable_size(three) == 192);
	many = hak_malloc(1000);
	CHECK(at(many) == at(blocks[16]) && hak_usable_size(many) == 1024);
	CHECK(slab_of(four)->gaps == 3 && !hak_check());
	/* a larger one is in no class left */
	CHECK(!hak_malloc(SLAB_SIZE - 64 * 32 + 1));
	hak_free(four);
	hak_free(three);
	CHECK(byte_of(many) == CLASS_MIXED && !hak_check());
	hak_free(many);
	CHECK(byte_of(blocks[0]) == CLASS_64 && slab_of(blocks[0])->gaps == 0 && !hak_check());
	CHECK(unit_close());
}

/* Runs that begin and end in any word of the bitmap, and are longer than some. */
static unsigned run_first, run_length;
static bool keeps_all_but_run(unsigned index)
{
	return index - run_first >= run_length;
}

static void gap_of_any_length(void)
{
	static const unsigned lengths[] = { 2, 3, 5, 31, 33, 63, 64, 65, 127, 128, 129, 200, 700 };
	unsigned n = size_class[CLASS_64].blocks;

	if (!HAK_GAPS)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		run_length = lengths[i];
		for (run_first = 0; run_first + run_length <= n;
		     run_first = run_first == 130 ? n - run_length : run_first + 13) {
			void *block;

			CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
			CHECK(holes(CLASS_64, keeps_all_but_run));
			CHECK(!gap_alloc(CLASS_SLAB_LAST, run_length * 64 + 1, 1));
			block = gap_alloc(CLASS_SLAB_LAST + 1, run_length * 64, 1);
			CHECK(at(block) == at(blocks[run_first]) && !hak_check());
			CHECK(hak_usable_size(block) == run_length * 64);
			gap_free(block);
			CHECK(slab_of(blocks[0])->free == run_length && !hak_check());
			CHECK(unit_close());
			if (run_first + run_length == n)
				break;
		}
	}
}

static bool keeps_first(unsigned index)
{
	return !index;
}

/* A block of each class, from the class below it that has gaps; then all of them at once. */
static void gap_of_each_class(void)
{
	if (!HAK_GAPS)
		return;
	for (unsigned class = CLASS_FIRST; class <= CLASS_SLAB_LAST; ++class) {
		size_t size = size_class[class].size;
		void *block;

		CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
		CHECK(holes(class, keeps_first));
		CHECK(class_has_gaps(class) == (size >= 32));
		CHECK(!gap_alloc(class, size, 1)); /* not of itself */
		block = gap_alloc(class + 1, size + 1, 1);
		CHECK(!block == (size < 32 || size_class[class].blocks < 3));
		if (block) {
			CHECK(at(block) == at(blocks[1]) && hak_usable_size(block) == 2 * size);
			unit_fill(block, 2 * size, class);
			CHECK(!hak_check());
			hak_free(block);
		}
		CHECK(slab_of(blocks[0])->gaps == 0 && !hak_check());
		class_free(class, blocks, 1);
		CHECK(unit_close());
	}
}

static void gap_alignment(void)
{
	void *block;

	if (!HAK_GAPS)
		return;
	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(holes(CLASS_640, keeps_first));
	use_up();
	CHECK(!hak_aligned_alloc(256, 1000) && !hak_aligned_alloc(4096, 4096));
	block = hak_aligned_alloc(128, 1000);
	CHECK(at(block) == at(blocks[1]) && at(block) % 128 == 0);
	CHECK(hak_usable_size(block) == 1280);
	hak_free(block);
	CHECK(!hak_check() && unit_close());
}

/* Spans of up to a slab get gaps, and zeros that are some. */
static void gap_for_spans(void)
{
	char *block;

	if (!HAK_GAPS)
		return;
	CHECK(unit_open(4 * MIB, FAKE_ZERO, FAKE_PURGE_NONE));
	CHECK(holes(CLASS_640, keeps_first));
	for (unsigned i = 1; i < size_class[CLASS_640].blocks; i++)
		CHECK(blocks[i]);
	use_up();
	block = hak_malloc(40000);
	CHECK(at(block) == at(blocks[1]) && hak_usable_size(block) == 40320);
	unit_fill(block, 40320, 1);
	hak_free(block);
	block = hak_calloc(5, 8000);
	CHECK(at(block) == at(blocks[1]) && unit_is_zero(block, 40000));
	unit_fill(block, 40320, 2);
	/* it stays, gets smaller, and never moves by page tables */
	CHECK(hak_realloc(block, 40300) == block && hak_realloc(block, 30000) == block);
	CHECK(!hak_realloc(block, 65000) && unit_is_filled(block, 30000, 2));
	block = hak_realloc(block, 5000);
	CHECK(block && unit_is_filled(block, 5000, 2) && !hak_check());
	block = hak_realloc(block, 50000);
	CHECK(!block || unit_is_filled(block, 5000, 2));
	CHECK(!hak_calloc(1, SLAB_SIZE) && !hak_malloc(SLAB_SIZE + 1));
	CHECK(!hak_check() && unit_close());
}

/* Blocks of the class go on as before, also those that lie in magazines. */
static void gap_beside_ordinary_blocks(void)
{
	void *first, *second, *gap;
	struct slab *slab;

	if (!HAK_GAPS)
		return;
	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	first = hak_malloc(64);
	second = hak_malloc(64);
	CHECK(first && second);
	hak_free(second);
	slab = slab_of(first);
	gap = gap_alloc(CLASS_640, 640, 1);
	CHECK(gap && slab_of(gap) == slab && byte_of(first) == CLASS_MIXED && !hak_check());
	CHECK(at(hak_malloc(64)) == at(second)); /* the magazine does not mind */
	CHECK(hak_usable_size(second) == 64 && hak_usable_size(gap) == 640);
	hak_free(second); /* this one goes to the slab */
	hak_flush();
	CHECK(slab->free == size_class[CLASS_64].blocks - 11 && !hak_check());
	second = hak_malloc(64);
	CHECK(second && slab_of(second) == slab);
	hak_free(gap);
	CHECK(byte_of(first) == CLASS_64 && slab->gaps == 0);
	hak_free(first);
	hak_free(second);
	hak_flush();
	CHECK(!hak_check() && unit_close());
}

/* The last block of a slab may be a gap block: the slab goes with it. */
static void gap_is_the_last(void)
{
	struct arena_counters arena;
	void *gap;

	if (!HAK_GAPS)
		return;
	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(holes(CLASS_64, keeps_first));
	gap = gap_alloc(CLASS_640, 10000, 1);
	CHECK(gap);
	class_free(CLASS_64, blocks, 1);
	CHECK(slab_of(gap)->class == CLASS_64 && !hak_check());
	hak_free(gap);
	arena_read_counters(&arena);
	CHECK(arena.units_used == 0 && byte_of(gap) == CLASS_NONE);
	CHECK(!hak_check() && unit_close());
}

/* What is in the way of a free, for each block of the slab, and between them. */
static void gap_inspection(void)
{
	enum hak_bug_code expected;
	struct gap gap;
	char *block;

	if (!HAK_GAPS)
		return;
	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(holes(CLASS_640, keeps_some));
	block = gap_alloc(CLASS_SLAB_LAST, 640 * 3, 1);
	CHECK(block == blocks[1]);
	for (size_t offset = 0; offset < SLAB_SIZE; offset += 8) {
		unsigned index = (unsigned)(offset / 640);
		bool in_gap = index >= 1 && index <= 3;
		size_t detail = in_gap ? offset - 640 : offset % 640;

		expected = detail			 ? HAK_BUG_INTERIOR
			   : in_gap || keeps_some(index) ? HAK_BUG_NONE
							 : HAK_BUG_DOUBLE_FREE;
		if (index >= size_class[CLASS_640].blocks)
			expected = HAK_BUG_UNUSED;
		CHECK(gap_inspect((char *)blocks[0] + offset, &gap) == expected);
		CHECK(gap.class == CLASS_640);
		if (expected != HAK_BUG_UNUSED)
			CHECK(gap.size == (in_gap ? 3 * 640 : 640) && gap.detail == detail);
	}
	/* a block that became part of a gap cannot come back from a magazine */
	for (unsigned i = 1; i <= 3; i++) {
		size_t detail;

		CHECK(class_inspect(CLASS_640, blocks[i], &detail) == HAK_BUG_DOUBLE_FREE);
	}
	CHECK(class_inspect(CLASS_640, blocks[4], &(size_t){ 0 }) == HAK_BUG_NONE);
	hak_free(block);
	CHECK(gap_inspect(block, &gap) == HAK_BUG_DOUBLE_FREE);
	CHECK(!hak_check() && unit_close());
}

/* What hak_check() says of what is wrong with gap blocks. */
static void gap_check(void)
{
	struct slab_class *sc;
	struct slab *slab;
	char *block;

	if (!HAK_GAPS)
		return;
	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(holes(CLASS_64, keeps_first));
	block = gap_alloc(CLASS_SLAB_LAST, 640, 1);
	CHECK(block == blocks[1] && !hak_check());
	slab = slab_of(block);
	sc = class_find(CLASS_64);
	slab->gaps++;
	CHECK(unit_same(hak_check(), "slab: gap blocks and the count of them"));
	slab->gaps--;
	sc->gaps++;
	CHECK(unit_same(hak_check(), "class: number of gap blocks"));
	sc->gaps--;
	pagemap_set_class(slab_base(slab), 1, CLASS_64);
	CHECK(unit_same(hak_check(), "page map: class of a slab"));
	pagemap_set_class(slab_base(slab), 1, CLASS_MIXED);
	slab_rest(slab)[0] ^= (uint64_t)1 << 11; /* block 11 is free */
	CHECK(unit_same(hak_check(), "slab: a part of a gap block that is free"));
	slab_rest(slab)[0] ^= (uint64_t)1 << 11;
	slab_rest(slab)[0] ^= (uint64_t)1 << 5; /* two gap blocks of one */
	CHECK(unit_same(hak_check(), "slab: gap blocks and the count of them"));
	slab_rest(slab)[0] ^= (uint64_t)1 << 5;
	hak_free(block);
	CHECK(!hak_check() && unit_close());
}

/* A scan purges pages around a gap block, not its own; none is made in purged pages. */
static void gap_and_scan(void)
{
	char *block;

	if (!HAK_GAPS)
		return;
	CHECK(unit_open(4 * MIB, FAKE_ZERO, FAKE_PURGE_ZERO));
	CHECK(holes(CLASS_640, keeps_first));
	block = gap_alloc(CLASS_SLAB_LAST, 640 * 20, 1);
	CHECK(block);
	unit_fill(block, 640 * 20, 3);
	hak_trim(HAK_TRIM_ALL);
	CHECK(slab_of(block)->unbacked && slab_of(block)->unbacked_blocks && !hak_check());
	CHECK(unit_is_filled(block, 640 * 20, 3));
	CHECK(!gap_alloc(CLASS_SLAB_LAST, 640 * 20, 1)); /* the rest is not backed */
	hak_free(block);
	hak_trim(HAK_TRIM_ALL);
	CHECK(!hak_check() && unit_close());
}

/* While a scan has the free blocks of a slab, no gap is made of them. */
static void gap_and_claim(void)
{
	struct claim claim;

	if (!HAK_GAPS)
		return;
	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(holes(CLASS_640, keeps_some));
	claim_first();
	CHECK(claim_next(&claim, true));
	class_claim(&claim, true);
	CHECK(claim.blocks && !gap_alloc(CLASS_SLAB_LAST, 1280, 1));
	class_free_claimed(&claim, -1);
	claim_free(&claim, -1);
	CHECK(gap_alloc(CLASS_SLAB_LAST, 1280, 1) && !hak_check());
	CHECK(unit_close());
}

/* Where slabs are few and there are no more to be had, a gap comes before a new slab. */
static void gap_before_new_slab(void)
{
	void *block, *mine;

	if (!HAK_GAPS)
		return;
	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(holes(CLASS_640, keeps_first)); /* and a slab for its bitmap */
	CHECK(unit_span_alloc(27 * SLAB_SIZE) && !arena_is_scarce());
	block = hak_malloc(2000);
	CHECK(hak_usable_size(block) == 2048); /* the provider may have more */
	CHECK(!unit_span_alloc(2 * MIB) && arena_is_scarce());
	mine = hak_malloc(2000);
	CHECK(hak_usable_size(mine) == 2048); /* the class has a slab with free blocks */
	hak_free(mine);
	hak_free(block);
	hak_flush();
	CHECK(!arena_is_scarce()); /* enough slabs are unused */
	block = hak_malloc(2000);
	CHECK(hak_usable_size(block) == 2048);
	hak_free(block);
	hak_flush();
	CHECK(unit_span_alloc(2 * SLAB_SIZE) && arena_is_scarce());
	pages_left = 4 * MIB; /* so the provider says */
	CHECK(!arena_is_scarce());
	pages_left = 0;
	block = hak_malloc(2000);
	CHECK(at(block) == at(blocks[1]) && hak_usable_size(block) == 2560);
	block = hak_malloc(1000);
	CHECK(hak_usable_size(block) == 1024); /* too small to make it worth a search */
	CHECK(!hak_check() && unit_close());
	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(!arena_is_scarce() && unit_close());
}

static struct hak_stats stats;

static void gap_counters(void)
{
	void *block;

	CHECK(unit_open((4 + 2 * HAK_METADATA_APART) * MIB, 0, FAKE_PURGE_NONE));
	CHECK(holes(CLASS_64, keeps_first));
	use_up();
	block = hak_malloc(200);
	CHECK(!block == !HAK_GAPS && !hak_malloc(SLAB_SIZE));
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.gap_blocks == HAK_GAPS && stats.gaps_made == HAK_GAPS);
	CHECK(!stats.gaps_failed == !HAK_GAPS);
	/* the blocks that it consists of are counted */
	CHECK(stats.total.live_bytes - stats.spans.live_bytes == (HAK_GAPS ? 256 : 0) + 64);
	hak_free(block);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.gap_blocks == 0 && stats.gaps_made == HAK_GAPS);
	CHECK(!hak_check() && unit_close());
}

/*
 * The model: memory is always full, so that about all is made of gaps. A byte for each 8 bytes
 * of the heap says whether somebody has them.
 */
#define MODEL_BLOCKS 3000
static struct {
	char *block;
	size_t size, usable;
	unsigned seed;
} model[MODEL_BLOCKS];
static unsigned nr_model;
static uint8_t owned[2 * MIB / 8];
static uintptr_t model_base;
static uint64_t model_random;

/* Mark the bytes of a block. False if one of them has this mark already. */
static bool model_mark(unsigned i, bool mark)
{
	size_t first = ((uintptr_t)model[i].block - model_base) / 8;

	for (size_t k = first; k < first + model[i].usable / 8; k++) {
		if (owned[k] == mark)
			return false;
		owned[k] = mark;
	}
	return true;
}

static size_t model_size(void)
{
	uint64_t draw = test_random(&model_random);
	unsigned log = 4 + draw % 12;

	return ((size_t)1 << log) + (draw >> 32) % ((size_t)1 << log);
}

static bool model_add(char *block, size_t size, unsigned seed)
{
	unsigned i = nr_model++;

	model[i].block = block;
	model[i].size = size;
	model[i].usable = hak_usable_size(block);
	model[i].seed = seed;
	return model[i].usable >= size && model_mark(i, true);
}

static bool model_drop(unsigned i)
{
	bool right = unit_is_filled(model[i].block, model[i].size, model[i].seed) &&
		     hak_usable_size(model[i].block) == model[i].usable && model_mark(i, false);

	model[i] = model[--nr_model];
	return right;
}

static bool model_alloc(unsigned seed)
{
	unsigned how = (unsigned)(test_random(&model_random) % 8);
	size_t size = MIN(model_size(), GAP_MAX),
	       align = (size_t)8 << test_random(&model_random) % 8;
	char *block;

	if (how == 0)
		block = hak_aligned_alloc(align, size);
	else if (how == 1)
		block = hak_calloc(1, size);
	else if (how == 2)
		block = gap_alloc(CLASS_SLAB_LAST + 1, size, 1);
	else
		block = hak_malloc(size);
	if (!block)
		return true;
	if ((how == 0 && (uintptr_t)block % align) || (how == 1 && !unit_is_zero(block, size)))
		return false;
	if (!model_add(block, size, seed))
		return false;
	unit_fill(block, size, seed);
	return true;
}

static bool model_realloc(unsigned i, unsigned seed)
{
	size_t old = model[i].size, size = model_size(), kept = MIN(old, size) & ~(size_t)7;
	char *block = hak_realloc(model[i].block, size);
	unsigned was = model[i].seed;

	if (!block)
		return unit_is_filled(model[i].block, old, was);
	if (!unit_is_filled(block, kept, was) || !model_mark(i, false))
		return false;
	model[i] = model[--nr_model];
	if (!model_add(block, size, seed))
		return false;
	unit_fill(block, size, seed);
	return true;
}

static bool model_step(unsigned step)
{
	unsigned how = (unsigned)(test_random(&model_random) % 100);
	unsigned i = nr_model ? (unsigned)(test_random(&model_random) % nr_model) : 0;
	bool wave = step / 3000 % 2;

	if (how == 99)
		hak_flush();
	if (how == 98 && step % 16 == 0)
		hak_trim(HAK_TRIM_ALL);
	if (nr_model && how < 10)
		return model_realloc(i, step);
	if (nr_model && (how < (wave ? 60u : 45u) || nr_model == MODEL_BLOCKS)) {
		char *block = model[i].block;

		if (!model_drop(i))
			return false;
		hak_free(block);
		return true;
	}
	return model_alloc(step);
}

static void model_run(enum fake_purge purge, uint64_t seed)
{
	void *first;

	CHECK(unit_open((3 + 2 * HAK_METADATA_APART) * MIB, 0, purge));
	first = hak_malloc(64);
	CHECK(first);
	model_base = (uintptr_t)first & ~(SUPERSLAB_SIZE - 1);
	hak_free(first);
	nr_model = 0;
	model_random = seed;
	__builtin_memset(owned, 0, sizeof(owned));
	for (unsigned step = 0; step < 24000; step++) {
		CHECK(model_step(step));
		if (step % 128 == 0)
			CHECK(!hak_check());
	}
	hak_stats_read(&stats, sizeof(stats));
	CHECK(!HAK_GAPS || stats.gaps_made > 100);
	while (nr_model) {
		char *block = model[nr_model - 1].block;

		CHECK(model_drop(nr_model - 1));
		hak_free(block);
	}
	hak_flush();
	CHECK(!hak_check());
	hak_stats_read(&stats, sizeof(stats));
	CHECK(!stats.gap_blocks && !stats.total.live_blocks && !stats.slabs_used);
	CHECK(unit_close());
}

static void gap_model(void)
{
	model_run(FAKE_PURGE_NONE, 99);
}

static void gap_model_with_purges(void)
{
	model_run(FAKE_PURGE_DIRTY, 7);
}

void unit_gap(void)
{
	TEST_RUN(gap_is_the_shortest);
	TEST_RUN(gap_of_any_length);
	TEST_RUN(gap_of_each_class);
	TEST_RUN(gap_alignment);
	TEST_RUN(gap_for_spans);
	TEST_RUN(gap_beside_ordinary_blocks);
	TEST_RUN(gap_is_the_last);
	TEST_RUN(gap_inspection);
	TEST_RUN(gap_check);
	TEST_RUN(gap_and_scan);
	TEST_RUN(gap_and_claim);
	TEST_RUN(gap_before_new_slab);
	TEST_RUN(gap_counters);
	TEST_RUN(gap_model);
	TEST_RUN(gap_model_with_purges);
}
