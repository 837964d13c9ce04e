/* SPDX-License-Identifier: MIT */
/*
 * The 32 entries for exceptions. Each makes the stack look like a struct
 * trap_frame and ends in trap_report(), which does not return: so nothing is
 * saved.
 */
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

	.section .rodata
	.balign 8
	.globl trap_entries
trap_entries:
	.set number, 0
	.altmacro
	.macro trap_address number
	.quad trap_\number
	.endm
	.rept 32
	trap_address %number
	.set number, number + 1
	.endr
	.noaltmacro

	.section .note.GNU-stack, "", @progbits
