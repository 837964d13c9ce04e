/* SPDX-License-Identifier: MIT */
/*
 * The beginning and the end of the heap. On Linux nothing needs the beginning: the first
 * request for memory attaches the platform's provider.
 *
 * Lock: hak_fini() holds that of the scan, so that no scan runs meanwhile.
 */
#include <hakmem/hakmem.h>

#include "cache/cache.h"
#include "diag/stats.h"
#include "pages/meta.h"
#include "pages/pages.h"
#include "reclaim/scan.h"
#include "slab/class.h"
#include "superslab/arena.h"
#include "superslab/span.h"

bool hak_init(const struct hak_provider *provider)
{
	return pages_attach(provider ? provider : platform_provider());
}

void hak_fini(void)
{
	this_cache_set(CACHE_NONE);
	scan_fini_begin();
	cache_fini();
	class_fini();
	span_fini();
	stats_fini();
	arena_fini();
	pagemap_fini();
	meta_fini();
	pages_detach();
	scan_fini_end();
}
