/* SPDX-License-Identifier: MIT */
#include "cpus.h"

#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

#include <cache/cache.h>

#include "../test.h"

static size_t frames_before;

unsigned long cpus_option(int argc, char **argv, const char *name, unsigned long otherwise)
{
	for (int i = 1; i + 1 < argc; i++) {
		const char *text = argv[i + 1];

		if (test_is_same(argv[i], name))
			return test_number(&text);
	}
	return otherwise;
}

uint64_t cpus_seed(void)
{
	return (this_cpu()->id + 1) * 0x9e3779b97f4a7c15u;
}

void cpus_meet_some(unsigned n)
{
	static _Atomic unsigned arrived, round;
	unsigned now = round;

	if (atomic_fetch_add(&arrived, 1) + 1 == n) {
		arrived = 0;
		round++;
	}
	while (round == now)
		cpu_relax();
}

void cpus_meet(void)
{
	cpus_meet_some(smp_count());
}

bool cpus_open(void)
{
	frames_before = hak_frames_free();
	return hak_init(&hak_frames_provider);
}

static void give_back(void *unused)
{
	struct hak_cache *cache = this_cache();

	(void)unused;
	this_cache_set(CACHE_NONE);
	if (cache->cold)
		hak_cache_detach(cache);
}

bool cpus_close(void)
{
	static struct hak_stats stats;
	const char *failed;

	smp_run(give_back, NULL);
	failed = hak_check();
	hak_trim(HAK_TRIM_ALL);
	hak_stats_read(&stats, sizeof(stats));
	if (!failed && (stats.total.live_blocks || stats.superslabs_active))
		failed = "the heap is not empty";
	hak_fini();
	if (!failed && hak_frames_free() != frames_before)
		failed = "frames are missing";
	if (failed)
		test_print("%s\n", failed);
	return !failed;
}
