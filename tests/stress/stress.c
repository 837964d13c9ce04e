/* SPDX-License-Identifier: MIT */
/*
 * Threads that allocate, pass on and free each other's blocks; threads whose magazines
 * are seized all the time; threads that come and go; processes that fork meanwhile.
 * Every block carries a pattern that depends on who made it, and who frees it checks
 * that, so that a block that two have at once is seen. When all is done the heap has to
 * be sound and empty.
 *
 *	stress [--threads N] [--ops N] [--seconds N] [--seed N]
 *
 * The number of operations is fixed, so that a run does what it does however
 * fast the machine is; --seconds repeats everything with other seeds until
 * that time is over.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hakmem/hakmem.h>
#include <hakmem/pool.h>
#include <hakmem/samples.h>
#include <hakmem/stats.h>

#include "../test.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

/* How often destructors of a thread run. In the last round TSan has gone already. */
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define LATE_ROUNDS (PTHREAD_DESTRUCTOR_ITERATIONS - 1)
#else
#define LATE_ROUNDS PTHREAD_DESTRUCTOR_ITERATIONS
#endif

#define MAX_THREADS 64u
#define NR_MAILS    512u
#define RING_SIZE   256u
#define HANG	    600u /* seconds after which something hangs */

static struct {
	unsigned long threads, ops, seconds, seed;
} options = { .threads = 4, .ops = 300000, .seed = 1 };

/* Blocks begin with this; the rest of them follows from it. */
struct block {
	uint64_t tag;
	size_t size;
};

/* What went wrong in a thread, first come first served: test_fail() is for one. */
static const char *_Atomic wrong;

static void blame(const char *what)
{
	const char *none = NULL;

	atomic_compare_exchange_strong(&wrong, &none, what);
}

static uint64_t word_of(uint64_t tag, size_t i)
{
	return (tag ^ i) * 0x9e3779b97f4a7c15u;
}

/* The words of a block that are written: all of a small one, some of each page. */
static size_t next_word(size_t i)
{
	return i < 256 ? i + 1 : i + 61;
}

static void write_pattern(struct block *block, size_t from)
{
	uint64_t *word = (uint64_t *)block;

	for (size_t i = 2; i < block->size / sizeof(*word); i = next_word(i))
		if (i >= from)
			word[i] = word_of(block->tag, i);
}

static bool has_pattern(const struct block *block, size_t size)
{
	const uint64_t *word = (const uint64_t *)block;

	for (size_t i = 2; i < size / sizeof(*word); i = next_word(i))
		if (word[i] != word_of(block->tag, i))
			return false;
	return true;
}

/* Mostly small, some of any class, few spans. */
static size_t random_size(uint64_t *random)
{
	uint64_t r = test_random(random);

	switch (r >> 32 & 1023) {
	case 0:
		return 32768 + r % (2500u << 10);
	case 1 ... 12:
		return 32768 + r % 200000;
	case 13 ... 160:
		return sizeof(struct block) + r % 33000;
	default:
		return sizeof(struct block) + r % 600;
	}
}

static void *allocate(size_t size, uint64_t r)
{
	switch (r & 15) {
	case 0:
		return hak_calloc(1, size);
	case 1:
		return hak_aligned_alloc((size_t)16 << (r >> 8) % 10, size);
	default:
		return hak_malloc(size);
	}
}

static bool is_zero(const void *block, size_t size)
{
	const unsigned char *byte = block;

	for (size_t i = 0; i < size; i += i < 2048 ? 1 : 251)
		if (byte[i])
			return false;
	return true;
}

static struct block *make(uint64_t *random)
{
	size_t size = random_size(random);
	uint64_t r = test_random(random);
	struct block *block = allocate(size, r);

	if (!block) {
		blame("no memory");
		return NULL;
	}
	if ((r & 15) == 0 && !is_zero(block, size))
		blame("a block from calloc that is not zero");
	block->tag = r;
	block->size = size;
	write_pattern(block, 0);
	return block;
}

static struct block *resize(struct block *block, uint64_t *random)
{
	size_t old = block->size, size = random_size(random);
	struct block *moved = hak_realloc(block, size);

	if (!moved) {
		blame("no memory to resize");
		return block;
	}
	if (!has_pattern(moved, old < size ? old : size))
		blame("a block changed by realloc");
	moved->size = size;
	write_pattern(moved, 0);
	return moved;
}

