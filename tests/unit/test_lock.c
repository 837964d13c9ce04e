/* SPDX-License-Identifier: MIT */
/*
 * core/base/lock.c and core/api/fork.c: the words of a lock as one thread sees them, the
 * ranks that it holds, and that fork() leaves no lock taken. The stress test has several
 * threads.
 */
#include "unit.h"

#include <api/fork.h>
#include <hakmem/hakmem.h>
#include <superslab/arena.h>
#include <base/lock.h>

static void lock_words(void)
{
	struct lock lock = { 0 };

	lock_word_lock(&lock);
	CHECK(lock.word == 1);
	lock_word_unlock(&lock);
	CHECK(lock.word == 0);

	/* somebody waits: the word is released all the same */
	lock.word = 2;
	lock_word_unlock(&lock);
	CHECK(lock.word == 0);

	/* taken by who has waited: 2 as long as others may wait */
	lock_word_wait(&lock);
	CHECK(lock.word == 1 || lock.word == 2);
	lock_word_unlock(&lock);
	CHECK(lock.word == 0);

	CHECK(lock_word_try(&lock) && lock.word == 1);
	CHECK(!lock_word_try(&lock) && lock.word == 1);
	lock_word_unlock(&lock);
	CHECK(lock.word == 0);
}

static void lock_ranks(void)
{
	struct lock class = { 0 }, superslab = { 0 }, meta = { 0 };

	CHECK(*this_held() == 0 && !lock_is_any_held());
	lock_lock(&class, LOCK_CLASS);
	CHECK(*this_held() == 2u && lock_is_any_held());
	lock_lock(&superslab, LOCK_ARENA);
	CHECK(*this_held() == 6u);
	lock_lock(&meta, LOCK_META);
	CHECK(*this_held() == 14u);
	CHECK(class.word == 1 && superslab.word == 1 && meta.word == 1);
	/* in the opposite order */
	lock_unlock(&meta, LOCK_META);
	CHECK(*this_held() == 6u);
	lock_unlock(&superslab, LOCK_ARENA);
	CHECK(lock_is_any_held());
	lock_unlock(&class, LOCK_CLASS);
	CHECK(*this_held() == 0 && !lock_is_any_held());
	CHECK(class.word == 0 && superslab.word == 0 && meta.word == 0);
	/* a lower one may be skipped */
	lock_lock(&meta, LOCK_META);
	CHECK(*this_held() == 8u);
	lock_unlock(&meta, LOCK_META);
	CHECK(!lock_is_any_held());
	/* the one that malloc and free never take does not count */
	lock_lock(&class, LOCK_SCAN);
	CHECK(!(*this_held() & ~(1u << LOCK_SCAN)) && !lock_is_any_held());
	lock_unlock(&class, LOCK_SCAN);
}

static void lock_fork(void)
{
	void *block;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	for (unsigned i = 0; i < 3; i++) {
		fork_prepare();
		fork_done();
		block = hak_malloc(100);
		CHECK(block);
		hak_free(block);
		block = hak_malloc(100000);
		CHECK(block);
		hak_free(block);
		hak_flush();
		CHECK(!hak_check());
	}
	CHECK(unit_close());
}

/*
 * A fork by a signal handler that interrupted the allocator takes what is free,
 * and drops only that.
 */
static void lock_fork_inside(void)
{
	struct lock class = { 0 };
	void *block;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	lock_lock(&class, LOCK_CLASS);
	fork_prepare();
	CHECK(hak_arena.lock.word == 1);
	fork_prepare(); /* in a handler that interrupted this handler */
	fork_done();
	CHECK(hak_arena.lock.word == 1);
	fork_done();
	CHECK(hak_arena.lock.word == 0);
	arena_lock();
	fork_prepare(); /* this would hang */
	CHECK(hak_arena.lock.word == 1);
	fork_done();
	CHECK(hak_arena.lock.word == 1 && class.word == 1 && *this_held() == 6u);
	arena_unlock();
	lock_unlock(&class, LOCK_CLASS);
	block = hak_malloc(100);
	CHECK(block);
	hak_free(block);
	CHECK(!hak_check());
	CHECK(unit_close());
}

void unit_lock(void)
{
	TEST_RUN(lock_words);
	TEST_RUN(lock_ranks);
	TEST_RUN(lock_fork);
	TEST_RUN(lock_fork_inside);
}
