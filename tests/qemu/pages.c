/* SPDX-License-Identifier: MIT */
/*
 * The frame provider as the page allocator of a kernel, under --icount, where a tick is an
 * instruction: what one page costs does not grow with how many there are, nor with the order
 * in which they are freed. The machine has at least 512 MiB.
 *
 *	pages MOST	no call takes more instructions; but one in 511, which splits a frame,
 *			may take eight times as many
 */
#include <cpu.h>
#include <frames.h>

#include "../test.h"

#define PAGE	 HAK_GRANULE
#define NR_PAGES ((size_t)100000)

static uintptr_t pages[NR_PAGES];
static uint64_t most;

static uint64_t map_page(uintptr_t *page)
{
	const struct hak_provider *provider = &hak_frames_provider;
	struct hak_mapping mapping = { 0 };
	uint64_t ticks = cpu_read_tsc();
	int error = provider->map(provider->ctx, PAGE, PAGE, HAK_WANT_META, &mapping);

	ticks = cpu_read_tsc() - ticks;
	*page = error ? 0 : (uintptr_t)mapping.base;
	return ticks;
}

static uint64_t unmap_page(uintptr_t page)
{
	const struct hak_provider *provider = &hak_frames_provider;
	uint64_t ticks = cpu_read_tsc();
	int error = provider->unmap(provider->ctx, (void *)page, PAGE);

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

static void pages_take_constant_time(void)
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

int main(int argc, char **argv)
{
	const char *text = argc > 1 ? argv[1] : "";

	most = test_number(&text);
	TEST_RUN(pages_take_constant_time);
	return test_finish();
}
