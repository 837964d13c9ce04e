/* SPDX-License-Identifier: MIT */
/*
 * An image that plays nanos: it makes the heap of platform/nanos over a page heap that, as that
 * of nanos, gives up to 2 MiB at a time; lets its CPUs start as nanos does; and uses the heap.
 *
 * The heap's addresses begin at 256 MiB, so the machine has more than that.
 */
#include <cpu.h>
#include <hakmem/hakmem.h>
#include <hakmem/stats.h>

#undef offsetof
#include <kernel.h>

#include "../../../platform/nanos/hakmem.h"
#include "../../test.h"
#include "../kernels.h"

_Noreturn void hak_machine_exit(int status);

#define GS_MSR	 0xc0000101
#define KIB	 ((size_t)1 << 10)
#define MIB	 ((size_t)1 << 20)
#define PAGE	 ((size_t)4096)
#define MOST	 (2 * MIB)
#define BASE	 (256 * MIB)
#define NR_PAGES ((u64)16384)
#define NR_CPUS	 4u
#define SMALLEST ((size_t)32)

static heap general;
static u8 is_used[NR_PAGES];
static u64 nr_used, nr_refused;
static boolean irqs_off; /* as the heap's callers have them */
static struct cpuinfo cpus[NR_CPUS];
static struct hak_stats stats;

/* -------------------------------------------------------------------------- nanos */

u64 irq_disable_save(void)
{
	u64 flags = irqs_off;

	irqs_off = true;
	return flags;
}

void irq_restore(u64 flags)
{
	irqs_off = (boolean)flags;
}

sstring sstring_from_cstring(const char *string, bytes most)
{
	sstring s = { (char *)string, 0 };

	while (s.len < most && string[s.len])
		s.len++;
	return s;
}

void nanos_halt(const char *format, sstring what)
{
	(void)format;
	port_write(what.ptr, what.len);
	test_print("\nFAIL nanos: halted\n");
	hak_machine_exit(1);
}

/* Its lock is not taken with interrupts off, so its callers have them off. */
static u64 pages_alloc(struct heap *h, bytes size)
{
	u64 step = PAGE;

	(void)h;
	while (step < size)
		step += step;
	if (step > MOST || !irqs_off) {
		nr_refused++;
		return INVALID_PHYSICAL;
	}
	for (u64 page = 0; page < NR_PAGES; page += step / PAGE) {
		u64 n = 0;

		while (n < size / PAGE && !is_used[page + n])
			n++;
		if (n < size / PAGE)
			continue;
		__builtin_memset(&is_used[page], 1, n);
		nr_used += n;
		return BASE + page * PAGE;
	}
	return INVALID_PHYSICAL;
}

static void pages_dealloc(struct heap *h, u64 a, bytes size)
{
	(void)h;
	for (u64 page = (a - BASE) / PAGE; size; page++, size -= PAGE) {
		if (!is_used[page] || !irqs_off)
			nanos_halt("", sstring_from_cstring("pages are not in use", 64));
		is_used[page] = 0;
		nr_used--;
	}
}

static struct heap pages = { .alloc = pages_alloc, .dealloc = pages_dealloc, .pagesize = PAGE };

/* -------------------------------------------------------------------------- tests */

static void makes_the_heap(void)
{
	range low = { BASE, BASE + NR_PAGES * PAGE };
	void *block;

	/* as on a machine with little memory, which has no heap of hakmem's */
	hakmem_cpu_begin(0);
	hakmem_cpu_move(&cpus[0]);
	CHECK(cpu_read_msr(GS_MSR) == 0 && !cpus[0].m.hakmem[0]);
	general = hakmem_heap(&pages, low);
	CHECK(general != INVALID_ADDRESS);
	CHECK(hakmem_heap(&pages, low) == INVALID_ADDRESS);
	/* before a CPU has an area of its own */
	block = allocate(general, 1000);
	CHECK(block != INVALID_ADDRESS && u64_from_pointer(block) >= BASE);
	deallocate(general, block, 1000);
}

static boolean start_cpu(u32 id)
{
	cpuinfo ci = &cpus[id];
	void *block;

	if (id)
		hakmem_cpu_begin((int)id);
	block = allocate(general, sizeof(*ci));
	if (block == INVALID_ADDRESS)
		return false;
	ci->m.self = &ci->m;
	ci->id = id;
	hakmem_cpu_move(ci);
	if (cpu_read_msr(GS_MSR) != u64_from_pointer(ci))
		return false;
	deallocate(general, block, -1ull);
	block = allocate(general, 100);
	deallocate(general, block, 100);
	return block != INVALID_ADDRESS;
}

/* Each begins without an area, allocates, and gets one; its cache moves there with it. */
static void cpus_start(void)
{
	for (u32 id = 0; id < NR_CPUS; id++)
		CHECK(start_cpu(id));
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.caches == NR_CPUS);
	for (u32 id = 0; id < NR_CPUS; id++)
		CHECK(cpus[id].m.self == &cpus[id].m && !cpus[id].m.exception_stack);
	cpu_write_msr(GS_MSR, u64_from_pointer(&cpus[0]));
}

static void blocks(void)
{
	for (size_t size = SMALLEST; size <= MIB; size *= 2) {
		u64 block = allocate_u64(general, size);

		CHECK(block != INVALID_PHYSICAL);
		CHECK(block % (size < PAGE ? size : PAGE) == 0);
		__builtin_memset(pointer_from_u64(block), 'x', size);
		deallocate_u64(general, block, size);
	}
	CHECK(allocate_u64(general, 3 * MIB) == INVALID_PHYSICAL);
	CHECK(allocate_u64(general, -8ull) == INVALID_PHYSICAL);
	CHECK(general->allocated(general) == nr_used * PAGE);
}

static void exhaustion(void)
{
	void **list = NULL, **block;
	u64 count = 0;

	while ((block = allocate(general, 64)) != INVALID_ADDRESS) {
		*block = list;
		list = block;
		count++;
	}
	CHECK(count * 64 >= NR_PAGES * PAGE / 10 * 9);
	CHECK(allocate(general, 64 * KIB) == INVALID_ADDRESS);
	while (list) {
		block = *list;
		deallocate(general, list, 64);
		list = (void **)block;
	}
	CHECK(!hak_check());
	hak_trim(HAK_TRIM_ALL);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.total.live_blocks == 0 && nr_used < NR_PAGES / 8);
	CHECK(general->allocated(general) == nr_used * PAGE && !irqs_off);
}

int kernel_main(void)
{
	TEST_RUN(makes_the_heap);
	if (test_has_failed())
		return test_finish();
	TEST_RUN(cpus_start);
	TEST_RUN(blocks);
	TEST_RUN(exhaustion);
	return test_finish();
}
