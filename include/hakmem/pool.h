/* SPDX-License-Identifier: MIT */
/*
 * Object caches: objects of one size, for code that allocates many of them.
 *
 * A pool has slabs of its own, so what it holds is told by its name, and its objects share no
 * page with others. It has a magazine for each CPU (on Linux for each thread), from which an
 * object is allocated with less than malloc takes: some 30 instructions for hak_pool_alloc() and
 * hak_pool_free() together, the calls included. An object is not cleared, and the pool writes
 * to none.
 *
 * Any thread may free what any other has allocated. On bare metal an interrupt handler may call
 * what allocates and frees: see hak_interrupt_enter() in machine.h. None of these functions may be
 * called from a signal handler. Each needs at most 1.5 KiB of stack, and may call the provider
 * unless it says otherwise.
 *
 * What is no object in use of this pool stops the program, with one line that names both. If
 * the pool has HAK_POOL_CHECKED, or the library was built with DEBUG=1, that happens at once.
 * Otherwise it happens when the pointer leaves the magazine that it was put into; an object that
 * is freed twice in a row is found at once. free() and realloc() take no objects of pools: they
 * report memory that is not in use.
 *
 * hak_fini() takes all memory, also that of pools. So each pool is destroyed before.
 *
 * The kernel of Linux has such caches as SLUB. They were first described by Bonwick, "The Slab
 * Allocator" (1994).
 */
#ifndef HAK_POOL_H
#define HAK_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hak_pool;

/* So long is a name, with its zero at the end. A longer one is cut off. */
#define HAK_POOL_NAME 32

/*
 * The pool has no magazines, and each object is compared with its slab when it is freed. An
 * allocation and a free take about ten times as long.
 */
#define HAK_POOL_CHECKED 1u

/**
 * hak_pool_create() - make a pool
 * @name:  for statistics and reports; it is copied. Names need not differ.
 * @size:  of an object in bytes, 1 .. 32768; less than 16 take 16
 * @align: of objects, a power of two up to 4096; 0 for 16, and 8 is the least
 * @flags: 0 or HAK_POOL_CHECKED
 *
 * Slabs are allocated when they are needed. The pool itself takes 768 bytes on bare metal and 5 KiB
 * on Linux, and each magazine 640. The first 63 CPUs have magazines, on Linux 511 threads at a
 * time; others take a lock in each call.
 *
 * Returns NULL if there is no memory, or if an argument is not as said here (errno is EINVAL
 * then). Not for interrupt handlers.
 */
HAK_API struct hak_pool *hak_pool_create(const char *name, size_t size, size_t align,
					 unsigned flags);

/**
 * hak_pool_destroy() - give all memory of a pool back
 *
 * Nobody else uses the pool any more. Returns 0 and the pool is gone; or, if objects are in use,
 * how many these are. Then the pool stays as it is, hak_pool_live() tells where they are, and
 * when they have been freed the pool can be destroyed. Not for interrupt handlers.
 */
HAK_API size_t hak_pool_destroy(struct hak_pool *pool);

/**
 * hak_pool_alloc() - allocate an object
 *
 * Before it returns NULL it does what malloc does, and takes what other CPUs have in the
 * magazines of this pool. The contents are undefined.
 */
HAK_API void *hak_pool_alloc(struct hak_pool *pool);

/**
 * hak_pool_free() - free an object
 * @object: an object in use of this pool, or NULL: then nothing happens
 *
 * Needs no memory and cannot fail.
 */
HAK_API void hak_pool_free(struct hak_pool *pool, void *object);

/**
 * hak_pool_alloc_bulk() - allocate @n objects, or none
 * @objects: gets them, in any order; if false is returned, it may have been written to
 *
 * They come from the magazine and from slabs, a part at a time, so other callers are not kept
 * waiting.
 */
HAK_API bool hak_pool_alloc_bulk(struct hak_pool *pool, size_t n, void **objects);

/**
 * hak_pool_free_bulk() - free @n objects
 * @objects: objects in use of this pool, each once and none of them NULL
 *
 * They go to their slabs, past the magazine.
 */
HAK_API void hak_pool_free_bulk(struct hak_pool *pool, size_t n, void *const *objects);

/**
 * hak_pool_prefill() - see to it that there are @n free objects
 *
 * As many as fit go into the magazine of the calling CPU: their allocations take the fast path.
 * The rest waits in slabs, and is there for all CPUs. These slabs do not go back until
 * hak_pool_shrink(). Returns false if there is not so much memory; then no more is kept than
 * before.
 */
HAK_API bool hak_pool_prefill(struct hak_pool *pool, size_t n);

