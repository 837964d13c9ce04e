/* SPDX-License-Identifier: MIT */
/*
 * An image that plays Unikraft: it registers the allocator of platform/unikraft, gives it
 * memory as Unikraft's boot code does, and uses it. With CONFIG_LIBUKVMEM the first memory is
 * 64 KiB, and free memory goes back.
 *
 * What is given back is overwritten, so a block that is still in use would be seen to change.
 */
#include <errno.h>
#include <string.h>

#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/stats.h>
#include <machine.h>
#include <uk/alloc_impl.h>
#include <uk/hakmem.h>

#include "../../test.h"
#include "../kernels.h"

#define MSR_GS_BASE 0xc0000101
#define KIB	    ((size_t)1 << 10)
#define MIB	    ((size_t)1 << 20)
#define NR_CPUS	    CONFIG_UKPLAT_LCPU_MAXCOUNT

int errno;

static struct lcpu lcpus[NR_CPUS];
static struct uk_alloc *registered, *heap;
static uintptr_t tls;
static unsigned nr_warnings;
static size_t added; /* bytes that the heap was given */
static struct hak_stats stats;

/* ----------------------------------------------------------------------- Unikraft */

void unikraft_crash(const char *format, ...)
{
	test_print("FAIL unikraft: crash: %s\n", format);
	hak_machine_exit(1);
}

void unikraft_warn(const char *format, ...)
{
	(void)format;
	nr_warnings++;
}

int uk_alloc_register(struct uk_alloc *a)
{
	registered = a;
	return 0;
}

struct lcpu *lcpu_get(unsigned idx)
{
	return &lcpus[idx];
}

__uptr ukplat_tlsp_get(void)
{
	return tls;
}

static void be_cpu(unsigned idx)
{
	cpu_write_msr(MSR_GS_BASE, (uintptr_t)&lcpus[idx]);
}

#ifdef CONFIG_LIBUKALLOC_IFSTATS
static long counted_bytes, counted_blocks, nr_failures;

void unikraft_count(const void *block, long size)
{
	if (!block) {
		nr_failures += size > 0;
		return;
	}
	counted_bytes += size;
	counted_blocks += size > 0 ? 1 : -1;
}
#endif

/* ---------------------------------------------------------------------------- blocks */

static bool is_filled(const char *block, size_t size, char with)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != with)
			return false;
	return true;
}

/* As many blocks of @size as there are, most @most; each points to the one before it. */
static void **fill(size_t size, size_t most, size_t *count)
{
	void **list = NULL, **block;

	for (*count = 0; *count < most; ++*count) {
		block = heap->malloc(heap, size);
		if (!block)
			break;
		*block = list;
		list = block;
	}
	return list;
}

static void free_list(void **list)
{
	while (list) {
		void **next = *list;

		heap->free(heap, list);
		list = next;
	}
}

/* ----------------------------------------------------------------------------- tests */

/* Before there is a frame: a few small blocks. */
static void early_blocks(void)
{
	char *blocks[8], *grown;
	void *out = &grown;

	for (unsigned i = 0; i < 8; i++) {
		blocks[i] = heap->calloc(heap, 1, 150);
		CHECK(blocks[i] && (uintptr_t)blocks[i] % 16 == 0);
		CHECK(is_filled(blocks[i], 150, 0));
		memset(blocks[i], 'a' + (int)i, 150);
	}
	CHECK(!heap->malloc(heap, 8 * KIB) && !heap->calloc(heap, SIZE_MAX / 2, 4));
	CHECK(errno == 0); /* there is no thread to have it */
	CHECK(heap->posix_memalign(heap, &out, 64, 100) == 0 && (uintptr_t)out % 64 == 0);
	heap->free(heap, out);
	heap->free(heap, blocks[0]);
	heap->free(heap, NULL);
	blocks[1] = heap->realloc(heap, blocks[1], 300);
	CHECK(blocks[1] && is_filled(blocks[1], 150, 'b'));
	CHECK(!heap->realloc(heap, blocks[2], 8 * KIB) && is_filled(blocks[2], 150, 'c'));
	CHECK(!heap->realloc(heap, blocks[3], 0));
	CHECK(is_filled(blocks[7], 150, 'h'));
	for (unsigned i = 1; i < 8; i++)
		if (i != 3)
			heap->free(heap, blocks[i]);
}

