/* SPDX-License-Identifier: MIT */
/*
 * What the core takes from this platform at compile time: the width of its
 * addresses, its alignment, and the one line that finds the cache of whoever
 * runs. Each platform has a file of this name; the build picks one.
 */
#ifndef HAKMEM_PLATFORM_H
#define HAKMEM_PLATFORM_H

#include <stddef.h>

/* Physical addresses up to 64 GiB: a root of 2 KiB. */
#define HAK_ADDRESS_BITS 36

/* One page-map leaf covers 256 MiB in 5 KiB of memory, all of it real here. */
#define HAK_LEAF_BITS 28

/* As C asks for: no more than the largest object that fits needs. */
#define HAK_MIN_ALIGN 8

/*
 * Magazines: at most so many blocks of one class, and so many bytes, in each;
 * together they may grow by HAK_CACHE_BYTES from what they begin with. Spans
 * have none: a machine has no memory to spare for them.
 */
#define HAK_MAGAZINE_MAX   96u
#define HAK_MAGAZINE_BYTES (48u << 10)
#define HAK_CACHE_BYTES	   (512 << 10)
#define HAK_CACHED_MAX	   ((size_t)0)

struct hak_cache;

/*
 * What GS points to on every CPU. A kernel with a per-CPU area of its own lets
 * it begin with this.
 */
struct hak_cpu {
	struct hak_cpu *self;
	struct hak_cache *cache; /* what malloc uses; &hak_cache_none at first */
	unsigned held;		 /* ranks of the locks held, as bits */
	unsigned id;
};

static inline struct hak_cache *this_cache(void)
{
	struct hak_cache *cache;

	__asm__ volatile("movq %%gs:%c1, %0" : "=r"(cache) : "i"(offsetof(struct hak_cpu, cache)));
	return cache;
}

static inline struct hak_cpu *this_cpu(void)
{
	struct hak_cpu *cpu;

	__asm__("movq %%gs:%c1, %0" : "=r"(cpu) : "i"(offsetof(struct hak_cpu, self)));
	return cpu;
}

static inline unsigned *this_held(void)
{
	return &this_cpu()->held;
}

#endif
