/* SPDX-License-Identifier: MIT */
/*
 * A CPU goes away: its cache serves the next one that has none.
 *
 * The stand-in for a CPU without a cache comes first. An interrupt that comes later finds it,
 * and works block by block.
 */
#include "machine.h"

#include <cache/cache.h>

void hak_cpu_fini(void)
{
	struct hak_cache *cache = hak_cpu_cache();

	hak_cpu_set_cache(hak_cache_never);
	if (cache != hak_cache_none && cache != hak_cache_never)
		hak_cache_detach(cache);
}
