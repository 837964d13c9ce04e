/* SPDX-License-Identifier: MIT */
/*
 * The 32 entries for exceptions. Each lays out the stack as a struct trap_frame and ends
 * in trap_report(), which does not return: so nothing is saved.
 *
 * The entries for interrupts, and for the one that cannot be masked, lay it out as a
 * struct interrupt_frame, and go on with the one that interrupt_dispatch() returns.
 * Kernel code uses no vector registers, so none are saved.
 */
#include "boot.h"

	.text
	.macro trap number, has_error_code
trap_\number:
	.if \has_error_code == 0
	pushq $0
	.endif
	pushq $\number
	jmp trap_common
	.endm

	.set number, 0
	.altmacro
	.rept 32
	/* 8, 10 to 14, 17, 21, 29 and 30 push an error code */
	trap %number, %((0x60227d00 >> number) & 1)
	.set number, number + 1
	.endr
	.noaltmacro

trap_common:
	cld
	movq %rsp, %rdi
	andq $-16, %rsp
	call trap_report
	ud2

	.macro interrupt number
interrupt_\number:
	pushq $\number
	jmp interrupt_common
	.endm

	interrupt 2
	.set number, FIRST_INTERRUPT
	.altmacro
	.rept NR_VECTORS - FIRST_INTERRUPT
	interrupt %number
	.set number, number + 1
	.endr
	.noaltmacro

interrupt_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	subq $8, %rsp		/* the CPU has aligned it, before 21 words */
	call interrupt_dispatch
	movq %rax, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $8, %rsp		/* the vector */
	iretq

	.section .rodata
	.balign 8
	.altmacro
	.macro address kind, number
	.quad \kind\()_\number
	.endm

	.globl trap_entries
trap_entries:
	.set number, 0
	.rept 32
	.if number == VECTOR_NMI
	address interrupt, %number
	.else
	address trap, %number
	.endif
	.set number, number + 1
	.endr
	.rept NR_VECTORS - FIRST_INTERRUPT
	address interrupt, %number
	.set number, number + 1
	.endr
	.noaltmacro

	.section .note.GNU-stack, "", @progbits
