/* SPDX-License-Identifier: MIT */
/*
 * The page allocators of a kernel, the frame provider and hak_pages_alloc(), under --icount,
 * where a tick is an instruction: what one page costs does not grow with how many there are,
 * nor with the order in which they are freed. And what is below 16 MiB, and below 4 GiB, is
 * left for devices while there is other memory. The machine has at least 512 MiB.
 *
 *	pages MOST	no call takes more instructions; but one in 511, which splits a frame,
 *			may take eight times as many
 */
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>

#include "../test.h"

#define PAGE	 HAK_GRANULE
#define NR_PAGES ((size_t)100000)

#define MIB16 ((uint64_t)16 << 20)
#define GIB4  ((uint64_t)4 << 30)

static uintptr_t pages[NR_PAGES];
static uint64_t most;
static uint64_t below; /* of hak_pages_alloc(); 1: the frame provider */

static uintptr_t call_map(void)
{
	const struct hak_provider *provider = &hak_frames_provider;
	struct hak_mapping mapping = { 0 };

	if (below != 1)
		return (uintptr_t)hak_pages_alloc(1, below, 0, 0);
	return provider->map(provider->ctx, PAGE, PAGE, HAK_WANT_META, &mapping)
		       ? 0
		       : (uintptr_t)mapping.base;
}

static int call_unmap(uintptr_t page)
{
	const struct hak_provider *provider = &hak_frames_provider;

	if (below != 1)
		return hak_pages_free((void *)page, 1);
	return provider->unmap(provider->ctx, (void *)page, PAGE);
}

static uint64_t map_page(uintptr_t *page)
{
	uint64_t ticks = cpu_read_tsc();

	*page = call_map();
	return cpu_read_tsc() - ticks;
}

static uint64_t unmap_page(uintptr_t page)
{
	uint64_t ticks = cpu_read_tsc();
	int error = call_unmap(page);

	ticks = cpu_read_tsc() - ticks;
	return error ? ~(uint64_t)0 : ticks;
}

static void shuffle(void)
{
	uint64_t random = 1;

	for (size_t i = 0; i < NR_PAGES; i++) {
		size_t other = test_random(&random) % NR_PAGES;
		uintptr_t page = pages[i];

		pages[i] = pages[other];
		pages[other] = page;
	}
}

/* The slowest call, and the slowest of those that are not one in 511. */
struct ticks {
	uint64_t worst, sum;
	size_t slow;
};

static void count(struct ticks *all, uint64_t ticks)
{
	all->sum += ticks;
	all->slow += ticks > most;
	if (ticks > all->worst)
		all->worst = ticks;
}

static void report(const char *what, const struct ticks *all, size_t n)
{
	test_print("%s: mean %lu, worst %lu, %zu of %zu above %lu\n", what,
		   (unsigned long)(all->sum / n), (unsigned long)all->worst, all->slow, n,
		   (unsigned long)most);
}

static bool is_constant(const struct ticks *all, size_t n)
{
	return !most || (all->worst <= 8 * most && all->slow <= n / 500);
}

static void take_constant_time(void)
{
	size_t total = hak_frames_free();
	struct ticks map = { 0 }, unmap = { 0 }, again = { 0 }, rest = { 0 };

	for (size_t i = 0; i < NR_PAGES; i++) {
		count(&map, map_page(&pages[i]));
		CHECK(pages[i] && pages[i] % PAGE == 0);
		*(uintptr_t *)pages[i] = i;
	}
	for (size_t i = 0; i < NR_PAGES; i++)
		CHECK(*(uintptr_t *)pages[i] == i);
	shuffle();
	for (size_t i = 0; i < NR_PAGES / 2; i++)
		count(&unmap, unmap_page(pages[i]));
	for (size_t i = 0; i < NR_PAGES / 2; i++) {
		count(&again, map_page(&pages[i]));
		CHECK(pages[i]);
	}
	shuffle();
	for (size_t i = 0; i < NR_PAGES; i++)
		count(&rest, unmap_page(pages[i]));
	report("100000 pages", &map, NR_PAGES);
	report("half freed, at random", &unmap, NR_PAGES / 2);
	report("allocated again", &again, NR_PAGES / 2);
	report("all freed, at random", &rest, NR_PAGES);
	CHECK(is_constant(&map, NR_PAGES) && is_constant(&unmap, NR_PAGES / 2));
	CHECK(is_constant(&again, NR_PAGES / 2) && is_constant(&rest, NR_PAGES));
	CHECK(hak_frames_free() == total);
}

static void pages_take_constant_time(void)
{
	below = 1;
	take_constant_time();
}

static void pages_for_kernels_take_constant_time(void)
{
	below = 0;
	take_constant_time();
}

static void pages_for_devices_take_constant_time(void)
{
	below = GIB4;
	take_constant_time();
}

static bool is_below(void *base, size_t count, uint64_t limit)
{
	return base && (uintptr_t)base + count * PAGE <= limit;
}

/* The heap has all that is not low, and a device has its pages; it has none at the end. */
static void low_memory_is_left_for_devices(void)
{
	uintptr_t *first = NULL, *block, lowest = MIB16;
	size_t high = 0;
	void *low, *lower;

	CHECK(hak_init(&hak_frames_provider));
	while (lowest >= MIB16 && (block = hak_malloc(1 << 20))) {
		lowest = (uintptr_t)block < lowest ? (uintptr_t)block : lowest;
		high += (uintptr_t)block >= GIB4;
		if (high == 1000) { /* of 2 GiB there */
			low = hak_pages_alloc(3 << 8, GIB4, 1 << 20, 4 << 20);
			CHECK(is_below(low, 3 << 8, GIB4) && (uintptr_t)low >= MIB16);
			CHECK((uintptr_t)low % (1 << 20) == 0 && !hak_pages_free(low, 3 << 8));
		}
		block[0] = (uintptr_t)first;
		first = block;
	}
	CHECK(block);
	low = hak_pages_alloc(16, MIB16, 1 << 16, 1 << 16);
	lower = hak_pages_alloc(1, 1 << 20, 0, 0);
	CHECK(is_below(low, 16, MIB16) && (uintptr_t)low % (1 << 16) == 0);
	CHECK(is_below(lower, 1, 1 << 20));
	CHECK(!hak_pages_free(low, 16) && !hak_pages_free(lower, 1));
	while ((block = hak_malloc(1 << 20))) {
		block[0] = (uintptr_t)first;
		first = block;
	}
	CHECK(!hak_pages_alloc(512, 0, 0, 0) && !hak_pages_alloc(512, MIB16, 0, 0));
	for (; first; first = block) {
		block = (uintptr_t *)first[0];
		hak_free(first);
	}
	hak_fini();
	CHECK(hak_frames_free() == hak_frames_total());
}

int main(int argc, char **argv)
{
	const char *text = argc > 1 ? argv[1] : "";

	most = test_number(&text);
	TEST_RUN(pages_take_constant_time);
	TEST_RUN(pages_for_kernels_take_constant_time);
	TEST_RUN(pages_for_devices_take_constant_time);
	TEST_RUN(low_memory_is_left_for_devices);
	return test_finish();
}
