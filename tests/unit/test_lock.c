/* SPDX-License-Identifier: MIT */
/*
 * core/base/lock.c and core/api/fork.c: the words of a lock as one thread sees them, the
 * ranks that it holds, and that fork() leaves no lock taken. The stress test has several
 * threads.
 */
#include "unit.h"

#include <api/fork.h>
#include <cache/layout.h>
#include <hakmem/hakmem.h>
#include <superslab/arena.h>
#include <base/lock.h>

static uintptr_t holder(void)
{
	return (uintptr_t)this_held();
}

static void lock_words(void)
{
	struct lock lock = { 0 };

	lock_word_lock(&lock, LOCK_ANYBODY);
	CHECK(lock.word == LOCK_ANYBODY);
	lock_word_unlock(&lock);
	CHECK(lock.word == 0);

	/* somebody waits: the word is released all the same */
	lock.word = LOCK_ANYBODY | LOCK_WAITED;
	lock_word_unlock(&lock);
	CHECK(lock.word == 0);

	lock_word_wait(&lock, LOCK_ANYBODY);
	CHECK((lock.word & ~LOCK_WAITED) == LOCK_ANYBODY);
	lock_word_unlock(&lock);
	CHECK(lock.word == 0);

	CHECK(lock_word_try(&lock, holder()) && lock.word == holder());
	CHECK(!lock_word_try(&lock, LOCK_ANYBODY) && lock.word == holder());
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
	CHECK(class.word == holder() && superslab.word == holder() && meta.word == holder());
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

/* All that is held for fork() is dropped, and only that. */
static void lock_fork(void)
{
	void *block;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	for (unsigned i = 0; i < 3; i++) {
		CHECK(fork_prepare(false));
		CHECK(hak_arena.lock.word == (holder() | LOCK_FOR_FORK));
		block = hak_malloc(100);
		CHECK(block);
		hak_free(block);
		block = hak_malloc(100000);
		CHECK(block);
		hak_free(block);
		hak_flush();
		fork_done();
		CHECK(hak_arena.lock.word == 0);
		CHECK(!hak_check());
	}
	CHECK(unit_close());
}

/* The caller is a signal handler that interrupted the allocator. */
static void lock_fork_inside(void)
{
	struct lock class = { 0 };
	void *block;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	lock_lock(&class, LOCK_CLASS);
	fork_begin();
	CHECK(fork_prepare(false));
	CHECK(hak_arena.lock.word == (holder() | LOCK_FOR_FORK));
	CHECK(fork_prepare(false)); /* in a handler that interrupted this handler */
	fork_done();
	CHECK(hak_arena.lock.word == (holder() | LOCK_FOR_FORK));
	fork_done();
	CHECK(hak_arena.lock.word == 0);
	arena_lock();
	fork_begin();
	CHECK(hak_arena.lock.word == (holder() | LOCK_STUCK));
	CHECK(fork_prepare(false)); /* this would hang */
	CHECK(hak_arena.lock.word == (holder() | LOCK_STUCK));
	fork_done();
	CHECK(hak_arena.lock.word == holder() && class.word == holder() && *this_held() == 6u);
	arena_unlock();
	lock_unlock(&class, LOCK_CLASS);
	block = hak_malloc(100);
	CHECK(block);
	hak_free(block);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* Another thread holds a lock, and drops it when it can. */
static void lock_fork_beside(void)
{
	static uint64_t other[2];
	uintptr_t held_by = (uintptr_t)&other[0];

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	hak_arena.lock.word = held_by;
	CHECK(!lock_fork_lock(&hak_arena.lock, 3));
	CHECK((hak_arena.lock.word & ~LOCK_WAITED) == held_by);
	/* it is stuck in a handler that forks: nothing is taken meanwhile */
	hak_arena.lock.word = held_by | LOCK_STUCK;
	CHECK(!fork_prepare(false));
	CHECK(hak_arena.lock.word == (held_by | LOCK_STUCK) && *this_held() == 0);
	lock_fork_unlock(&hak_arena.lock);
	CHECK(hak_arena.lock.word == (held_by | LOCK_STUCK));
	hak_arena.lock.word = 0;
	CHECK(fork_prepare(false));
	fork_done();
	/* in a child it is not there: nobody waits for it, and the next fork() does not, either */
	hak_arena.lock.word = held_by | LOCK_STUCK;
	*this_held() = 1u << LOCK_CLASS;
	CHECK(fork_prepare(false));
	fork_in_child();
	fork_done();
	*this_held() = 0;
	CHECK(hak_arena.lock.word == LOCK_LOST);
	CHECK(fork_prepare(false));
	fork_done();
	CHECK(hak_arena.lock.word == LOCK_LOST);
	hak_arena.lock.word = 0;
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* In a child, the claim of the caller's cache is its own, or that of a scan which is not there. */
static void lock_fork_claimed(void)
{
	static uint64_t other[2];
	struct lock *claim;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	hak_free(hak_malloc(100));
	claim = &this_cache()->cold->claim;
	CHECK(claim->word == 0);
	for (unsigned i = 0; i < 3; i++) {
		claim->word = i == 0 ? 0 : i == 1 ? holder() : (uintptr_t)&other[0] | LOCK_WAITED;
		CHECK(fork_prepare(false));
		fork_in_child();
		fork_done();
		CHECK(claim->word == (i == 0 ? 0 : i == 1 ? holder() : LOCK_LOST));
	}
	claim->word = 0;
	hak_free(hak_malloc(100));
	CHECK(!hak_check());
	CHECK(unit_close());
}

void unit_lock(void)
{
	TEST_RUN(lock_words);
	TEST_RUN(lock_ranks);
	if (PLATFORM_FORKS) {
		TEST_RUN(lock_fork);
		TEST_RUN(lock_fork_inside);
		TEST_RUN(lock_fork_beside);
		TEST_RUN(lock_fork_claimed);
	}
}
