/* SPDX-License-Identifier: MIT */
/*
 * Threads that pass blocks on to each other while memory is full all the time: the calls
 * that fail, those that flush, and, with GAPS=1, gap blocks that are made and freed beside
 * ordinary blocks of the same slabs. Every block carries its size and a tag at both ends,
 * and who frees it checks them. When all is done the heap has to be sound and empty.
 *
 *	full [--ops N]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <hakmem/hakmem.h>
#include <hakmem/stats.h>
#include <platform.h>

#include "../fake.h"
#include "../test.h"

#define THREADS	 4u
#define NR_MAILS 4096u
#define MIB	 ((size_t)1 << 20)

static struct fake fake;
static unsigned long nr_ops = 300000;
static _Atomic(char *) mails[NR_MAILS];
static _Atomic unsigned long wrong;

struct ends {
	size_t size;
	uint64_t tag;
};

static void mark(char *block, size_t size)
{
	struct ends ends = { size, (uintptr_t)block * 0x9e3779b97f4a7c15u };

	memcpy(block, &ends, sizeof(ends));
	memcpy(block + size - 8, &ends.tag, 8);
}

static size_t check(const char *block)
{
	uint64_t tag = (uintptr_t)block * 0x9e3779b97f4a7c15u, last = 0;
	struct ends ends;

	memcpy(&ends, block, sizeof(ends));
	if (ends.tag == tag && ends.size <= hak_usable_size(block))
		memcpy(&last, block + ends.size - 8, 8);
	wrong += last != tag;
	return ends.size;
}

static size_t size_of(uint64_t random)
{
	size_t low = (size_t)24 << random % (random >> 8 & 1 ? 3 : 11);

	return low + (random >> 16) % low;
}

static void step(uint64_t random)
{
	_Atomic(char *) *mail = &mails[random >> 40 & (NR_MAILS - 1)];
	size_t size = size_of(random);
	char *block = random % 100 < 60 ? hak_malloc(size) : NULL;

	if (block)
		mark(block, size);
	/* release and acquire: who gets the block reads what is in it */
	block = atomic_exchange_explicit(mail, block, memory_order_acq_rel);
	if (!block)
		return;
	(void)check(block);
	if (random % 8 == 0) {
		char *moved = hak_realloc(block, size);

		if (moved)
			mark(moved, size);
		else
			mark(block, 24);
		block = moved ? moved : block;
		block = atomic_exchange_explicit(mail, block, memory_order_acq_rel);
		if (!block)
			return;
		(void)check(block);
	}
	hak_free(block);
}

static void *work(void *number)
{
	uint64_t random = 77 + (uintptr_t)number;

	for (unsigned long i = 0; i < nr_ops; i++) {
		step(test_random(&random));
		if (i % 5000 == 0 && number == NULL)
			hak_idle(4);
		if (i % 3000 == 0)
			hak_flush();
	}
	hak_flush();
	return NULL;
}

static void run(enum fake_purge purge)
{
	const struct fake_options fake_options = { .capacity = 8 * MIB, .purge = purge };
	static struct hak_stats stats;
	pthread_t threads[THREADS];
	const char *failed;

	CHECK(fake_open(&fake, &fake_options) && fake_init(&fake));
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, work, (void *)i));
	for (unsigned i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	failed = hak_check();
	if (failed)
		test_print("hak_check(): %s\n", failed);
	CHECK(!failed && !wrong);
	hak_stats_read(&stats, sizeof(stats));
	test_print("%lu of %lu calls failed, %lu gap blocks made\n", stats.total.failures,
		   nr_ops * THREADS, stats.gaps_made);
	CHECK(stats.total.failures);
	CHECK(!HAK_GAPS || stats.gaps_made > 1000);
	for (unsigned i = 0; i < NR_MAILS; i++)
		hak_free(mails[i]);
	for (unsigned i = 0; i < NR_MAILS; i++)
		mails[i] = NULL;
	(void)hak_trim(HAK_TRIM_ALL);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(!hak_check() && !stats.total.live_blocks && !stats.gap_blocks);
	hak_fini();
	CHECK(!fake.outstanding && !fake.broken);
	fake_close(&fake);
}

static void full_of_passed_blocks(void)
{
	run(FAKE_PURGE_NONE);
}

static void full_while_scanned(void)
{
	run(FAKE_PURGE_DIRTY);
}

int main(int argc, char **argv)
{
	if (argc == 3 && test_is_same(argv[1], "--ops")) {
		const char *text = argv[2];

		nr_ops = test_number(&text);
	}
	TEST_RUN(full_of_passed_blocks);
	TEST_RUN(full_while_scanned);
	return test_finish();
}
