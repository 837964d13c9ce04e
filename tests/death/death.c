/* SPDX-License-Identifier: MIT */
/*
 * Crimes against the heap, each committed by a child of its own, and the line
 * that reports it, compared in full. A child must end by abort(), and at the
 * moment that hakmem.h promises: by the call, or when the block reaches its slab.
 * Each is committed again with a handler of SIGABRT that uses the heap, as
 * crash reporters do, for each way in which the block can reach its slab.
 *
 * Then what is no crime but only asks for too much: NULL, ENOMEM, and life
 * goes on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hakmem/hakmem.h>
#include <hakmem/pool.h>

#include "cache/magazine.h"
#include "cache/seize.h"
#include "pages/bug.h"
#include "pages/pagemap.h"
#include "slab/gap.h"
#include "superslab/superslab.h"

#include "../test.h"

#ifdef __SANITIZE_THREAD__
#define backtrace(callers, n)                                                                      \
	((void)(callers), n) /* it calls malloc, which the sanitizer reports in handlers */
#endif

enum when {
	AT_ONCE,  /* in every build */
	AT_FLUSH, /* when the block reaches its slab; at once in debug builds */
	IN_DEBUG, /* in debug builds, at once; others let it pass */
};

struct crime {
	const char *name;
	void (*commit)(void);
	enum when when;
	const char *caller;
	const char *what;
};

/* What a child tells its parent, in memory that both share. */
static struct evidence {
	const void *pointer;
	pid_t pid;
	bool survived; /* the crime was not reported at once */
	void *two[2];
} * evidence;

/* Hidden from the compiler, which would know that all this is wrong. */
static void *volatile hidden;
static volatile size_t hidden_size;

static const char static_data[64] __attribute__((aligned(64)));

/* This pointer is the one that the report has to name. */
static void *suspect(const void *pointer)
{
	evidence->pointer = pointer;
	hidden = (void *)pointer;
	return hidden;
}

static void *suspect_at(const void *block, size_t offset)
{
	return suspect((const void *)((uintptr_t)block + offset));
}

static void *allocate(size_t size)
{
	hidden = hak_malloc(size);
	if (!hidden)
		_exit(99);
	return hidden;
}

static void free_twice(void *block)
{
	hak_free(block);
	hak_free(hidden);
}

static void double_free(void)
{
	free_twice(suspect(allocate(64)));
}

static void double_free_of_smallest(void)
{
	free_twice(suspect(allocate(0)));
}

static void double_free_of_large_block(void)
{
	free_twice(suspect(allocate(32768)));
}

/* There is another one of its class, or its slab would be gone. */
static void double_free_by_free_sized(void)
{
	void *block = allocate(1000), *neighbour = allocate(1000);

	hak_free(block);
	hak_free_sized(suspect(block), 1000);
	hidden = neighbour;
}

static void double_free_by_free_aligned_sized(void)
{
	hak_free(suspect(hidden = hak_aligned_alloc(256, 256)));
	hak_free_aligned_sized(hidden, 256, 256);
}

static void *free_twice_in_thread(void *block)
{
	hak_free(allocate(64)); /* now there is a cache, with a magazine of its own */
	free_twice(suspect(block));
	return NULL;
}

static void double_free_in_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, free_twice_in_thread, allocate(64)))
		_exit(99);
	pthread_join(thread, NULL);
}

/* As in programs that go on with the old pointer, which often is the new one. */
static void double_free_after_realloc(void)
{
	void *block = suspect(allocate(64));

	if (hak_realloc(block, 60) != evidence->pointer)
		_exit(99);
	free_twice(suspect(evidence->pointer));
}

static void double_free_after_realloc_moved(void)
{
	void *block = suspect(allocate(64));

	if (hak_realloc(block, 1000) == evidence->pointer)
		_exit(99);
	hak_free(suspect(evidence->pointer));
}

/* A scan has seized the magazine between the two, and not taken the block. */
static void double_free_of_seized(void)
{
	struct hak_cache *cache;

	hak_free(suspect(allocate(64)));
	cache = this_cache();
	if (!seize_try_claim(cache))
		_exit(99);
	seize_begin(cache, class_of(64));
	seize_leave(cache);
	if (cache->magazine[class_of(64)].top != MAGAZINE_SEIZED)
		_exit(99);
	hak_free(suspect(evidence->pointer));
}

static void double_free_not_in_a_row(void)
{
	void *block = allocate(64), *other = allocate(64);

	hak_free(block);
	hak_free(other);
	hak_free(suspect(block));
}

static void double_free_of_8192_not_in_a_row(void)
{
	void *block = allocate(8192), *other = allocate(8192);

	hak_free(block);
	hak_free(other);
	hak_free(suspect(block));
}

static void double_free_of_large_not_in_a_row(void)
{
	void *block = allocate(32768), *other = allocate(32768);

	hak_free(block);
	hak_free(other);
	hak_free(suspect(block));
}

/* The first copy has already reached its slab, which others keep in use. */
static void double_free_after_flush(void)
{
	void *block = suspect(allocate(1000)), *neighbour = allocate(1000);

	hak_free(block);
	hak_flush();
	hak_free(suspect(block));
	hidden = neighbour;
}

