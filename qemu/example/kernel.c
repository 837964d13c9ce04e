/* SPDX-License-Identifier: MIT */
/*
 * What a kernel has: a console, a memory map, an end. And all that it adds for
 * the heap: a provider over its page allocator, the four lines at the end of
 * kernel_main(), and a panic of its own instead of the library's.
 */
#include "kernel.h"

#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <hakmem/machine.h>
#include <hakmem/provider.h>

/* The beginning of Xen's struct hvm_start_info, as far as it matters here. */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modules, command_line, rsdp, memory_map;
	uint32_t nr_memory_map;
};

struct memory {
	uint64_t base, size;
	uint32_t type, reserved;
};

#define MEMORY_IS_RAM 1

_Noreturn void kernel_main(const struct start_info *info);
extern char kernel_end[];

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

/* The first serial port; QEMU's needs neither set-up nor patience. */
void console_write(const char *text, size_t length)
{
	while (length--)
		out8(0x3f8, (uint8_t)*text++);
}

/* Through QEMU's isa-debug-exit, as qemu/run.sh expects it: see qemu/exit.h. */
_Noreturn void machine_exit(int status)
{
	__asm__ volatile("outl %0, %1" : : "a"(status + 16), "Nd"((uint16_t)0xf4));
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* Where the library reports a double free and the like. */
_Noreturn void hak_host_panic(const char *line)
{
	size_t length = 0;

	while (line[length])
		length++;
	console_write("kernel panic: ", 14);
	console_write(line, length);
	console_write("\n", 1);
	machine_exit(101);
}

/* The statistics count what is in the heap, and not what the page allocator could still map. */
void hak_host_supply(const void *base, struct hak_supply *supply)
{
	(void)base;
	*supply = (struct hak_supply){ 0 };
}

static int provider_map(void *ctx, size_t size, size_t align, enum hak_want want,
			struct hak_mapping *out)
{
	(void)ctx;
	(void)want;
	out->base = pages_take(size / KERNEL_PAGE, align);
	out->flags = 0; /* neither zeroed nor to be purged */
	return out->base ? 0 : -1;
}

static int provider_unmap(void *ctx, void *base, size_t size)
{
	(void)ctx;
	return pages_put(base, size / KERNEL_PAGE);
}

static const struct hak_provider provider = {
	.name = "pages",
	.map = provider_map,
	.unmap = provider_unmap,
};

static void add_memory(const struct start_info *info)
{
	const struct memory *map = (const struct memory *)info->memory_map;

	for (uint32_t i = 0; i < info->nr_memory_map; i++) {
		uintptr_t base = map[i].base, end = base + map[i].size;

		if (base < (uintptr_t)kernel_end)
			base = (uintptr_t)kernel_end;
		if (map[i].type == MEMORY_IS_RAM && base < end)
			pages_add(base, end);
	}
}

static struct hak_cpu cpu;

_Noreturn void kernel_main(const struct start_info *info)
{
	add_memory(info);
	hak_cpu_init(&cpu, 0);
	if (!hak_init(&provider))
		hak_host_panic("no heap");
	machine_exit(main());
}
