/* SPDX-License-Identifier: MIT */
/*
 * What the core takes from this platform when it is compiled: how wide addresses are, how
 * blocks are aligned, how much magazines hold, and how the cache of the caller is found. Each
 * platform has a file of this name, and the build picks one. See cpu.c for this one. It is not
 * installed: kernels see machine.h, which this includes.
 */
#ifndef HAKMEM_PLATFORM_H
#define HAKMEM_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/host.h>

#include "machine.h"

/*
 * In bytes: what SuperSlabs are allocated in. With a page, what one block keeps from others is
 * short, and a span is no longer than it must be.
 */
#define HAK_UNIT_SIZE 4096

/*
 * A leaf of the page map is for 32 MiB, and takes 8 KiB, all of which is memory here, like the
 * root (16 KiB) and the absent leaf (8 KiB). With longer leaves these three would be larger on
 * a small machine, and with shorter ones the root.
 */
#define HAK_LEAF_BITS 25

/*
 * Samples (diag/sample.h): a block is one only in images that ask for it, so the core does
 * not ask. How many slices of 16 KiB are for what is known of
 * them, at most; how many chains of stacks there are; how many pages are for guarded blocks.
 */
#define PLATFORM_SAMPLES   0
#define HAK_SAMPLE_RECORDS 16u
#define HAK_SAMPLE_BUCKETS 256u
#define HAK_GUARD_PAGES	   32u

/* In bytes. C asks for no more than what the largest object that fits into a block needs. */
#define HAK_MIN_ALIGN 8

/* Who has a block, and by what time, in reports of the debug build (core/debug/). */
#define PLATFORM_WHO  "CPU"
#define PLATFORM_TIME "cycles"

/*
 * How much magazines hold: at most HAK_MAGAZINE_MAX blocks and HAK_MAGAZINE_BYTES in each, all
 * of them near slots. All magazines of a CPU together may grow by HAK_CACHE_BYTES from what
 * they begin with. Blocks above HAK_CACHED_MAX bytes have no magazines; with CONFIG_HAK_LARGE those
 * above 32 KiB have none either before the provider has had 32 MiB.
 */
#define HAK_MAGAZINE_MAX	  96u
#define HAK_MAGAZINE_MAX_LARGE	  HAK_MAGAZINE_MAX
#define HAK_MAGAZINE_NEAR	  HAK_MAGAZINE_MAX
#define HAK_MAGAZINE_BYTES	  (48u << 10)
#define HAK_CACHE_BYTES		  (512 << 10)
#define HAK_CACHE_BURST_BYTES	  0
#define HAK_CACHES_BYTES	  0
#define HAK_CACHED_MAX		  (CONFIG_HAK_LARGE * 1024 * 1024)
#define PLATFORM_CACHED_BY_MEMORY CONFIG_HAK_LARGE

/*
 * At most so many blocks move between a magazine and the slabs in one call, and under one lock, so
 * that calls stay short.
 */
#define HAK_BATCH_MOST 6u

/*
 * Neighbours in a slab cost little. Each other block costs up to 180 instructions, and 400 more if
 * its slab becomes empty. So after this many steps, one for each run of neighbours that is freed
 * and for each slab that blocks come from, a batch is over.
 */
#define HAK_STEPS_MOST 3u

/*
 * Before NULL, blocks are made of free neighbours of a smaller class: see core/slab/gap.c. There
 * is no more memory to be had on a machine, and what there is must do.
 */
#define HAK_GAPS 1

/*
 * For functions in which the slow paths end. The compiler makes them small, also at -O2, and
 * with them the code that always leads to a call of one. The library is smaller by a third,
 * and not slower where it counts.
 */
#define HAK_COLD __attribute__((cold))

/* For large arrays of which little is ever touched. All of an image is memory. */
#define PLATFORM_SPARSE

/* The provider of this platform cannot move frames; that of a kernel may. */
#define PLATFORM_MOVES CONFIG_HAK_MOVE

/* That of most images cannot purge: see hak_purge_enable(). */
#define PLATFORM_PURGES 0

#define PLATFORM_FORKS 0

/* Nobody scans but for hak_idle(). */
#define PLATFORM_SCANS 0

/* What the slow paths call with nothing held: see ask.c. */
bool hak_ask(size_t bytes);
void hak_note(enum hak_reap_why why);

/* Free frames have become fewer than hak_low_water() said, and the kernel has not been told. */
extern _Atomic bool hak_low_due;

static inline void platform_note(enum hak_reap_why why)
{
	hak_note(why);
}

static inline bool platform_ask(size_t bytes)
{
	return hak_ask(bytes);
}

/* What is mapped is there. */
#define PLATFORM_POPULATES 0

/* Bitmaps lie in the same SuperSlabs as blocks, and there are no guards: frames are scarce. */
#define HAK_METADATA_APART 0

/*
 * There is no provider by default. Which memory is free is not known before the boot code has
 * called hak_region_add(). After that the image calls hak_init(), mostly with
 * &hak_frames_provider.
 */
static inline const struct hak_provider *platform_provider(void)
{
	return NULL;
}

static inline struct hak_cache *this_cache(void)
{
	return hak_cpu_cache();
}

static inline struct hak_cpu *this_cpu(void)
{
	return hak_cpu_self();
}

/* It cannot fail. */
static inline bool this_cache_set(struct hak_cache *cache)
{
	hak_cpu_set_cache(cache);
	return true;
}

/* Whose a cache is: that of a CPU, and CPUs do not end. */
static inline uint64_t this_owner(void)
{
	return 1;
}

static inline bool owner_is_gone(uint64_t owner)
{
	(void)owner;
	return false;
}

/* Can an owner end without giving its cache back? If so, owner_is_gone() tells. */
#define PLATFORM_OWNERS_END 0

static inline unsigned *this_held(void)
{
	return &this_cpu()->held;
}

/*
 * The same as *this_held(), in one instruction: right for a caller who may be preempted and
 * moved to another CPU, too.
 */
static inline unsigned this_held_now(void)
{
#if CONFIG_HAK_CPU_HEADER
	return *(volatile unsigned *)&hak_cpu_self()->held;
#else
	unsigned held;

	__asm__ volatile("movl " HAK_CPU_WORD ", %0"
			 : "=r"(held)
			 : HAK_CPU_OFFSET(held)
			 : "memory");
	return held;
#endif
}

/* For messages. It reads through no pointer, so that a panic without struct hak_cpu is one. */
static inline unsigned this_cpu_id(void)
{
#if CONFIG_HAK_CPU_HEADER
	return hak_cpu_self() ? hak_cpu_self()->id : 0;
#else
	unsigned id;

	__asm__ volatile("movl " HAK_CPU_WORD ", %0" : "=r"(id) : HAK_CPU_OFFSET(id));
	return id;
#endif
}

#define MSR_GS_BASE 0xc0000101

/* Where GS points to if it leads to this struct hak_cpu. */
static inline uintptr_t gs_for(const struct hak_cpu *cpu)
{
#if CONFIG_HAK_CPU_HEADER
	return (uintptr_t)cpu;
#elif defined(HAK_CPU_AT)
	return (uintptr_t)cpu - (HAK_CPU_AT);
#else
	extern char hak_cpu_at[];

	return (uintptr_t)cpu - (uintptr_t)hak_cpu_at;
#endif
}

/* What hak_init() does on this platform before all else. */
static inline void platform_begin(void)
{
	hak_cpu_require();
}

/* Interrupt handlers may allocate: see base/lock.h. */
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

#endif
