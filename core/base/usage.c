/* SPDX-License-Identifier: MIT */
/*
 * How many bytes are in blocks, and the most that ever were. Blocks are counted when slabs and
 * spans hand them out, batch by batch, so those that wait in magazines are counted, too. To count
 * what the program has would cost the fast path.
 *
 *	bytes  ==  sum over the classes of (allocated - freed) * size, and the lengths of all spans
 *
 * Lock: none. Two who raise the peak at once may leave the lower one, which is too low by what
 * the other one had just been given.
 */
#include "base/usage.h"

struct usage hak_usage;

void usage_add(size_t bytes)
{
	uint64_t now = atomic_fetch_add_explicit(&hak_usage.bytes, bytes, memory_order_relaxed);

	now += bytes;
	if (now > atomic_load_explicit(&hak_usage.peak, memory_order_relaxed))
		atomic_store_explicit(&hak_usage.peak, now, memory_order_relaxed);
}
