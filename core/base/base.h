/* SPDX-License-Identifier: MIT */
/*
 * The words that every layer uses: units, a few macros, bit arithmetic.
 * Only the compiler's own headers are included here or anywhere in core/.
 */
#ifndef HAKMEM_BASE_BASE_H
#define HAKMEM_BASE_BASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/config.h>
#include <hakmem/provider.h>
#include <platform.h>

#define SLAB_SIZE	    ((size_t)64 << 10)
#define SUPERSLAB_SIZE	    HAK_SUPERSLAB_SIZE
#define SLABS_PER_SUPERSLAB 32u
#define PAGE_SIZE	    HAK_GRANULE
#define PAGES_PER_SLAB	    16u
#define ALL_PAGES	    0xffffu /* of a slab, as bits */

#define IS_ENABLED(option) (option)

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * Keep what the compiler knows about a value from what follows. No instruction:
 * the fast path uses it where the compiler is too clever to use the addressing
 * modes of the machine.
 */
#define OPTIMIZER_HIDE_VAR(value) __asm__("" : "+r"(value))

/*
 * One load, and one store, that the compiler neither repeats, nor leaves out, nor
 * exchanges with another of these: for words that others access meanwhile.
 */
#define READ_ONCE(x)	     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

/* The compiler moves no access to memory across this one. */
#define COMPILER_BARRIER() __asm__ volatile("" ::: "memory")

/* Data that code of other files reaches without a detour through the GOT. */
#define HAK_HIDDEN __attribute__((visibility("hidden")))

/* For what is called now and then by a function that would need a frame for it. */
#define NOINLINE __attribute__((noinline))

/* For plain reads of what others write: races on purpose, explained there. */
#define NO_SANITIZE_THREAD __attribute__((no_sanitize("thread")))

/* Order that ThreadSanitizer cannot see: what came before RELEASE, before ACQUIRE. */
#ifdef __SANITIZE_THREAD__
void __tsan_release(void *address);
void __tsan_acquire(void *address);
#define SANITIZER_RELEASE(address) __tsan_release(address)
#define SANITIZER_ACQUIRE(address) __tsan_acquire(address)
#else
#define SANITIZER_RELEASE(address) ((void)(address))
#define SANITIZER_ACQUIRE(address) ((void)(address))
#endif

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* @a is a power of two. */
#define ALIGN_UP(x, a) (((x) + (a)-1) & ~((a)-1))

#define DIV_ROUND_UP(x, d) (((x) + (d)-1) / (d))

static inline bool is_power_of_two(size_t x)
{
	return x && !(x & (x - 1));
}

/* In place of __builtin_popcountll, which calls a library without -mpopcnt. */
static inline unsigned count_bits(uint64_t x)
{
	x -= (x >> 1) & 0x5555555555555555u;
	x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return (unsigned)(x * 0x0101010101010101u >> 56);
}

/* The lowest set bit of @x, which is not 0. */
static inline unsigned lowest_bit(uint64_t x)
{
	return (unsigned)__builtin_ctzll(x);
}

/* The highest set bit of @x, which is not 0. */
static inline unsigned highest_bit(uint64_t x)
{
	return 63u - (unsigned)__builtin_clzll(x);
}

/* @n bits from bit @first up; @n is 1 .. 32, and they fit in 32. */
static inline uint32_t bit_run(unsigned first, unsigned n)
{
	return (uint32_t)((((uint64_t)1 << n) - 1) << first);
}

_Noreturn void hak_assert_failed(const char *what);

/* What must be true; compiled in every build, tested in debug builds. */
#define hak_assert(condition)                                                                      \
	do {                                                                                       \
		if (IS_ENABLED(CONFIG_HAK_DEBUG) && unlikely(!(condition)))                        \
			hak_assert_failed(#condition);                                             \
	} while (0)

#endif
