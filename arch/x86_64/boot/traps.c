/* SPDX-License-Identifier: MIT */
/*
 * CPU exceptions print one readable line and call hak_host_panic(). Interrupts call the
 * handler that an image has set.
 *
 * This file owns the interrupt descriptor table, one for all CPUs, and a CPU's task state,
 * which names the stack that exceptions run on. It is a stack of their own, because an
 * overflow of the CPU's stack is one of the things to report; and it is one for all of
 * them, because none returns. An exception during a report starts the stack anew and is
 * reported likewise; the third one ends it. The interrupt that cannot be masked does
 * return, and may come at any moment, so it has a third stack. Other interrupts use the
 * stack that they find.
 *
 * There is no lock: the table is written before other CPUs start, and handlers are set
 * before their interrupts can come. Nothing here can fail.
 *
 * A report is no dump of all registers: the line is for a person who has the image and
 * addr2line. Who needs more attaches GDB to QEMU.
 */
#include "boot.h"

#include <cpu.h>
#include <base/format.h>
#include <hakmem/host.h>
#include <machine.h>

#define NR_TRAPS   FIRST_INTERRUPT
#define PAGE_FAULT 14

#define GATE_INTERRUPT 0x8e /* present, ring 0, interrupts off */
#define GATE_TSS       0x89 /* present, ring 0, 64-bit task state, free */
#define TRAP_STACK     1    /* which of the seven in the task state */
#define NMI_STACK      2

/* What the CPU and trap_entry.S push, lowest address first. */
struct trap_frame {
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct gate {
	uint16_t offset_0;
	uint16_t selector;
	uint8_t stack;
	uint8_t type;
	uint16_t offset_16;
	uint32_t offset_32;
	uint32_t zero;
};

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern const uint64_t trap_entries[NR_VECTORS];
_Noreturn void trap_report(const struct trap_frame *frame);
struct interrupt_frame *interrupt_dispatch(struct interrupt_frame *frame);

static struct gate idt[NR_VECTORS];
static struct interrupt_frame *(*handlers[NR_VECTORS])(struct interrupt_frame *frame);
static bool (*nmi_handler)(void);
static void (*fault_handler)(uint64_t address, uint64_t rip);

static const char *const trap_names[NR_TRAPS] = {
	[0] = "divide error",
	[1] = "debug",
	[2] = "non-maskable interrupt",
	[3] = "breakpoint",
	[4] = "overflow",
	[5] = "bound range",
	[6] = "invalid opcode",
	[7] = "no coprocessor",
	[8] = "double fault",
	[10] = "invalid task state",
	[11] = "segment not present",
	[12] = "stack segment",
	[13] = "general protection",
	[14] = "page fault",
	[16] = "x87 error",
	[17] = "alignment check",
	[18] = "machine check",
	[19] = "SIMD error",
	[21] = "control protection",
};

_Noreturn void trap_report(const struct trap_frame *frame)
{
	static _Atomic unsigned depth;
	const char *name = trap_names[frame->vector];
	struct hak_line line = { 0 };

	if (frame->vector == PAGE_FAULT && fault_handler)
		fault_handler(cpu_read_cr2(), frame->rip);
	if (depth++ == 2)
		for (;;)
			cpu_halt();
	hak_format(hak_line_append, &line,
		   "exception %lu (%s): rip 0x%lx error 0x%lx cr2 0x%lx rsp 0x%lx",
		   (unsigned long)frame->vector, name ? name : "reserved",
		   (unsigned long)frame->rip, (unsigned long)frame->error,
		   (unsigned long)cpu_read_cr2(), (unsigned long)frame->rsp);
	hak_host_panic(line.text);
}

void fault_set(void (*handler)(uint64_t address, uint64_t rip))
{
	fault_handler = handler;
}

/* Anything but what was asked for, by interrupt_set() or nmi_set(), is reported. */
static _Noreturn void unexpected(const struct interrupt_frame *frame)
{
	struct trap_frame trap = { .vector = VECTOR_NMI, .rip = frame->rip, .rsp = frame->rsp };
	struct hak_line line = { 0 };

	if (frame->vector == VECTOR_NMI)
		trap_report(&trap);
	hak_format(hak_line_append, &line, "interrupt %lu, which nobody handles: rip 0x%lx",
		   (unsigned long)frame->vector, (unsigned long)frame->rip);
	hak_host_panic(line.text);
}

struct interrupt_frame *interrupt_dispatch(struct interrupt_frame *frame)
{
	struct hak_cache *previous;

	if (frame->vector == VECTOR_NMI && nmi_handler && nmi_handler())
		return frame;
	if (frame->vector == VECTOR_SPURIOUS)
		return frame; /* has no end either */
	if (!handlers[frame->vector])
		unexpected(frame);
	previous = hak_interrupt_enter();
	frame = handlers[frame->vector](frame);
	hak_interrupt_leave(previous);
	lapic_end_of_interrupt();
	return frame;
}

void interrupt_set(unsigned vector,
		   struct interrupt_frame *(*handler)(struct interrupt_frame *frame))
{
	handlers[vector] = handler;
}

void nmi_set(bool (*handler)(void))
{
	nmi_handler = handler;
}

static void set_gate(struct gate *gate, uint64_t entry, uint8_t stack)
{
	gate->offset_0 = (uint16_t)entry;
	gate->offset_16 = (uint16_t)(entry >> 16);
	gate->offset_32 = (uint32_t)(entry >> 32);
	gate->selector = GDT_CODE;
	gate->stack = stack;
	gate->type = GATE_INTERRUPT;
}

static void load_segments(struct trap_area *area)
{
	struct task_state *state = &area->task_state;
	struct table_pointer pointer = { sizeof(area->gdt) - 1, (uintptr_t)area->gdt };
	uint64_t base = (uintptr_t)state, limit = sizeof(*state) - 1;

	state->ist[TRAP_STACK - 1] = (uintptr_t)(area->stack + sizeof(area->stack));
	state->ist[NMI_STACK - 1] = (uintptr_t)(area->nmi_stack + sizeof(area->nmi_stack));
	state->io_map = sizeof(*state);
	area->gdt[GDT_CODE / 8] = boot_gdt[GDT_CODE / 8];
	area->gdt[GDT_DATA / 8] = boot_gdt[GDT_DATA / 8];
	area->gdt[GDT_TSS / 8] = limit | (base & 0xffffff) << 16 | (uint64_t)GATE_TSS << 40 |
				 (base >> 24 & 0xff) << 56;
	area->gdt[GDT_TSS / 8 + 1] = base >> 32;
	__asm__ volatile("lgdt %0; ltr %w1" : : "m"(pointer), "r"(GDT_TSS) : "memory");
}

static void write_table(void)
{
	for (unsigned i = 0; i < NR_TRAPS; i++)
		set_gate(&idt[i], trap_entries[i], i == VECTOR_NMI ? NMI_STACK : TRAP_STACK);
	for (unsigned i = NR_TRAPS; i < NR_VECTORS; i++)
		set_gate(&idt[i], trap_entries[i], 0);
}

void traps_init(struct trap_area *area)
{
	struct table_pointer pointer = { sizeof(idt) - 1, (uintptr_t)idt };

	load_segments(area);
	if (!this_cpu()->id) /* the first, before there are others */
		write_table();
	__asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
}
