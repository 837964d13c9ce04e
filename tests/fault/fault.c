/* SPDX-License-Identifier: MIT */
/*
 * What happens when the provider fails. A fixed workload that uses everything
 * runs again and again; each time another call of the provider fails: the
 * first, the second, and so on until there is none left to fail. It fails
 * once, or from then on, or until the first part of the workload is done.
 *
 * At every step: the contents of all blocks are what was written, the heap
 * agrees with itself and with the provider about what is mapped, and an
 * allocation that fails is counted and changes nothing. At the end everything
 * has gone back, but for exactly what the provider refused.
 *
 * Then a machine of 4 MiB: full, empty and full again, with every class.
 */
#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <hakmem/pool.h>

#include <cache/cache.h>
#include <hakmem/stats.h>

#include "base/format.h"
#include "cache/magazine.h"

#include "../fake.h"
#include "../test.h"

#define CAPACITY  ((size_t)40 << 20)
#define NR_BLOCKS 400u
#define NR_CACHES 4u

enum mode {
	ONCE,
	FOR_EVER,
	FOR_A_WHILE, /* until the first part is done */
};

/* A kind of provider. */
struct kind {
	const char *name;
	unsigned flags;
	enum fake_purge purge;
};

static const struct kind kinds[] = {
	{ "parts", FAKE_ZERO | FAKE_RESIDENT, FAKE_PURGE_ZERO },
	{ "whole", 0, FAKE_PURGE_DIRTY },
	{ "plain", 0, FAKE_PURGE_NONE },
};

/* A way to fail, and with how many of the kinds it is tried. */
struct failure {
	const char *name;
	enum fake_op op;
	enum fake_fault fault;
	unsigned kinds;
};

static const struct failure failures[] = {
	{ "map", FAKE_MAP, FAKE_FAILS, 1 },
	{ "map_heap", FAKE_MAP_HEAP, FAKE_FAILS, 3 },
	{ "map_meta", FAKE_MAP_META, FAKE_FAILS, 1 },
	{ "unmap", FAKE_UNMAP, FAKE_FAILS, 3 },
	{ "purge", FAKE_PURGE, FAKE_FAILS, 2 },
	{ "heap_misaligned", FAKE_MAP_HEAP, FAKE_MISALIGNED, 1 },
	{ "heap_unreachable", FAKE_MAP_HEAP, FAKE_UNREACHABLE, 1 },
	{ "heap_null", FAKE_MAP_HEAP, FAKE_NULL, 1 },
	{ "meta_misaligned", FAKE_MAP_META, FAKE_MISALIGNED, 1 },
	{ "meta_unreachable", FAKE_MAP_META, FAKE_UNREACHABLE, 1 },
	{ "meta_null", FAKE_MAP_META, FAKE_NULL, 1 },
};

struct block {
	unsigned char *at;
	size_t size;
};

static struct fake fake;
static void *arena; /* of all of them, one after another */
static struct hak_stats stats;
static const struct kind *kind;
static const struct failure *failure;

static struct {
	struct block block[NR_BLOCKS];
	unsigned n;
	unsigned long failed; /* calls that returned NULL */
} work;

/* ------------------------------------------------- the provider, with a witness */

static int (*inner_unmap)(void *ctx, void *base, size_t size);
static size_t refused;
static bool is_open;

static int witnessed_unmap(void *ctx, void *base, size_t size)
{
	int result = inner_unmap(ctx, base, size);

	if (result)
		refused += size;
	return result;
}

static bool heap_open(size_t capacity, unsigned flags, enum fake_purge purge)
{
	const struct fake_options options = {
		.capacity = capacity,
		.flags = flags,
		.purge = purge,
		.memory = arena,
	};

	if (is_open)
		hak_fini(); /* a test that failed left it so */
	is_open = true;
	CHECK_OR(fake_open(&fake, &options), false);
	inner_unmap = fake.provider.unmap;
	fake.provider.unmap = witnessed_unmap;
	CHECK_OR(fake_init(&fake), false);
	return true;
}

/* What is left is what was refused on the way out. */
static void heap_close(void)
{
	refused = 0;
	hak_fini();
	is_open = false;
	CHECK(fake.outstanding == refused || !fake.provider.unmap);
	CHECK(fake.broken == 0);
	fake_close(&fake);
}

/* ---------------------------------------------------------------------- blocks */

/* The byte at @i of the block @index; the blocks all differ, and so do bytes. */
static unsigned char content(unsigned index, size_t i)
{
	return (unsigned char)(index * 37 + i * 11 + (i >> 8) + 1);
}