/* Neighbours are freed at once; which of them it is is told all the same. */
static void double_free_among_neighbours(void)
{
	char *block[5];

	for (unsigned i = 0; i < 5; i++) {
		block[i] = allocate(64);
		if (i && block[i] != block[i - 1] + 64)
			_exit(99);
	}
	hak_free(block[3]);
	hak_flush();
	hak_free(block[1]);
	hak_free(block[2]);
	hak_free(suspect(block[3]));
	hak_free(block[4]);
}

/* The slab is gone, the SuperSlab is the reserve. */
static void double_free_after_its_slab(void)
{
	void *block = allocate(64);

	hak_free(block);
	hak_flush();
	hak_free(suspect(block));
}

static void double_free_after_its_superslab(void)
{
	void *block = allocate(64);

	hak_free(block);
	(void)hak_trim(HAK_TRIM_ALL);
	hak_free(suspect(block));
}

static pthread_key_t late_key;

static void *leave_to_destructor(void *block)
{
	hak_free(allocate(16)); /* now there is a cache to destroy */
	pthread_setspecific(late_key, suspect(block));
	return NULL;
}

/* By a thread whose cache is gone, because its destructor ran before. */
static void double_free_without_cache(void)
{
	void *block = allocate(64), *neighbour = allocate(64);
	pthread_t thread;

	if (pthread_key_create(&late_key, free_twice) ||
	    pthread_create(&thread, NULL, leave_to_destructor, block))
		_exit(99);
	pthread_join(thread, NULL);
	hidden = neighbour;
}

static void interior(void)
{
	hak_free(suspect_at(allocate(64), 8));
}

static void interior_of_large_block(void)
{
	hak_free(suspect_at(allocate(32768), 4096));
}

static void *free_it(void *block)
{
	hak_free(block);
	return NULL;
}

/* A thread without a cache takes the slow path, which inspects the block at once. */
static void interior_by_new_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, free_it, suspect_at(allocate(64), 16)))
		_exit(99);
	pthread_join(thread, NULL);
}

static void interior_of_span(void)
{
	hak_free(suspect_at(allocate(200000), 4096));
}

/* Of no class, so that there is no magazine that it could be put into. */
static void interior_of_large_span(void)
{
	hak_free(suspect_at(allocate(2000000), 4096));
}

static void interior_of_span_second_slab(void)
{
	hak_free(suspect_at(allocate(200000), 65536));
}

static void interior_of_span_last_slab(void)
{
	hak_free(suspect_at(allocate(300000), 4 * 65536 + 16));
}

static void interior_of_span_other_superslab(void)
{
	hak_free(suspect_at(allocate(5 << 20), 4 << 20));
}

static __attribute__((unused)) void span_twice(void)
{
	free_twice(suspect(allocate(200000)));
}

static __attribute__((unused)) void largest_span_of_class_twice(void)
{
	free_twice(suspect(allocate(HAK_CACHED_MAX)));
}

static void large_span_twice(void)
{
	free_twice(suspect(allocate(2000000)));
}

static void span_of_superslabs_twice(void)
{
	free_twice(suspect(allocate(5 << 20)));
}

static void span_twice_after_trim(void)
{
	void *block = suspect(allocate(200000));

	hak_free(block);
	(void)hak_trim(HAK_TRIM_ALL);
	hak_free(suspect(block));
}

static void foreign_stack(void)
{
	char local[64];

	hak_free(allocate(64));
	hidden = local;
	hak_free(suspect(hidden));
}

static void foreign_static(void)
{
	hak_free(allocate(64));
	hak_free(suspect(static_data));
}

static void foreign_mapping(void)
{
	hak_free(allocate(64));
	hak_free(suspect_at(port_map(HAK_SUPERSLAB_SIZE), 4096));
}

static void foreign_unmapped(void)
{
	char *base = port_map(HAK_SUPERSLAB_SIZE);

	hak_free(allocate(64));
	port_unmap(base, HAK_SUPERSLAB_SIZE);
	hak_free(suspect_at(base, 64));
}

/* Nobody has asked for memory yet. */
static void foreign_before_all(void)
{
	hak_free(suspect(static_data));
}

static void free_address(uintptr_t address)
{
	hak_free(allocate(64));
	hak_free(suspect((const void *)address));
}

static void foreign_null_page(void)
{
	free_address(8);
}

static void foreign_non_canonical(void)
{
	free_address(0xdeadbeefdeadbeef);
}

static void foreign_first_beyond_page_map(void)
{
	free_address((uintptr_t)1 << 48);
}

static void foreign_last_of_all(void)
{
	free_address(UINTPTR_MAX);
}

static void own_descriptor(void)
{
	hak_free(suspect(pagemap_superslab((uintptr_t)allocate(64))));
}

static void own_cache(void)
{
	hak_free(allocate(64));
	hak_free(suspect(this_cache()));
}

static void own_bitmap(void)
{
	uintptr_t block = (uintptr_t)allocate(16);

	hak_free(suspect(superslab_slab(pagemap_superslab(block), block)->bitmap));
}

/* 1365 blocks of 48 bytes leave 16 of a slab. */
static void end_of_slab(void)
{
	uintptr_t block = (uintptr_t)allocate(48);

	hak_free(suspect((void *)((block & ~(uintptr_t)0xffff) + 1365 * 48)));
}

