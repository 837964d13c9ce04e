/* SPDX-License-Identifier: MIT */
/*
 * What every layer uses: units, a few macros, assertions, arithmetic of bits. See assert.c for
 * what a failed assertion does.
 *
 * Besides its own headers, the public ones and those of the platform, the core includes only
 * headers of the compiler itself. So it builds where there is no C library.
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

/*
 * A unit is what a SuperSlab is allocated in: UNIT_SIZE of the platform, 64 KiB or 4 KiB. Where a
 * few bits say something of each unit, they are words of so many units as a word has bits.
 */
#define UNIT_SIZE	    ((size_t)HAK_UNIT_SIZE)
#define SUPERSLAB_SIZE	    HAK_SUPERSLAB_SIZE
#define UNITS_PER_SUPERSLAB (unsigned)(SUPERSLAB_SIZE / UNIT_SIZE)
#if HAK_UNIT_SIZE == 65536
typedef uint32_t unit_mask;
#else
typedef uint64_t unit_mask;
#endif
#define UNITS_PER_WINDOW (unsigned)(8 * sizeof(unit_mask))
#define NR_WINDOWS	 (UNITS_PER_SUPERSLAB / UNITS_PER_WINDOW)
#define WINDOW_SIZE	 (UNIT_SIZE * UNITS_PER_WINDOW)
#define ALL_UNITS	 ((unit_mask) ~(unit_mask)0) /* of a window */

/* The longest slab. */
#define SLAB_SIZE      ((size_t)64 << 10)
#define UNITS_PER_SLAB (unsigned)(SLAB_SIZE / UNIT_SIZE)
#define PAGE_SIZE      HAK_GRANULE
#define PAGES_PER_SLAB 16u
#define PAGES_PER_UNIT (unsigned)(UNIT_SIZE / PAGE_SIZE)
#define UNIT_PAGES     ((1u << PAGES_PER_UNIT) - 1) /* as bits */
_Static_assert(SLAB_SIZE == PAGES_PER_SLAB * PAGE_SIZE, "the pages of a slab are 16 bits");

#define IS_ENABLED(option) (option)

/* Is there a layer above api/: that of the debug build; that one, or the hardened build's? */
#define HAK_DEBUG_LAYER (CONFIG_HAK_DEBUG && !CONFIG_HAK_HARDENED)
#define HAK_LAYERED	(CONFIG_HAK_DEBUG || CONFIG_HAK_HARDENED)

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * The compiler forgets what it knows about a value. This is no instruction. The fast path
 * uses it where the compiler would otherwise compute an address that the machine can
 * compute inside of a load.
 */
#define OPTIMIZER_HIDE_VAR(value) __asm__("" : "+r"(value))

/*
 * One load, and one store, of a word that others access meanwhile. The compiler does not
 * repeat it, leave it out, or exchange it with another of these.
 */
#define READ_ONCE(x)	     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

/* The compiler moves no access to memory across this. */
#define COMPILER_BARRIER() __asm__ volatile("" ::: "memory")

/* For data that other files of the library reach directly, without the GOT. */
#define HAK_HIDDEN __attribute__((visibility("hidden")))

/* For a function whose frame would slow down its caller, which rarely calls it. */
#define NOINLINE __attribute__((noinline))

/*
 * For a function that reads what others write meanwhile. It says why that is right. With clang,
 * no_sanitize leaves checks of atomic accesses and of memset().
 */
#ifdef __clang__
#define NO_SANITIZE_THREAD __attribute__((no_sanitize("thread"), disable_sanitizer_instrumentation))
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ /* as gcc does */
#endif
#else
#define NO_SANITIZE_THREAD __attribute__((no_sanitize("thread")))
#endif

/* ThreadSanitizer does not see this order: all before RELEASE happened before ACQUIRE. */
#ifdef __SANITIZE_THREAD__
void __tsan_release(void *address);
void __tsan_acquire(void *address);
#define SANITIZER_RELEASE(address) __tsan_release(address)
#define SANITIZER_ACQUIRE(address) __tsan_acquire(address)
#else
#define SANITIZER_RELEASE(address) ((void)(address))
#define SANITIZER_ACQUIRE(address) ((void)(address))
#endif

/*
 * @name is @function, unless another object that is linked defines it. What an image does not
 * use costs it nothing so.
 */
#define REPLACEABLE(name, function)                                                                \
	extern __typeof__(function) name __attribute__((weak, alias(#function)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Each argument is evaluated twice. */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* @a is a power of two. */
#define ALIGN_UP(x, a) (((x) + (a)-1) & ~((a)-1))

#define DIV_ROUND_UP(x, d) (((x) + (d)-1) / (d))

/* Print the condition that does not hold, and stop the program or the machine. */
_Noreturn void hak_assert_failed(const char *what);

/* What must be true. Every build compiles the condition, debug builds test it. */
#define hak_assert(condition)                                                                      \
	do {                                                                                       \
		if (IS_ENABLED(CONFIG_HAK_DEBUG) && unlikely(!(condition)))                        \
			hak_assert_failed(#condition);                                             \
	} while (0)

static inline bool is_power_of_two(size_t x)
{
	return x && !(x & (x - 1));
}

/* How many bits of @x are set? */
__attribute__((const)) unsigned count_bits(uint64_t x);

/* The lowest set bit of @x, which is not 0. */
static inline unsigned lowest_bit(uint64_t x)
{
	hak_assert(x);
	return (unsigned)__builtin_ctzll(x);
}

/* The highest set bit of @x, which is not 0. */
static inline unsigned highest_bit(uint64_t x)
{
	hak_assert(x);
	return 63u - (unsigned)__builtin_clzll(x);
}

/* @n bits from bit @first up; @n is not 0. */
static inline uint64_t bit_run(unsigned first, unsigned n)
{
	hak_assert(n && first + n <= 64);
	return ~(uint64_t)0 >> (64 - n) << first;
}

#endif
