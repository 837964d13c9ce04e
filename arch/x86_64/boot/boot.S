/* SPDX-License-Identifier: MIT */
/*
 * From the boot loader to C.
 *
 * A PVH loader (QEMU's -kernel, Firecracker, cloud-hypervisor, Xen) finds the
 * entry point in the note below and jumps there in 32-bit protected mode with
 * flat segments, paging and interrupts off, and EBX pointing to a struct
 * hvm_start_info. Here the CPU is brought into 64-bit mode with the first
 * 4 GiB mapped one to one, SSE enabled, and boot_main() called. The other CPUs
 * come the same way, from smp_entry.S.
 *
 * The tables are data that the assembler fills: nothing is computed, so nothing can go
 * wrong before there is a console. The first 2 MiB are mapped in 4 KiB pages for the sake
 * of two pages. The one below the boot stack is absent, so that an overflow faults. Page
 * 0 is unmapped as soon as the loader's data in it has been read, so that a null pointer
 * faults. Everything else is in 2 MiB pages; 1 GiB pages would be fewer, but QEMU's
 * default CPU has none.
 */
#include "boot.h"

#define CR0_PE	      (1 << 0)
#define CR0_MP	      (1 << 1)
#define CR0_NE	      (1 << 5)
#define CR0_WP	      (1 << 16)
#define CR0_PG	      (1 << 31)
#define CR4_PAE	      (1 << 5)
#define CR4_OSFXSR    (1 << 9)
#define CR4_OSXMMEXCPT (1 << 10)
#define MSR_EFER      0xc0000080
#define EFER_LME      (1 << 8)

#define PAGE_TABLE    0x03 /* present, writable: points to a lower table */
#define PAGE_4K	      0x03
#define PAGE_2M	      0x83

	.section .note.pvh, "a", @note
	.balign 4
	.long 4		/* bytes of the name */
	.long 8		/* bytes of the value */
	.long 18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.balign 4
	.quad boot_entry

	.section .stack, "aw", @nobits
	.globl boot_stack_guard
boot_stack_guard:
	.skip BOOT_PAGE_SIZE
	.skip BOOT_STACK_SIZE
boot_stack_top:

	.section .text
	.code32
	.globl boot_entry
boot_entry:
	cld
	cli
	movl $boot_first, %esi

	/* ESI: where to go on in 64-bit mode, with EBX as it is now */
	.globl boot_go_long
boot_go_long:
	movl $(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT), %eax
	movl %eax, %cr4
	movl $boot_pml4, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl $(CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_PE), %eax
	movl %eax, %cr0

	lgdt boot_gdtr
	ljmpl $GDT_CODE, $boot_long

	.code64
boot_long:
	movl $GDT_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl %esi, %esi		/* clears the upper half */
	jmp *%rsi

boot_first:
	movl $boot_stack_top, %esp
	movl %ebx, %edi
	xorl %ebp, %ebp		/* the end of every backtrace */
	call boot_main
	ud2			/* boot_main() does not return */

	.section .data
	.balign 16
	.globl boot_gdt
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 64-bit code */
	.quad 0x00cf93000000ffff	/* data */
	.quad 0x00cf9b000000ffff	/* 32-bit code, for smp_entry.S */
boot_gdt_end:

	/* until traps_init() loads a CPU's own */
boot_gdtr:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt

	.balign BOOT_PAGE_SIZE
boot_pml4:
	.quad boot_pdpt + PAGE_TABLE
	.fill 511, 8, 0

	.globl boot_pdpt
boot_pdpt:
	.quad boot_pd + PAGE_TABLE
	.quad boot_pd + 1 * BOOT_PAGE_SIZE + PAGE_TABLE
	.quad boot_pd + 2 * BOOT_PAGE_SIZE + PAGE_TABLE
	.quad boot_pd + 3 * BOOT_PAGE_SIZE + PAGE_TABLE
	.fill 508, 8, 0

	/* 4 GiB in pages of 2 MiB, but for the first */
boot_pd:
	.quad boot_pt + PAGE_TABLE
	.set address, 0x200000
	.rept 4 * 512 - 1
	.quad address + PAGE_2M
	.set address, address + 0x200000
	.endr

	/* 2 MiB in pages of 4 KiB, but for the guard */
boot_pt:
	.set address, 0
	.rept 512
	.if address == IMAGE_BASE
	.quad 0
	.else
	.quad address + PAGE_4K
	.endif
	.set address, address + BOOT_PAGE_SIZE
	.endr

	.section .note.GNU-stack, "", @progbits
