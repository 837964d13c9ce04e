/* SPDX-License-Identifier: MIT */
/*
 * An image that ends as its argument says, so that check-status.sh can tell
 * whether qemu/run.sh notices.
 */
#include <cpu.h>
#include <frames.h>
#include <machine.h>

#include <hakmem/hakmem.h>
#include <hakmem/host.h>

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

static unsigned number(const char *text)
{
	unsigned value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (unsigned)(*text - '0');
	return value;
}

int main(int argc, char **argv)
{
	switch (argc > 1 ? argv[1][0] : '0') {
	case 'p':
		hak_host_panic("as asked");
	case 'e':
		*(volatile char *)0xdeadbeef0 = 1;
		break;
	case 'd':
		double_free();
		break;
	case 't':
		triple_fault();
		break;
	case 'h':
		for (;;)
			cpu_halt();
	default:
		return (int)number(argv[1]);
	}
	return 0;
}