/* Not every byte of a large block is checked: a few on each of its pages. */
static size_t after(size_t i, size_t size)
{
	size_t step = size <= 2048 ? 1 : 1021;

	return i + step < size || i == size - 1 ? i + step : size - 1;
}

static void fill(unsigned index)
{
	const struct block *block = &work.block[index];

	for (size_t i = 0; i < block->size; i = after(i, block->size))
		block->at[i] = content(index, i);
}

static bool is_intact(unsigned index, const struct block *block)
{
	for (size_t i = 0; i < block->size; i = after(i, block->size))
		if (block->at[i] != content(index, i))
			return false;
	return true;
}

static bool is_zero(const struct block *block)
{
	for (size_t i = 0; i < block->size; i = after(i, block->size))
		if (block->at[i])
			return false;
	return true;
}

/* Blocks above SLAB_MAX begin where units do; in the hardened build they end where guards begin. */
#define LARGE_ALIGN (IS_ENABLED(CONFIG_HAK_HARDENED) ? HAK_MIN_ALIGN : UNIT_SIZE)

/* Take what an allocation returned into the books, also if it is nothing. */
static void keep(void *at, size_t size, size_t align)
{
	CHECK(work.n < NR_BLOCKS);
	if (!at) {
		work.block[work.n++] = (struct block){ NULL, 0 };
		work.failed++;
		return;
	}
	CHECK((uintptr_t)at % align == 0);
	CHECK(hak_usable_size(at) >= size);
	work.block[work.n] = (struct block){ at, size };
	fill(work.n++);
}

static void drop(unsigned index)
{
	struct block *block = &work.block[index];

	if (!block->at)
		return;
	CHECK(is_intact(index, block));
	hak_free(block->at);
	*block = (struct block){ NULL, 0 };
}

static void resize(unsigned index, size_t size)
{
	struct block *block = &work.block[index];
	size_t common = size < block->size ? size : block->size;
	unsigned char *at;

	if (!block->at)
		return;
	CHECK(is_intact(index, block));
	at = hak_realloc(block->at, size);
	if (!at) {
		work.failed++;
		CHECK(is_intact(index, block));
		return;
	}
	for (size_t i = 0; i < common; i = after(i, block->size))
		CHECK(at[i] == content(index, i));
	*block = (struct block){ at, size };
	fill(index);
}

/* ------------------------------------------------------------------ the workload */

/* Blocks, heap and provider as they have to be at any time. */
static void check_all(void)
{
	const char *wrong = hak_check();

	if (wrong)
		test_print("hak_check: %s\n", wrong);
	CHECK(!wrong);
	for (unsigned i = 0; i < work.n; i++)
		CHECK(is_intact(i, &work.block[i]));
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.total.failures == work.failed);
	CHECK(stats.mapped_bytes == fake.outstanding);
	CHECK(stats.superslabs_active * HAK_SUPERSLAB_SIZE == fake.outstanding_heap);
	CHECK(stats.meta_bytes == fake.outstanding - fake.outstanding_heap);
	CHECK(fake.broken == 0);
}

