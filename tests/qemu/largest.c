/* SPDX-License-Identifier: MIT */
/*
 * What hak_available(), hak_largest() and hak_peak() tell, in heaps of many shapes: a block of
 * hak_largest() bytes is there each time, and they do not tell much too little.
 *
 *	largest [N]	both together take at most N instructions (--icount)
 */
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

#include <base/base.h>

#include "../test.h"

#define MOST  100000u
#define SLAB  ((size_t)65536)
#define MIB   ((size_t)1 << 20)
#define SEEDS 12u
#define STEPS 60u

/* So many frames need a few others for their records; as many lie elsewhere at most. */
#define FRAMES	   140u
#define APART_MOST 4u

#define UNTOLD (3 * HAK_SUPERSLAB_SIZE)

static void *block[MOST];
static unsigned n;
static uint64_t random_state;
static uint64_t longest_call, most_instructions;

static uint64_t below(uint64_t most)
{
	return (test_random(&random_state) >> 16) % most;
}

static size_t size_of(unsigned mix)
{
	switch (mix) {
	case 0:
		return 1 + below(200);
	case 1:
		return 1 + below(5000);
	case 2:
		return (size_t)1 << (3 + below(18));
	case 3:
		return 30000 + below(400000);
	default:
		return 1 + below(below(16) ? 3000 : 4 * MIB);
	}
}

static void grow(unsigned mix, size_t bytes)
{
	void *new;

	for (size_t size; n < MOST && bytes; bytes -= MIN(size, bytes)) {
		size = size_of(mix);
		new = hak_malloc(size);
		if (!new)
			return;
		block[n++] = new;
	}
}

/* Of all blocks, so many in 16 go: at random, or the newest. */
static void shrink(unsigned sixteenths, bool newest)
{
	for (unsigned i = n; i-- > 0 && n;) {
		if (newest ? i < n * (16 - sixteenths) / 16 : below(16) >= sixteenths)
			continue;
		hak_free(block[i]);
		block[i] = block[--n];
	}
}

/* The largest block that there is: found by asking. */
static size_t search(size_t least, size_t most)
{
	void *found;

	while (most - least >= SLAB) {
		size_t middle = least + (most - least) / 2 / SLAB * SLAB;

		if (middle == least)
			break;
		found = hak_malloc(middle);
		hak_free(found);
		if (found)
			least = middle;
		else
			most = middle;
	}
	return least;
}

/* Returns what hak_largest() told, of which a block was there; ~0 if it was not. */
static size_t largest_is_there(void)
{
	uint64_t start = cpu_read_tsc(), ticks;
	size_t largest = hak_largest(), available = hak_available();
	void *found;

	ticks = cpu_read_tsc() - start;
	longest_call = MAX(longest_call, ticks);
	found = hak_malloc(largest);
	if (available < largest || (largest && !found)) {
		test_print("%zu available, %zu in one piece: %s\n", available, largest,
			   found ? "ok" : "NULL");
		return ~(size_t)0;
	}
	hak_free(found);
	return largest;
}

static void many_shapes(void)
{
	size_t total = hak_frames_total() * HAK_SUPERSLAB_SIZE, told, there;
	size_t sum_told = 0, sum_there = 0;

	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		random_state = seed * 0x9e3779b97f4a7c15u;
		CHECK(hak_init(&hak_frames_provider));
		for (unsigned step = 0; step < STEPS; step++) {
			switch (below(8)) {
			case 0:
				grow((unsigned)below(5), total); /* until it is full */
				break;
			case 1:
				hak_flush();
				break;
			case 2:
				hak_trim(HAK_TRIM_ALL);
				break;
			case 3:
			case 4:
				shrink(1 + (unsigned)below(16), below(2));
				break;
			default:
				grow((unsigned)below(5), below(total / 2));
			}
			told = largest_is_there();
			if (told == ~(size_t)0)
				test_print("seed %u, step %u\n", seed, step);
			CHECK(told != ~(size_t)0);
			if (step % 4 == 0) {
				there = search(told, total);
				sum_told += told;
				sum_there += there;
			}
		}
		shrink(16, true);
		CHECK(n == 0 && !hak_check());
		hak_fini();
	}
	test_print("told %zu MiB of %zu MiB; %lu instructions at most\n", sum_told / MIB,
		   sum_there / MIB, (unsigned long)longest_call);
	CHECK(sum_told >= sum_there / 10 * 6);
	CHECK(!most_instructions || longest_call <= most_instructions);
}

static void *map_frames(size_t count)
{
	size_t align = HAK_SUPERSLAB_SIZE;
	struct hak_mapping out;

	if (hak_frames_provider.map(NULL, count * align, align, HAK_WANT_HEAP, &out))
		return NULL;
	return out.base;
}

