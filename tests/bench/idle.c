/* SPDX-License-Identifier: MIT */
/*
 * Spikes, and what hak_idle() makes of them, on one CPU and without a thread that
 * scans: for bare metal, where frames of 2 MiB are counted; on Linux the same with
 * pages.
 *
 *	idle [MIB]		spikes of so many MiB (96)
 *
 * Required: after a spike of which nothing is left, all memory is where it was
 * before; where one block of 16 survives, no SuperSlab is left but those that
 * hold one.
 */
#include "../test.h"

#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

#define MIB	      ((size_t)1 << 20)
#define MAX_SUPERSLAB 4096u

enum order {
	FORWARD,
	REVERSE,
	RANDOM,
};

struct spike {
	const char *name;
	size_t least, most; /* bytes; equally many for each doubling */
	enum order order;
	unsigned survives; /* one of so many; 0: none */
};

static const struct spike spikes[] = {
	{ "16 bytes, freed in order", 16, 16, FORWARD, 0 },
	{ "16 bytes, in reverse", 16, 16, REVERSE, 0 },
	{ "16 bytes, at random", 16, 16, RANDOM, 0 },
	{ "32 .. 4096 bytes, at random", 32, 4096, RANDOM, 0 },
	{ "32 .. 4096 bytes, 1 of 16 survives", 32, 4096, RANDOM, 16 },
	{ "64 .. 1 MiB, 1 of 16 survives", 64, MIB, RANDOM, 16 },
};

static size_t spike_bytes = 96 * MIB;
static void **blocks;
static size_t capacity, count;
static uint64_t seed;

static size_t random_size(const struct spike *spike)
{
	size_t size = spike->least;
	unsigned doublings = 0;

	while (size << doublings < spike->most)
		doublings++;
	if (doublings)
		size <<= test_random(&seed) % doublings;
	return size + (doublings ? test_random(&seed) % size : 0);
}

static void allocate(const struct spike *spike)
{
	size_t bytes = 0;

	for (count = 0; count < capacity && bytes < spike_bytes; count++) {
		size_t size = random_size(spike);

		blocks[count] = hak_malloc(size);
		if (!blocks[count])
			break;
		__builtin_memset(blocks[count], (int)count, size);
		bytes += size;
	}
}

static void put_in_order(enum order order)
{
	for (size_t i = 0; order != FORWARD && i < count; i++) {
		size_t other = order == REVERSE ? count - 1 - i : test_random(&seed) % count;
		void *block = blocks[i];

		if (order == REVERSE && other <= i)
			break;
		blocks[i] = blocks[other];
		blocks[other] = block;
	}
}

/* Free all but the survivors, which are moved to the front; how many there are. */
static size_t free_most(const struct spike *spike)
{
	size_t survivors = 0;

	for (size_t i = 0; i < count; i++) {
		if (spike->survives && test_random(&seed) % spike->survives == 0)
			blocks[survivors++] = blocks[i];
		else
			hak_free(blocks[i]);
	}
	return survivors;
}

/* In how many SuperSlabs do these blocks begin or go on? */
static size_t superslabs_of(size_t survivors)
{
	static uintptr_t seen[MAX_SUPERSLAB];
	size_t n = 0;

	for (size_t i = 0; i < survivors; i++) {
		uintptr_t last = (uintptr_t)blocks[i] + hak_usable_size(blocks[i]) - 1;

		for (uintptr_t unit = (uintptr_t)blocks[i] / HAK_SUPERSLAB_SIZE;
		     unit <= last / HAK_SUPERSLAB_SIZE; unit++) {
			size_t j = 0;

			while (j < n && seen[j] != unit)
				j++;
			if (j == n && n < MAX_SUPERSLAB)
				seen[n++] = unit;
		}
	}
	return n;
}

static void run(const struct spike *spike)
{
	static struct hak_stats before, peak, after;
	uint64_t resident = port_resident();
	unsigned long calls = 1;
	size_t survivors;

	hak_stats_read(&before, sizeof(before));
	allocate(spike);
	hak_stats_read(&peak, sizeof(peak));
	CHECK(peak.total.failures == 0 && peak.total.live_bytes >= spike_bytes);
	put_in_order(spike->order);
	survivors = free_most(spike);
	while (hak_idle(8))
		calls++;
	hak_stats_read(&after, sizeof(after));
	test_print("%-36s %9lu %7lu %7lu %7lu %7lu\n", spike->name, (unsigned long)count,
		   (unsigned long)(peak.resident_bytes >> 10), (unsigned long)survivors,
		   (unsigned long)(after.resident_bytes >> 10), calls);
	CHECK(!hak_check());
	CHECK(after.superslabs_phantom == 0 && !hak_idle(SIZE_MAX));
	CHECK(after.superslabs_active == superslabs_of(survivors));
	/* records stay, and may have needed frames */
	resident += after.meta_bytes - before.meta_bytes;
	if (!survivors && !port_counts_pages())
		CHECK(port_resident() < resident + HAK_SUPERSLAB_SIZE);
	while (survivors)
		hak_free(blocks[--survivors]);
	while (hak_idle(8))
		;
	hak_stats_read(&after, sizeof(after));
	CHECK(after.superslabs_active == 0);
	if (!port_counts_pages())
		CHECK(port_resident() < resident + HAK_SUPERSLAB_SIZE);
}

static void idle(void)
{
	test_print("\nspikes on %s, then hak_idle() until it is done; KiB\n\n", port_name());
	test_print("%-36s %9s %7s %7s %7s %7s\n", "spike of blocks of", "blocks", "at peak",
		   "remain", "after", "calls");
	hak_free(hak_malloc(1)); /* the cache is there from here on */
	while (hak_idle(8))
		;
	for (size_t i = 0; i < sizeof(spikes) / sizeof(*spikes) && !test_has_failed(); i++)
		run(&spikes[i]);
}

int main(int argc, char **argv)
{
	size_t size;

	if (argc > 1) {
		spike_bytes = 0;
		for (const char *digit = argv[1]; *digit >= '0' && *digit <= '9'; digit++)
			spike_bytes = spike_bytes * 10 + (size_t)(*digit - '0');
		spike_bytes *= MIB;
	}
	(void)hak_init(port_provider());
	seed = 88172645463325252u;
	capacity = spike_bytes / 16;
	size = (capacity * sizeof(*blocks) + HAK_SUPERSLAB_SIZE - 1) & ~(HAK_SUPERSLAB_SIZE - 1);
	blocks = port_map(size);
	if (!blocks || !spike_bytes) {
		test_print("no memory, or no size\n");
		return 1;
	}
	TEST_RUN(idle);
	return test_finish();
}
