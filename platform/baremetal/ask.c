/* SPDX-License-Identifier: MIT */
/*
 * The two functions by which a kernel manages memory that is short are called from here:
 * hak_host_pressure() before NULL, and hak_host_low_water() when a slow path of malloc or free
 * is over. At both places the allocator holds nothing. Neither is called in an interrupt handler.
 *
 * hak_host_pressure() is not called where it is under way on this CPU. So what it allocates itself
 * is NULL at once if there is no memory. This is noted in the area of the CPU where the call
 * began, and the note is taken back there, also if the thread has moved meanwhile.
 *
 * Lock: none. frames.c sets hak_low_due, and the CPU that clears it makes the call.
 */
#include "platform.h"

#include <base/lock.h>

_Atomic bool hak_low_due;

HAK_COLD bool hak_ask(size_t bytes)
{
	struct hak_cpu *cpu = this_cpu();
	bool again;

	hak_assert(!lock_is_any_held());
	if (cpu->asks || cpu->cache == hak_cache_never)
		return false;
	cpu->asks = true;
	again = hak_host_pressure(bytes);
	cpu->asks = false;
	return again;
}

HAK_COLD void hak_note(enum hak_reap_why why)
{
	hak_host_reap(why);
	if (hak_low_due && this_cache() != hak_cache_never && atomic_exchange(&hak_low_due, false))
		hak_host_low_water();
}
