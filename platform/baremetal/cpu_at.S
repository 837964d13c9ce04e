/* SPDX-License-Identifier: MIT */
/*
 * How many bytes behind what GS points to the struct hak_cpu lies: see machine.h. A kernel that
 * defines the symbol itself keeps this one out of its image.
 */
	.weak hak_cpu_at
	.set hak_cpu_at, 0

	.section .note.GNU-stack, "", @progbits
