/* SPDX-License-Identifier: MIT */
/*
 * The function of the host by which a kernel with page tables lets pages fault, for images.
 */
#include <boot.h>
#include <hakmem/host.h>

#define TABLES 64 /* page tables: one for each 2 MiB in which a page faults */

static void *new_table(size_t size)
{
	static char tables[TABLES][BOOT_PAGE_SIZE] __attribute__((aligned(BOOT_PAGE_SIZE)));
	static unsigned n;

	return n < TABLES && size == BOOT_PAGE_SIZE ? tables[n++] : NULL;
}

bool hak_host_protect(void *base, size_t size, bool faults)
{
	for (uint64_t page = (uintptr_t)base; page < (uintptr_t)base + size; page += BOOT_PAGE_SIZE)
		if (paging_protect(page, faults, new_table))
			return false;
	return true;
}