static void destroy(struct block *block)
{
	if (!block)
		return;
	if (!has_pattern(block, block->size))
		blame("a block that somebody else wrote to");
	block->tag = 0;
	hak_free(block);
}

/* ------------------------------------------------------------------- mailboxes */

/* Put a block in, and take out what was there. */
static struct block *_Atomic mail[NR_MAILS];

static struct block *exchange(struct block *block, uint64_t r)
{
	return atomic_exchange_explicit(&mail[r % NR_MAILS], block, memory_order_acq_rel);
}

static void empty_mail(void)
{
	for (unsigned i = 0; i < NR_MAILS; i++)
		destroy(exchange(NULL, i));
}

static uint64_t seed_of(uint64_t thread)
{
	return (options.seed * 1000003 + thread + 1) * 0x9e3779b97f4a7c15u | 1;
}

static void some_operations(uint64_t *random, unsigned long ops)
{
	while (ops--) {
		struct block *block = make(random);
		uint64_t r = test_random(random);

		if (block && r >> 60 == 0)
			block = resize(block, random);
		if (r >> 56 & 3)
			block = exchange(block, r);
		destroy(block);
		if (r >> 50 == 0)
			hak_flush();
		if (r >> 46 == 0)
			(void)hak_trim(HAK_TRIM_ALL);
	}
}

static void *exchange_thread(void *number)
{
	uint64_t random = seed_of((uintptr_t)number);

	some_operations(&random, options.ops);
	return NULL;
}

/* ------------------------------------------------------- one allocates, one frees */

static struct ring {
	struct block *_Atomic slot[RING_SIZE];
} rings[MAX_THREADS];

static void *producer_thread(void *number)
{
	struct ring *ring = &rings[(uintptr_t)number];
	uint64_t random = seed_of(1000 + (uintptr_t)number);

	for (unsigned long i = 0; i < options.ops; i++) {
		struct block *block = make(&random);

		if (!block)
			return NULL;
		while (atomic_load_explicit(&ring->slot[i % RING_SIZE], memory_order_acquire))
			sched_yield();
		atomic_store_explicit(&ring->slot[i % RING_SIZE], block, memory_order_release);
	}
	return NULL;
}

static void *consumer_thread(void *number)
{
	struct ring *ring = &rings[(uintptr_t)number];

	for (unsigned long i = 0; i < options.ops; i++) {
		struct block *block;

		while (!(block = atomic_exchange_explicit(&ring->slot[i % RING_SIZE], NULL,
							  memory_order_acq_rel))) {
			if (wrong)
				return NULL;
			sched_yield();
		}
		destroy(block);
	}
	return NULL;
}

/* --------------------------------------------------------------- starting, ending */

static void join_all(pthread_t *thread, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
}

static unsigned start(pthread_t *thread, unsigned n, void *(*function)(void *))
{
	for (uintptr_t i = 0; i < n; i++) {
		if (pthread_create(&thread[i], NULL, function, (void *)i)) {
			blame("a thread that could not be started");
			return (unsigned)i;
		}
	}
	return n;
}

/*
 * Nobody has a block; is the heap as empty as it is full of nothing? With HAKMEM_PROFILE and
 * HAKMEM_GUARD, samples keep some slabs.
 */
static void check_empty(void)
{
	static struct hak_stats stats;
	struct hak_samples samples;
	const char *failed;

	if (wrong)
		test_fail(__FILE__, __LINE__, wrong);
	wrong = NULL;
	hak_flush();
	failed = hak_check();
	if (failed)
		test_print("hak_check: %s\n", failed);
	CHECK(!failed);
	hak_stats_read(&stats, sizeof(stats));
	hak_samples_read(&samples, sizeof(samples));
	CHECK(stats.total.live_bytes == samples.block_bytes);
	CHECK(stats.total.magazine_blocks == 0);
	CHECK(stats.total.allocations == stats.total.frees + stats.total.live_blocks);
	CHECK(stats.total.failures == 0);
	CHECK(stats.caches <= 1);
	CHECK(stats.slabs_used == samples.block_bytes >> 16);
	(void)hak_trim(HAK_TRIM_ALL);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(!stats.superslabs_active == !samples.block_bytes);
	CHECK(samples.block_bytes || stats.superslabs_mapped == stats.superslabs_released);
	CHECK(samples.block_bytes || stats.mapped_bytes == stats.meta_bytes);
	CHECK(hak_check() == NULL);
}

static _Atomic bool at_work;