static void unused_slab(void)
{
	uintptr_t block = (uintptr_t)allocate(64);

	hak_free(suspect((void *)((block | (HAK_SUPERSLAB_SIZE - 1)) - 0xffff)));
}

static void realloc_foreign(void)
{
	hak_free(allocate(64));
	hidden = hak_realloc(suspect(static_data), 100);
}

static void realloc_interior(void)
{
	hidden = hak_realloc(suspect_at(allocate(64), 24), 100);
}

static void realloc_interior_of_span(void)
{
	hidden = hak_realloc(suspect_at(allocate(200000), 65536), 100);
}

static void realloc_to_nothing(void)
{
	hidden = hak_realloc(suspect_at(allocate(64), 24), 0);
}

/* It is moved, and with that freed again. */
static void realloc_of_freed(void)
{
	void *block = suspect(allocate(64));

	hak_free(block);
	hidden = hak_realloc(hidden, 100);
}

static void realloc_of_freed_in_place(void)
{
	void *block = suspect(allocate(64));

	hak_free(block);
	hidden = hak_realloc(hidden, 60);
}

static void realloc_of_freed_to_nothing(void)
{
	void *block = suspect(allocate(64));

	hak_free(block);
	hidden = hak_realloc(hidden, 0);
}

static void realloc_of_freed_span(void)
{
	void *block = suspect(allocate(2000000));

	hak_free(block);
	hidden = hak_realloc(hidden, 100);
}

/* What is found with a claim or a lock is noted. The first is reported, and only by its finder. */
static void first_of_two_noted(void)
{
	char *block = allocate(64), *other = allocate(1000);

	bug_note(HAK_BUG_DOUBLE_FREE, suspect(block), 64, 0);
	bug_note(HAK_BUG_INTERIOR, other + 8, 1024, 8);
	bug_report_noted();
}

/* It finds another one while the first is noted, and goes on. */
static void *note_other(void *block)
{
	hak_free(allocate(64));
	bug_note(HAK_BUG_INTERIOR, (char *)block + 8, 1024, 8);
	bug_report_noted();
	hak_flush();
	return NULL;
}

static void first_of_two_threads_noted(void)
{
	void *block = allocate(64), *other = allocate(1000);
	pthread_t thread;

	bug_note(HAK_BUG_DOUBLE_FREE, suspect(block), 64, 0);
	if (pthread_create(&thread, NULL, note_other, other))
		_exit(99);
	pthread_join(thread, NULL);
	bug_report_noted();
}

/* Not before the lock of the scan is dropped: claims that are given up meanwhile do not count. */
static void noted_in_scan(void)
{
	static struct lock scan;
	void *block = allocate(64), *other = allocate(64);

	lock_lock(&scan, LOCK_SCAN);
	bug_note(HAK_BUG_DOUBLE_FREE, suspect(block), 64, 0);
	bug_report_noted();
	hak_free(other);
	hak_flush();
	lock_unlock(&scan, LOCK_SCAN);
	bug_report_noted();
}

static void usable_size_foreign(void)
{
	hak_free(allocate(64));
	hidden_size = hak_usable_size(suspect(static_data));
}

static void usable_size_interior(void)
{
	hidden_size = hak_usable_size(suspect_at(allocate(64), 1));
}

static void usable_size_of_freed(void)
{
	void *block = suspect(allocate(64));

	hak_free(block);
	hidden_size = hak_usable_size(hidden);
}

static void free_sized_foreign(void)
{
	hak_free(allocate(64));
	hak_free_sized(suspect(static_data), 64);
}

static void free_sized_interior_of_span(void)
{
	hak_free_sized(suspect_at(allocate(200000), 16), 200000);
}

static void free_sized_wrong(void)
{
	hak_free_sized(suspect(allocate(64)), 65);
}

static void free_sized_smaller_class(void)
{
	hak_free_sized(suspect(allocate(64)), 48);
}

static void free_sized_after_realloc(void)
{
	hidden = hak_realloc(allocate(64), 40);
	hak_free_sized(suspect(hidden), 64);
}

static void free_aligned_sized_wrong(void)
{
	hidden = hak_aligned_alloc(256, 10);
	hak_free_aligned_sized(suspect(hidden), 64, 10);
}

static void free_sized_wrong_span(void)
{
	hak_free_sized(suspect(allocate(200000)), 229377);
}

#if HAK_GAPS
/* A gap block of 1024 bytes in a slab of blocks of 64, as the last resort would make it. */
static void *allocate_gap(void)
{
	void *first = allocate(64), *gap;

	hak_flush();
	gap = gap_alloc(class_of(1000), 1000, 1);
	hidden = first; /* it is in use */
	if (!gap)
		_exit(99);
	return gap;
}

/* The slab has another gap block yet, or none. */
static void double_free_of_gap(void)
{
	void *gap = allocate_gap(), *other = allocate_gap();

	hak_free(gap);
	hak_free(suspect(gap));
	hidden = other;
}

static void double_free_of_last_gap(void)
{
	void *gap = allocate_gap();

	hak_free(gap);
	hak_free(suspect(gap));
}

static void double_free_beside_gap(void)
{
	void *gap, *block = allocate(64), *other = allocate(64);

	gap = allocate_gap();
	hak_free(block);
	hak_free(suspect(block));
	hidden = gap;
	hidden = other;
}

