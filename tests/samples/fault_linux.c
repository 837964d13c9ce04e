/* SPDX-License-Identifier: MIT */
/*
 * Accesses that fault, by a handler of SIGSEGV.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

#include "fault.h"

static sigjmp_buf after;

static void on_fault(int number)
{
	(void)number;
	siglongjmp(after, 1);
}

void fault_init(void)
{
	signal(SIGSEGV, on_fault);
}

bool fault_by_read(const volatile char *byte)
{
	if (sigsetjmp(after, 1))
		return true;
	(void)*byte;
	return false;
}

bool fault_by_write(volatile char *byte)
{
	if (sigsetjmp(after, 1))
		return true;
	*byte = 1;
	return false;
}
