/* SPDX-License-Identifier: MIT */
/*
 * What start-up has of this CPU: the tables of boot.S, traps, page tables.
 * Part of the boot image, not of the library.
 */
#ifndef HAKMEM_ARCH_BOOT_H
#define HAKMEM_ARCH_BOOT_H

/* Known to the linker script too: the image begins with the stack's guard. */
#define IMAGE_BASE	0x100000
#define PAGE_SIZE	0x1000
#define BOOT_STACK_SIZE 0x10000

/* Selectors of boot_gdt; the task state takes two entries. */
#define GDT_CODE 0x08
#define GDT_DATA 0x10
#define GDT_TSS	 0x18

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

extern uint64_t boot_gdt[];
extern uint64_t boot_pdpt[];
extern uint64_t boot_pt[];

/**
 * traps_init() - make every CPU exception end in one line and a panic
 *
 * Once, on the boot CPU, after the console works.
 */
void traps_init(void);

/**
 * paging_map() - identity-map [@base, @end), which lies above 4 GiB
 * @new_page: returns a page below 4 GiB for a page directory, or NULL
 *
 * Whole 2 MiB pages are mapped, so a little more may become visible than was
 * asked for. Returns 0, or -1 if a page was refused or if @end is above
 * 512 GiB; what was mapped up to there stays.
 */
int paging_map(uint64_t base, uint64_t end, void *(*new_page)(void));

/**
 * paging_guard_null() - unmap page 0, so that using a null pointer faults
 *
 * Not earlier than the loader's data has been read: QEMU's pc puts it there.
 */
void paging_guard_null(void);

#endif
#endif