static void interior_of_gap(void)
{
	hak_free(suspect_at(allocate_gap(), 64));
}

static void interior_beside_gap(void)
{
	char *block = allocate(64);

	allocate_gap();
	hak_free(suspect_at(block, 24));
}

static void end_of_slab_with_gap(void)
{
	char *block = allocate(640);

	hak_flush();
	if (!gap_alloc(class_of(1200), 1200, 1))
		_exit(99);
	block -= (uintptr_t)block % SLAB_SIZE;
	hak_free(suspect_at(block, 102 * 640));
}

static void realloc_interior_of_gap(void)
{
	hidden = hak_realloc(suspect_at(allocate_gap(), 1016), 100);
}

static void usable_size_of_freed_gap(void)
{
	void *gap = allocate_gap(), *other = allocate_gap();

	hak_free(gap);
	hidden_size = hak_usable_size(suspect(gap));
	hidden = other;
}

static void free_sized_wrong_gap(void)
{
	hidden = allocate_gap();
	hak_free_sized(suspect(hidden), 1025);
}
#endif

#define MAPPED	 "not from this heap (mapped by someone else)"
#define UNMAPPED "not from this heap (unmapped)"
#define UNUSED	 "memory of the heap that is not in use"
/* Objects leave the magazine at the end, if they have not been reported before. */
static struct hak_pool *two_pools[2];

static void *pool_object(unsigned flags)
{
	static const char *const names[] = { "first", "second" };

	for (unsigned i = 0; i < 2; i++)
		if (!(two_pools[i] = hak_pool_create(names[i], 48, 0, flags)))
			_exit(99);
	if (!hak_pool_alloc(two_pools[0]) || !hak_pool_alloc(two_pools[1]))
		_exit(99);
	return hak_pool_alloc(two_pools[0]);
}

static void free_to_pool(unsigned pool, void *object)
{
	hak_pool_free(two_pools[pool], object);
	hak_pool_shrink(two_pools[pool]);
}

static void pool_wrong(void)
{
	free_to_pool(1, suspect(pool_object(0)));
}

static void pool_wrong_checked(void)
{
	void *object = suspect(pool_object(HAK_POOL_CHECKED));

	hak_pool_free(two_pools[1], object);
}

static void pool_wrong_bulk(void)
{
	void *objects[2];

	objects[1] = suspect(pool_object(0));
	objects[0] = hak_pool_alloc(two_pools[1]);
	hak_pool_free_bulk(two_pools[1], 2, objects);
}

static void pool_block(void)
{
	pool_object(0);
	free_to_pool(0, suspect(allocate(64)));
}

static void pool_static(void)
{
	pool_object(0);
	free_to_pool(0, suspect(static_data));
}

static void pool_interior(void)
{
	free_to_pool(0, suspect_at(pool_object(0), 8));
}

static void pool_twice(void)
{
	void *object = suspect(pool_object(0));

	hak_pool_free(two_pools[0], object);
	hak_pool_free(two_pools[0], hidden);
}

static void pool_twice_not_in_a_row(void)
{
	void *object = suspect(pool_object(0)), *other = hak_pool_alloc(two_pools[0]);

	hak_pool_free(two_pools[0], object);
	hak_pool_free(two_pools[0], other);
	free_to_pool(0, hidden);
}

static void pool_twice_spilled(void)
{
	static void *objects[300];
	void *object = suspect(pool_object(0));

	for (unsigned i = 0; i < 300; i++)
		objects[i] = hak_pool_alloc(two_pools[0]);
	hak_pool_free(two_pools[0], object);
	hak_pool_free(two_pools[0], objects[0]);
	hak_pool_free(two_pools[0], hidden);
	for (unsigned i = 1; i < 300; i++)
		hak_pool_free(two_pools[0], objects[i]);
}

static void pool_object_to_free(void)
{
	hak_free(suspect(pool_object(0)));
}

HAK_POOL_FIXED(fixed, uint64_t, 10);

static void fixed_twice(void)
{
	void *object = suspect(hak_pool_fixed_alloc(&fixed));

	hak_pool_fixed_free(&fixed, object);
	hak_pool_fixed_free(&fixed, hidden);
}

static void fixed_interior(void)
{
	hak_pool_fixed_free(&fixed, suspect_at(hak_pool_fixed_alloc(&fixed), 4));
}

static void fixed_outside(void)
{
	hak_pool_fixed_free(&fixed, suspect_at(hak_pool_fixed_alloc(&fixed), 80));
}

static void fixed_before(void)
{
	hak_pool_fixed_free(&fixed, suspect_at(hak_pool_fixed_alloc(&fixed), -(size_t)8));
}

#define INTERNAL "memory that the allocator itself uses"
/* when the block reaches its slab, nobody knows any more who has freed it */
#define SIZED (IS_ENABLED(CONFIG_HAK_DEBUG) ? "free_sized" : "free")

/* Where units are pages, a slab has one such block, and is not in use once that is free. */
#define LARGE_TWICE                                                                                \
	(HAK_GAPS && !IS_ENABLED(CONFIG_HAK_DEBUG) ? UNUSED                                        \
						   : "double free of a block of 32768 bytes")

