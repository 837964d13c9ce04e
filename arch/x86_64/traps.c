/* SPDX-License-Identifier: MIT */
/*
 * CPU exceptions: one readable line, then hak_host_panic().
 *
 * Owns the interrupt descriptor table (the 32 vectors of exceptions; a kernel
 * with interrupts brings a longer one) and the task state, which names the
 * stack that exceptions run on. It is a stack of their own, because an
 * overflow of the boot stack is one of the things to report; and it is one for
 * all of them, because none returns. An exception during a report starts the
 * stack anew, is reported likewise, and ends at the third.
 *
 * No lock: one CPU. Nothing here can fail.
 *
 * Not a dump of all registers: the line is for a person who has the image and
 * addr2line; whoever needs more attaches GDB to QEMU.
 */
#include "boot.h"

#include <cpu.h>
#include <format.h>
#include <hakmem/host.h>

#define NR_TRAPS 32

#define GATE_INTERRUPT 0x8e /* present, ring 0, interrupts off */
#define GATE_TSS       0x89 /* present, ring 0, 64-bit task state, free */
#define TRAP_STACK     1    /* which of the seven in the task state */

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

struct task_state {
	uint32_t reserved_0;
	uint64_t rsp[3];
	uint64_t reserved_1;
	uint64_t ist[7];
	uint64_t reserved_2;
	uint16_t reserved_3;
	uint16_t io_map;
} __attribute__((packed));

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern const uint64_t trap_entries[NR_TRAPS];
_Noreturn void trap_report(const struct trap_frame *frame);

static struct gate idt[NR_TRAPS];
static struct task_state task_state;
static char trap_stack[8192] __attribute__((aligned(16)));

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

/* A string under construction; what does not fit is dropped. */
struct line {
	char text[160];
	size_t length;
};

static void line_add(void *ctx, const char *text, size_t length)
{
	struct line *line = ctx;

	for (size_t i = 0; i < length && line->length < sizeof(line->text) - 1; i++)
		line->text[line->length++] = text[i];
}

_Noreturn void trap_report(const struct trap_frame *frame)
{
	static unsigned depth;
	const char *name = trap_names[frame->vector];
	struct line line = { .length = 0 };

	if (depth++ == 2)
		for (;;)
			cpu_halt();
	hak_format(line_add, &line, "exception %lu (%s): rip 0x%lx error 0x%lx cr2 0x%lx rsp 0x%lx",
		   (unsigned long)frame->vector, name ? name : "reserved",
		   (unsigned long)frame->rip, (unsigned long)frame->error,
		   (unsigned long)cpu_read_cr2(), (unsigned long)frame->rsp);
	line.text[line.length] = '\0';
	hak_host_panic(line.text);
}

static void set_gate(struct gate *gate, uint64_t entry)
{
	gate->offset_0 = (uint16_t)entry;
	gate->offset_16 = (uint16_t)(entry >> 16);
	gate->offset_32 = (uint32_t)(entry >> 32);
	gate->selector = GDT_CODE;
	gate->stack = TRAP_STACK;
	gate->type = GATE_INTERRUPT;
}

static void load_task_state(void)
{
	uint64_t base = (uintptr_t)&task_state;
	uint64_t limit = sizeof(task_state) - 1;

	task_state.ist[TRAP_STACK - 1] = (uintptr_t)(trap_stack + sizeof(trap_stack));
	task_state.io_map = sizeof(task_state);
	boot_gdt[GDT_TSS / 8] = limit | (base & 0xffffff) << 16 | (uint64_t)GATE_TSS << 40 |
				(base >> 24 & 0xff) << 56;
	boot_gdt[GDT_TSS / 8 + 1] = base >> 32;
	__asm__ volatile("ltr %w0" : : "r"(GDT_TSS) : "memory");
}

void traps_init(void)
{
	struct table_pointer pointer = { sizeof(idt) - 1, (uintptr_t)idt };

	load_task_state();
	for (unsigned i = 0; i < NR_TRAPS; i++)
		set_gate(&idt[i], trap_entries[i]);
	__asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
}
