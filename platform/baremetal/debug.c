/* SPDX-License-Identifier: MIT */
/*
 * Who and when, for the debug build (core/debug/): the number of the CPU, and its time stamp.
 */
#include "platform.h"

#include <cpu.h>

#include "debug/record.h"

unsigned hak_debug_who(void)
{
	return this_cpu_id();
}

uint64_t hak_debug_now(void)
{
	return cpu_read_tsc();
}
