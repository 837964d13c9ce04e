/* SPDX-License-Identifier: MIT */
/*
 * Page tables after start-up: memory above 4 GiB, page 0, and the guards below
 * stacks. What else is below 4 GiB was mapped by boot.S.
 *
 * This file owns the entries of boot_pdpt from the fifth on. Only RAM is mapped, one to
 * one, in 2 MiB pages: a wild pointer faults instead of reaching a device that a big table
 * would have covered. These entries only ever change from absent to present, so no TLB
 * flush is needed. Only this CPU has to know of pages that fault.
 *
 * It runs at start-up only, without a lock. On failure what was mapped stays, which is
 * harmless.
 */
#include "boot.h"

#define PAGE_PRESENT  0x01
#define PAGE_WRITABLE 0x02
#define PAGE_LARGE    0x80
#define PAGE_ADDRESS  0x000ffffffffff000u

#define SIZE_2M	  ((uint64_t)2 << 20)
#define SIZE_1G	  ((uint64_t)1 << 30)
#define SIZE_512G ((uint64_t)512 << 30)

/* The page directory of the GiB that holds @address, a new one if need be. */
static uint64_t *page_directory(uint64_t address, void *(*alloc)(size_t size))
{
	uint64_t *entry = &boot_pdpt[address / SIZE_1G];

	if (!(*entry & PAGE_PRESENT)) {
		uint64_t *page = alloc(BOOT_PAGE_SIZE);

		if (!page)
			return NULL;
		for (unsigned i = 0; i < 512; i++)
			page[i] = 0;
		*entry = (uintptr_t)page | PAGE_PRESENT | PAGE_WRITABLE;
	}
	return (uint64_t *)(uintptr_t)(*entry & PAGE_ADDRESS);
}

int paging_map(uint64_t base, uint64_t end, void *(*alloc)(size_t size))
{
	if (end > SIZE_512G)
		return -1;
	for (uint64_t address = base & ~(SIZE_2M - 1); address < end; address += SIZE_2M) {
		uint64_t *directory = page_directory(address, alloc);

		if (!directory)
			return -1;
		directory[address / SIZE_2M % 512] =
			address | PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE;
	}
	return 0;
}

int paging_protect(uint64_t address, bool faults, void *(*alloc)(size_t size))
{
	uint64_t *entry = &page_directory(address, alloc)[address / SIZE_2M % 512];
	uint64_t *table;

	if (*entry & PAGE_LARGE) {
		uint64_t base = *entry & PAGE_ADDRESS;

		table = alloc(BOOT_PAGE_SIZE);
		if (!table)
			return -1;
		for (unsigned i = 0; i < 512; i++)
			table[i] = (base + i * BOOT_PAGE_SIZE) | PAGE_PRESENT | PAGE_WRITABLE;
		*entry = (uintptr_t)table | PAGE_PRESENT | PAGE_WRITABLE;
	}
	table = (uint64_t *)(uintptr_t)(*entry & PAGE_ADDRESS);
	table[address / BOOT_PAGE_SIZE % 512] =
		faults ? 0 : (address & PAGE_ADDRESS) | PAGE_PRESENT | PAGE_WRITABLE;
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
	return 0;
}
