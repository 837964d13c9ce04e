/* SPDX-License-Identifier: MIT */
/*
 * hakmem as a heap of nanos (struct heap), and what hakmem asks of nanos: pages, and a way to
 * stop.
 *
 * The words of a CPU are a member of nanos' struct cpuinfo_machine, which GS points to. The
 * struct of a CPU is allocated from the heap, by the CPU itself. Until it is there, GS points to
 * one here; then the words move. CPUs start one after another, so one is enough.
 *
 * nanos allocates in interrupt handlers, so the library is built with CONFIG_HAK_IRQSAVE. The
 * lock of nanos' page heap does not turn interrupts off; so this does.
 *
 * Lock: none of its own.
 */
#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <hakmem/machine.h>
#include <hakmem/provider.h>

/* nanos has its own, for types that are pointers. */
#undef offsetof
#include <kernel.h>

#include "hakmem.h"

/* What the library was built with. */
build_assert(offsetof(struct cpuinfo_machine *, hakmem) == HAK_CPU_AT);

static struct heap hakmem;
static heap pages;
static u64 held; /* bytes of it */
static struct cpuinfo_machine boot_cpu;

build_assert(sizeof(boot_cpu.hakmem) == sizeof(struct hak_cpu));

/* ------------------------------------------------------------------------------ pages */

static int provider_map(void *ctx, size_t size, size_t align, enum hak_want want,
			struct hak_mapping *out)
{
	u64 flags = irq_disable_save();
	u64 base = allocate_u64(pages, size);

	if (base != INVALID_PHYSICAL && (base & (align - 1))) {
		deallocate_u64(pages, base, size);
		base = INVALID_PHYSICAL;
	}
	irq_restore(flags);
	if (base == INVALID_PHYSICAL)
		return -1;
	fetch_and_add(&held, size);
	out->base = pointer_from_u64(base);
	out->flags = 0;
	return 0;
}

static int provider_unmap(void *ctx, void *base, size_t size)
{
	u64 flags = irq_disable_save();

	deallocate(pages, base, size);
	irq_restore(flags);
	fetch_and_add(&held, -size);
	return 0;
}

static const struct hak_provider provider = {
	.name = "nanos",
	.map = provider_map,
	.unmap = provider_unmap,
};

/* ------------------------------------------------------------------------------- host */

HAK_NORETURN void hak_host_panic(const char *line)
{
	halt("%s\n", sstring_from_cstring(line, 256));
}

/* nanos returns INVALID_PHYSICAL, and no reason. */
void hak_host_set_error(enum hak_error error)
{
}

/* ------------------------------------------------------------------------------- CPUs */

/* A machine with little memory has another heap. */
void hakmem_cpu_begin(int id)
{
	if (!pages)
		return;
	boot_cpu.self = &boot_cpu;
	hak_cpu_init((struct hak_cpu *)boot_cpu.hakmem, id);
}

void hakmem_cpu_move(cpuinfo ci)
{
	if (pages)
		hak_cpu_move((struct hak_cpu *)ci->m.hakmem);
}

/* ------------------------------------------------------------------------------- heap */

static u64 hakmem_alloc(heap h, bytes size)
{
	void *block = hak_malloc(size);

	return block ? u64_from_pointer(block) : INVALID_PHYSICAL;
}

static void hakmem_dealloc(heap h, u64 block, bytes size)
{
	hak_free(pointer_from_u64(block));
}

/* What is the heap's, in blocks or not. */
static bytes hakmem_held(heap h)
{
	return held;
}

heap hakmem_heap(heap parent, range addresses)
{
	const struct hak_options options = {
		.size = sizeof(options),
		.provider = &provider,
		.window_base = addresses.start,
	};

	if (pages)
		return INVALID_ADDRESS;
	pages = parent;
	hakmem_cpu_begin(0);
	if (hak_init_with(&options))
		return INVALID_ADDRESS;
	hakmem = (struct heap){
		.alloc = hakmem_alloc,
		.dealloc = hakmem_dealloc,
		.allocated = hakmem_held,
		.total = hakmem_held,
		.pagesize = 32,
	};
	return &hakmem;
}
