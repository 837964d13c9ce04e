/* SPDX-License-Identifier: MIT */
/*
 * What the core takes from this platform when it is compiled: how wide addresses are, how
 * blocks are aligned, how much magazines hold, and how the cache of the caller is found. Each
 * platform has a file of this name, and the build picks one. See cache.c for this one.
 */
#ifndef HAKMEM_PLATFORM_H
#define HAKMEM_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include <hakmem/host.h>
#include <hakmem/provider.h>

/* Bits of an address. User addresses end at 2^47; the page map reaches one bit further. */
#define HAK_ADDRESS_BITS 48

/*
 * `make GAPS=1` is for tests: the core is as on bare metal, but for what magazines hold. Units are
 * pages, blocks are made of free neighbours of a smaller class (core/slab/gap.c), spans have no
 * magazines, and bitmaps have no SuperSlabs of their own.
 */
#ifndef HAK_GAPS
#define HAK_GAPS 0
#endif

/*
 * In bytes: what SuperSlabs are allocated in. A slab is a unit: with smaller ones each new slab
 * would take longer, and what is free goes back page by page anyway.
 */
#define HAK_UNIT_SIZE (HAK_GAPS ? 4096 : 65536)

/*
 * A leaf of the page map is for 4 GiB. It takes 80 KiB of addresses, of which only what tells
 * of SuperSlabs is ever touched. With 4 GiB, the index of a slab is the upper half of a
 * register of 32 bits.
 */
#define HAK_LEAF_BITS (HAK_GAPS ? 28 : 32)

/*
 * Samples (diag/sample.h): may any block be one? How many slices of 16 KiB are for what is known of
 * them, at most; how many chains of stacks there are; how many pages are for guarded blocks.
 */
#define PLATFORM_SAMPLES   1
#define HAK_SAMPLE_RECORDS 48u
#define HAK_SAMPLE_BUCKETS 2048u
#define HAK_GUARD_PAGES	   128u

/* In bytes. glibc aligns even a single byte to 16, and programs rely on it. */
#define HAK_MIN_ALIGN 16

/* Who has a block, and by what time, in reports of the debug build (core/debug/). */
#define PLATFORM_WHO  "thread"
#define PLATFORM_TIME "ms"

/*
 * How much magazines hold. A magazine holds at most HAK_MAGAZINE_MAX blocks of up to 512 bytes, or
 * HAK_MAGAZINE_MAX_LARGE larger ones, since indices of slots have 16 bits, and at most
 * HAK_MAGAZINE_BYTES. With more than HAK_MAGAZINE_NEAR blocks it moves to the far slots
 * (cache/slots.c).
 *
 * All magazines of a thread together may grow by HAK_CACHE_BYTES from what they begin with,
 * and by HAK_CACHE_BURST_BYTES for what the thread frees and allocates by turns. Less would
 * make programs with many large blocks slower, and save little, since what a thread does not
 * use is taken from it. But hundreds of threads that do little now and then would have a lot:
 * those of all threads together may grow by HAK_CACHES_BYTES, or by an eighth of what is live.
 * Blocks above HAK_CACHED_MAX bytes have no magazines.
 */
#define HAK_MAGAZINE_MAX	  1664u
#define HAK_MAGAZINE_MAX_LARGE	  1024u
#define HAK_MAGAZINE_NEAR	  64u
#define HAK_MAGAZINE_BYTES	  (16u << 20)
#define HAK_CACHE_BYTES		  (4 * 1048576)
#define HAK_CACHE_BURST_BYTES	  (16 * 1048576)
#define HAK_CACHES_BYTES	  (32 * 1048576)
#define HAK_CACHED_MAX		  (HAK_GAPS ? 0 : 1024 * 1024)
#define PLATFORM_CACHED_BY_MEMORY 0

/*
 * At most so many blocks move between a magazine and the slabs at once. With fewer, threads that
 * pass blocks on to each other would take more locks.
 */
#define HAK_BATCH_MOST 512u

/* A batch is not over before, however many slabs its blocks lie in. */
#define HAK_STEPS_MOST 0u

/* The provider of hak_init(NULL), and of the first allocation. See provider.c. */
extern const struct hak_provider hak_linux_provider;

static inline const struct hak_provider *platform_provider(void)
{
	return &hak_linux_provider;
}

/* What hak_init() does on this platform before all else: nothing. */
static inline void platform_begin(void)
{
}

struct hak_cache;

/*
 * The cache of this thread. With initial-exec, two instructions find it. It takes static TLS,
 * of which dlopen() has little, but eight bytes are few enough.
 */
extern __thread struct hak_cache *hak_tls_cache __attribute__((tls_model("initial-exec")));

static inline struct hak_cache *this_cache(void)
{
	return hak_tls_cache;
}

/*
 * Make @cache the one that this_cache() finds, until the thread ends. It is then detached.
 * Returns false if that cannot be arranged: then the thread has to do without a cache.
 */
bool this_cache_set(struct hak_cache *cache);

/*
 * Whose a cache is: that of the thread with these numbers, of itself and its process. Not every
 * thread that ends tells us so: core/cache/cache.c asks whether its owner is gone.
 */
uint64_t this_owner(void);
bool owner_is_gone(uint64_t owner);

/* Can an owner end without giving its cache back? If so, owner_is_gone() tells. */
#define PLATFORM_OWNERS_END 1

/*
 * Which locks this thread holds: see LOCK_RANKS in base/lock.h. Only the thread writes it. The
 * address is in the locks that the thread holds, with flags in the lowest bits.
 */
extern __thread unsigned hak_tls_held __attribute__((tls_model("initial-exec"), aligned(8)));

static inline unsigned *this_held(void)
{
	return &hak_tls_held;
}

static inline unsigned this_held_now(void)
{
	return hak_tls_held;
}

/* The provider can get the memory of many pages at once: of whole units. */
#define PLATFORM_POPULATES (!HAK_GAPS)

/* The provider can purge. */
#define PLATFORM_PURGES 1

/*
 * For what few programs touch, and for large arrays of which little is ever touched: it comes
 * behind all other data, so that what each program touches lies on a page or two.
 */
#define PLATFORM_SPARSE __attribute__((section(".bss.sparse")))

/* Nothing: smaller code would make large blocks slower, and a process has the memory. */
#define HAK_COLD

/* The process may be copied at any moment. */
#define PLATFORM_FORKS 1

/* A thread may scan at intervals: see reaper.c. It says so in scan_awake. */
#define PLATFORM_SCANS 1

/* A slow path of malloc or free is over. */
static inline void platform_note(enum hak_reap_why why)
{
	hak_host_reap(why);
}

/* Nobody has memory to free for a request that fails. (C++ has its new_handler.) */
static inline bool platform_ask(size_t bytes)
{
	(void)bytes;
	return false;
}

/* The provider can move memory, by its page tables. */
#define PLATFORM_MOVES 1

/*
 * Bitmaps lie in SuperSlabs of their own, and there are guards around all that is the
 * allocator's: an overflow of a block does not reach it. It takes address space.
 */
#define HAK_METADATA_APART (!HAK_GAPS)

/* There are no interrupts, and signal handlers do not allocate. So this is empty. */
#define PLATFORM_HAS_IRQ 0

struct platform_irq {
};

static inline struct platform_irq platform_irq_save(void)
{
	return (struct platform_irq){};
}

static inline void platform_irq_restore(struct platform_irq irq)
{
	(void)irq;
}

#endif
