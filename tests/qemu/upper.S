/* SPDX-License-Identifier: MIT */
/*
 * From a PVH loader to C, for an image that is linked 2 GiB below the end of the address
 * space. The first GiB of memory is there, and one to one as well, and a direct map in the upper
 * half begins with it. A CPU that can have page tables of five levels gets these.
 */
#define UPPER	    0xffffffff80000000
#define STACK_SIZE  0x8000
#define PAGE_TABLE  0x03
#define PAGE_2M	    0x83

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 8, 18	/* lengths of the name and of the value; XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.balign 4
	.quad upper_entry - UPPER

	.section .text.entry, "ax", @progbits
	.code32
	.globl upper_entry
upper_entry:
	cld
	cli
	movl %ebx, %esi
	movl $0x620, %ebp		/* PAE and SSE */
	movl $(upper_pml4 - UPPER), %edi
	xorl %eax, %eax
	cpuid				/* the highest leaf */
	cmpl $7, %eax
	jb four_levels
	movl $7, %eax
	xorl %ecx, %ecx
	cpuid
	testl $(1 << 16), %ecx		/* LA57 */
	jz four_levels
	orl $(1 << 12), %ebp
	movl $(upper_pml5 - UPPER), %edi
four_levels:
	movl %ebp, %cr4
	movl %edi, %cr3
	movl $0xc0000080, %ecx		/* EFER: long mode */
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl $0x80010023, %eax		/* paging and protection */
	movl %eax, %cr0
	lgdt (upper_gdtr - UPPER)
	ljmpl $8, $(upper_long - UPPER)

	.code64
upper_long:
	movl $16, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl %esi, %edi
	movq $upper_stack_top, %rsp
	xorl %ebp, %ebp
	movq $upper_main, %rax
	call *%rax
	ud2

	.section .data
	.balign 16
upper_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 64-bit code */
	.quad 0x00cf93000000ffff	/* data */
upper_gdtr:
	.word . - upper_gdt - 1
	.long upper_gdt - UPPER

	.balign 4096
	/* the lower half; the direct map where five levels have it; where four levels have all */
upper_pml5:
	.quad upper_pml4 - UPPER + PAGE_TABLE
	.fill 255, 8, 0
	.quad upper_pml4 - UPPER + PAGE_TABLE
	.fill 254, 8, 0
	.quad upper_pml4 - UPPER + PAGE_TABLE
	.globl upper_pml4
upper_pml4:
	.quad upper_pdpt_low - UPPER + PAGE_TABLE
	.fill 255, 8, 0
	.quad upper_pdpt_low - UPPER + PAGE_TABLE
	.fill 254, 8, 0
	.quad upper_pdpt_high - UPPER + PAGE_TABLE
	/* the fourth GiB: devices */
	.globl upper_pdpt_low
upper_pdpt_low:
	.quad upper_pd - UPPER + PAGE_TABLE
	.quad 0, 0
	.quad upper_pd_devices - UPPER + PAGE_TABLE
	.fill 508, 8, 0
upper_pdpt_high:
	.fill 510, 8, 0
	.quad upper_pd - UPPER + PAGE_TABLE
	.quad 0
upper_pd:
	.set address, 0
	.rept 512
	.quad address + PAGE_2M
	.set address, address + 0x200000
	.endr
upper_pd_devices:
	.rept 512
	.quad address - 0x40000000 + 0xc0000000 + PAGE_2M
	.set address, address + 0x200000
	.endr

	.section .bss
	.balign 16
	.skip STACK_SIZE
upper_stack_top:

	.section .note.GNU-stack, "", @progbits
