/* SPDX-License-Identifier: MIT */
/*
 * A kernel whose code runs in ring 3, where `cli`, `sti` and MSRs fault: it brings hak_cpu_init()
 * and the pair that keeps interrupts off itself. Ring 0 is left for good after start-up; ports
 * stay open by the bitmap of the task state.
 */
#include <boot.h>
#include <cpu.h>
#include <frames.h>
#include <hakmem/hakmem.h>
#include <platform.h>

#include "../test.h"
#include "blocks.h"

#define PAGE_PRESENT 0x01u
#define PAGE_USER    0x04u
#define PAGE_LARGE   0x80u
#define PAGE_ADDRESS 0x000ffffffffff000u

#define USER_DATA 0x2b /* selectors of the table below */
#define USER_CODE 0x33

static struct hak_cpu ring3_cpu;
static unsigned long nr_saved;
static bool interrupts_off;

/* A thing of this kernel in software: nothing comes as long as the word is set. */
unsigned long hak_host_irq_save(void)
{
	bool saved = interrupts_off;

	nr_saved++;
	interrupts_off = true;
	return saved;
}

void hak_host_irq_restore(unsigned long saved)
{
	interrupts_off = saved;
}

static unsigned ring(void)
{
	unsigned selector;

	__asm__ volatile("movl %%cs, %0" : "=r"(selector));
	return selector & 3;
}

/* In ring 3, GS was set by who started this. */
void hak_cpu_init(struct hak_cpu *cpu, unsigned id)
{
	*cpu = (struct hak_cpu){ .self = cpu, .cache = hak_cache_none, .id = id };
	if (!ring())
		cpu_write_msr(MSR_GS_BASE, gs_for(cpu));
}

static void ring3_is_there(void)
{
	CHECK(ring() == 3);
	CHECK(this_cpu() == &ring3_cpu);
}

static void ring3_uses_the_heap(void)
{
	CHECK(hak_init(&hak_frames_provider));
	CHECK(blocks_come_and_go(3000));
	CHECK(ring3_cpu.cache != hak_cache_none && nr_saved && !interrupts_off);
	CHECK(blocks_go());
}

static void ring3_ends(void)
{
	struct hak_cache *previous = hak_interrupt_enter();
	void *block = hak_malloc(100);

	hak_interrupt_leave(previous);
	CHECK(block);
	hak_free(block);
	hak_cpu_fini();
	CHECK(this_cache() == hak_cache_never && hak_frames_total() - hak_frames_free() <= 1);
	hak_fini();
	CHECK(hak_frames_total() == hak_frames_free() && !interrupts_off);
}

static _Noreturn void ring3_main(void)
{
	hak_cpu_init(&ring3_cpu, 3);
	TEST_RUN(ring3_is_there);
	TEST_RUN(ring3_uses_the_heap);
	TEST_RUN(ring3_ends);
	hak_machine_exit(test_finish());
}

/* All pages of this table, and of those below it, are for ring 3 too. */
static void open_table(uint64_t *table, unsigned level)
{
	for (unsigned i = 0; i < 512; i++) {
		if (!(table[i] & PAGE_PRESENT))
			continue;
		table[i] |= PAGE_USER;
		if (level > 1 && !(table[i] & PAGE_LARGE))
			open_table((uint64_t *)(table[i] & PAGE_ADDRESS), level - 1);
	}
}

static void open_pages(void)
{
	uint64_t root;

	__asm__ volatile("movq %%cr3, %0" : "=r"(root));
	open_table((uint64_t *)(root & PAGE_ADDRESS), 4);
	__asm__ volatile("movq %0, %%cr3" : : "r"(root) : "memory");
}

/* Exceptions have the stacks that they had; and no port is closed. */
static void load_task(void)
{
	static struct {
		struct task_state state;
		uint8_t io[8193];
	} task;
	static uint64_t gdt[7];
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = { sizeof(gdt) - 1, (uintptr_t)gdt };
	const struct boot_cpu *cpu = (struct boot_cpu *)this_cpu();
	uint64_t base = (uintptr_t)&task;

	task.state = cpu->traps.task_state;
	task.state.io_map = offsetof(__typeof__(task), io);
	task.io[sizeof(task.io) - 1] = 0xff;
	gdt[GDT_CODE / 8] = boot_gdt[GDT_CODE / 8];
	gdt[GDT_DATA / 8] = boot_gdt[GDT_DATA / 8];
	gdt[GDT_TSS / 8] = (sizeof(task) - 1) | (base & 0xffffff) << 16 | (uint64_t)0x89 << 40 |
			   (base >> 24 & 0xff) << 56;
	gdt[GDT_TSS / 8 + 1] = base >> 32;
	gdt[USER_DATA / 8] = boot_gdt[GDT_DATA / 8] | (uint64_t)3 << 45;
	gdt[USER_CODE / 8] = boot_gdt[GDT_CODE / 8] | (uint64_t)3 << 45;
	__asm__ volatile("lgdt %0; ltr %w1" : : "m"(pointer), "r"(GDT_TSS) : "memory");
}

int main(void)
{
	static char stack[BOOT_STACK_SIZE] __attribute__((aligned(16)));

	open_pages();
	load_task();
	cpu_write_msr(MSR_GS_BASE, gs_for(&ring3_cpu));
	/* SS, RSP as after a call, flags without a right to change interrupts, CS, RIP */
	__asm__ volatile("pushq %0; pushq %1; pushq $2; pushq %2; pushq %3; iretq"
			 :
			 : "i"(USER_DATA), "r"(stack + sizeof(stack) - 8), "i"(USER_CODE),
			   "r"(ring3_main)
			 : "memory");
	__builtin_unreachable();
}
