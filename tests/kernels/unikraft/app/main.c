/* SPDX-License-Identifier: MIT */
/*
 * An application of Unikraft, to be built in its tree: what does the allocator cost, how much
 * comes back, and do several CPUs get along in it?
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <uk/alloc.h>

#define measure_alloc(size)	   malloc(size)
#define measure_free(block, size)  ((void)(size), free(block))
#define measure_print(what, value) printf("%s: %lu\n", what, (unsigned long)(value))
#include "measure.h"

static void print_available(const char *when)
{
	struct uk_alloc *a = uk_alloc_get_default();

	printf("%s: %ld bytes are available, the largest block has %ld\n", when,
	       (long)uk_alloc_availmem(a), (long)uk_alloc_maxalloc(a));
}

#ifdef CONFIG_LIBUKVMEM

#include <uk/arch/time.h>
#include <uk/falloc.h>
#include <uk/plat/paging.h>
#include <uk/sched.h>

static void print_frames(const char *when)
{
	printf("%s: %lu KiB of free frames\n", when,
	       (unsigned long)ukplat_pt_get_active()->fa->free_memory >> 10);
}

/* There are no page faults for what the frame allocator does not have. */
static void fill(void)
{
	print_frames("before");
	measure_empty(measure_fill("blocks of 64 bytes", 500000));
	print_frames("freed");
	uk_sched_thread_sleep(ukarch_time_msec_to_nsec(1500));
	print_frames("1.5 s later");
}

#else

static void fill(void)
{
	measure_empty(measure_fill("blocks of 64 bytes", ~0ul));
}

#endif

#ifdef CONFIG_HAVE_SMP

#include <hakmem/hakmem.h>
#include <uk/plat/common/lcpu.h>
#include <uk/plat/lcpu.h>

#define CPUS   CONFIG_UKPLAT_LCPU_MAXCOUNT
#define PLACES 256
#define ROUNDS 1000000

struct block {
	unsigned long size, mark;
};

static struct block *place[PLACES]; /* through which CPUs hand each other blocks */
static unsigned begun, done, broken;

static void exchange_blocks(unsigned cpu)
{
	unsigned long state = 88172645463325252ul * (cpu + 1);

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned long random = measure_random(&state);
		unsigned long size = 24 + (random >> 32) % (i % 100 ? 3000 : 100000);
		struct block *block = malloc(size);

		if (block) {
			*block = (struct block){ size, (unsigned long)block ^ size };
			((char *)block)[size - 1] = 1;
		}
		block = __atomic_exchange_n(&place[random % PLACES], block, __ATOMIC_ACQ_REL);
		if (block && block->mark != ((unsigned long)block ^ block->size))
			__atomic_fetch_add(&broken, 1, __ATOMIC_RELAXED);
		free(block);
	}
	hak_flush();
}

static void wait_for(const unsigned *count, unsigned n)
{
	while (__atomic_load_n(count, __ATOMIC_ACQUIRE) < n)
		__asm__ volatile("pause");
}

/* A CPU comes here as it is. */
static void __noreturn other_cpu(struct lcpu *cpu)
{
	if (!lcpu_init(cpu)) {
		__atomic_fetch_add(&begun, 1, __ATOMIC_RELEASE);
		wait_for(&begun, CPUS - 1);
		exchange_blocks(ukplat_lcpu_idx());
		__atomic_fetch_add(&done, 1, __ATOMIC_RELEASE);
	}
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void try_cpus(void)
{
	static char stack[CPUS - 1][32768] __attribute__((aligned(16)));
	ukplat_lcpu_entry_t entry[CPUS - 1];
	void *top[CPUS - 1];
	const char *wrong;

	for (unsigned i = 0; i < CPUS - 1; i++) {
		top[i] = stack[i] + sizeof(stack[i]);
		entry[i] = (ukplat_lcpu_entry_t)other_cpu;
	}
	print_available("before");
	ukplat_lcpu_start(NULL, NULL, top, entry, 0);
	wait_for(&begun, CPUS - 1);
	exchange_blocks(0);
	wait_for(&done, CPUS - 1);
	for (unsigned i = 0; i < PLACES; i++)
		free(place[i]);
	wrong = hak_check();
	printf("%u CPUs: %u blocks of %u are broken; the heap is %s\n", ukplat_lcpu_count(), broken,
	       CPUS * ROUNDS, wrong ? wrong : "sound");
	hak_flush();
	print_available("all freed");
}

#endif

int main(void)
{
#ifdef CONFIG_HAVE_SMP
	try_cpus();
#endif
	print_available("before");
	measure_all(9000);
	fill();
	print_available("after");
	return 0;
}
