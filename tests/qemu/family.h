/* SPDX-License-Identifier: MIT */
/*
 * A kernel that uses malloc's family, whose size is measured. It is linked and not run: it has no
 * boot of its own, since the kernel's boot is not what the library costs. That of the images here
 * would link hak_format(), and more.
 */
#ifndef HAKMEM_TESTS_FAMILY_H
#define HAKMEM_TESTS_FAMILY_H

#include <frames.h>

#include <hakmem/hakmem.h>
#include <machine.h>

void kernel_main(void);

/* Returns 0 if all went well. */
static inline int use_family(void)
{
	static struct hak_cpu cpu;
	void *block, *other;

	hak_console_init();
	hak_cpu_init(&cpu, 0);
	hak_region_add(16 << 20, 64 << 20);
	if (!hak_init(&hak_frames_provider))
		return 1;
	block = hak_malloc(100);
	block = hak_realloc(block, 200);
	other = hak_aligned_alloc(64, 100);
	if (!block || !other || hak_usable_size(block) < 200)
		return 2;
	hak_free(block);
	hak_free(other);
	hak_free(hak_calloc(2, 10));
	return 0;
}

#endif