/* Blocks that are there before the first frame can be freed, and can grow, afterwards. */
static char *from_before;

static void early_blocks_later(void)
{
	CHECK(is_filled(from_before, 100, 'x'));
	from_before = heap->realloc(heap, from_before, 5000);
	CHECK(from_before && is_filled(from_before, 100, 'x'));
	CHECK(hak_owns(from_before) && hak_usable_size(from_before) >= 5000);
	heap->free(heap, from_before);
}

static int add(uintptr_t base, size_t size)
{
	int error = heap->addmem(heap, (void *)base, size);

	if (!error)
		added += size;
	return error;
}

#ifdef CONFIG_LIBUKVMEM
#define FIRST ((size_t)64 << 10)

/* All the rest at once, at a multiple of 2 MiB. */
static void gets_memory(void)
{
	uintptr_t base = (kernel_memory + 2 * MIB - 1) / (2 * MIB) * (2 * MIB);
	size_t size = kernel_memory + kernel_memory_size - base;

	CHECK(!uk_hakmem_init((void *)base, 100));
	heap = uk_hakmem_init((void *)base, FIRST);
	CHECK(heap && registered == heap);
	added = FIRST;
	early_blocks();
	from_before = heap->malloc(heap, 100);
	CHECK(from_before);
	memset(from_before, 'x', 100);
	CHECK(add(base + FIRST, size - FIRST) == 0);
	/* the first frame is not lost */
	CHECK(hak_frames_free() == size / (2 * MIB));
}
#else
/* Ranges as a machine has them, the first of which is too small for blocks. */
static void gets_memory(void)
{
	uintptr_t base = kernel_memory + 100, end = kernel_memory + kernel_memory_size;

	CHECK(!uk_hakmem_init((void *)base, 100));
	heap = uk_hakmem_init((void *)base, 300 * KIB);
	CHECK(heap && registered == heap);
	CHECK(!uk_hakmem_init((void *)(base + MIB), MIB));
	added = 300 * KIB;
	early_blocks();
	from_before = heap->malloc(heap, 100);
	CHECK(from_before);
	memset(from_before, 'x', 100);
	base += MIB;
	CHECK(add(base, 8 * MIB) == 0);
	CHECK(add(base + 9 * MIB, 8 * MIB) == 0);
	base += 18 * MIB;
	CHECK(nr_warnings == 0);
	CHECK(add(base, 8 * MIB) == 0 && add(base, 8 * MIB) == -EEXIST);
	CHECK(add((uintptr_t)1 << HAK_ADDRESS_BITS, 8 * MIB) == -ERANGE);
	CHECK(add(end - 300, 200) == -EINVAL);
	CHECK(nr_warnings == 2);
	base += 8 * MIB;
	CHECK(add(base, end - base) == 0);
}
#endif

static void interface(void)
{
	void *out = &out;
	char *block;

	errno = 0;
	CHECK(heap->posix_memalign(heap, &out, 3, 10) == EINVAL);
	CHECK(heap->posix_memalign(heap, &out, 4, 10) == EINVAL);
	CHECK(heap->posix_memalign(heap, &out, 0, 10) == EINVAL);
	CHECK(heap->posix_memalign(heap, &out, 64, SIZE_MAX / 2) == ENOMEM);
	CHECK(out == &out);
	CHECK(heap->posix_memalign(heap, &out, 64 * KIB, 10) == 0);
	CHECK((uintptr_t)out % (64 * KIB) == 0);
	heap->free(heap, out);
	out = heap->memalign(heap, 4096, 3 * MIB);
	CHECK(out && (uintptr_t)out % 4096 == 0);
	heap->free(heap, out);
	CHECK(!heap->memalign(heap, 24, 100) && errno == EINVAL);
	CHECK(!heap->malloc(heap, SIZE_MAX / 2) && errno == ENOMEM);
	CHECK(!heap->calloc(heap, SIZE_MAX / 2, 4));
	block = heap->calloc(heap, 100, 100);
	CHECK(block && is_filled(block, 10000, 0));
	memset(block, 'x', 10000);
	block = heap->realloc(heap, block, 100000);
	CHECK(block && is_filled(block, 10000, 'x'));
	CHECK(!heap->realloc(heap, block, SIZE_MAX / 2) && is_filled(block, 10000, 'x'));
	block = heap->realloc(heap, block, 50);
	CHECK(block && is_filled(block, 50, 'x'));
	CHECK(!heap->realloc(heap, block, 0));
	block = heap->realloc(heap, NULL, 50);
	CHECK(block);
	heap->free(heap, block);
	heap->free(heap, NULL);
}

