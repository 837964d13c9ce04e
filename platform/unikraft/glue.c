/* SPDX-License-Identifier: MIT */
/*
 * Unikraft's interface of an allocator (struct uk_alloc) over hakmem, and what hakmem asks of
 * Unikraft: errno, and a crash. Pages come from the frames of the library, or from vmem.c.
 *
 * The words of a CPU lie at an offset of GS, which points to Unikraft's struct lcpu: behind its
 * last member, in what pads it to a cache line. Those of all CPUs are set when the heap is
 * made. Unikraft leaves the padding alone, so a CPU that starts later finds them there.
 *
 * With UKVMEM the first memory is 64 KiB, in which there is no frame, and a few blocks are
 * wanted before there is more. They come from a small array, and each has its size in front of
 * it. They are freed as others are, but their memory is not used again. hakmem has no provider
 * meanwhile, or its records would take a part of what may become a frame.
 *
 * Lock: none. Only the first CPU uses the array, before others start.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <uk/alloc_impl.h>
#include <uk/assert.h>
#include <uk/hakmem.h>
#include <uk/plat/common/lcpu.h>
#include <uk/plat/tls.h>
#include <uk/print.h>

#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <machine.h>

#include "vmem.h"

static struct uk_alloc hakmem;

/* ------------------------------------------------------------------------------- CPUs */

/* If these fail, struct lcpu has grown: add a member of type struct hak_cpu to it. */
UK_CTASSERT(sizeof(struct lcpu_arch) == 0);
UK_CTASSERT(LCPU_ARCH_OFFSET + sizeof(struct hak_cpu) <= sizeof(struct lcpu));

/* Where hakmem finds them. A kit says so when it is built, or takes it from here. */
#ifdef HAK_CPU_AT
UK_CTASSERT(HAK_CPU_AT == LCPU_ARCH_OFFSET);
#else
#define QUOTE(x)    #x
#define EXPANDED(x) QUOTE(x)
__asm__(".globl hak_cpu_at\n"
	".set hak_cpu_at, " EXPANDED(LCPU_ARCH_OFFSET));
#endif

static void cpus_init(void)
{
	struct lcpu *lcpus = lcpu_get(0);

	for (unsigned int i = 0; i < CONFIG_UKPLAT_LCPU_MAXCOUNT; i++) {
		struct hak_cpu *cpu = (struct hak_cpu *)((char *)&lcpus[i] + LCPU_ARCH_OFFSET);

		*cpu = (struct hak_cpu){ .self = cpu, .cache = hak_cache_none, .id = i };
	}
}

void *uk_hakmem_irq_enter(void)
{
	return hak_interrupt_enter();
}

void uk_hakmem_irq_leave(void *previous)
{
	hak_interrupt_leave(previous);
}

/* ------------------------------------------------------------------------------- host */

HAK_NORETURN void hak_host_panic(const char *line)
{
	UK_CRASH("%s\n", line);
	__builtin_unreachable();
}

/* errno is in the memory of a thread, which the first one has after the heap. */
void hak_host_set_error(enum hak_error error)
{
	if (ukplat_tlsp_get())
		errno = error == HAK_EINVAL ? EINVAL : ENOMEM;
}

/* There is none that works while another CPU has interrupts off. */
bool hak_host_barrier(void)
{
	return CONFIG_UKPLAT_LCPU_MAXCOUNT == 1;
}

/* ----------------------------------------------------------------------- early blocks */

#define EARLY_HEADER __alignof__(max_align_t)

static struct {
	bool over; /* the heap has a frame, and hakmem a provider */
	size_t used;
	char bytes[4096] __attribute__((aligned(__alignof__(max_align_t))));
} early;

static void *early_alloc(__sz align, __sz size)
{
	uintptr_t start = (uintptr_t)early.bytes, at;

	if (early.over || size > sizeof(early.bytes) || align > sizeof(early.bytes))
		return NULL;
	at = ALIGN_UP(start + early.used + EARLY_HEADER, MAX(align, EARLY_HEADER));
	if (at + size > start + sizeof(early.bytes))
		return NULL;
	early.used = at + size - start;
	*(__sz *)(at - EARLY_HEADER) = size;
	return (void *)at;
}

static inline bool is_early(const void *block)
{
	return (uintptr_t)block - (uintptr_t)early.bytes < sizeof(early.bytes);
}

