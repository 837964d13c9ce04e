/* SPDX-License-Identifier: MIT */
/*
 * CPUs that go away and come back, 1000 times: no cache is lost, and no block.
 *
 * All CPUs of the machine do so at once, each with blocks of many sizes in its magazines.
 */
#include <boot.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <base/policy.h>
#include <hakmem/stats.h>
#include <machine.h>

#include "../test.h"

#define CYCLES	 1000u
#define MAX_SIZE ((size_t)40000)

static struct hak_stats stats;
static _Atomic bool failed;

/* Blocks of many sizes, all of which lie in magazines afterwards. */
static void use(void)
{
	void *blocks[32];

	for (size_t size = 8; size < MAX_SIZE; size += size) {
		for (unsigned i = 0; i < 32; i++) {
			blocks[i] = hak_malloc(size);
			if (!blocks[i])
				failed = true;
		}
		for (unsigned i = 0; i < 32; i++)
			hak_free(blocks[i]);
	}
}

static void go_and_come_back(void *argument)
{
	unsigned cycles = *(const unsigned *)argument;
	unsigned id = this_cpu()->id;

	for (unsigned i = 0; i < cycles; i++) {
		use();
		hak_cpu_fini();
		use(); /* without a cache */
		hak_cpu_fini();
		hak_cpu_init(this_cpu(), id);
		use();
	}
}

static void go(void *argument)
{
	(void)argument;
	hak_cpu_fini();
}

static void read_stats(void)
{
	hak_stats_read(&stats, sizeof(stats));
}

static void cpus_come_back(void)
{
	size_t before = hak_frames_free();
	unsigned once = 1, cycles = CYCLES;
	uint64_t meta;

	CHECK(hak_init(&hak_frames_provider));
	smp_run(go_and_come_back, &once);
	read_stats();
	meta = stats.meta_bytes;
	CHECK(stats.caches == smp_count() && stats.total.live_blocks == 0);
	smp_run(go_and_come_back, &cycles);
	CHECK(!failed && !hak_check());
	read_stats();
	CHECK(stats.caches == smp_count() && stats.total.live_blocks == 0);
	/* at most as many SuperSlabs at once as there are CPUs, which may be more than before */
	CHECK(stats.meta_bytes <= meta + smp_count() * POLICY_META_CHUNK);
	/* and if they do not come back, nothing is left of them */
	smp_run(go, NULL);
	hak_trim(HAK_TRIM_ALL);
	read_stats();
	CHECK(stats.caches == 0 && stats.total.live_blocks == 0);
	CHECK(stats.superslabs_active == 0);
	CHECK(!hak_check());
	hak_fini();
	CHECK(hak_frames_free() == before);
}

int main(void)
{
	TEST_RUN(cpus_come_back);
	return test_finish();
}