/* All threads do @work, and one of its own keeps them company while they are at it. */
static void work_beside(void *(*companion)(void *), void *(*work)(void *))
{
	pthread_t thread[MAX_THREADS], beside;
	unsigned companions;

	at_work = true;
	companions = start(&beside, 1, companion);
	join_all(thread, start(thread, (unsigned)options.threads, work));
	at_work = false;
	join_all(&beside, companions);
	empty_mail();
	check_empty();
}

/* Statistics may be read at any time; what they say has to make some sense. */
static void *watch_thread(void *unused)
{
	static struct hak_stats stats;
	uint64_t before = 0;

	(void)unused;
	while (at_work) {
		hak_stats_read(&stats, sizeof(stats));
		if (stats.total.frees < before || stats.total.frees > stats.total.allocations)
			blame("statistics that fall, or more frees than allocations");
		before = stats.total.frees;
	}
	return NULL;
}

static void blocks_exchanged(void)
{
	work_beside(watch_thread, exchange_thread);
}

static void blocks_passed_on(void)
{
	pthread_t producer[MAX_THREADS], consumer[MAX_THREADS];
	unsigned n = (unsigned)(options.threads + 1) / 2, producers, consumers;

	producers = start(producer, n, producer_thread);
	consumers = start(consumer, n, consumer_thread);
	join_all(producer, producers);
	join_all(consumer, consumers);
	for (unsigned i = 0; i < n * RING_SIZE; i++)
		destroy(atomic_exchange(&rings[i / RING_SIZE].slot[i % RING_SIZE], NULL));
	check_empty();
}

/* ----------------------------------------------------- magazines seized meanwhile */

#define NR_HELD 256u

/* A block, and what its owner remembers of it: the smallest have no pattern. */
struct held {
	struct block *block;
	uint64_t tag;
};

static struct held make_small(uint64_t *random)
{
	uint64_t r = test_random(random);
	size_t most = r >> 60 ? 500 : 32752;
	struct held held = { hak_malloc(sizeof(struct block) + (r >> 8) % most), r };

	if (!held.block) {
		blame("no memory");
		return held;
	}
	held.block->tag = r;
	held.block->size = sizeof(struct block) + (r >> 8) % most;
	write_pattern(held.block, 0);
	return held;
}

static void destroy_held(struct held *held)
{
	if (held->block && held->block->tag != held->tag)
		blame("a block that somebody else has, too");
	destroy(held->block);
	held->block = NULL;
}

/* One class back and forth: hardly anything but the fast path. */
static void back_and_forth(uint64_t r)
{
	size_t size = sizeof(uint64_t) << (r >> 8) % 10;
	uint64_t *block[8];

	for (unsigned i = 0; i < 200; i++) {
		unsigned n = (unsigned)(r >> i % 32 & 7) + 1;

		for (unsigned j = 0; j < n; j++) {
			block[j] = hak_malloc(size);
			if (!block[j])
				return blame("no memory");
			*block[j] = word_of(r, j);
		}
		for (unsigned j = 0; j < n; j++) {
			if (atomic_exchange((_Atomic uint64_t *)block[j], 0) != word_of(r, j))
				blame("a block that two have at once");
			hak_free(block[j]);
		}
	}
}

static void *full_speed_thread(void *number)
{
	struct held held[NR_HELD] = { 0 };
	uint64_t random = seed_of(6000 + (uintptr_t)number);

	for (unsigned long i = 0; i < options.ops && !wrong; i++) {
		uint64_t r = test_random(&random);
		struct held *one = &held[r % NR_HELD];

		if (!one->block) {
			*one = make_small(&random);
		} else if (r >> 32 & 3) {
			destroy_held(one);
		} else {
			one->block = exchange(one->block, r >> 40);
			one->tag = one->block ? one->block->tag : 0;
		}
		if (r >> 58 == 0)
			back_and_forth(test_random(&random));
	}
	for (unsigned i = 0; i < NR_HELD; i++)
		destroy_held(&held[i]);
	return NULL;
}

static void *seizing_thread(void *unused)
{
	(void)unused;
	for (unsigned i = 0; at_work; i++) {
		if (i % 8 == 6)
			(void)hak_trim(HAK_TRIM_ALL);
		else if (i % 8 == 7)
			(void)hak_trim(HAK_TRIM_OWN);
		else
			(void)hak_idle(4);
	}
	return NULL;
}

static void magazines_seized_meanwhile(void)
{
	work_beside(seizing_thread, full_speed_thread);
}

/* ------------------------------------------------------------------ thread churn */

