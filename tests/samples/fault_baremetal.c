/* SPDX-License-Identifier: MIT */
/*
 * Accesses that fault, by the handler of exceptions.
 */
#include "fault.h"

#include <boot.h>

static void *after[5];

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
