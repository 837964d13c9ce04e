/* SPDX-License-Identifier: MIT */
/*
 * The other CPUs of an image: how they start, what they do, how they are made to pass a
 * barrier.
 *
 * Each has an area that GS points to, and a stack with a guard below it. A CPU without
 * work sleeps until smp_run() has some. The first CPU starts the others one after the
 * other (INIT, then the page to start at), so there is one set of words for the one that
 * is on its way.
 *
 *	cpus[0 .. nr_cpus - 1]	run and take interrupts, for ever
 *
 * The barrier is a non-maskable interrupt, because the CPUs that it must reach may have
 * interrupts off, and may be waiting for a lock that the caller holds. There is one at a
 * time, and each CPU notes which it has passed. A CPU that waits for work may sleep on: it
 * will pass a barrier when it gets some. A CPU that was not started has no magazines.
 *
 * Lock: `barrier.busy`, which spins with interrupts off. A failure while CPUs are started
 * is a panic: an image would run with fewer CPUs than it was given, and nothing would
 * tell of it.
 */
#include "boot.h"

#include <stdatomic.h>

#include <cpu.h>
#include <base/format.h>
#include <hakmem/host.h>
#include <machine.h>

#define IO_DELAY_PORT  0x80  /* a write takes about a microsecond */
#define INIT_DELAY     10000 /* microseconds, as the CPU's manual asks for */
#define START_DELAY    200
#define START_PATIENCE 3000000 /* until a CPU is given up: some seconds */

extern const char smp_trampoline[], smp_trampoline_end[];

/* For smp_entry.S: the CPU that is being started. */
struct boot_cpu *smp_start_cpu;
char *smp_start_stack;

static struct boot_cpu first_cpu;
static struct boot_cpu *cpus[BOOT_MAX_CPUS] = { &first_cpu };
static _Atomic unsigned nr_cpus = 1;

static struct {
	atomic_flag busy;
	_Atomic unsigned number; /* of the last one that began */
} barrier = { .busy = ATOMIC_FLAG_INIT };

static struct {
	_Atomic unsigned number; /* of the last that was given out */
	_Atomic unsigned done;	 /* CPUs that have done it */
	void (*function)(void *argument);
	void *argument;
} work;

static _Atomic bool stopping;

_Noreturn void smp_main(struct boot_cpu *cpu);

static _Noreturn void fail(const char *what, unsigned n, unsigned m)
{
	struct hak_line line = { 0 };

	hak_format(hak_line_append, &line, what, n, m);
	hak_host_panic(line.text);
}

static void delay(unsigned microseconds)
{
	while (microseconds--) {
		io_write8(IO_DELAY_PORT, 0);
		cpu_relax(); /* where CPUs take turns, it is theirs now */
	}
}

static struct boot_cpu *this_boot_cpu(void)
{
	return (struct boot_cpu *)this_cpu();
}

/* It only ends a cpu_wait_for_interrupt(). */
static struct interrupt_frame *wake(struct interrupt_frame *frame)
{
	return frame;
}

/*
 * The interrupt is the barrier. It is noted with seq_cst, which orders the rest. False if
 * no CPU of this image has sent it.
 */
static bool take_nmi(void)
{
	struct boot_cpu *cpu = this_boot_cpu();
	unsigned number = barrier.number;

	while (stopping)
		cpu_halt();
	if (cpu->barrier == number)
		return false;
	cpu->barrier = number;
	return true;
}

void smp_init(void)
{
	hak_cpu_init(&first_cpu.cpu, 0);
	traps_init(&first_cpu.traps);
	interrupt_set(VECTOR_WAKE, wake);
	nmi_set(take_nmi);
}

/* Where another CPU comes from smp_entry.S. */
_Noreturn void smp_main(struct boot_cpu *cpu)
{
	hak_cpu_init(&cpu->cpu, nr_cpus);
	traps_init(&cpu->traps);
	lapic_init();
	/* it need not pass barriers that began before it was there */
	cpu->barrier = barrier.number;
	atomic_fetch_add(&nr_cpus, 1);
	for (;;) {
		cpu->idle = true;
		while (work.number == cpu->work) {
			cpu_wait_for_interrupt();
			cpu_interrupts_off();
		}
		cpu->idle = false; /* seq_cst: see hak_host_barrier() */
		cpu->work++;
		work.function(work.argument);
		atomic_fetch_add(&work.done, 1);
	}
}

