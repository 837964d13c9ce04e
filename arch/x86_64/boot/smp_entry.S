/* SPDX-License-Identifier: MIT */
/*
 * From the start of another CPU to C. It begins in real mode at the page that
 * smp.c has copied smp_trampoline to, with CS saying where that is. CPUs are
 * started one at a time, so the two words for C are words.
 */
#include "boot.h"

	.section .rodata
	.code16
	.globl smp_trampoline
smp_trampoline:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl smp_gdtr - smp_trampoline
	movl %cr0, %eax
	orl $1, %eax		/* protected mode */
	movl %eax, %cr0
	ljmpl $GDT_BOOT_CODE32, $smp_entry
	.balign 4
smp_gdtr:
	.word 4 * 8 - 1
	.long boot_gdt
	.globl smp_trampoline_end
smp_trampoline_end:

	.section .text
	.code32
smp_entry:
	movl $GDT_DATA, %eax
	movl %eax, %ds
	movl $smp_first, %esi
	jmp boot_go_long

	.code64
smp_first:
	movq smp_start_stack, %rsp
	movq smp_start_cpu, %rdi
	xorl %ebp, %ebp		/* the end of every backtrace */
	call smp_main
	ud2			/* smp_main() does not return */

	.section .note.GNU-stack, "", @progbits
