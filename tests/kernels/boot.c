/* SPDX-License-Identifier: MIT */
/*
 * Start-up of an image that plays another kernel: the console, and where the memory is. Unlike
 * qemu/boot.c it gives the memory to nobody, and sets no GS. One CPU, and no interrupts; an
 * exception resets the machine.
 */
#include <cpu.h>
#include <machine.h>

#include "../../qemu/exit.h"
#include "../../qemu/pvh.h"
#include "kernels.h"

#define FOUR_GIB ((uint64_t)4 << 30)
#define MIB	 ((uintptr_t)1 << 20)

_Noreturn void boot_main(const struct pvh_start_info *info);

extern char image_end[];

uintptr_t kernel_memory;
size_t kernel_memory_size;

_Noreturn void hak_machine_exit(int status)
{
	qemu_exit(status);
	for (;;)
		cpu_halt();
}

/* What is behind the image, up to the end of its range of memory below 4 GiB. */
static void find_memory(const struct pvh_start_info *info)
{
	const struct pvh_memory *map = (const struct pvh_memory *)(uintptr_t)info->memory_map;
	uintptr_t end = (uintptr_t)image_end;

	for (unsigned i = 0; i < info->nr_memory_map; i++)
		if (map[i].type == PVH_MEMORY_RAM && map[i].base <= end &&
		    end - map[i].base < map[i].size && map[i].base + map[i].size < FOUR_GIB) {
			kernel_memory = (end + MIB - 1) / MIB * MIB;
			kernel_memory_size = map[i].base + map[i].size - kernel_memory;
		}
}

_Noreturn void boot_main(const struct pvh_start_info *info)
{
	hak_console_init();
	find_memory(info);
	hak_machine_exit(kernel_main());
}
