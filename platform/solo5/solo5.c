/* SPDX-License-Identifier: MIT */
/*
 * hakmem in a unikernel on Solo5: its memory, and what hakmem asks of Solo5: the console, and
 * a way to stop.
 *
 * There is one CPU, and no interrupt handler of the program. So there is nothing to turn off,
 * and nobody to wait for. On spt the program is a process, in which the instructions for it
 * are not allowed.
 */
#include <hakmem/frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <hakmem/machine.h>

#include <solo5.h>

#include "hakmem_solo5.h"

struct hak_cpu hak_solo5_cpu;

bool hak_solo5_init(uintptr_t start, size_t size)
{
	size_t stack = size / 4 < HAK_SOLO5_STACK ? size / 4 : HAK_SOLO5_STACK;

	hak_cpu_init(&hak_solo5_cpu, 0);
	return hak_region_add(start, size - stack) == HAK_REGION_ADDED &&
	       hak_init(&hak_frames_provider);
}

void hak_console_write(const char *text, size_t length)
{
	solo5_console_write(text, length);
}

HAK_NORETURN void hak_host_panic(const char *line)
{
	size_t length = 0;

	while (line[length])
		length++;
	solo5_console_write(line, length);
	solo5_console_write("\n", 1);
	solo5_abort();
}

unsigned long hak_host_irq_save(void)
{
	return 0;
}

void hak_host_irq_restore(unsigned long saved)
{
	(void)saved;
}

bool hak_host_barrier(void)
{
	return true;
}