/* Blocks of 200000 and 300000 bytes: of a class, where spans have magazines, else whole pages. */
#if HAK_CACHED_MAX
#define LENGTH	   "229376"
#define LONGER	   "327680"
#define SPAN_FREED AT_FLUSH
#define SPAN_SIZED SIZED
#else
#define LENGTH	   "200704"
#define LONGER	   "303104"
#define SPAN_FREED AT_ONCE
#define SPAN_SIZED "free_sized"
#endif

#define CRIME(function, when, caller, what)                                                        \
	{                                                                                          \
#function, function, when, caller, what                                            \
	}

static const struct crime crimes[] = {
	CRIME(double_free, AT_ONCE, "free", "double free of a block of 64 bytes"),
	CRIME(double_free_of_smallest, AT_ONCE, "free", "double free of a block of 16 bytes"),
	CRIME(double_free_of_large_block, AT_ONCE, "free", "double free of a block of 32768 bytes"),
	CRIME(double_free_by_free_sized, AT_ONCE, "free_sized",
	      "double free of a block of 1024 bytes"),
	CRIME(double_free_by_free_aligned_sized, AT_ONCE, "free_aligned_sized",
	      "double free of a block of 256 bytes"),
	CRIME(double_free_in_thread, AT_ONCE, "free", "double free of a block of 64 bytes"),
	CRIME(double_free_after_realloc, AT_ONCE, "free", "double free of a block of 64 bytes"),
	CRIME(double_free_after_realloc_moved, AT_ONCE, "free",
	      "double free of a block of 64 bytes"),
	CRIME(double_free_of_seized, AT_ONCE, "free", "double free of a block of 64 bytes"),
	CRIME(double_free_not_in_a_row, AT_FLUSH, "free", "double free of a block of 64 bytes"),
	CRIME(double_free_of_8192_not_in_a_row, AT_FLUSH, "free",
	      "double free of a block of 8192 bytes"),
	CRIME(double_free_of_large_not_in_a_row, AT_FLUSH, "free", LARGE_TWICE),
	CRIME(double_free_after_flush, AT_FLUSH, "free", "double free of a block of 1024 bytes"),
	CRIME(double_free_among_neighbours, AT_FLUSH, "free", "double free of a block of 64 bytes"),
	CRIME(double_free_after_its_slab, AT_ONCE, "free", UNUSED),
	CRIME(double_free_after_its_superslab, AT_ONCE, "free", UNMAPPED),
	CRIME(double_free_without_cache, AT_ONCE, "free", "double free of a block of 64 bytes"),
	CRIME(interior, AT_FLUSH, "free", "8 bytes inside a block of 64 bytes"),
	CRIME(interior_of_large_block, AT_FLUSH, "free",
	      "4096 bytes inside a block of 32768 bytes"),
	CRIME(interior_by_new_thread, AT_ONCE, "free", "16 bytes inside a block of 64 bytes"),
	CRIME(interior_of_span, SPAN_FREED, "free",
	      "4096 bytes inside a block of " LENGTH " bytes"),
	CRIME(interior_of_large_span, AT_ONCE, "free",
	      "4096 bytes inside a block of 2002944 bytes"),
	CRIME(interior_of_span_second_slab, SPAN_FREED, "free",
	      "65536 bytes inside a block of " LENGTH " bytes"),
	CRIME(interior_of_span_last_slab, AT_ONCE, "free",
	      "262160 bytes inside a block of " LONGER " bytes"),
	CRIME(interior_of_span_other_superslab, AT_ONCE, "free",
	      "4194304 bytes inside a block of 5242880 bytes"),
#if HAK_CACHED_MAX
	CRIME(span_twice, AT_ONCE, "free", "double free of a block of " LENGTH " bytes"),
	CRIME(largest_span_of_class_twice, AT_ONCE, "free",
	      "double free of a block of 1048576 bytes"),
#endif
	CRIME(large_span_twice, AT_ONCE, "free", UNUSED),
	CRIME(span_of_superslabs_twice, AT_ONCE, "free", UNUSED),
	CRIME(span_twice_after_trim, AT_ONCE, "free", UNMAPPED),
	CRIME(foreign_stack, AT_ONCE, "free", MAPPED),
	CRIME(foreign_static, AT_ONCE, "free", MAPPED),
	CRIME(foreign_mapping, AT_ONCE, "free", MAPPED),
	CRIME(foreign_unmapped, AT_ONCE, "free", UNMAPPED),
	CRIME(foreign_before_all, AT_ONCE, "free", MAPPED),
	CRIME(foreign_null_page, AT_ONCE, "free", UNMAPPED),
	CRIME(foreign_non_canonical, AT_ONCE, "free", UNMAPPED),
	CRIME(foreign_first_beyond_page_map, AT_ONCE, "free", UNMAPPED),
	CRIME(foreign_last_of_all, AT_ONCE, "free", UNMAPPED),
	CRIME(own_descriptor, AT_ONCE, "free", INTERNAL),
	CRIME(own_cache, AT_ONCE, "free", INTERNAL),
	CRIME(own_bitmap, AT_ONCE, "free", INTERNAL),
	CRIME(end_of_slab, AT_FLUSH, "free", UNUSED),
	CRIME(unused_slab, AT_ONCE, "free", UNUSED),
	CRIME(realloc_foreign, AT_ONCE, "realloc", MAPPED),
	CRIME(realloc_interior, AT_ONCE, "realloc", "24 bytes inside a block of 64 bytes"),
	CRIME(realloc_interior_of_span, AT_ONCE, "realloc",
	      "65536 bytes inside a block of " LENGTH " bytes"),
	CRIME(realloc_to_nothing, AT_ONCE, "realloc", "24 bytes inside a block of 64 bytes"),
	CRIME(realloc_of_freed, AT_ONCE, "realloc", "double free of a block of 64 bytes"),
	CRIME(realloc_of_freed_in_place, IN_DEBUG, "realloc", "double free of a block of 64 bytes"),
	CRIME(realloc_of_freed_to_nothing, AT_ONCE, "realloc",
	      "double free of a block of 64 bytes"),
	CRIME(realloc_of_freed_span, AT_ONCE, "realloc", UNUSED),
	CRIME(first_of_two_noted, AT_ONCE, "free", "double free of a block of 64 bytes"),
	CRIME(first_of_two_threads_noted, AT_ONCE, "free", "double free of a block of 64 bytes"),
	CRIME(noted_in_scan, AT_ONCE, "free", "double free of a block of 64 bytes"),
	CRIME(usable_size_foreign, AT_ONCE, "usable_size", MAPPED),
	CRIME(usable_size_interior, AT_ONCE, "usable_size", "1 bytes inside a block of 64 bytes"),
	CRIME(usable_size_of_freed, IN_DEBUG, "usable_size", "double free of a block of 64 bytes"),
	CRIME(free_sized_foreign, AT_ONCE, "free_sized", MAPPED),
	CRIME(free_sized_interior_of_span, SPAN_FREED, SPAN_SIZED,
	      "16 bytes inside a block of " LENGTH " bytes"),
	CRIME(free_sized_wrong, IN_DEBUG, "free_sized", "size 65 given for a block of 64 bytes"),
	CRIME(free_sized_smaller_class, IN_DEBUG, "free_sized",
	      "size 48 given for a block of 64 bytes"),
	CRIME(free_sized_after_realloc, IN_DEBUG, "free_sized",
	      "size 64 given for a block of 48 bytes"),
	CRIME(free_aligned_sized_wrong, IN_DEBUG, "free_aligned_sized",
	      "size 10 given for a block of 256 bytes"),
	CRIME(free_sized_wrong_span, IN_DEBUG, "free_sized",
	      "size 229377 given for a block of " LENGTH " bytes"),
	CRIME(pool_wrong, AT_ONCE, "hak_pool_free", "an object of pool first (pool second)"),
	CRIME(pool_wrong_checked, AT_ONCE, "hak_pool_free",
	      "an object of pool first (pool second)"),
	CRIME(pool_wrong_bulk, AT_ONCE, "hak_pool_free", "an object of pool first (pool second)"),
	CRIME(pool_block, AT_ONCE, "hak_pool_free", "not an object of any pool (pool first)"),
	CRIME(pool_static, AT_ONCE, "hak_pool_free", "not an object of any pool (pool first)"),
	CRIME(pool_interior, AT_ONCE, "hak_pool_free", "not the start of an object (pool first)"),
	CRIME(pool_twice, AT_ONCE, "hak_pool_free", "double free of an object (pool first)"),
	CRIME(pool_twice_not_in_a_row, AT_ONCE, "hak_pool_free",
	      "double free of an object (pool first)"),
	CRIME(pool_twice_spilled, AT_ONCE, "hak_pool_free",
	      "double free of an object (pool first)"),
	CRIME(pool_object_to_free, AT_ONCE, "free", UNUSED),
	CRIME(fixed_twice, AT_ONCE, "hak_pool_fixed_free", "double free of an object (pool fixed)"),
	CRIME(fixed_interior, AT_ONCE, "hak_pool_fixed_free", "not an object (pool fixed)"),
	CRIME(fixed_outside, AT_ONCE, "hak_pool_fixed_free", "not an object (pool fixed)"),
	CRIME(fixed_before, AT_ONCE, "hak_pool_fixed_free", "not an object (pool fixed)"),
#if HAK_GAPS
	CRIME(double_free_of_gap, AT_ONCE, "free", "double free of a block of 64 bytes"),
	CRIME(double_free_of_last_gap, AT_FLUSH, "free", "double free of a block of 64 bytes"),
	CRIME(double_free_beside_gap, AT_ONCE, "free", "double free of a block of 64 bytes"),
	CRIME(interior_of_gap, AT_ONCE, "free", "64 bytes inside a block of 1024 bytes"),
	CRIME(interior_beside_gap, AT_ONCE, "free", "24 bytes inside a block of 64 bytes"),
	CRIME(end_of_slab_with_gap, AT_ONCE, "free", UNUSED),
	CRIME(realloc_interior_of_gap, AT_ONCE, "realloc",
	      "1016 bytes inside a block of 1024 bytes"),
	CRIME(usable_size_of_freed_gap, AT_ONCE, "usable_size",
	      "double free of a block of 64 bytes"),
	CRIME(free_sized_wrong_gap, IN_DEBUG, "free_sized",
	      "size 1025 given for a block of 1024 bytes"),
#endif
};

