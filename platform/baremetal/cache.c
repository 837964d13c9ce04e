/* SPDX-License-Identifier: MIT */
/*
 * The core's way to give this CPU a cache of its own. Only this CPU reads or
 * writes the field, so there is no lock, and nothing can fail.
 */
#include <hakmem/host.h>

#include <platform.h>

bool hak_host_set_cache(struct hak_cache *cache)
{
	this_cpu()->cache = cache;
	return true;
}
