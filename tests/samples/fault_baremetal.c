/* SPDX-License-Identifier: MIT */
/*
 * Accesses that fault, by the handler of exceptions; and the function of the host by which a
 * kernel with page tables lets pages fault.
 */
#include "fault.h"

#include <boot.h>

#define TABLES 4 /* page tables: one for each 2 MiB in which a page faults */

static void *after[5];

bool hak_host_protect(void *base, size_t size, bool faults);

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

static void on_fault(uint64_t address, uint64_t rip)
{
	(void)address;
	(void)rip;
	__builtin_longjmp(after, 1);
}

void fault_init(void)
{
	fault_set(on_fault);
}

/* Functions of their own: only of a call does the compiler believe that it may jump. */
__attribute__((noinline)) static void read_byte(volatile char *byte)
{
	(void)*byte;
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void write_byte(volatile char *byte)
{
	*byte = 1;
	__asm__ volatile("" ::: "memory");
}

/* Through a pointer that it does not know, either. */
static bool faults(void (*volatile function)(volatile char *byte), volatile char *byte)
{
	if (__builtin_setjmp(after))
		return true;
	function(byte);
	return false;
}

bool fault_by_read(const volatile char *byte)
{
	return faults(read_byte, (volatile char *)byte);
}

bool fault_by_write(volatile char *byte)
{
	return faults(write_byte, byte);
}
