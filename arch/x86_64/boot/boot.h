/* SPDX-License-Identifier: MIT */
/*
 * What start-up uses of this CPU: the tables of boot.S, traps and interrupts, page
 * tables, the local APIC, the other CPUs. It is a part of the boot image, not of the
 * library.
 */
#ifndef HAKMEM_ARCH_BOOT_H
#define HAKMEM_ARCH_BOOT_H

/* Known to the linker script too: the image begins with the stack's guard. */
#define IMAGE_BASE	0x100000
#define BOOT_PAGE_SIZE	0x1000
#define BOOT_STACK_SIZE 0x10000

/* The page where other CPUs start: below 1 MiB, kept from the allocator. */
#define SMP_TRAMPOLINE 0x8000

/* Selectors. The third is of boot_gdt; a CPU's own has its task state there. */
#define GDT_CODE	0x08
#define GDT_DATA	0x10
#define GDT_TSS		0x18
#define GDT_BOOT_CODE32 0x18

/* Vectors: exceptions, then the few interrupts that an image can have. */
#define VECTOR_NMI	2
#define FIRST_INTERRUPT 32
#define VECTOR_TIMER	32
#define VECTOR_WAKE	33
#define VECTOR_SPURIOUS 47 /* old CPUs want four ones at the end */
#define NR_VECTORS	48

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <platform.h>

/* CPUs that an image can have; only those that are there take memory. */
#ifndef BOOT_MAX_CPUS
#define BOOT_MAX_CPUS 16
#endif

extern uint64_t boot_gdt[];
extern uint64_t boot_pdpt[];

struct task_state {
	uint32_t reserved_0;
	uint64_t rsp[3];
	uint64_t reserved_1;
	uint64_t ist[7];
	uint64_t reserved_2;
	uint16_t reserved_3;
	uint16_t io_map;
} __attribute__((packed));

/* What a CPU needs for itself to take exceptions. */
struct trap_area {
	uint64_t gdt[5];
	struct task_state task_state;
	char stack[8192] __attribute__((aligned(16)));
	char nmi_stack[4096] __attribute__((aligned(16)));
};

/* What trap_entry.S pushes for an interrupt, lowest address first. */
struct interrupt_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, rip, cs, rflags, rsp, ss;
};

/**
 * traps_init() - make every exception of this CPU end in one line and a panic
 *
 * It is called after hak_cpu_init(), and after the console works.
 */
void traps_init(struct trap_area *area);

/**
 * fault_set() - who is asked about page faults before they are reported
 * @handler: told the address, and the instruction; runs on the stack of exceptions. If it
 *	     returns, the fault is reported.
 */
void fault_set(void (*handler)(uint64_t address, uint64_t rip));

/**
 * interrupt_set() - what to do on an interrupt, on every CPU
 * @vector:  FIRST_INTERRUPT to NR_VECTORS - 1
 * @handler: called with interrupts off, may allocate and free; returns the frame
 *	     to go on with, which is the one given unless it switches threads
 */
void interrupt_set(unsigned vector,
		   struct interrupt_frame *(*handler)(struct interrupt_frame *frame));

/**
 * nmi_set() - what to do on a non-maskable interrupt, on every CPU
 * @handler: called wherever the CPU was, on a stack of its own, and may not
 *	     allocate or free; returns false if it did not expect the interrupt,
 *	     which is then reported and ends in a panic
 */
void nmi_set(bool (*handler)(void));

/**
 * paging_map() - identity-map [@base, @end), which lies above 4 GiB
 * @alloc: returns whole pages below 4 GiB, for page directories, or NULL
 *
 * Whole 2 MiB pages are mapped, so a little more may become visible than was
 * asked for. Returns 0, or -1 if a page was refused or if @end is above
 * 512 GiB; what was mapped up to there stays.
 */
int paging_map(uint64_t base, uint64_t end, void *(*alloc)(size_t size));

/**
 * paging_protect() - unmap the page at @address, so that using it faults, or map it again
 *
 * For pages that no other CPU has used. Returns 0, or -1 if there is no page
 * for a page table; then nothing has changed.
 */
int paging_protect(uint64_t address, bool faults, void *(*alloc)(size_t size));

/* The local APIC of the CPU that calls. */
void lapic_init(void);
void lapic_end_of_interrupt(void);
unsigned lapic_id(void);

enum lapic_message {
	LAPIC_NMI = 4 << 8,
	LAPIC_INIT = 5 << 8,
	LAPIC_START = 6 << 8, /* and the page to start at */
};
/* @message: one of these, or the vector of an interrupt. */
void lapic_send(unsigned id, unsigned message);
void lapic_send_others(unsigned message);

/* VECTOR_TIMER every @ticks of the APIC's clock (on QEMU 1 GHz); 0 stops it. */
void lapic_timer(uint32_t ticks);

/**
 * acpi_cpus() - which CPUs the machine has
 * @rsdp: the address of ACPI's root pointer, or 0
 * @ids:  set to the APIC ids of the first @most of them
 *
 * Returns how many there are, also if these are more; 0 if there is no list.
 */
unsigned acpi_cpus(uint64_t rsdp, uint32_t *ids, unsigned most);

/* What GS points to on each CPU of an image. */
struct boot_cpu {
	struct hak_cpu cpu; /* first */
	unsigned apic_id;
	_Atomic unsigned barrier; /* the last one that it was asked to pass, and has */
	_Atomic bool idle;	  /* waits for work, and passes one before it begins */
	bool asked;		  /* by the barrier that is under way */
	unsigned work;		  /* the last that it has done */
	struct trap_area traps;
};

/**
 * smp_init() - this is the first CPU; its area is set up
 */
void smp_init(void);

/**
 * smp_start() - start the other CPUs; they wait for work
 * @rsdp:  as for acpi_cpus()
 * @alloc: returns memory in pages that is never freed, or NULL
 *
 * Any failure is a panic.
 */
void smp_start(uint64_t rsdp, void *(*alloc)(size_t size));

/**
 * smp_count() - how many CPUs run
 */
unsigned smp_count(void);

/**
 * smp_run() - call a function on every CPU at once, the caller's included
 *
 * Only the first CPU may call it. Returns when all have returned. On the other CPUs the
 * function runs with interrupts off.
 */
void smp_run(void (*function)(void *argument), void *argument);

/**
 * smp_stop_others() - stop all other CPUs, whatever they do
 */
void smp_stop_others(void);

#endif
#endif
