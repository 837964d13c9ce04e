/* SPDX-License-Identifier: MIT */
/*
 * Nothing is live, and all of memory lies in magazines: of other CPUs, or of the caller. Then no
 * request may fail for which there is memory, but for that of an interrupt handler.
 *
 * Blocks are allocated around the slabs of those in magazines, before these are emptied. So such a
 * slab leaves a run that is too short for a block of the same size, and some memory is lost to
 * it. But once a request has failed, no block of its size may be left.
 *
 * The machine has little memory, so that the magazines hold a good part of it.
 */
#include <boot.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/stats.h>
#include <machine.h>

#include <base/base.h>

#include "../test.h"
#include "cpus.h"

#define SLAB	    ((size_t)65536)
#define MOST_SLABS  2048u
#define MOST_FRAMES (MOST_SLABS * SLAB / HAK_SUPERSLAB_SIZE)
#define ROUNDS	    100u

static void *slab[MOST_SLABS];
static size_t total; /* so many slabs there are, if nothing is in magazines */
static _Atomic size_t nulls;

/* So many of @n can be had at least, if there is something in magazines. */
static size_t most_of(size_t n)
{
	return n - n / 4;
}

/* Chains of blocks, so that no memory is needed for a list of them. */
static size_t drain(size_t size, void **chain, size_t most)
{
	size_t n = 0;
	void **block;

	for (*chain = NULL; n < most && (block = hak_malloc(size)); n++) {
		*block = *chain;
		*chain = block;
	}
	return n;
}

static void free_chain(void *chain)
{
	for (void *next; chain; chain = next) {
		next = *(void **)chain;
		hak_free(chain);
	}
}

/* Leave free blocks of many sizes in the magazines of this CPU. */
static void fill_magazines(void *unused)
{
	void *chain;

	(void)unused;
	for (size_t size = 8; size <= SLAB / 2; size += size / 4 > 8 ? size / 4 : 8) {
		drain(size, &chain, 20);
		free_chain(chain);
	}
}

static void fill_own_only(void *unused)
{
	if (this_cpu()->id == smp_count() - 1)
		fill_magazines(unused);
}

static size_t all_slabs(void)
{
	size_t n = 0;

	while (n < MOST_SLABS && (slab[n] = hak_malloc(SLAB)))
		n++;
	for (size_t i = 0; i < n; i++)
		hak_free(slab[i]);
	return n;
}

static void *to_free;

static void free_on_last(void *unused)
{
	(void)unused;
	if (this_cpu()->id == smp_count() - 1)
		free_chain(to_free);
}

/*
 * There is one frame. One CPU only allocates and another only frees, whose magazines fill with most
 * of it. The first still gets the frame in blocks of 64 KiB. They lie at multiples of that, where
 * such a place is free, so one is lost at most when slabs between them become free at last.
 */
static void one_frees(void)
{
	static struct hak_mapping others[MOST_FRAMES];
	size_t n = 0, size = HAK_SUPERSLAB_SIZE, least = SIZE_MAX;

	hak_trim(HAK_TRIM_ALL);
	while (hak_frames_free() > 1)
		CHECK(!hak_frames_provider.map(NULL, size, size, HAK_WANT_HEAP, &others[n++]));
	for (unsigned round = 0; round < 3; round++) {
		for (size = 16; size <= SLAB / 2; size += size / 4 > 8 ? size / 4 : 8) {
			drain(size, &to_free, 40);
			smp_run(free_on_last, NULL);
		}
		least = MIN(least, all_slabs());
	}
	while (n)
		hak_frames_provider.unmap(NULL, others[--n].base, HAK_SUPERSLAB_SIZE);
	CHECK(least >= HAK_SUPERSLAB_SIZE / SLAB - 1 && !hak_check());
}

