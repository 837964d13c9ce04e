/* SPDX-License-Identifier: MIT */
/*
 * Start-up of an image, from boot.S to main():
 *
 *	console, the CPU's private area, exceptions
 *	the memory map and the command line, copied out of the loader's memory
 *	RAM below 4 GiB into the frame provider
 *	page tables for RAM above, which come from the provider, then that RAM
 *	the other CPUs, which wait for smp_run()
 *	main(argc, argv); what it returns is the status of the machine
 *
 * main() finds memory in hak_frames_provider and calls hak_init() itself: an
 * image may want another provider, or several heaps one after the other.
 *
 * Owns the copies, which are bounded; a loader that exceeds a bound, or whose
 * map makes no sense, ends in one line and a failing status, never in an image
 * that runs with less than it should. One CPU until the others start, no lock.
 */
#include "pvh.h"

#include <boot.h>
#include <cpu.h>
#include <base/format.h>
#include <frames.h>
#include <hakmem/host.h>
#include <machine.h>
#include <platform.h>

#define FOUR_GIB       ((uint64_t)4 << 30)
#define MAX_ADDRESS    ((uint64_t)1 << HAK_ADDRESS_BITS)
#define MAX_MEMORY_MAP 64
#define MAX_COMMAND    1024
#define MAX_ARGUMENTS  32

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

_Noreturn void boot_main(const struct pvh_start_info *info);
int main(int argc, char **argv);

extern char image_start[], image_end[];

/* Is it linked? Then the image can do without a whole frame. */
#pragma weak hak_frames_use_parts

static struct pvh_memory memory_map[MAX_MEMORY_MAP];
static unsigned nr_memory_map;
static char command_line[MAX_COMMAND];
static char *arguments[MAX_ARGUMENTS + 2];

/* How long it took to add all memory, and to map that above 4 GiB: for the curious. */
uint64_t boot_memory_ticks, boot_paging_ticks;

static void copy_memory_map(const struct pvh_start_info *info)
{
	const struct pvh_memory *from = (const struct pvh_memory *)(uintptr_t)info->memory_map;

	if (info->magic != PVH_MAGIC || info->version < 1 || !from || !info->nr_memory_map)
		hak_host_panic("boot: the loader gave no memory map");
	for (unsigned i = 0; i < info->nr_memory_map; i++) {
		if (from[i].type != PVH_MEMORY_RAM || !from[i].size)
			continue;
		if (from[i].base + from[i].size < from[i].base)
			hak_host_panic("boot: an entry of the memory map has no end");
		if (nr_memory_map == MAX_MEMORY_MAP)
			hak_host_panic("boot: too many entries in the memory map");
		memory_map[nr_memory_map++] = from[i];
	}
}

/* "a bc" becomes { "image", "a", "bc", NULL }; there is no quoting. */
static int split_command_line(const struct pvh_start_info *info)
{
	const char *from = (const char *)(uintptr_t)info->command_line;
	int argc = 0;

	arguments[argc++] = "image";
	for (size_t i = 0; from && from[i]; i++) {
		if (i == MAX_COMMAND - 1)
			hak_host_panic("boot: the command line is too long");
		if (from[i] == ' ')
			continue;
		command_line[i] = from[i];
		if (i && command_line[i - 1])
			continue;
		if (argc > MAX_ARGUMENTS)
			hak_host_panic("boot: too many arguments on the command line");
		arguments[argc++] = &command_line[i];
	}
	return argc;
}

static void add_region(uint64_t base, uint64_t end)
{
	if (base < end && hak_region_add(base, end - base) == HAK_REGION_OVERLAP)
		hak_host_panic("boot: entries of the memory map overlap");
}

/* All of [@base, @end) but for what is in use. */
static void add_memory(uint64_t base, uint64_t end)
{
	const struct {
		uint64_t base, end;
	} holes[] = {
		/* in ascending order */
		{ 0, BOOT_PAGE_SIZE },
		{ SMP_TRAMPOLINE, SMP_TRAMPOLINE + BOOT_PAGE_SIZE },
		{ (uintptr_t)image_start, (uintptr_t)image_end },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(holes); i++) {
		if (holes[i].end <= base || holes[i].base >= end)
			continue;
		add_region(base, holes[i].base);
		base = holes[i].end;
	}
	add_region(base, end);
}

static void *new_pages(size_t size)
{
	const struct hak_provider *provider = &hak_frames_provider;
	struct hak_mapping pages;

	if (provider->map(provider->ctx, size, BOOT_PAGE_SIZE, HAK_WANT_META, &pages))
		return NULL;
	return pages.base;
}

static void add_low_memory(void)
{
	for (unsigned i = 0; i < nr_memory_map; i++) {
		uint64_t base = memory_map[i].base;
		uint64_t end = base + memory_map[i].size;

		add_memory(base, end < FOUR_GIB ? end : FOUR_GIB);
	}
}

static void add_high_memory(void)
{
	for (unsigned i = 0; i < nr_memory_map; i++) {
		uint64_t base = memory_map[i].base;
		uint64_t end = base + memory_map[i].size;

		if (end > MAX_ADDRESS) {
			hak_format(hak_console_sink, NULL,
				   "boot: memory above %lu GiB is not used (HAK_ADDRESS_BITS)\n",
				   (unsigned long)(MAX_ADDRESS >> 30));
			end = MAX_ADDRESS;
		}
		if (base < FOUR_GIB)
			base = FOUR_GIB;
		if (base >= end)
			continue;
		boot_paging_ticks -= cpu_read_tsc();
		if (paging_map(base, end, new_pages))
			hak_host_panic("boot: no memory for page tables");
		boot_paging_ticks += cpu_read_tsc();
		add_memory(base, end);
	}
}

_Noreturn void boot_main(const struct pvh_start_info *info)
{
	uint64_t rsdp = info->rsdp;
	int argc;

	hak_console_init();
	smp_init();
	copy_memory_map(info);
	argc = split_command_line(info);
	/*
	 * From here on the loader's memory may be overwritten, and null faults: QEMU's pc
	 * has it there.
	 */
	paging_protect(0, true, new_pages);
	boot_memory_ticks -= cpu_read_tsc();
	add_low_memory();
	add_high_memory();
	boot_memory_ticks += cpu_read_tsc() - boot_paging_ticks;
	if (!hak_frames_total() && !hak_frames_use_parts)
		hak_host_panic("boot: too little memory: not one free frame of 2 MiB");
	smp_start(rsdp, new_pages);
	hak_machine_exit(main(argc, arguments));
}
