/* SPDX-License-Identifier: MIT */
/*
 * How much memory stands behind the heap.
 *
 * Lock: that of the arena, for a few SuperSlabs at a time. What is read may move meanwhile.
 */
#include "diag/stats.h"
#include "pages/meta.h"
#include "pages/pages.h"
#include "superslab/arena.h"

/*
 * How many bytes of the arena are backed, and of its descriptors where these are in no chunk? The
 * provider is asked for a few SuperSlabs at a time, with the lock dropped. One that comes or goes
 * meanwhile may be missed. All of a part is backed.
 */
uint64_t stats_resident(void)
{
	uintptr_t batch[32];
	size_t done = 0, skip, n, bytes;
	uint64_t sum = 0;

	do {
		n = 0;
		skip = done;
		arena_lock();
		for (struct superslab *superslab = arena_first();
		     superslab && n < ARRAY_SIZE(batch); superslab = arena_next(superslab))
			if (!skip)
				batch[n++] = superslab->pages ? 0 : superslab->base;
			else
				skip--;
		sum = n ? sum : sum - hak_arena.counters.units_absent * UNIT_SIZE;
		arena_unlock();
		done += n;
		for (size_t i = 0; i < n; i++)
			sum += !batch[i] || pages_resident((void *)batch[i], SUPERSLAB_SIZE,
							   &bytes) == PAGES_UNKNOWN
				       ? SUPERSLAB_SIZE
				       : bytes;
	} while (n);
	return sum + meta_is_apart(META_SUPERSLAB) * done * sizeof(struct superslab);
}
