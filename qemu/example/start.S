/* SPDX-License-Identifier: MIT */
/*
 * The example's own way from a PVH loader (qemu -kernel) into 64-bit C: one to
 * one page tables for the first GiB, SSE for the C library, a stack.
 */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 8, 18
	.asciz "Xen"
	.balign 4
	.quad start

	.section .text.start, "ax", @progbits
	.code32
	.globl start
start:
	movl $stack_top, %esp
	movl $0x620, %eax		/* PAE, and SSE may be used */
	movl %eax, %cr4
	movl $level_4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx		/* EFER: long mode */
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl $0x80000023, %eax		/* paging, protection, x87 errors and monitor */
	movl %eax, %cr0
	lgdt gdt_pointer
	ljmpl $8, $start_64
	.code64
start_64:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %ebx, %edi
	call kernel_main
	ud2

	.section .data.start, "aw", @progbits
	.balign 8
gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
	.word . - gdt - 1
	.long gdt
	.balign 4096
level_4:
	.quad level_3 + 3
	.fill 511, 8, 0
level_3:
	.quad level_2 + 3
	.fill 511, 8, 0
level_2:
	.set address, 0
	.rept 512
	.quad address + 0x83		/* 2 MiB, writable, present */
	.set address, address + 0x200000
	.endr

	.section .bss.start, "aw", @nobits
	.balign 16
	.skip 65536
stack_top:
	.section .note.GNU-stack, "", @progbits
