/* SPDX-License-Identifier: MIT */
/*
 * Object caches, all CPUs of the machine, and their interrupt handlers.
 *
 *	pools [--cpus N] [--ops N]
 *
 * Objects go from CPU to CPU and to handlers through places that all share. Handlers have no
 * magazine, and may interrupt any step of an operation on one. Meanwhile the first CPU shrinks
 * the pool, which seizes the magazines of all.
 */
#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/pool.h>
#include <machine.h>

#include <cache/cache.h>

#include "../test.h"
#include "cpus.h"
#include "traffic.h"

#define TIMER_TICKS 300000 /* of 1 ns */
#define PLACES	    64u
#define BULK	    40u

static struct hak_pool *pool;
static unsigned long ops_wanted;
static uint64_t *_Atomic places[2][PLACES];
static uint64_t ticks[BOOT_MAX_CPUS];

HAK_POOL_FIXED(fixed, uint64_t[6], PLACES);

static void *make(bool is_fixed, uint64_t tag)
{
	uint64_t *object = is_fixed ? hak_pool_fixed_alloc(&fixed) : hak_pool_alloc(pool);

	if (!object && !is_fixed)
		traffic_blame("no object");
	for (unsigned i = 0; object && i < 6; i++)
		object[i] = tag ^ i;
	return object;
}

static void destroy(bool is_fixed, uint64_t *object)
{
	for (unsigned i = 1; object && i < 6; i++)
		if (object[i] != (object[0] ^ i))
			traffic_blame("an object that two have at once");
	if (is_fixed)
		hak_pool_fixed_free(&fixed, object);
	else
		hak_pool_free(pool, object);
}

/*
 * Take what lies in a place, free it and leave another one there. So of the fixed pool no more
 * objects are in use than there are places.
 */
static void exchange(uint64_t *random)
{
	uint64_t r = test_random(random);
	bool is_fixed = r % 4 == 0;
	uint64_t *_Atomic *place = &places[is_fixed][(r >> 8) % PLACES];

	destroy(is_fixed, atomic_exchange(place, NULL));
	destroy(is_fixed, atomic_exchange(place, make(is_fixed, r)));
}

static void in_bulk(uint64_t *random)
{
	void *objects[BULK];

	if (!hak_pool_alloc_bulk(pool, BULK, objects))
		traffic_blame("no objects");
	for (unsigned i = 0; i < BULK; i++)
		((uint64_t *)objects[i])[i % 6] = test_random(random);
	hak_pool_free_bulk(pool, BULK, objects);
}

static struct interrupt_frame *tick(struct interrupt_frame *frame)
{
	static uint64_t random[BOOT_MAX_CPUS];
	unsigned cpu = this_cpu()->id;

	if (!ticks[cpu]++)
		random[cpu] = cpus_seed() * 3;
	for (unsigned i = 0; i < 4; i++)
		exchange(&random[cpu]);
	in_bulk(&random[cpu]);
	return frame;
}

static void work(void *unused)
{
	uint64_t random = cpus_seed();

	(void)unused;
	hak_pool_free(pool, hak_pool_alloc(pool));
	cpus_meet();
	lapic_timer(TIMER_TICKS);
	cpu_interrupts_on();
	for (unsigned long i = 0; i < ops_wanted / smp_count() && !traffic_wrong; i++) {
		exchange(&random);
		if (i % 100 == 0)
			in_bulk(&random);
		if (i % 500 == 0 && !hak_pool_prefill(pool, i / 500 % 100))
			traffic_blame("no memory");
		if (!this_cpu()->id && i % 200 == 0)
			hak_pool_shrink(pool);
	}
	cpu_interrupts_off();
	lapic_timer(0);
	cpus_meet();
}

static void pools_exchanged(void)
{
	const char *failed;

	CHECK(cpus_open());
	pool = hak_pool_create("smp", 48, 0, 0);
	CHECK(pool);
	smp_run(work, NULL);
	for (unsigned i = 0; i < 2 * PLACES; i++)
		destroy(i / PLACES, atomic_exchange(&places[i / PLACES][i % PLACES], NULL));
	if (traffic_wrong)
		test_print("%s\n", traffic_wrong);
	failed = hak_pool_check(pool);
	if (failed)
		test_print("%s\n", failed);
	CHECK(!traffic_wrong && !failed && hak_pool_fixed_live(&fixed) == 0);
	for (unsigned i = 0; i < smp_count(); i++)
		CHECK(ticks[i] > 0);
	CHECK(hak_pool_destroy(pool) == 0);
	CHECK(cpus_close());
}

/*
 * All memory is in objects, some of which lie in the magazines of each CPU: the last one gets
 * them all.
 */
#define LARGE 16384u
static void *large[4096];
static _Atomic size_t nr_large;

static void free_some(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < 3; i++)
		hak_pool_free(pool, large[atomic_fetch_sub(&nr_large, 1) - 1]);
}

static void pools_last_resort(void)
{
	size_t all;

	CHECK(cpus_open());
	pool = hak_pool_create("large", LARGE, 0, 0);
	CHECK(pool);
	while ((large[nr_large] = hak_pool_alloc(pool)))
		nr_large++;
	all = nr_large;
	CHECK(all > 500 && all < 4096);
	smp_run(free_some, NULL);
	CHECK(nr_large == all - 3 * smp_count());
	while ((large[nr_large] = hak_pool_alloc(pool)))
		nr_large++;
	CHECK(nr_large == all && !hak_pool_check(pool));
	hak_pool_free_bulk(pool, nr_large, large);
	CHECK(hak_pool_destroy(pool) == 0);
	CHECK(cpus_close());
}

int main(int argc, char **argv)
{
	ops_wanted = cpus_option(argc, argv, "--ops", 400000);
	interrupt_set(VECTOR_TIMER, tick);
	TEST_RUN(pools_exchanged);
	TEST_RUN(pools_last_resort);
	return test_finish();
}