static const struct crime *crime;

static void get_to_slab_by_flush(void)
{
	hak_flush();
}

static void get_to_slab_by_trim(void)
{
	(void)hak_trim(HAK_TRIM_ALL);
}

static void get_to_slab_by_scan(void)
{
	while (hak_idle(100))
		;
}

/*
 * So many of its size are allocated and freed that it has to leave the magazine. The sizes are
 * those of all crimes that are seen late: a magazine does not spill for other classes.
 */
static void get_to_slab_by_spill(void)
{
	static const size_t sizes[] = { 48, 64, 1000, 8192, 32768, 200000 };
	static void *block[3000];

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		size_t n = ((size_t)48 << 20) / sizes[s];

		n = n < ARRAY_SIZE(block) ? n : ARRAY_SIZE(block);
		for (size_t i = 0; i < n; i++)
			block[i] = allocate(sizes[s]);
		for (size_t i = 0; i < n; i++)
			hak_free(block[i]);
	}
}

static void (*const ways[])(void) = {
	get_to_slab_by_spill,
	get_to_slab_by_flush,
	get_to_slab_by_trim,
	get_to_slab_by_scan,
};
static void (*get_to_slab)(void) = get_to_slab_by_flush;

#define USED_HEAP 42

/* All the heap can be used: nothing is held by the call that has been interrupted. */
static void use_heap(int signal)
{
	static void *block[200];
	void *caller[20];

	(void)signal;
	for (unsigned turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < 200; i++)
			block[i] = hak_malloc((size_t)1 << i % 23);
		for (unsigned i = 0; i < 200; i++)
			hak_free(block[i]);
		get_to_slab_by_trim();
	}
	_exit(backtrace(caller, 20) > 3 && hak_check() == NULL ? USED_HEAP : 98);
}