/* How much there is, and what may be the largest block. */
static void tells_what_is_free(void)
{
	__ssz before = heap->availmem(heap), largest, with;
	void *block = heap->malloc(heap, 8 * MIB), *rest[4];

	with = heap->availmem(heap);
	CHECK(block && before > 0 && (size_t)before <= added);
	CHECK(with <= before - (__ssz)(6 * MIB) && with >= before - (__ssz)(10 * MIB));
	/* the largest is there, and so is the next one; less is never told than there is */
	for (unsigned i = 0; i < 4; i++) {
		largest = heap->maxalloc(heap);
		CHECK((largest > 0 || i) && largest <= heap->availmem(heap));
		rest[i] = largest ? heap->malloc(heap, (size_t)largest) : NULL;
		CHECK(rest[i] || !largest);
	}
	CHECK(heap->availmem(heap) < before / 4);
	for (unsigned i = 0; i < 4; i++)
		heap->free(heap, rest[i]);
	heap->free(heap, block);
	CHECK(heap->availmem(heap) + (__ssz)(4 * MIB) >= before);
}

/* Until there is none: nearly all is had, and everything goes back. */
static void exhaustion(void)
{
	size_t count, again, bigger;
	void **list;

	errno = 0;
	list = fill(64, SIZE_MAX, &count);
	CHECK(errno == ENOMEM);
	CHECK(count * 64 >= added / 10 * 9 - 4 * MIB);
	CHECK(heap->availmem(heap) < (__ssz)(2 * MIB) && !heap->malloc(heap, MIB));
	free_list(list);
	list = fill(64, SIZE_MAX, &again);
	free_list(list);
	CHECK(again >= count - count / 100);
	list = fill(3000, SIZE_MAX, &bigger);
	free_list(list);
	CHECK(bigger * 3000 >= added / 10 * 8 - 4 * MIB);
	CHECK(!hak_check());
}

/* A handler leaves the magazines alone. */
static void in_a_handler(void)
{
	struct lcpu *cpu = lcpu_get(0);
	void *cache = hak_cpu_cache(), *previous, *block;

	previous = uk_hakmem_irq_enter();
	CHECK(previous == cache && hak_cpu_cache() == hak_cache_never);
	block = heap->malloc(heap, 100);
	heap->free(heap, block);
	uk_hakmem_irq_leave(previous);
	CHECK(block && hak_cpu_cache() == cache);
	CHECK(*(void **)((char *)cpu + LCPU_ARCH_OFFSET) == (char *)cpu + LCPU_ARCH_OFFSET);
}

/* Each CPU finds its words, and has a cache of its own. */
static void cpus(void)
{
	for (unsigned i = 0; i < NR_CPUS; i++) {
		void *block;

		be_cpu(i);
		block = heap->malloc(heap, 100);
		heap->free(heap, block);
		if (!block)
			break;
	}
	be_cpu(0);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.caches == NR_CPUS);
	for (unsigned i = 0; i < NR_CPUS; i++)
		CHECK(lcpus[i].state == 0 && lcpus[i].idx == 0 && lcpus[i].auxsp == 0);
	hak_trim(HAK_TRIM_ALL);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.total.live_blocks == 0);
}

