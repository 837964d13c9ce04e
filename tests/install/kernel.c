/* SPDX-License-Identifier: MIT */
/*
 * The least kernel that uses the library: what its page says must do for it. It is loaded by
 * qemu/example/start.S.
 */
#include <hakmem/frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/machine.h>

static struct hak_cpu cpu;

void kernel_main(void);

void kernel_main(void)
{
	static const char said[] = "a block was allocated\n";
	unsigned status = 1;
	void *block;

	hak_console_init();
	hak_cpu_init(&cpu, 0);
	hak_region_add((uintptr_t)4 << 20, (size_t)60 << 20);
	hak_init(&hak_frames_provider);
	block = hak_malloc(100);
	if (block) {
		hak_free(block);
		hak_console_write(said, sizeof(said) - 1);
		status = 0;
	}
	__asm__ volatile("outl %0, %1" : : "a"(status + 16), "Nd"((unsigned short)0xf4));
	for (;;)
		__asm__ volatile("hlt");
}