/**
 * hak_pool_shrink() - give back all slabs that have no object in use
 *
 * Empties the magazines of all CPUs first, if the host has a barrier (see hak_host_barrier()), else
 * that of the caller. Any CPU may go on using the pool meanwhile. Returns bytes. Not for
 * interrupt handlers.
 */
HAK_API size_t hak_pool_shrink(struct hak_pool *pool);

/* What a pool counts. Exact while nobody else uses the pool. */
struct hak_pool_stats {
	char name[HAK_POOL_NAME];
	uint64_t object_bytes;	   /* how far apart objects lie */
	uint64_t allocations;	   /* objects that were allocated */
	uint64_t frees;		   /* objects that were freed */
	uint64_t failures;	   /* calls that found no memory */
	uint64_t live_objects;	   /* in use */
	uint64_t magazine_objects; /* free, in magazines */
	uint64_t free_objects;	   /* free, in slabs */
	uint64_t slab_bytes;	   /* all memory of its slabs */
};

/**
 * hak_pool_stats_read() - read the statistics of the newest pool of this name
 *
 * Returns false if there is none. Calls nothing of the host, nor does any function below.
 */
HAK_API bool hak_pool_stats_read(const char *name, struct hak_pool_stats *stats);

/**
 * hak_pool_text() - print a line for each pool, under a heading
 * @sink: is called with the lock of the list of pools held, so it uses no pool
 */
HAK_API void hak_pool_text(hak_sink *sink, void *ctx);

/**
 * hak_pool_live() - which objects are in use?
 * @visit: is called for each, with the lock of the pool held; may be NULL
 *
 * Nobody else uses the pool meanwhile. Returns how many there are.
 */
HAK_API size_t hak_pool_live(struct hak_pool *pool, void (*visit)(void *ctx, void *object),
			     void *ctx);

/**
 * hak_pool_check() - does all that a pool notes agree?
 *
 * Nobody else uses the pool meanwhile. Returns NULL, or what does not.
 */
HAK_API const char *hak_pool_check(struct hak_pool *pool);

/*
 * A fixed number of objects in an array of the program. An allocation fails only when all are in
 * use, and neither asks the provider nor takes a lock. It works before hak_init() and in interrupt
 * handlers, which need not call hak_interrupt_enter() for it. For what must not fail: a reserve, or
 * requests of a driver. Free objects are in one list for all CPUs. A pair takes some 55
 * instructions, two of them atomic.
 */
struct hak_pool_fixed {
	const char *name;
	unsigned char *objects;
	uint32_t *next;	  /* of each free object the one below it, plus 1 */
	uint64_t head;	  /* the free object on top, plus 1, and how often it has changed */
	size_t size;	  /* of an object */
	uint64_t inverse; /* 2^64 / size, rounded up */
	size_t bytes;	  /* of all objects */
	uint32_t count;
	uint32_t untouched; /* objects from this one on were never allocated */
};

/**
 * HAK_POOL_FIXED() - define such a pool with its array, at file scope
 * @pool: the name of the variable, a struct hak_pool_fixed, and of the pool
 * @type: of an object. The contents of an object that is allocated are undefined.
 * @n:    how many, at least 1. Each takes 4 bytes more. At most 4 GiB in all.
 */
#define HAK_POOL_FIXED(pool, type, n)                                                              \
	static __attribute__((                                                                     \
		aligned(__alignof__(type)))) unsigned char pool##_objects[(n) * sizeof(type)];     \
	static uint32_t pool##_next[n];                                                            \
	struct hak_pool_fixed pool = { #pool,                                                      \
				       pool##_objects,                                             \
				       pool##_next,                                                \
				       0,                                                          \
				       sizeof(type),                                               \
				       UINT64_MAX / sizeof(type) + 1,                              \
				       sizeof(pool##_objects),                                     \
				       n,                                                          \
				       0 }

/**
 * hak_pool_fixed_alloc() - allocate an object
 *
 * Returns NULL if all are in use.
 */
HAK_API void *hak_pool_fixed_alloc(struct hak_pool_fixed *pool);

/**
 * hak_pool_fixed_free() - free an object
 * @object: one in use of this pool, or NULL: then nothing happens
 *
 * Anything else stops the program at once, with one line.
 */
HAK_API void hak_pool_fixed_free(struct hak_pool_fixed *pool, void *object);

/**
 * hak_pool_fixed_live() - how many objects are in use?
 *
 * Reads a word for each object. Exact while nobody else uses the pool.
 */
HAK_API size_t hak_pool_fixed_live(const struct hak_pool_fixed *pool);

#ifdef __cplusplus
}
#endif

#endif