#ifdef CONFIG_LIBUKALLOC_IFSTATS
static void statistics(void)
{
	long failures = nr_failures;
	void *block;

	CHECK(counted_bytes == 0 && counted_blocks == 0);
	block = heap->malloc(heap, 100);
	CHECK(counted_blocks == 1 && counted_bytes >= 100 && counted_bytes < 200);
	block = heap->realloc(heap, block, 1000);
	CHECK(counted_blocks == 1 && counted_bytes >= 1000 && counted_bytes < 2000);
	CHECK(!heap->malloc(heap, SIZE_MAX / 2) && nr_failures == failures + 1);
	heap->free(heap, block);
	CHECK(counted_bytes == 0 && counted_blocks == 0);
}
#endif

#ifdef CONFIG_LIBUKVMEM
extern int (*const unikraft_late_init)(struct uk_init_ctx *ctx);

static void (*thread)(void *);
static unsigned turns;
static void *thread_end[5];
static size_t dropped;

struct uk_vas *uk_vas_get_active(void)
{
	return (struct uk_vas *)lcpus;
}

int uk_vma_advise(struct uk_vas *space, __vaddr_t base, __sz size, unsigned long advice,
		  unsigned long flags)
{
	if ((void *)space != lcpus || advice != UK_VMA_ADV_DONTNEED || flags || base % 4096 ||
	    size % 4096 || base < kernel_memory || base + size > kernel_memory + kernel_memory_size)
		return -EINVAL;
	memset((void *)base, 0xa5, size);
	dropped += size;
	return 0;
}

struct uk_sched *uk_sched_current(void)
{
	return NULL;
}

struct uk_thread *uk_sched_thread_create(struct uk_sched *sched, void (*main)(void *),
					 void *argument, const char *name)
{
	(void)sched, (void)argument, (void)name;
	thread = main;
	return (struct uk_thread *)lcpus;
}

/* The thread ends here after some turns. */
void uk_sched_thread_sleep(__nsec time)
{
	(void)time;
	if (!--turns)
		__builtin_longjmp(thread_end, 1);
}

static void run_thread(unsigned how_often)
{
	turns = how_often;
	if (!__builtin_setjmp(thread_end))
		thread(NULL);
}

/* What a spike leaves free goes back, also between blocks that stay, which do not change. */
static void gives_back(void)
{
	char *kept[64] = { 0 };
	size_t count, spike = added / 2;
	void **list = fill(256, spike / 256, &count);

	CHECK(unikraft_late_init(NULL) == 0 && thread);
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned j = 0; j < 500; j++) {
			void **next = *list;

			heap->free(heap, list);
			list = next;
		}
		kept[i] = (char *)list;
		list = *list;
		memset(kept[i], 'k', 256);
	}
	dropped = 0;
	free_list(list);
	run_thread(20);
	CHECK(dropped >= spike / 10 * 8);
	for (unsigned i = 0; i < 64; i++) {
		CHECK(is_filled(kept[i], 256, 'k'));
		heap->free(heap, kept[i]);
	}
	/* and is used again: it is not zero */
	for (size_t size = 256; size <= 8 * MIB; size *= 2) {
		char *zeros = heap->calloc(heap, 1, size);

		CHECK(zeros && is_filled(zeros, size, 0));
		heap->free(heap, zeros);
	}
	list = fill(256, spike / 256, &count);
	CHECK(count == spike / 256 && !hak_check());
	free_list(list);
}
#endif

int kernel_main(void)
{
	be_cpu(0);
	TEST_RUN(gets_memory);
	if (test_has_failed())
		return test_finish();
	tls = (uintptr_t)&tls;
	TEST_RUN(early_blocks_later);
	TEST_RUN(tells_what_is_free);
	TEST_RUN(interface);
	TEST_RUN(exhaustion);
	TEST_RUN(in_a_handler);
#ifdef CONFIG_LIBUKALLOC_IFSTATS
	TEST_RUN(statistics);
#endif
#ifdef CONFIG_LIBUKVMEM
	TEST_RUN(gives_back);
#endif
	TEST_RUN(cpus);
	return test_finish();
}