static void start(unsigned number, unsigned apic_id, void *(*alloc)(size_t size))
{
	struct boot_cpu *cpu = alloc(sizeof(*cpu));
	char *stack = alloc(BOOT_PAGE_SIZE + BOOT_STACK_SIZE);

	if (!cpu || !stack || paging_protect((uintptr_t)stack, true, alloc))
		fail("boot: no memory for CPU %u (APIC id %u)", number, apic_id);
	__builtin_memset(cpu, 0, sizeof(*cpu));
	cpu->apic_id = apic_id;
	cpus[number] = cpu;
	smp_start_cpu = cpu;
	smp_start_stack = stack + BOOT_PAGE_SIZE + BOOT_STACK_SIZE;
	atomic_thread_fence(memory_order_seq_cst);
	lapic_send(apic_id, LAPIC_INIT);
	delay(INIT_DELAY);
	for (unsigned patience = START_PATIENCE; nr_cpus == number; patience--) {
		/* a second time if it has not heard: some need that */
		if (patience == START_PATIENCE || patience == START_PATIENCE - START_DELAY)
			lapic_send(apic_id, LAPIC_START | SMP_TRAMPOLINE / BOOT_PAGE_SIZE);
		if (!patience)
			fail("boot: CPU %u (APIC id %u) does not start", number, apic_id);
		delay(1);
	}
}

void smp_start(uint64_t rsdp, void *(*alloc)(size_t size))
{
	static const char alone[] =
		"boot: no ACPI table of CPUs: there may be more than this one\n";
	uint32_t ids[BOOT_MAX_CPUS];
	unsigned n = acpi_cpus(rsdp, ids, BOOT_MAX_CPUS), number = 1;

	if (n > BOOT_MAX_CPUS)
		fail("boot: the machine has %u CPUs, the image is for %u (BOOT_MAX_CPUS)", n,
		     BOOT_MAX_CPUS);
	if (!n)
		hak_console_write(alone, sizeof(alone) - 1);
	lapic_init();
	first_cpu.apic_id = lapic_id();
	__builtin_memcpy((void *)SMP_TRAMPOLINE, smp_trampoline,
			 (size_t)(smp_trampoline_end - smp_trampoline));
	for (unsigned i = 0; i < n; i++)
		if (ids[i] != first_cpu.apic_id)
			start(number++, ids[i], alloc);
}

unsigned smp_count(void)
{
	return nr_cpus;
}

void smp_run(void (*function)(void *argument), void *argument)
{
	work.function = function;
	work.argument = argument;
	work.done = 0;
	atomic_fetch_add(&work.number, 1);
	for (unsigned i = 1; i < nr_cpus; i++)
		lapic_send(cpus[i]->apic_id, VECTOR_WAKE);
	function(argument);
	while (work.done < nr_cpus - 1)
		cpu_relax();
}

bool hak_host_barrier(void)
{
	unsigned long saved = hak_host_irq_save();
	struct boot_cpu *self = this_boot_cpu();
	unsigned number, n = nr_cpus;

	/* acquire and release pair with each other */
	while (atomic_flag_test_and_set_explicit(&barrier.busy, memory_order_acquire))
		cpu_relax();
	number = atomic_fetch_add(&barrier.number, 1) + 1;
	for (unsigned i = 0; i < n; i++) {
		/* one that is idle here is not until after an atomic operation of its own */
		cpus[i]->asked = cpus[i] != self && !cpus[i]->idle;
		if (cpus[i]->asked)
			lapic_send(cpus[i]->apic_id, LAPIC_NMI);
	}
	for (unsigned i = 0; i < n; i++)
		while (cpus[i]->asked && cpus[i]->barrier != number)
			cpu_relax();
	self->barrier = number;
	atomic_flag_clear_explicit(&barrier.busy, memory_order_release);
	hak_host_irq_restore(saved);
	return true;
}

void smp_stop_others(void)
{
	stopping = true;
	if (nr_cpus > 1)
		lapic_send_others(LAPIC_NMI);
}
