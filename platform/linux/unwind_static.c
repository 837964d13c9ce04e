/* SPDX-License-Identifier: MIT */
/*
 * gcc's unwinder, for the archive, if the program has it: C++ does. One in C that wants to know
 * stacks is linked with -Wl,-u,_Unwind_Backtrace,-u,_Unwind_GetIP,-u,_Unwind_GetRegionStart.
 */
#include "linux.h"

extern int _Unwind_Backtrace(int (*visit)(struct _Unwind_Context *context, void *ctx), void *ctx)
	__attribute__((weak));
extern uintptr_t _Unwind_GetIP(struct _Unwind_Context *context) __attribute__((weak));
extern uintptr_t _Unwind_GetRegionStart(struct _Unwind_Context *context) __attribute__((weak));

bool hak_unwinder_find(struct hak_unwinder *unwinder)
{
	unwinder->locks = true;
	unwinder->backtrace = _Unwind_Backtrace;
	unwinder->ip = _Unwind_GetIP;
	unwinder->start = _Unwind_GetRegionStart;
	return unwinder->backtrace && unwinder->ip && unwinder->start;
}
