/* SPDX-License-Identifier: MIT */
/*
 * What the core takes from this platform at compile time: the width of its
 * addresses, its alignment, and the one line that finds the cache of whoever
 * runs. Each platform has a file of this name; the build picks one.
 */
#ifndef HAKMEM_PLATFORM_H
#define HAKMEM_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include <hakmem/provider.h>

/* User addresses end at 2^47; the page map reaches one bit further. */
#define HAK_ADDRESS_BITS 48

/*
 * One page-map leaf covers 4 GiB. A leaf is 80 KiB of address space, of which
 * only what describes real SuperSlabs is ever touched, and 4 GiB makes the
 * index of a slab the upper half of a 32-bit register.
 */
#define HAK_LEAF_BITS 32

/* glibc aligns even one byte to 16, and programs have come to rely on it. */
#define HAK_MIN_ALIGN 16

/*
 * Magazines: at most so many blocks of one class, and so many bytes, in each (with
 * more blocks, indices of slots would need more than 16 bits); together they may
 * grow by HAK_CACHE_BYTES from what they begin with, and by HAK_CACHE_BURST_BYTES for
 * what a thread frees and allocates by turns. Blocks up to HAK_CACHED_MAX have
 * them. What a thread does not use is taken from it. (With 2 instead of 4 MiB for
 * HAK_CACHE_BYTES, replacing 1000 or 10000 blocks of up to 32 KiB takes a twelfth more
 * instructions, and a heap of 128 MiB has 1 MiB less.)
 */
#define HAK_MAGAZINE_MAX      1280u
#define HAK_MAGAZINE_NEAR     64u
#define HAK_MAGAZINE_BYTES    (16u << 20)
#define HAK_CACHE_BYTES	      (4 << 20)
#define HAK_CACHE_BURST_BYTES (16 << 20)
#define HAK_CACHED_MAX	      (1024 * 1024)

/* What hak_init(NULL), or the first allocation, takes pages from. */
extern const struct hak_provider hak_linux_provider;

static inline const struct hak_provider *platform_provider(void)
{
	return &hak_linux_provider;
}

struct hak_cache;

/*
 * This thread's cache. Initial-exec: found in two instructions, and eight
 * bytes of static TLS are few enough for dlopen().
 */
extern __thread struct hak_cache *hak_tls_cache __attribute__((tls_model("initial-exec")));

static inline struct hak_cache *this_cache(void)
{
	return hak_tls_cache;
}

/*
 * Make @cache what this_cache() finds, until the thread ends: it is handed back
 * then. False if that cannot be arranged: the thread has to do without.
 */
bool this_cache_set(struct hak_cache *cache);

/*
 * Whose a cache is: a thread's, by the numbers of it and its process. Nobody is told
 * of every thread that ends: see cache.c.
 */
uint64_t this_owner(void);
bool owner_is_gone(uint64_t owner);
#define PLATFORM_OWNERS_END 1

/* The ranks of the locks that this thread holds, as bits. */
extern __thread unsigned hak_tls_held __attribute__((tls_model("initial-exec")));

static inline unsigned *this_held(void)
{
	return &hak_tls_held;
}

static inline unsigned this_held_now(void)
{
	return hak_tls_held;
}

/* Nothing is made small: 13 KiB would be saved, and large blocks cost a tenth more. */
#define HAK_COLD

/* The provider has page tables to move. */
#define PLATFORM_MOVES 1

/* No interrupts: signal handlers do not allocate. Takes no memory, and no time. */
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
