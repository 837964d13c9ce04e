/* SPDX-License-Identifier: MIT */
/*
 * Who and when, for the debug build (core/debug/): the kernel's number of the thread, and
 * milliseconds since the machine was started.
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "debug/record.h"
#include "linux.h"

unsigned hak_debug_who(void)
{
	return (unsigned)syscall(SYS_gettid);
}

uint64_t hak_debug_now(void)
{
	return hak_now_ns() / 1000000;
}