static void unmap_frames(void *base, size_t count)
{
	hak_frames_provider.unmap(NULL, base, count * HAK_SUPERSLAB_SIZE);
}

/* The reserve gets the frame that has @below of the lowest run below it. */
static void keep_frame(size_t below)
{
	void *base = below ? map_frames(below) : NULL;

	hak_free(hak_malloc(MIB));
	if (base)
		unmap_frames(base, below);
}

/*
 * @apart frames of @nr are free at the end, and a run at the start, which grows from one frame on.
 * So what is told comes to each place at which records need another frame.
 */
static void run_grows(void **frame, unsigned nr, unsigned apart, bool reserve)
{
	for (unsigned i = 0; i < apart; i++)
		unmap_frames(frame[--nr], 1);
	for (unsigned run = 1; run < nr; run++) {
		unmap_frames(frame[run - 1], 1);
		hak_trim(HAK_TRIM_ALL);
		if (reserve)
			keep_frame(run / 2);
		if (largest_is_there() == ~(size_t)0) {
			test_print("a run of %u frames and %u others%s\n", run, apart,
				   reserve ? ", one in reserve" : "");
			CHECK(!"what was told is there");
		}
	}
	unmap_frames(frame[nr - 1], 1);
}

static void each_amount(void)
{
	static void *frame[FRAMES], *others[MOST];
	unsigned nr_others = 0, nr;

	for (unsigned i = 0; i < 2 * (APART_MOST + 1); i++) {
		CHECK(hak_init(&hak_frames_provider));
		for (nr = 0; nr < FRAMES && (frame[nr] = map_frames(1));)
			nr++;
		while ((others[nr_others] = map_frames(1)))
			nr_others++;
		if (nr > APART_MOST)
			run_grows(frame, nr, i / 2, i % 2);
		while (nr_others)
			unmap_frames(others[--nr_others], 1);
		hak_fini();
	}
}

/*
 * Nothing is live: all is told but what records need, and one block can have nearly all. It is
 * known of one chunk and one descriptor that they find room beside the frames, and more may.
 */
static void empty_heap(void)
{
	size_t total = hak_frames_total() * HAK_SUPERSLAB_SIZE, told, got = 0, available;

	CHECK(hak_init(&hak_frames_provider));
	told = largest_is_there();
	CHECK(told != ~(size_t)0 && search(told, total) < told + UNTOLD);
	available = hak_available();
	while (n < MOST && (block[n] = hak_malloc(SLAB)))
		n++, got += SLAB;
	CHECK(got <= available + UNTOLD);
	CHECK(got + 2 * HAK_SUPERSLAB_SIZE >= available);
	CHECK(hak_available() == 0 && hak_largest() == 0);
	hak_free(block[--n]);
	CHECK(hak_available() == SLAB && hak_largest() == SLAB);
	shrink(16, true);
	/* or more: there are descriptors now. A frame may have been split for them. */
	CHECK(largest_is_there() + HAK_SUPERSLAB_SIZE >= told);
	hak_fini();
}

static void peak_is_the_most(void)
{
	static struct hak_stats stats;
	size_t large;

	CHECK(hak_init(&hak_frames_provider));
	CHECK(hak_peak() == 0);
	for (unsigned i = 0; i < 100; i++)
		block[n++] = hak_malloc(1000);
	CHECK(hak_peak() >= 100 * 1024 && hak_peak() < 400 * 1024);
	block[n++] = hak_malloc(MIB);
	CHECK(hak_peak() >= 100 * 1024 + MIB && hak_peak() < 400 * 1024 + MIB);
	shrink(16, true);
	hak_flush();
	block[n++] = hak_malloc(MIB / 2);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(hak_peak() >= 100 * 1024 + MIB && hak_peak() < 400 * 1024 + MIB);
	CHECK(stats.peak_bytes == hak_peak() && stats.available_bytes == hak_available());
	CHECK(stats.largest_bytes == hak_largest());
	large = MIN(hak_largest(), 3 * MIB);
	block[0] = hak_realloc(block[0], large);
	CHECK(block[0] && hak_peak() >= large && hak_peak() <= large + MIB);
	shrink(16, true);
	hak_fini();
	CHECK(hak_peak() == 0);
}

int main(int argc, char **argv)
{
	const char *text = argc > 1 ? argv[1] : "";

	most_instructions = test_number(&text);
	TEST_RUN(empty_heap);
	TEST_RUN(peak_is_the_most);
	TEST_RUN(each_amount);
	TEST_RUN(many_shapes);
	return test_finish();
}