static pthread_key_t late_key;
static _Atomic unsigned late_frees;

/*
 * Runs after the allocator's own destructor, whose key is older: the thread
 * has no cache any more, and gets none. It sets its value again and again, so
 * that the last time is after the last time that anybody could clean up.
 */
static void late_destructor(void *block)
{
	static __thread unsigned rounds;
	uint64_t random = ((struct block *)block)->tag | 1;
	struct block *again;

	destroy(block);
	for (unsigned i = 0; i < 3; i++)
		destroy(make(&random));
	destroy(exchange(make(&random), random));
	late_frees++;
	if (++rounds == LATE_ROUNDS)
		return;
	again = make(&random);
	if (again && pthread_setspecific(late_key, again))
		destroy(again);
}

/* The first act is a free, the last one too, of blocks that came by mail. */
static void *short_thread(void *number)
{
	uint64_t random = seed_of(2000 + (uintptr_t)number);
	struct block *last;

	destroy(exchange(NULL, random));
	if ((uintptr_t)number % 3 == 0)
		return NULL;
	some_operations(&random, (uintptr_t)number % 3 * 20);
	last = make(&random);
	if (last && pthread_setspecific(late_key, last))
		destroy(last);
	return NULL;
}

static void fill_mail(void)
{
	uint64_t random = seed_of(3000);

	for (unsigned i = 0; i < NR_MAILS; i++)
		destroy(exchange(make(&random), i));
}

static void threads_come_and_go(void)
{
	pthread_t thread[MAX_THREADS];
	unsigned long rounds = options.ops / 50 / options.threads + 1, round, expected = 0;

	late_frees = 0;
	fill_mail(); /* the allocator's key is made here, before ours */
	CHECK(pthread_key_create(&late_key, late_destructor) == 0);
	for (round = 0; round < rounds && !wrong; round++) {
		unsigned n = 0;

		for (; n < options.threads; n++) {
			uintptr_t number = round * options.threads + n;

			if (pthread_create(&thread[n], NULL, short_thread, (void *)number))
				break;
			expected += number % 3 != 0;
		}
		join_all(thread, n);
		if (n < options.threads)
			blame("a thread that could not be started");
	}
	CHECK(pthread_key_delete(late_key) == 0);
	CHECK(late_frees == expected * LATE_ROUNDS);
	empty_mail();
	check_empty();
}

/* ------------------------------------------------------------------ objects of pools */

#define NR_POOLED 128u

static struct hak_pool *pool;
static uint64_t *_Atomic pooled[NR_POOLED];

HAK_POOL_FIXED(fixed_pool, uint64_t[6], NR_POOLED);

static void make_object(uint64_t *object, uint64_t tag)
{
	if (!object)
		blame("no object");
	for (unsigned i = 0; object && i < 6; i++)
		object[i] = tag + i;
}

static uint64_t *check_object(uint64_t *object)
{
	for (unsigned i = 1; object && i < 6; i++)
		if (object[i] != object[0] + i)
			blame("an object that two have at once");
	return object;
}

/* One in eight objects is of the fixed pool, which has one for each place. */
static void exchange_object(uint64_t *random)
{
	uint64_t r = test_random(random);
	unsigned place = r % NR_POOLED;
	bool is_fixed = place % 8 == 0;
	uint64_t *object = atomic_exchange(&pooled[place], NULL), *others;

	if (object && is_fixed)
		hak_pool_fixed_free(&fixed_pool, check_object(object));
	else
		hak_pool_free(pool, check_object(object));
	object = is_fixed ? hak_pool_fixed_alloc(&fixed_pool) : hak_pool_alloc(pool);
	make_object(object, r);
	others = atomic_exchange(&pooled[place], object);
	if (others && is_fixed)
		hak_pool_fixed_free(&fixed_pool, check_object(others));
	else
		hak_pool_free(pool, check_object(others));
}

static void some_in_bulk(uint64_t *random)
{
	size_t n = test_random(random) % 100;
	void *objects[100];

	if (!hak_pool_alloc_bulk(pool, n, objects))
		blame("no objects");
	for (size_t i = 0; i < n; i++)
		make_object(objects[i], *random + i);
	for (size_t i = 0; i < n; i++)
		check_object(objects[i]);
	hak_pool_free_bulk(pool, n, objects);
}

static void *pool_thread(void *number)
{
	uint64_t random = seed_of(5000 + (uintptr_t)number);

	for (unsigned long i = 0; i < options.ops / options.threads && !wrong; i++) {
		exchange_object(&random);
		if (i % 1000 == 0)
			some_in_bulk(&random);
	}
	return NULL;
}