static bool handled;

static _Noreturn void child(int report)
{
	const struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	alarm(300);
	evidence->pid = getpid();
	dup2(report, STDERR_FILENO);
	if (handled)
		signal(SIGABRT, use_heap);
	crime->commit();
	evidence->survived = true;
	if (crime->when == AT_FLUSH)
		get_to_slab();
	_exit(0);
}

/* Commit the crime; what the child wrote to its stderr, and how it ended. */
static int observe(char *report, size_t size)
{
	size_t length = 0;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	*evidence = (struct evidence){ 0 };
	if (pipe(ends))
		return -1;
	pid = fork();
	if (!pid)
		child(ends[1]);
	close(ends[1]);
	while (length < size - 1 && (n = read(ends[0], report + length, size - 1 - length)) > 0)
		length += (size_t)n;
	report[length] = '\0';
	close(ends[0]);
	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static void judge(void)
{
	bool lenient = crime->when == IN_DEBUG && !IS_ENABLED(CONFIG_HAK_DEBUG);
	bool delayed = crime->when == AT_FLUSH && !IS_ENABLED(CONFIG_HAK_DEBUG);
	char report[2048], expected[256] = "";
	int status = observe(report, sizeof(report));

	if (!lenient)
		snprintf(expected, sizeof(expected), "hakmem: %s[%d]: %s(0x%lx): %s\n",
			 program_invocation_short_name, (int)evidence->pid, crime->caller,
			 (unsigned long)evidence->pointer, crime->what);
	if (strcmp(report, expected))
		test_print("%s: expected: %sreported: %s", crime->name, expected, report);
	CHECK(strcmp(report, expected) == 0);
	CHECK(evidence->survived == (lenient || delayed));
	if (lenient)
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	else if (handled)
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == USED_HEAP);
	else
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void judge_with_handler(void)
{
	handled = true;
	for (size_t i = 0; i < (crime->when == AT_FLUSH ? ARRAY_SIZE(ways) : 1); i++) {
		get_to_slab = ways[i];
		judge();
	}
	get_to_slab = get_to_slab_by_flush;
	handled = false;
}

/* Two threads, with a bad block each that reaches its slab at the same moment. */
static const size_t bad_size[2] = { 64, 1024 };
static _Atomic unsigned nr_ready;

static void *free_badly(void *arg)
{
	unsigned me = arg != NULL;
	void *block = hak_malloc(bad_size[me]), *other = hak_malloc(bad_size[me]);

	evidence->two[me] = block;
	hak_free(block);
	hak_free(other);
	nr_ready++;
	while (nr_ready < 2)
		;
	hak_free(evidence->two[me]);
	hak_flush();
	return NULL;
}

static void free_badly_at_once(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, free_badly, evidence))
		_exit(99);
	free_badly(NULL);
	pthread_join(thread, NULL);
}

/* Skip the line that reports one of the two. */
static const char *skip_report(const char *report, unsigned which)
{
	char line[256];
	size_t length;

	length = (size_t)snprintf(line, sizeof(line),
				  "hakmem: %s[%d]: free(%p): double free of a block of %zu bytes\n",
				  program_invocation_short_name, (int)evidence->pid,
				  evidence->two[which], bad_size[which]);
	return strncmp(report, line, length) ? NULL : report + length;
}