static __sz early_size(const void *block)
{
	return *(const __sz *)((const char *)block - EARLY_HEADER);
}

static __maybe_unused __sz block_size(const void *block)
{
	return is_early(block) ? early_size(block) : hak_usable_size(block);
}

/* -------------------------------------------------------------------------- interface */

/* For Unikraft's statistics; without them it is nothing. */
static inline void *count_alloc(struct uk_alloc *a, void *block, __sz size)
{
	uk_alloc_stats_count_alloc(a, block, block ? block_size(block) : size);
	(void)a;
	(void)size;
	return block;
}

static void *hakmem_malloc(struct uk_alloc *a, __sz size)
{
	void *block = hak_malloc(size);

	if (unlikely(!block))
		block = early_alloc(1, size);
	return count_alloc(a, block, size);
}

/* The array is zero, and used once. */
static void *hakmem_calloc(struct uk_alloc *a, __sz number, __sz size)
{
	void *block = hak_calloc(number, size);

	if (unlikely(!block) && !__builtin_mul_overflow(number, size, &size))
		block = early_alloc(1, size);
	return count_alloc(a, block, size);
}

static void *hakmem_memalign(struct uk_alloc *a, __sz align, __sz size)
{
	void *block = hak_aligned_alloc(align, size);

	if (unlikely(!block) && POWER_OF_2(align))
		block = early_alloc(align, size);
	return count_alloc(a, block, size);
}

static int hakmem_posix_memalign(struct uk_alloc *a, void **out, __sz align, __sz size)
{
	void *block;

	if (!POWER_OF_2(align) || align % sizeof(void *))
		return EINVAL;
	block = hakmem_memalign(a, align, size);
	if (!block)
		return ENOMEM;
	*out = block;
	return 0;
}

static void hakmem_free(struct uk_alloc *a, void *block)
{
	uk_alloc_stats_count_free(a, block, block_size(block));
	(void)a;
	if (likely(!is_early(block)))
		hak_free(block);
}

static void *realloc_early(struct uk_alloc *a, void *block, __sz size)
{
	void *moved = size ? hakmem_malloc(a, size) : NULL;

	if (moved)
		memcpy(moved, block, MIN(size, early_size(block)));
	if (moved || !size)
		hakmem_free(a, block);
	return moved;
}

static void *hakmem_realloc(struct uk_alloc *a, void *block, __sz size)
{
	__sz __maybe_unused before;

	if (unlikely(is_early(block)))
		return realloc_early(a, block, size);
	if (!block)
		return hakmem_malloc(a, size);
	before = hak_usable_size(block);
	block = hak_realloc(block, size);
	if (block || !size)
		uk_alloc_stats_count_free(a, &before, before);
	return size ? count_alloc(a, block, size) : NULL;
}

static __ssz hakmem_availmem(struct uk_alloc *a __unused)
{
	return hak_available();
}

static __ssz hakmem_maxalloc(struct uk_alloc *a __unused)
{
	return hak_largest();
}

static int hakmem_addmem(struct uk_alloc *a __unused, void *base, __sz size)
{
	size_t added;
	int result = hak_region_add_counted((uintptr_t)base, size, &added);

	if (added + 4 * HAK_GRANULE < size)
		uk_pr_warn("%"__PRIsz
			   " of %"__PRIsz
			   " bytes at %p are of no use: %s\n",
			   size - added, size, base,
			   result == HAK_REGION_OVERLAP ? "added before" : "too high");
	if (result == HAK_REGION_ADDED && !early.over)
		early.over = hakmem_make_heap();
	if (result == HAK_REGION_RANGE)
		return -ERANGE;
	if (result == HAK_REGION_OVERLAP)
		return -EEXIST;
	return result < 0 ? -EINVAL : 0;
}

struct uk_alloc *uk_hakmem_init(void *base, __sz size)
{
	static bool is_made;

	if (is_made)
		return NULL;
	cpus_init();
	if (hakmem_addmem(&hakmem, base, size))
		return NULL;
	is_made = true;
	uk_alloc_init_malloc(&hakmem, hakmem_malloc, hakmem_calloc, hakmem_realloc, hakmem_free,
			     hakmem_posix_memalign, hakmem_memalign, hakmem_maxalloc,
			     hakmem_availmem, hakmem_addmem);
	return &hakmem;
}