/* Seizes the magazines of all threads, and forks. */
static void *shrink_thread(void *unused)
{
	uint64_t random = seed_of(6000);
	int status;

	for (unsigned turn = 0; at_work; turn++) {
		pid_t pid = turn % 64 ? -1 : fork();

		hak_pool_shrink(pool);
		if (!hak_pool_prefill(pool, turn % 200))
			blame("no memory for a prefill");
		exchange_object(&random);
		if (!pid)
			_exit(hak_pool_check(pool) || wrong ? 1 : 0);
		if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
			blame("a child that failed");
	}
	return unused;
}

static void objects_exchanged(void)
{
	pthread_t thread[MAX_THREADS], beside;
	unsigned companions;
	const char *failed;

	pool = hak_pool_create("stress", 48, 0, 0);
	CHECK(pool);
	at_work = true;
	companions = start(&beside, 1, shrink_thread);
	join_all(thread, start(thread, (unsigned)options.threads, pool_thread));
	at_work = false;
	join_all(&beside, companions);
	for (unsigned i = 0; i < NR_POOLED; i++) {
		uint64_t *object = atomic_exchange(&pooled[i], NULL);

		if (i % 8 || !object)
			hak_pool_free(pool, object);
		else
			hak_pool_fixed_free(&fixed_pool, object);
	}
	failed = hak_pool_check(pool);
	if (failed)
		test_print("%s\n", failed);
	CHECK(!failed && hak_pool_fixed_live(&fixed_pool) == 0);
	CHECK(hak_pool_destroy(pool) == 0);
	check_empty();
}

/* -------------------------------------------------------------------------- fork */

static _Atomic bool forks_done;

static void *until_forks_are_done(void *number)
{
	uint64_t random = seed_of(4000 + (uintptr_t)number);

	do
		some_operations(&random, 200);
	while (!forks_done && !wrong);
	return NULL;
}

/* Has a heap of its own from here on, with one thread. */
static _Noreturn void child(struct block *inherited, uint64_t random)
{
	alarm(HANG / 2);
	destroy(inherited);
	some_operations(&random, 300);
	hak_flush();
	for (unsigned i = 0; i < NR_MAILS; i++)
		destroy(exchange(NULL, i));
	some_operations(&random, 300);
	(void)hak_trim(HAK_TRIM_ALL);
	_exit(wrong ? 1 : 0);
}

static void fork_once(uint64_t *random)
{
	struct block *inherited = make(random);
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		child(inherited, test_random(random) | 1);
	destroy(inherited);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		blame("a child that could not be started");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		blame("a child that hangs");
	else if (status)
		blame("a child that failed");
}

/*
 * What other libraries give to pthread_atfork() may allocate. These are
 * registered before the allocator's own, so they run while it holds its locks,
 * in the parent and in the child.
 */
static bool fork_handlers_allocate = true;

static void allocate_in_fork(void)
{
	static const size_t sizes[] = { 24, 700, 30000, 200000 };
	void *block[4][20];

	if (!fork_handlers_allocate)
		return;
	for (unsigned i = 0; i < 80; i++)
		if (!(block[i % 4][i / 4] = hak_malloc(sizes[i % 4])))
			blame("no memory in a fork handler");
	for (unsigned i = 0; i < 80; i++)
		hak_free(block[i % 4][i / 4]);
}

__attribute__((constructor(101))) static void before_the_allocator(void)
{
	pthread_atfork(allocate_in_fork, allocate_in_fork, allocate_in_fork);
}

/*
 * A class that has its first slab while its maker is in fork(), and holds all
 * locks: who comes for a block of it has to wait, as for any other.
 */
#define NEW_CLASS 1100

static _Atomic unsigned new_class; /* 1: it is to be made; 2: it is there; 3: another has one */

static void *new_class_thread(void *unused)
{
	(void)unused;
	hak_free(hak_malloc(100)); /* it has a cache then */
	new_class = 1;
	while (new_class < 2)
		sched_yield();
	hak_free(hak_malloc(NEW_CLASS));
	new_class = 3;
	return NULL;
}

static void make_class_in_fork(void)
{
	void *block;

	if (new_class != 1)
		return;
	block = hak_malloc(NEW_CLASS);
	new_class = 2;
	usleep(50000);
	if (new_class != 2)
		blame("a class without a lock");
	hak_free(block);
}