/* All of memory can be had in one size, then in another, whatever CPU has the blocks. */
static void others_give_theirs(void)
{
	static const size_t sizes[] = { 16, 1000, 3000, 9000, 32768, 50000, 65536, 200000 };
	size_t most[ARRAY_SIZE(sizes)], n, large = total * SLAB;
	void *chain, *left;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		hak_trim(HAK_TRIM_ALL);
		most[i] = drain(sizes[i], &chain, SIZE_MAX);
		free_chain(chain);
	}
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			smp_run(round ? fill_magazines : fill_own_only, NULL);
			n = drain(sizes[i], &chain, SIZE_MAX);
			hak_trim(HAK_TRIM_ALL);
			left = hak_malloc(sizes[i]);
			hak_free(left);
			free_chain(chain);
			CHECK(!left && n >= most_of(most[i]));
		}
	/* one block of all that lies in one piece */
	hak_trim(HAK_TRIM_ALL);
	while (!(slab[0] = hak_malloc(large)))
		large -= SLAB;
	hak_free(slab[0]);
	smp_run(fill_magazines, NULL);
	slab[0] = hak_malloc(large);
	CHECK(slab[0]);
	hak_free(slab[0]);
	CHECK(!hak_check());
}

/* All ask at once, each for its part of memory. */
static void take_part(void *unused)
{
	size_t part = most_of(total) / smp_count();
	void *chain;

	fill_magazines(unused);
	cpus_meet();
	if (drain(SLAB, &chain, part) < part)
		nulls++;
	cpus_meet();
	free_chain(chain);
	cpus_meet();
}

static void all_ask_at_once(void)
{
	for (unsigned round = 0; round < ROUNDS; round++)
		smp_run(take_part, NULL);
	test_print("%zu of %u rounds ended in NULL on some CPU\n", nulls, ROUNDS * smp_count());
	CHECK(!nulls && !hak_check());
}

#define PROMISED     60u
#define PROMISE_SIZE 3000u

static void prefill(void *unused)
{
	(void)unused;
	if (!hak_prefill(PROMISE_SIZE, PROMISED))
		nulls++;
}

static void use_promise_of_others(void *unused)
{
	void *chain;

	(void)unused;
	if (!this_cpu()->id)
		return; /* it has all else */
	if (drain(PROMISE_SIZE, &chain, PROMISED) < PROMISED)
		nulls++;
	free_chain(chain);
	hak_flush();
}

/* One CPU takes all memory, and what was promised to others is there. */
static void promises_are_kept(void)
{
	void *large, *small;

	nulls = 0;
	smp_run(prefill, NULL);
	CHECK(!nulls);
	hak_flush(); /* this CPU wants all */
	drain(SLAB, &large, SIZE_MAX);
	drain(PROMISE_SIZE, &small, SIZE_MAX);
	CHECK(!hak_malloc(PROMISE_SIZE));
	smp_run(use_promise_of_others, NULL);
	free_chain(small);
	free_chain(large);
	CHECK(!nulls && !hak_check());
}

/* A handler asks no other CPU: that would take longer than a handler may. */
static void handler_does_without(void)
{
	struct hak_cache *previous;
	size_t n;

	smp_run(fill_magazines, NULL);
	previous = hak_interrupt_enter();
	n = all_slabs();
	hak_interrupt_leave(previous);
	test_print("a handler got %zu of %zu slabs\n", n, total);
	CHECK(n < total);
	CHECK(all_slabs() >= most_of(total) && !hak_check());
	hak_trim(HAK_TRIM_ALL);
	CHECK(all_slabs() == total);
}

static void begins(void)
{
	CHECK(cpus_open());
	smp_run(fill_magazines, NULL); /* each CPU has a cache from now on */
	hak_trim(HAK_TRIM_ALL);
	total = all_slabs();
	test_print("%u CPUs, %zu slabs\n", smp_count(), total);
}

static void ends(void)
{
	CHECK(cpus_close());
}

int main(void)
{
	TEST_RUN(begins);
	TEST_RUN(one_frees);
	TEST_RUN(others_give_theirs);
	TEST_RUN(all_ask_at_once);
	TEST_RUN(promises_are_kept);
	TEST_RUN(handler_does_without);
	TEST_RUN(ends);
	return test_finish();
}
