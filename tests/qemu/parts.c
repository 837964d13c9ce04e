/* SPDX-License-Identifier: MIT */
/*
 * Small machines, of which no frame or few are whole: with hak_frames_use_parts(), how much of
 * what is free behind the image do blocks get?
 *
 *	parts.elf PERCENT
 *
 * Blocks of 64 bytes have to get PERCENT. The machine is then filled with blocks of all sizes
 * again and again, checked, and all pages go back.
 */
#include <frames.h>
#include <frames_inner.h>

#include "../test.h"

#include <hakmem/hakmem.h>

#define ROUNDS 20u

/* Every page that the provider knows, but for those that the boot code has. */
static size_t free_bytes(void)
{
	size_t pages = frames.nr_free * PAGES_PER_FRAME;

	for (unsigned list = 0; list < NR_LISTS; list++)
		for (struct list_node *node = frames.splits[list]; node; node = node->next)
			pages += list_entry(node, struct split, node)->nr_free + 1;
	return pages * PAGE_SIZE;
}

/* Fill the machine with blocks in a chain. Returns how many there are. */
static size_t fill(size_t (*size)(void), void **chain)
{
	size_t n = 0;
	void **block;

	for (*chain = NULL; (block = hak_malloc(size())); n++) {
		*block = *chain;
		*chain = block;
	}
	return n;
}

static void empty(void *chain)
{
	for (void *next; chain; chain = next) {
		next = *(void **)chain;
		hak_free(chain);
	}
}

static size_t size_64(void)
{
	return 64;
}

/* 16 bytes to 128 KiB, equally many for each doubling. */
static size_t size_any(void)
{
	static uint64_t random = 1;
	uint64_t number = test_random(&random);
	size_t low = (size_t)16 << (number >> 32) % 13;

	return low + number % low;
}

static unsigned long least;

static void blocks_of_64_bytes(void)
{
	size_t memory = free_bytes(), payload;
	void *chain;

	CHECK(hak_init(port_provider()));
	payload = fill(size_64, &chain) * 64;
	test_print("%zu of %zu KiB, %zu.%zu %%\n", payload >> 10, memory >> 10,
		   payload * 100 / memory, payload * 1000 / memory % 10);
	CHECK(!hak_check());
	empty(chain);
	CHECK(payload * 100 / memory >= least);
	hak_trim(HAK_TRIM_ALL);
	CHECK(!hak_check());
	hak_fini();
	CHECK(free_bytes() == memory);
}

static void blocks_of_any_size(void)
{
	size_t memory = free_bytes(), n, fewest = SIZE_MAX;
	void *chain;

	CHECK(hak_init(port_provider()));
	for (unsigned i = 0; i < ROUNDS; i++) {
		n = fill(size_any, &chain);
		CHECK(!hak_check());
		fewest = n < fewest ? n : fewest;
		empty(chain);
	}
	CHECK(fewest);
	hak_trim(HAK_TRIM_ALL);
	CHECK(!hak_check());
	hak_fini();
	CHECK(free_bytes() == memory);
}

int main(int argc, char **argv)
{
	const char *text = argc > 1 ? argv[1] : "0";

	least = test_number(&text);
	hak_frames_use_parts();
	TEST_RUN(blocks_of_64_bytes);
	TEST_RUN(blocks_of_any_size);
	return test_finish();
}