/* One of them is reported, or each by its own thread; nothing else. */
static void two_at_once(void)
{
	static const struct crime both = { "two_at_once", free_badly_at_once, AT_ONCE, "", "" };
	char report[2048];

	crime = &both;
	for (unsigned turn = 0; turn < 200; turn++) {
		int status = observe(report, sizeof(report));
		const char *rest = report;
		unsigned lines = 0;

		for (unsigned i = 0; i < 4 && *rest; i++) {
			const char *next = skip_report(rest, i % 2);

			lines += next != NULL;
			rest = next ? next : rest;
		}
		if (*rest)
			test_print("two_at_once: reported: %s", report);
		CHECK(!*rest && lines >= 1 && lines <= 2);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

/* The expression is NULL, and for this reason. */
#define FAILS(expression, reason)                                                                  \
	do {                                                                                       \
		errno = 0;                                                                         \
		CHECK((expression) == NULL);                                                       \
		CHECK(errno == (reason));                                                          \
	} while (0)

static size_t hide(size_t size)
{
	hidden_size = size;
	return hidden_size;
}

static void too_much(void)
{
	size_t most = PTRDIFF_MAX;

	FAILS(hak_malloc(hide(SIZE_MAX)), ENOMEM);
	FAILS(hak_malloc(hide(SIZE_MAX - 7)), ENOMEM);
	FAILS(hak_malloc(hide(most + 1)), ENOMEM);
	FAILS(hak_malloc(hide(most)), ENOMEM);
	FAILS(hak_malloc(hide(most - 65536)), ENOMEM);
	FAILS(hak_malloc(hide((size_t)1 << 47)), ENOMEM);
	FAILS(hak_zalloc(hide(SIZE_MAX)), ENOMEM);
	FAILS(hak_zalloc(hide(most + 1)), ENOMEM);
	CHECK(hak_good_size(most + 1) == 0);
	CHECK(hak_good_size(SIZE_MAX) == 0);
	CHECK(hak_check() == NULL);
}

static void too_many(void)
{
	FAILS(hak_calloc(hide(SIZE_MAX), 2), ENOMEM);
	FAILS(hak_calloc(2, hide(SIZE_MAX)), ENOMEM);
	FAILS(hak_calloc((size_t)1 << 32, hide((size_t)1 << 32)), ENOMEM);
	FAILS(hak_calloc(((size_t)1 << 32) + 1, hide(((size_t)1 << 32) + 1)), ENOMEM);
	FAILS(hak_calloc(1, hide(SIZE_MAX)), ENOMEM);
	FAILS(hak_calloc(2, hide(((size_t)1 << 62) + 1)), ENOMEM);
	CHECK(hak_check() == NULL);
}

static void bad_alignment(void)
{
	FAILS(hak_aligned_alloc(0, 16), EINVAL);
	FAILS(hak_aligned_alloc(3, 16), EINVAL);
	FAILS(hak_aligned_alloc(hide(SIZE_MAX), 16), EINVAL);
	FAILS(hak_aligned_alloc(48, hide(SIZE_MAX)), EINVAL);
	FAILS(hak_aligned_alloc(64, hide(SIZE_MAX)), ENOMEM);
	FAILS(hak_aligned_alloc(64, hide(SIZE_MAX - 62)), ENOMEM);
	FAILS(hak_aligned_alloc((size_t)1 << 63, 16), ENOMEM);
	FAILS(hak_aligned_alloc((size_t)1 << 62, 16), ENOMEM);
	CHECK(hak_check() == NULL);
}

/* A realloc that fails leaves the block as it was. */
static void realloc_to_too_much(void)
{
	static const size_t sizes[] = { 24, 20000, 200000, 5 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i];
		unsigned char *block = hak_malloc(size);

		CHECK(block);
		memset(block, 0x5a, size);
		FAILS(hak_realloc(block, hide(SIZE_MAX)), ENOMEM);
		FAILS(hak_realloc(block, hide((size_t)PTRDIFF_MAX + 1)), ENOMEM);
		FAILS(hak_realloc(block, hide(PTRDIFF_MAX)), ENOMEM);
		FAILS(hak_realloc(block, hide((size_t)1 << 47)), ENOMEM);
		for (size_t at = 0; at < size; at++)
			CHECK(block[at] == 0x5a);
		hak_free(block);
	}
	CHECK(hak_check() == NULL);
}

static void nothing_to_free(void)
{
	errno = 7;
	hak_free(NULL);
	hak_free_sized(NULL, 100);
	CHECK(errno == 7);
	CHECK(hak_usable_size(NULL) == 0);
	CHECK(!hak_owns(NULL));
	CHECK(hak_check() == NULL);
}

int main(void)
{
	evidence = mmap(NULL, sizeof(*evidence), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (evidence == MAP_FAILED)
		return 1;
	/* The children first: each of them starts with a heap never used. */
	for (size_t i = 0; i < sizeof(crimes) / sizeof(crimes[0]); i++) {
		char name[100];

		crime = &crimes[i];
		test_run(crime->name, judge);
		snprintf(name, sizeof(name), "%s-with-handler", crime->name);
		test_run(name, judge_with_handler);
	}
	TEST_RUN(two_at_once);
	TEST_RUN(too_much);
	TEST_RUN(too_many);
	TEST_RUN(bad_alignment);
	TEST_RUN(realloc_to_too_much);
	TEST_RUN(nothing_to_free);
	return test_finish();
}
