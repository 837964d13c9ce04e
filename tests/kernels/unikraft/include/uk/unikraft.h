/* SPDX-License-Identifier: MIT */
/*
 * What the port uses of Unikraft, declared as there: names, types, and what is promised of
 * them. Unikraft has it in many headers, of which those beside this one include this one. The
 * image of the test defines the functions.
 */
#ifndef TESTS_UNIKRAFT_H
#define TESTS_UNIKRAFT_H

#include <stddef.h>
#include <stdint.h>

typedef size_t __sz;
typedef long __ssz;
typedef uintptr_t __uptr;
typedef uintptr_t __vaddr_t;
typedef uint64_t __nsec;

#define __unused       __attribute__((unused))
#define __maybe_unused __attribute__((unused))
#define __noreturn     __attribute__((noreturn))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define MIN(a, b)	  ((a) < (b) ? (a) : (b))
#define MAX(a, b)	  ((a) > (b) ? (a) : (b))
#define ALIGN_UP(v, a)	  (((v) + (a)-1) & ~((a)-1))
#define POWER_OF_2(v)	  ((v) && !((v) & ((v)-1)))
#define UK_CTASSERT(x)	  _Static_assert(x, #x)
#define PTRISERR(pointer) ((intptr_t)(pointer) < 0 && (intptr_t)(pointer) > -4096)

/* <uk/assert.h>, <uk/print.h>: the arguments are compiled, and the format is all that is kept. */
#define UK_CRASH(format, ...)	unikraft_crash(format, ##__VA_ARGS__)
#define uk_pr_warn(format, ...) unikraft_warn(format, ##__VA_ARGS__)
#define __PRIsz			"zu"

void unikraft_crash(const char *format, ...) __attribute__((format(printf, 1, 2)));
void unikraft_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* <uk/alloc.h> */
struct uk_alloc {
	void *(*malloc)(struct uk_alloc *a, __sz size);
	void *(*calloc)(struct uk_alloc *a, __sz number, __sz size);
	void *(*realloc)(struct uk_alloc *a, void *block, __sz size);
	int (*posix_memalign)(struct uk_alloc *a, void **out, __sz align, __sz size);
	void *(*memalign)(struct uk_alloc *a, __sz align, __sz size);
	void (*free)(struct uk_alloc *a, void *block);
	__ssz (*maxalloc)(struct uk_alloc *a);
	__ssz (*availmem)(struct uk_alloc *a);
	int (*addmem)(struct uk_alloc *a, void *base, __sz size);
};

/* <uk/alloc_impl.h> */
#define uk_alloc_init_malloc(a, malloc_f, calloc_f, realloc_f, free_f, posix_memalign_f,           \
			     memalign_f, maxalloc_f, availmem_f, addmem_f)                         \
	do {                                                                                       \
		*(a) = (struct uk_alloc){                                                          \
			malloc_f, calloc_f,   realloc_f,  posix_memalign_f, memalign_f,            \
			free_f,	  maxalloc_f, availmem_f, addmem_f,                                \
		};                                                                                 \
		uk_alloc_register(a);                                                              \
	} while (0)

int uk_alloc_register(struct uk_alloc *a);

#ifdef CONFIG_LIBUKALLOC_IFSTATS
#define uk_alloc_stats_count_alloc(a, block, size) unikraft_count(block, (long)(size))
#define uk_alloc_stats_count_free(a, block, size)  unikraft_count(block, -(long)(size))
void unikraft_count(const void *block, long size);
#else
#define uk_alloc_stats_count_alloc(a, block, size) ((void)0)
#define uk_alloc_stats_count_free(a, block, size)  ((void)0)
#endif

/* <uk/plat/common/lcpu.h>: padded to a cache line, and `arch` is empty on x86. */
#define LCPU_ARCH_OFFSET (((0x00 + 0x04) + 0x04) + 0x20)

struct lcpu_arch {
};

struct lcpu {
	int state;
	unsigned idx;
	uint64_t id;
	uint64_t entry, stackp;
	uint64_t auxsp;
	struct lcpu_arch arch;
} __attribute__((aligned(64)));

struct lcpu *lcpu_get(unsigned idx);

/* <uk/plat/tls.h>: 0 as long as a CPU has no memory of a thread. */
__uptr ukplat_tlsp_get(void);

/* <uk/vmem.h> */
#define UK_VMA_ADV_DONTNEED 0x01
struct uk_vas;
struct uk_vas *uk_vas_get_active(void);
int uk_vma_advise(struct uk_vas *space, __vaddr_t base, __sz size, unsigned long advice,
		  unsigned long flags);

/* <uk/sched.h>, <uk/init.h>, <uk/arch/time.h> */
struct uk_init_ctx;
struct uk_sched *uk_sched_current(void);
struct uk_thread *uk_sched_thread_create(struct uk_sched *sched, void (*main)(void *),
					 void *argument, const char *name);
void uk_sched_thread_sleep(__nsec time);
#define ukarch_time_msec_to_nsec(time) ((__nsec)(time)*1000000)
#define uk_late_initcall(init, term)                                                               \
	int (*const unikraft_late_init)(struct uk_init_ctx * ctx) = init

#endif
