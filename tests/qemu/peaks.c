/* SPDX-License-Identifier: MIT */
/*
 * After a peak of any kind, when all is freed and trimmed, memory is in one piece as before; and
 * records do not grow with each peak, if peaks have ever other shapes.
 */
#include <boot.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

#include "../test.h"

#define MIB	    ((size_t)1 << 20)
#define CHUNK	    (MIB / 16)
#define MOST	    600000u
#define PEAKS	    1000u
#define FIRST_PEAKS 300u

static void *block[MOST];
static unsigned n;
static uint64_t random_state = 88172645463325252u;

/* The longest run of free frames. */
static size_t longest(void)
{
	struct hak_supply supply;

	hak_frames_supply(NULL, &supply);
	return supply.largest / HAK_SUPERSLAB_SIZE;
}

static uint64_t below(uint64_t most)
{
	return (test_random(&random_state) >> 16) % most;
}

/* Blocks of this size, until so many bytes are there or memory is out. */
static void grow(size_t size, size_t bytes)
{
	void *new;

	for (; bytes >= size && n < MOST && (new = hak_malloc(size)); bytes -= size)
		block[n++] = new;
}

static void free_all(void)
{
	while (n)
		hak_free(block[--n]);
}

static struct hak_stats stats;

static uint64_t records(void)
{
	hak_stats_read(&stats, offsetof(struct hak_stats, resident_bytes));
	return stats.meta_bytes;
}

static void on_each_cpu(void *unused)
{
	void *some[100];

	(void)unused;
	for (size_t size = 8; size <= 2 * MIB; size *= 2) {
		for (unsigned i = 0; i < 100; i++)
			some[i] = hak_malloc(size);
		for (unsigned i = 0; i < 100; i++)
			hak_free(some[i]);
	}
	hak_flush();
}

/* What a CPU had is gone with the heap. */
static void begin_anew(void *unused)
{
	(void)unused;
	hak_cpu_init(this_cpu(), this_cpu()->id);
}

static void end_heap(void)
{
	hak_fini();
	smp_run(begin_anew, NULL);
}

/* Whatever the peak is of, the longest run is 99 % of what it was before the heap. */
static void memory_is_in_one_piece(void)
{
	size_t total = hak_frames_total() * HAK_SUPERSLAB_SIZE, before = longest();
	static const size_t sizes[] = { 4096, 65536, 2 * MIB, 60 * MIB };

	for (unsigned first = 0; first < sizeof(sizes) / sizeof(sizes[0]); first++) {
		CHECK(hak_init(&hak_frames_provider));
		/* each kind is the first in a heap once */
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			grow(sizes[(first + i) % (sizeof(sizes) / sizeof(sizes[0]))], total);
			free_all();
			smp_run(on_each_cpu, NULL);
			hak_trim(HAK_TRIM_ALL);
			CHECK(longest() >= before / 100 * 99);
		}
		test_print("%zu frames, %zu in one piece, of %zu; %lu KiB of records\n",
			   hak_frames_total(), longest(), before, (unsigned long)records() >> 10);
		CHECK(!hak_check());
		end_heap();
		CHECK(longest() == before);
	}
}

/*
 * When all is freed and trimmed, descriptors have gone back. The records that stay are as many
 * after 1000 peaks as after 300: caches, classes, and leaves of the page map, of which a higher
 * peak needs more. Two chunks are for 16 leaves: half a GiB.
 */
static void records_do_not_grow(void)
{
	uint64_t first = 0;
	size_t before = longest();

	CHECK(hak_init(&hak_frames_provider));
	for (unsigned peak = 0; peak < PEAKS; peak++) {
		unsigned kinds = 1 + (unsigned)below(4);

		while (kinds--)
			grow((size_t)1 << (3 + below(22)), below(16 * MIB));
		/* some of it stays through the next peak */
		for (unsigned i = n; i-- > 0;)
			if (below(8)) {
				hak_free(block[i]);
				block[i] = block[--n];
			}
		if (below(4) == 0)
			free_all();
		if (peak % 16 == 0)
			smp_run(on_each_cpu, NULL);
		if (peak == FIRST_PEAKS) {
			free_all();
			hak_trim(HAK_TRIM_ALL);
			first = records();
		}
	}
	free_all();
	hak_trim(HAK_TRIM_ALL);
	test_print("%lu KiB of records after %u peaks, %lu after %u\n", (unsigned long)first >> 10,
		   FIRST_PEAKS, (unsigned long)records() >> 10, PEAKS);
	CHECK(records() <= first + 2 * CHUNK);
	CHECK(longest() >= before / 100 * 99);
	end_heap();
	CHECK(longest() == before);
}

/* A kernel has used up what there is beside whole frames, so that frames are split for records. */
static void use_up_rest(void)
{
	size_t before = hak_frames_free();
	struct hak_mapping mapping;

	while (!hak_frames_provider.map(NULL, CHUNK, HAK_GRANULE, HAK_WANT_META, &mapping) &&
	       hak_frames_free() == before)
		;
	hak_frames_provider.unmap(NULL, mapping.base, CHUNK);
	CHECK(hak_frames_free() == before);
}

int main(void)
{
	TEST_RUN(use_up_rest);
	TEST_RUN(memory_is_in_one_piece);
	TEST_RUN(records_do_not_grow);
	return test_finish();
}
