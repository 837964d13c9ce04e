/* SPDX-License-Identifier: MIT */
/*
 * The local APIC: a CPU sends interrupts to others with it, and it has a timer.
 *
 * This file owns the APIC of the CPU that runs, which has the same address on all. There
 * is no lock. A machine without an APIC has one CPU and needs none of this. Nothing can
 * fail: what is sent to a CPU that is not there is lost.
 *
 * It uses the registers in memory and not the MSRs of x2APIC, which QEMU's default CPU
 * does not have; ids up to 254 are enough here.
 */
#include "boot.h"

#include <cpu.h>
#include <hakmem/host.h>

#define MSR_APIC_BASE	  0x1b
#define APIC_BASE_ENABLE  0x800
#define APIC_BASE_ADDRESS 0x000ffffffffff000u

#define PIC_FIRST_MASK	0x21
#define PIC_SECOND_MASK 0xa1

/* Registers, in bytes. */
#define APIC_ID		   0x20
#define APIC_EOI	   0xb0
#define APIC_SPURIOUS	   0xf0
#define APIC_ICR_LOW	   0x300
#define APIC_ICR_HIGH	   0x310
#define APIC_TIMER	   0x320
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_DIVIDE  0x3e0

#define SPURIOUS_ENABLE	  0x100
#define ICR_PENDING	  0x1000
#define ICR_ASSERT	  0x4000
#define ICR_ALL_BUT_SELF  0xc0000
#define TIMER_MASKED	  0x10000
#define TIMER_PERIODIC	  0x20000
#define TIMER_DIVIDE_BY_1 0xb

static volatile uint32_t *reg(unsigned offset)
{
	uint64_t base = cpu_read_msr(MSR_APIC_BASE) & APIC_BASE_ADDRESS;

	return (volatile uint32_t *)(uintptr_t)(base + offset);
}

/* The controllers of the first PC would use vectors of exceptions. */
static void silence_old_controllers(void)
{
	io_write8(PIC_FIRST_MASK, 0xff);
	io_write8(PIC_SECOND_MASK, 0xff);
}

void lapic_init(void)
{
	silence_old_controllers();
	cpu_write_msr(MSR_APIC_BASE, cpu_read_msr(MSR_APIC_BASE) | APIC_BASE_ENABLE);
	*reg(APIC_SPURIOUS) = SPURIOUS_ENABLE | VECTOR_SPURIOUS;
	*reg(APIC_TIMER) = TIMER_MASKED;
}

void lapic_end_of_interrupt(void)
{
	*reg(APIC_EOI) = 0;
}

unsigned lapic_id(void)
{
	return *reg(APIC_ID) >> 24;
}

/* The two halves belong together: no handler may send in between. */
void lapic_send(unsigned id, unsigned message)
{
	unsigned long saved = hak_host_irq_save();

	while (*reg(APIC_ICR_LOW) & ICR_PENDING)
		cpu_relax();
	*reg(APIC_ICR_HIGH) = id << 24;
	*reg(APIC_ICR_LOW) = message | ICR_ASSERT;
	hak_host_irq_restore(saved);
}

void lapic_send_others(unsigned message)
{
	lapic_send(0, message | ICR_ALL_BUT_SELF);
}

void lapic_timer(uint32_t ticks)
{
	*reg(APIC_TIMER_DIVIDE) = TIMER_DIVIDE_BY_1;
	*reg(APIC_TIMER) = ticks ? VECTOR_TIMER | TIMER_PERIODIC : TIMER_MASKED;
	*reg(APIC_TIMER_INITIAL) = ticks;
}
