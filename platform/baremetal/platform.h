/* SPDX-License-Identifier: MIT */
/*
 * What the core takes from this platform at compile time: the width of its
 * addresses, its alignment, and the one line that finds the cache of whoever
 * runs. Each platform has a file of this name; the build picks one.
 */
#ifndef HAKMEM_PLATFORM_H
#define HAKMEM_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/host.h>

#ifdef __cplusplus
extern "C" {
#endif

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
#define HAK_MAGAZINE_MAX      96u
#define HAK_MAGAZINE_NEAR     HAK_MAGAZINE_MAX
#define HAK_MAGAZINE_BYTES    (48u << 10)
#define HAK_CACHE_BYTES	      (512 << 10)
#define HAK_CACHE_BURST_BYTES 0
#define HAK_CACHED_MAX	      0

/*
 * For what the slow paths end in. The compiler makes it small, also at -O2, and all
 * that always calls it: 24 KiB instead of 34, and what the benches count is the same.
 */
#define HAK_COLD __attribute__((cold))

/* Frames do not move. */
#define PLATFORM_MOVES CONFIG_HAK_MOVE

/*
 * No provider by default: which memory is free is known only once the boot
 * code has told hak_region_add(), so an image calls hak_init() after that,
 * mostly with &hak_frames_provider.
 */
static inline const struct hak_provider *platform_provider(void)
{
	return NULL;
}

struct hak_cache;

/*
 * What GS points to on every CPU. A kernel with a per-CPU area of its own lets
 * it begin with this.
 */
struct hak_cpu {
	struct hak_cpu *self;
	struct hak_cache *cache; /* what malloc uses; hak_cache_none at first */
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

	__asm__ volatile("movq %%gs:%c1, %0" : "=r"(cpu) : "i"(offsetof(struct hak_cpu, self)));
	return cpu;
}

/*
 * Make @cache what this_cache() finds, in one instruction, so that it is this
 * CPU's whatever interrupts it. Nothing can fail.
 */
static inline bool this_cache_set(struct hak_cache *cache)
{
	__asm__ volatile("movq %0, %%gs:%c1"
			 :
			 : "r"(cache), "i"(offsetof(struct hak_cpu, cache))
			 : "memory");
	return true;
}

/* Whose a cache is: a CPU's, and CPUs stay. */
static inline uint64_t this_owner(void)
{
	return 1;
}

static inline bool owner_is_gone(uint64_t owner)
{
	(void)owner;
	return false;
}
#define PLATFORM_OWNERS_END 0

static inline unsigned *this_held(void)
{
	return &this_cpu()->held;
}

/* *this_held() in one instruction: right also for one who may be preempted. */
static inline unsigned this_held_now(void)
{
	unsigned held;

	__asm__ volatile("movl %%gs:%c1, %0"
			 : "=r"(held)
			 : "i"(offsetof(struct hak_cpu, held))
			 : "memory");
	return held;
}

/* Handlers may allocate: see core/lock.h. */
#define PLATFORM_HAS_IRQ 1

struct platform_irq {
	unsigned long saved;
};

static inline struct platform_irq platform_irq_save(void)
{
	return (struct platform_irq){ hak_host_irq_save() };
}

static inline void platform_irq_restore(struct platform_irq irq)
{
	hak_host_irq_restore(irq.saved);
}

#ifdef __cplusplus
}
#endif

#endif
