/* SPDX-License-Identifier: MIT */
/*
 * gcc's unwinder, for the shared library. It is loaded when somebody asks for samples, so that
 * no other process pays for it. With glibc 2.35 and gcc 12, or later, it takes no lock and no
 * memory.
 */
#include <dlfcn.h>

#include "linux.h"

bool hak_unwinder_find(struct hak_unwinder *unwinder)
{
	void *library = dlopen("libgcc_s.so.1", RTLD_NOW);

	if (!library)
		return false;
	*(void **)&unwinder->backtrace = dlsym(library, "_Unwind_Backtrace");
	*(void **)&unwinder->ip = dlsym(library, "_Unwind_GetIP");
	*(void **)&unwinder->start = dlsym(library, "_Unwind_GetRegionStart");
	return unwinder->backtrace && unwinder->ip && unwinder->start;
}
