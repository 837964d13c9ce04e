/* SPDX-License-Identifier: MIT */
/*
 * The two functions by which a kernel manages memory that is short are called from here:
 * hak_host_pressure() before NULL, and hak_host_low_water() when a slow path of malloc or free
 * is over. At both places the allocator holds nothing.
 *
 * Neither is called in an interrupt handler, nor where one of them is under way on this CPU. So
 * what they allocate themselves is NULL at once if there is no memory. That one is under way is
 * noted in the area of the CPU where the call began, and the note is taken back there, also if the
 * thread has moved meanwhile.
 *
 * Lock: none. frames.c sets hak_low_due, and the CPU that clears it makes the call.
 */
#include "platform.h"

#include <base/lock.h>

_Atomic bool hak_low_due;

static bool may_ask(const struct hak_cpu *cpu)
{
	hak_assert(!lock_is_any_held());
	return !cpu->asks && cpu->cache != hak_cache_never;
}

HAK_COLD bool hak_ask(size_t bytes)
{
	struct hak_cpu *cpu = this_cpu();
	bool again;

	if (!may_ask(cpu))
		return false;
	cpu->asks = true;
	again = hak_host_pressure(bytes);
	cpu->asks = false;
	return again;
}

HAK_COLD void hak_note(enum hak_reap_why why)
{
	struct hak_cpu *cpu = this_cpu();

	hak_host_reap(why);
	if (!hak_low_due || !may_ask(cpu) || !atomic_exchange(&hak_low_due, false))
		return;
	cpu->asks = true;
	hak_host_low_water();
	cpu->asks = false;
}
