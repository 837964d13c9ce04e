/* SPDX-License-Identifier: MIT */
/*
 * An image that ends as its argument says, so that check-status.sh can tell
 * whether qemu/run.sh notices. A second argument is the number of the CPU on
 * which it happens.
 */
#include <boot.h>
#include <cache/layout.h>
#include <cpu.h>
#include <exit.h>
#include <frames.h>
#include <machine.h>
#include <pvh.h>

#include <hakmem/hakmem.h>
#include <hakmem/host.h>

#include "../test.h"

_Noreturn void boot_main(const struct pvh_start_info *info);

static struct hak_cache *interrupted;

#define PROBE_TURNS 20000000 /* much less than a second, unless each is emulated */

static void triple_fault(void)
{
	struct {
		unsigned short limit;
		unsigned long base;
	} __attribute__((packed)) none = { 0 };

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void double_free(void)
{
	void *block;

	hak_init(&hak_frames_provider);
	block = hak_malloc(64);
	hak_free(block);
	hak_free(block);
	hak_flush();
}

/* Nobody knows what is there: on the stack, in the image, in a frame that is free. */
static void foreign_free(char what)
{
	static int in_image;
	int on_stack;
	void *block;

	hak_init(&hak_frames_provider);
	block = hak_malloc(HAK_SUPERSLAB_SIZE / 2);
	hak_free(block);
	hak_trim(HAK_TRIM_ALL);
	hak_free(what == 's' ? &on_stack : what == 'i' ? &in_image : block);
}

/* As after a selector was loaded into GS; or where the kernel has something else. */
static void without_cpu(bool is_zero)
{
	static char area[256];

	__builtin_memset(area, 0x11, sizeof(area));
	cpu_write_msr(MSR_GS_BASE, is_zero ? 0 : (uintptr_t)area);
	hak_init(&hak_frames_provider);
}

/* hak_interrupt_enter() and leave() are around this. */
static struct interrupt_frame *careless(struct interrupt_frame *frame)
{
	hak_interrupt_leave(interrupted);
	hak_free(hak_malloc(200));
	return frame;
}

/* The interrupt comes while a magazine is refilled. */
static int map_with_interrupt(void *ctx, size_t size, size_t align, enum hak_want want,
			      struct hak_mapping *out)
{
	interrupted = this_cache();
	if (interrupted->cold)
		__asm__ volatile("int %0" : : "i"(VECTOR_TIMER));
	return hak_frames_provider.map(ctx, size, align, want, out);
}

static void forgotten_enter(void)
{
	static const struct hak_provider provider = { .name = "int", .map = map_with_interrupt };

	interrupt_set(VECTOR_TIMER, careless);
	hak_init(&provider);
	hak_free(hak_malloc(100));
}

/* Deeper than any stack. */
static unsigned overflow(volatile unsigned *above)
{
	volatile unsigned here[64];

	here[0] = *above + 1;
	return here[0] ? overflow(here) + here[0] : 0;
}

static unsigned number(const char *text)
{
	return (unsigned)test_number(&text);
}

/* The loader gives no memory map, or the same memory twice. */
static void start_again(bool has_map)
{
	static const struct pvh_memory memory = { .base = 8u << 20, .size = 4u << 20, .type = 1 };
	const struct pvh_start_info info = {
		.magic = PVH_MAGIC,
		.version = 1,
		.memory_map = (uintptr_t)&memory,
		.nr_memory_map = has_map,
	};

	boot_main(&info);
}

static unsigned cpu;

static void end_on_cpu(void *how)
{
	volatile unsigned zero = 0;

	if (this_cpu()->id != cpu)
		return;
	switch (*(char *)how) {
	case 'p':
		hak_host_panic("as asked");
	case 'e':
		*(volatile char *)0xdeadbeef0 = 1;
		break;
	case 'd':
		double_free();
		break;
	case 'f':
		foreign_free(((char *)how)[1]);
		break;
	case 'n':
		start_again(false);
		break;
	case 's':
		start_again(true);
		break;
	case 'g':
		without_cpu(true);
		break;
	case 'G':
		without_cpu(false);
		break;
	case 'i':
		forgotten_enter();
		break;
	case 'l':
		for (volatile unsigned i = 0; i < PROBE_TURNS; i++)
			;
		break;
	case 'o':
		overflow(&zero);
		break;
	case 't':
		triple_fault();
		break;
	case 'h':
		for (;;)
			cpu_halt();
	case 'r': /* raw, as a kernel that knows nothing of exit.h */
		io_write32(QEMU_EXIT_PORT, number((char *)how + 4));
		break;
	case 'w': /* what its firmware's ACPI tables tell of QEMU's pc */
		__asm__ volatile("outw %w0, %w1" : : "a"(0x2000), "Nd"(0x604));
	}
}

int main(int argc, char **argv)
{
	if (argc > 2)
		cpu = number(argv[2]);
	if (argc < 2 || cpu >= smp_count())
		return 1;
	smp_run(end_on_cpu, argv[1]);
	return (int)number(argv[1]);
}