static void allocate_small_and_medium(void)
{
	static const size_t sizes[] = { 1, 16, 24, 48, 100, 250, 1000, 3000, 9000, 32768 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (unsigned n = 0; n < 10; n++)
			keep(hak_malloc(sizes[i]), sizes[i], HAK_MIN_ALIGN);
}

static void allocate_spans(void)
{
	static const size_t sizes[] = { 40000, 65536, 300000, 1500000, 2200000 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		keep(hak_malloc(sizes[i]), sizes[i], LARGE_ALIGN);
}

static void allocate_aligned(void)
{
	keep(hak_aligned_alloc(64, 40), 40, 64);
	keep(hak_aligned_alloc(4096, 100), 100, 4096);
	keep(hak_aligned_alloc(32768, 1), 1, 32768);
	keep(hak_aligned_alloc(65536, 1), 1, 65536);
	keep(hak_aligned_alloc(1 << 20, 70000), 70000, 1 << 20);
	keep(hak_aligned_alloc(4 << 20, 100), 100, 4 << 20);
}

/* After others have left their rubbish. */
static void allocate_zeroed(void)
{
	static const size_t sizes[] = { 16, 100, 5000, 20000, 100000, 1500000 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct block block = { hak_calloc(sizes[i], 1), sizes[i] };

		if (block.at)
			CHECK(is_zero(&block));
		keep(block.at, sizes[i], HAK_MIN_ALIGN);
	}
}

/*
 * Others come along, threads or CPUs, each of which wants a cache of its own,
 * or does without. They allocate, and free what is not theirs.
 */
static void use_caches(void)
{
	struct hak_cache *own = this_cache(), *others[NR_CACHES];

	for (unsigned i = 0; i < NR_CACHES; i++) {
		this_cache_set(CACHE_NONE);
		for (unsigned n = 0; n < 4; n++)
			keep(hak_malloc(100 + i), 100 + i, HAK_MIN_ALIGN);
		drop(i * 7);
		drop(i * 7 + 1);
		others[i] = this_cache();
	}
	this_cache_set(own);
	for (unsigned i = 0; i < NR_CACHES; i++)
		if (others[i] != CACHE_NONE)
			hak_cache_detach(others[i]);
}

#define NR_OBJECTS 300u

/* A pool comes, is used as far as there is memory for it, and goes with all it had. */
static void use_pool(void)
{
	struct hak_pool *pool = hak_pool_create("fault", 500, 0, 0);
	void *objects[NR_OBJECTS];
	unsigned n = 0;

	if (!pool)
		return;
	if (hak_pool_alloc_bulk(pool, NR_OBJECTS / 2, objects))
		n = NR_OBJECTS / 2;
	(void)hak_pool_prefill(pool, 100);
	while (n < NR_OBJECTS && (objects[n] = hak_pool_alloc(pool)))
		n++;
	for (unsigned i = 0; i < n; i++) {
		struct block block = { objects[i], 500 };

		work.block[NR_BLOCKS - 1] = block;
		fill(NR_BLOCKS - 1);
	}
	CHECK(!hak_pool_check(pool) && hak_pool_live(pool, NULL, NULL) == n);
	for (unsigned i = 0; i < n; i++) {
		struct block block = { objects[i], 500 };

		CHECK(is_intact(NR_BLOCKS - 1, &block));
		hak_pool_free(pool, objects[i]);
	}
	hak_pool_shrink(pool);
	CHECK(!hak_pool_check(pool));
	CHECK(hak_pool_destroy(pool) == 0);
}

static void resize_some(void)
{
	static const size_t sizes[] = { 8, 200, 3000, 33000, 150000, 20, 1000000 };

	for (unsigned i = 0; i < work.n; i += 9)
		resize(i, sizes[i / 9 % (sizeof(sizes) / sizeof(sizes[0]))]);
	for (unsigned i = 0; i < work.n; i += 18)
		resize(i, 500);
}

static void drop_every(unsigned nth)
{
	for (unsigned i = 0; i < work.n; i += nth)
		drop(i);
}

/* Two scans, which give back what both of them found idle. */
static void scan_twice(void)
{
	for (unsigned scans = 0; scans < 2; scans++) {
		hak_idle(1);
		check_all();
		hak_idle(SIZE_MAX);
		check_all();
	}
}

static void first_part(void)
{
	allocate_small_and_medium();
	check_all();
	allocate_spans();
	drop(work.n - 1);
	scan_twice();
	drop(work.n - 2);
	drop(work.n - 4);
	(void)hak_trim(HAK_TRIM_ALL);
	check_all();
	allocate_aligned();
	check_all();
	use_caches();
	check_all();
	use_pool();
	check_all();
}

static void second_part(void)
{
	drop_every(2);
	scan_twice();
	allocate_zeroed();
	resize_some();
	check_all();
	drop_every(3);
	hak_flush();
	check_all();
	(void)hak_trim(HAK_TRIM_OWN);
	check_all();
	allocate_spans();
	allocate_small_and_medium();
	check_all();
}

static void last_part(void)
{
	drop_every(1);
	hak_flush();
	check_all();
	CHECK(stats.total.live_blocks == 0);
	CHECK(stats.total.magazine_blocks == 0);
	CHECK(stats.slabs_used == 0);
	scan_twice();
	(void)hak_trim(HAK_TRIM_ALL);
	check_all();
}

/* With a provider that works again there is memory for everything. */
static void check_recovery(void)
{
	unsigned long before = work.failed;

	fake_heal(&fake);
	work.n = 0;
	keep(hak_malloc(64), 64, HAK_MIN_ALIGN);
	keep(hak_malloc(6000), 6000, HAK_MIN_ALIGN);
	keep(hak_malloc(100000), 100000, LARGE_ALIGN);
	keep(hak_malloc(3 << 20), 3 << 20, LARGE_ALIGN);
	check_all();
	CHECK(work.failed == before);
	last_part();
	CHECK(stats.superslabs_active == 0);
}

static void run(unsigned long nth, enum mode mode, bool heal)
{
	unsigned long before;

	work.n = 0;
	work.failed = 0;
	if (!heap_open(CAPACITY, kind->flags, kind->purge))
		return;
	if (nth)
		fake_fail(&fake, failure->op, nth, mode != ONCE, failure->fault);
	first_part();
	before = work.failed;
	if (mode == FOR_A_WHILE)
		fake_heal(&fake);
	second_part();
	CHECK(mode != FOR_A_WHILE || work.failed == before);
	CHECK(mode != ONCE || work.failed <= 1);
	last_part();
	if (heal)
		check_recovery();
	heap_close();
	CHECK(!heal || refused == 0);
}

/* One failure after the other, until there was no call left to fail. */
static void fail_each(enum mode mode, bool heal)
{
	unsigned long nth = 0;

	do {
		run(++nth, mode, heal);
		if (test_has_failed()) {
			test_print("failing call number %lu, mode %d, healed %d\n", nth, mode,
				   heal);
			return;
		}
	} while (fake.faults);
	/* else nothing was tested */
	CHECK(nth > 1);
}

static void fail_each_in_each_mode(void)
{
	fail_each(ONCE, true);
	if (!test_has_failed())
		fail_each(FOR_EVER, true);
	if (!test_has_failed() && failure->fault == FAKE_FAILS)
		fail_each(FOR_A_WHILE, true);
	if (failure->op == FAKE_UNMAP && !test_has_failed()) {
		fail_each(ONCE, false);
		fail_each(FOR_EVER, false);
	}
}

static void fail_nothing(void)
{
	run(0, ONCE, true);
	CHECK(work.failed == 0);
}

/* A provider that keeps what it is given back, always or by having no unmap(). */
static void keeps_all(void)
{
	static const unsigned flags[] = { FAKE_KEEPS, FAKE_KEEPS, FAKE_NO_UNMAP, FAKE_NO_UNMAP };

	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		size_t before;

		work.n = 0;
		work.failed = 0;
		if (!heap_open(CAPACITY, flags[i], FAKE_PURGE_DIRTY))
			return;
		if (flags[i] & FAKE_NO_UNMAP)
			fake.provider.unmap = NULL;
		first_part();
		second_part();
		last_part();
		CHECK(work.failed == 0);
		before = fake.outstanding;
		CHECK(before == fake.peak);
		heap_close();
		CHECK(fake.outstanding == before);
	}
}

/* ------------------------------------------------------------ a machine of 4 MiB */

/* One SuperSlab for blocks, where bitmaps are apart one for these, and records. */
#define SMALL_CAPACITY ((size_t)(4 + 2 * HAK_METADATA_APART) << 20)
#define NR_SIZES       64u

/* Blocks of a full heap are chained through themselves. */
struct link {
	struct link *next;
};

static size_t next_size(size_t size)
{
	return size < 32768 ? hak_good_size(size + 1) : size + 65536;
}

static unsigned char *last_byte(struct link *link, size_t size)
{
	return (unsigned char *)link + size - 1;
}

/* Allocate until there is no more; how many it were. */
static size_t fill_up(size_t size, struct link **all)
{
	struct link *link;
	size_t n = 0;

	*all = NULL;
	while ((link = hak_malloc(size))) {
		if (size > sizeof(*link))
			*last_byte(link, size) = (unsigned char)((uintptr_t)link >> 3);
		link->next = *all;
		*all = link;
		n++;
	}
	return n;
}

/* Free them all; false if one was damaged. */
static bool empty_out(size_t size, struct link *all)
{
	bool intact = true;

	while (all) {
		struct link *next = all->next;

		if (size > sizeof(*all))
			intact &= *last_byte(all, size) == (unsigned char)((uintptr_t)all >> 3);
		hak_free(all);
		all = next;
	}
	return intact;
}

static void check_heap(void)
{
	const char *wrong = hak_check();

	if (wrong)
		test_print("hak_check: %s\n", wrong);
	CHECK(!wrong);
}

/* In a heap that is full one block less is room for one block more. */
static void check_full(size_t size, struct link **all)
{
	struct link *link = *all, *again;

	CHECK(hak_malloc(size) == NULL);
	CHECK(hak_calloc(1, size) == NULL);
	CHECK(hak_realloc(link, 3 << 20) == NULL);
	*all = link->next;
	hak_free(link);
	again = hak_malloc(size);
	CHECK(again);
	again->next = *all;
	if (size > sizeof(*again))
		*last_byte(again, size) = (unsigned char)((uintptr_t)again >> 3);
	*all = again;
	check_heap();
}

/*
 * The same number of blocks? One of several slabs may go on from a SuperSlab into the next, if
 * they lie side by side, and were mapped in this order.
 */
static bool are_as_many(size_t size, size_t one, size_t other)
{
	return one == other || (size > 65536 && one + 1 >= other && other + 1 >= one);
}

/* One size: full, empty, full, the same number of blocks in a heap as it was. */
static size_t fill_twice(size_t size)
{
	struct link *all;
	size_t first, second;

	first = fill_up(size, &all);
	CHECK_OR(first > 0, 0);
	CHECK_OR(first * size > HAK_SUPERSLAB_SIZE / (IS_ENABLED(CONFIG_HAK_HARDENED) ? 4 : 2), 0);
	check_full(size, &all);
	CHECK_OR(empty_out(size, all), 0);
	check_heap();
	second = fill_up(size, &all);
	check_heap();
	CHECK_OR(empty_out(size, all), 0);
	if (!are_as_many(size, first, second))
		test_print("size %zu: %zu blocks, then %zu\n", size, first, second);
	CHECK_OR(are_as_many(size, first, second), 0);
	return first;
}

static size_t fills_alone[NR_SIZES];

static void full_with_each_size(void)
{
	unsigned n = 0;

	for (size_t size = hak_good_size(1); n < NR_SIZES && size < 1500000; n++) {
		if (!heap_open(SMALL_CAPACITY, n % 2 ? 0 : 0, FAKE_PURGE_DIRTY))
			return;
		fills_alone[n] = fill_twice(size);
		heap_close();
		if (test_has_failed())
			return;
		CHECK(refused == 0);
		size = next_size(size);
	}
}

/*
 * The same in one heap: what one size leaves behind is all there for the next,
 * also what it leaves in magazines.
 */
static void full_with_all_sizes(void)
{
	unsigned n = 0;

	if (!heap_open(SMALL_CAPACITY, 0, FAKE_PURGE_DIRTY))
		return;
	for (size_t size = hak_good_size(1); n < NR_SIZES && size < 1500000; n++) {
		size_t count;

		if (size > 65536)
			hak_flush(); /* what lies in magazines is in the way of runs */
		count = fill_twice(size);
		if (!are_as_many(size, count, fills_alone[n]))
			test_print("size %zu: %zu blocks, in a new heap %zu\n", size, count,
				   fills_alone[n]);
		CHECK(are_as_many(size, count, fills_alone[n]));
		size = next_size(size);
	}
	(void)hak_trim(HAK_TRIM_ALL);
	CHECK(fake.outstanding_heap == 0);
	heap_close();
	CHECK(refused == 0);
}

/* Not even room for the first SuperSlab. */
static void too_small_for_anything(void)
{
	for (size_t capacity = 2 * HAK_GRANULE; capacity < HAK_SUPERSLAB_SIZE; capacity *= 4) {
		if (!heap_open(capacity, 0, FAKE_PURGE_NONE))
			return;
		CHECK(hak_malloc(1) == NULL);
		CHECK(hak_malloc(100000) == NULL);
		CHECK(hak_aligned_alloc(4096, 1) == NULL);
		CHECK(hak_calloc(10, 10) == NULL);
		CHECK(hak_realloc(NULL, 10) == NULL);
		hak_flush();
		CHECK(hak_trim(HAK_TRIM_ALL) == 0);
		hak_free(NULL);
		check_heap();
		heap_close();
		CHECK(refused == 0);
	}
}

static void append(void *ctx, const char *text, size_t length)
{
	char **end = ctx;

	while (length--)
		*(*end)++ = *text++;
	**end = '\0';
}

static void run_failures(void)
{
	char name[64], *end;

	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		kind = &kinds[k];
		end = name;
		hak_format(append, &end, "nothing_fails_%s", kind->name);
		test_run(name, fail_nothing);
		for (unsigned f = 0; f < sizeof(failures) / sizeof(failures[0]); f++) {
			failure = &failures[f];
			if (k >= failure->kinds)
				continue;
			end = name;
			hak_format(append, &end, "fails_%s_%s", failure->name, kind->name);
			test_run(name, fail_each_in_each_mode);
		}
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	arena = port_map(CAPACITY);
	if (!arena)
		return 1;
	run_failures();
	TEST_RUN(keeps_all);
	TEST_RUN(full_with_each_size);
	TEST_RUN(full_with_all_sizes);
	TEST_RUN(too_small_for_anything);
	return test_finish();
}
