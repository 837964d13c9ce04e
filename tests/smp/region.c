/* SPDX-License-Identifier: MIT */
/*
 * Memory is taken back from the heap while all other CPUs allocate and free, and is given
 * again: what was taken is nobody else's, and nothing is lost.
 *
 * The machine has 64 MiB. Others are busy in turns: nothing can be taken where their blocks
 * are. Between their turns all can but where the heap's records are.
 */
#include <boot.h>
#include <frames.h>
#include <hakmem/hakmem.h>

#include "../test.h"
#include "cpus.h"
#include "traffic.h"

#define FRAME	    HAK_SUPERSLAB_SIZE
#define FIRST_FRAME 4u
#define LAST_FRAME  27u
#define TURNS	    5u
#define TRIES	    30u

static _Atomic bool is_over;
static size_t removed, held, between;

/* A word that is different in each, and for each try. */
static uint64_t word_at(const uint64_t *word, uint64_t seed)
{
	return (uintptr_t)word * 0x9e3779b97f4a7c15u ^ seed;
}

static bool is_ours(uint64_t *base, size_t size, uint64_t seed)
{
	uint64_t *end = base + size / sizeof(*base);

	for (uint64_t *word = base; word < end; word += 61)
		*word = word_at(word, seed);
	for (unsigned i = 0; i < 3000; i++)
		cpu_relax();
	for (uint64_t *word = base; word < end; word += 61)
		if (*word != word_at(word, seed))
			return false;
	return true;
}

/* Remove some frames or parts of them, see that nobody else uses them, and add them again. */
static bool try_once(uint64_t *random)
{
	size_t frame = FIRST_FRAME + test_random(random) % (LAST_FRAME - FIRST_FRAME);
	uintptr_t base = frame * FRAME + test_random(random) % 3 * (FRAME / 4);
	size_t size = (1 + test_random(random) % 8) * (FRAME / 2);
	struct hak_region_held what;
	int result = hak_region_remove(base, size, &what);

	if (result == HAK_REGION_HELD) {
		held++;
		return what.bytes && what.bytes <= size && !what.block == !what.block_bytes;
	}
	if (result != HAK_REGION_REMOVED)
		return false;
	removed++;
	if (!is_ours((uint64_t *)base, size, test_random(random)))
		return false;
	return hak_region_add(base, size) >= 0;
}

static void work(uint64_t *random)
{
	for (unsigned i = 0; i < 2000 && !is_over; i++)
		traffic_exchange(&traffic_mail[test_random(random) % NR_MAILS], random);
}

static void run(void *unused)
{
	uint64_t random = cpus_seed();
	bool is_first = this_cpu()->id == 0;

	(void)unused;
	for (unsigned turn = 0; turn < TURNS; turn++) {
		cpus_meet();
		is_over = false;
		cpus_meet();
		for (unsigned i = 0; is_first && i < TRIES; i++) {
			if (!try_once(&random))
				traffic_blame("a region");
			for (unsigned k = 0; k < 200; k++)
				traffic_exchange(&traffic_mail[test_random(&random) % NR_MAILS],
						 &random);
		}
		if (is_first)
			is_over = true;
		while (!is_first && !is_over)
			work(&random);
		cpus_meet();
		if (!is_first)
			continue;
		traffic_end();
		between -= removed;
		for (unsigned i = 0; i < TRIES; i++)
			if (!try_once(&random))
				traffic_blame("a region between turns");
		between += removed;
	}
}

static void regions_go_and_come(void)
{
	size_t total = hak_frames_total();

	CHECK(cpus_open());
	smp_run(run, NULL);
	test_print("removed %zu times, %zu of these between turns, held %zu times\n", removed,
		   between, held);
	if (traffic_wrong)
		test_print("%s\n", traffic_wrong);
	CHECK(!traffic_wrong && hak_frames_total() == total);
	/* records stay in what was the last free frame when they were needed */
	CHECK(between >= TURNS * TRIES / 2 && held > TRIES / 3);
	CHECK(cpus_close());
}

int main(void)
{
	TEST_RUN(regions_go_and_come);
	return test_finish();
}