__attribute__((constructor(101))) static void before_the_allocator_too(void)
{
	pthread_atfork(NULL, make_class_in_fork, NULL);
}

static void class_made_in_fork(void)
{
	pthread_t thread;
	pid_t pid;

	new_class = 0;
	CHECK(pthread_create(&thread, NULL, new_class_thread, NULL) == 0);
	while (!new_class)
		sched_yield();
	pid = fork();
	if (!pid)
		_exit(0);
	CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
	pthread_join(thread, NULL);
	CHECK(new_class == 3);
	check_empty();
}

static void *fork_thread(void *number)
{
	uint64_t random = seed_of(5000 + (uintptr_t)number);

	for (unsigned long i = 0; i < options.ops / 3000 + 1 && !wrong; i++)
		fork_once(&random);
	return NULL;
}

static void forks_among_threads(void)
{
	pthread_t thread[MAX_THREADS], forking[2];
	unsigned n, forks;

	forks_done = false;
	n = start(thread, (unsigned)options.threads, until_forks_are_done);
	forks = start(forking, 2, fork_thread);
	join_all(forking, forks);
	forks_done = true;
	join_all(thread, n);
	empty_mail();
	check_empty();
}

/*
 * A handler that forks while the thread it interrupts is in the allocator, with
 * a lock in hand. All of it in a process of its own, since it is the parent that
 * would hang. Each handler sets the timer for the next: one that runs on might
 * expire in the handler each time, and what was interrupted never get on.
 */
#define HANDLER_FORKS 100

static volatile sig_atomic_t handler_forks;

static void set_timer(void)
{
	static const struct itimerval soon = { { 0, 0 }, { 0, 300 } };

	setitimer(ITIMER_VIRTUAL, &soon, NULL);
}

static int fork_and_wait(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid < 0 ? -1 : status;
}

static void fork_in_handler(int signal)
{
	int saved = errno;

	(void)signal;
	if (fork_and_wait())
		_exit(1);
	if (++handler_forks < HANDLER_FORKS)
		set_timer();
	errno = saved;
}

static _Noreturn void interrupted_process(void)
{
	static void *block[1000];

	fork_handlers_allocate = false; /* nor may anything else in a signal handler */
	alarm(HANG);
	signal(SIGVTALRM, fork_in_handler);
	set_timer();
	while (handler_forks < HANDLER_FORKS) {
		for (unsigned i = 0; i < 1000; i++)
			block[i] = hak_malloc(64 + i % 500);
		for (unsigned i = 0; i < 1000; i++)
			hak_free(block[i]);
		hak_flush();
	}
	_exit(hak_check() ? 1 : 0);
}

static void fork_in_signal_handler(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		interrupted_process();
	CHECK(pid > 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(!WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM); /* it hangs */
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ------------------------------------------------------------------------- main */

static const struct {
	const char *name;
	unsigned long *value;
} flags[] = {
	{ "--threads", &options.threads },
	{ "--ops", &options.ops },
	{ "--seconds", &options.seconds },
	{ "--seed", &options.seed },
};

static bool parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		size_t f = 0;
		char *end;

		while (f < sizeof(flags) / sizeof(flags[0]) && strcmp(argv[i], flags[f].name))
			f++;
		if (f == sizeof(flags) / sizeof(flags[0]) || i + 1 == argc)
			return false;
		*flags[f].value = strtoul(argv[i + 1], &end, 0);
		if (*end)
			return false;
	}
	return options.threads >= 1 && options.threads <= MAX_THREADS;
}

int main(int argc, char **argv)
{
	time_t start_time = time(NULL);

	if (!parse(argc, argv)) {
		test_print("usage: stress [--threads 1..%u] [--ops N] [--seconds N] [--seed N]\n",
			   MAX_THREADS);
		return 2;
	}
	do {
		test_print("threads %lu, ops %lu, seed %lu\n", options.threads, options.ops,
			   options.seed);
		alarm(HANG + (unsigned)(options.ops / 1000));
		TEST_RUN(class_made_in_fork); /* before any other uses it */
		TEST_RUN(blocks_exchanged);
		TEST_RUN(blocks_passed_on);
		TEST_RUN(magazines_seized_meanwhile);
		TEST_RUN(threads_come_and_go);
		TEST_RUN(objects_exchanged);
		TEST_RUN(forks_among_threads);
		TEST_RUN(fork_in_signal_handler);
		options.seed++;
	} while (time(NULL) - start_time < (time_t)options.seconds);
	return test_finish();
}
