/* SPDX-License-Identifier: MIT */
/*
 * The beginning and the end of the heap. On Linux nothing needs the beginning: the first
 * request for memory attaches the platform's provider.
 *
 * Lock: hak_fini() holds that of the scan, so that no scan runs meanwhile.
 */
#include "base/layered.h"

#include <hakmem/hakmem.h>

#include <hakmem/host.h>

#include "api/request.h"
#include "api/sampled.h"
#include "base/sizeclass.h"
#include "base/usage.h"
#include "cache/cache.h"
#include "diag/stats.h"
#include "pages/meta.h"
#include "pages/pages.h"
#include "reclaim/scan.h"
#include "slab/class.h"
#include "superslab/arena.h"
#include "superslab/span.h"

/* Can this library do what @large asks for? */
static bool may_be_large(size_t large)
{
	if (PLATFORM_CACHED_BY_MEMORY)
		return large <= HAK_LARGE_NEVER;
	return large == HAK_LARGE_BY_MEMORY ||
	       large == (HAK_CACHED_MAX ? HAK_LARGE_ALWAYS : HAK_LARGE_NEVER);
}

static void choose_large(size_t large)
{
	hak_cached_max.most = large == HAK_LARGE_NEVER ? SLAB_MAX : HAK_CACHED_MAX;
	hak_cached_max.now = large == HAK_LARGE_ALWAYS ? HAK_CACHED_MAX : SLAB_MAX;
}

bool hak_init(const struct hak_provider *provider)
{
	platform_begin();
	if (!pages_attach(provider ? provider : platform_provider()))
		return false;
	if (PLATFORM_CACHED_BY_MEMORY)
		choose_large(HAK_LARGE_BY_MEMORY);
	return true;
}

int hak_init_with(const struct hak_options *options)
{
	struct hak_options given = { 0 };
	uintptr_t window = 0;

	if (options->size < sizeof(given.size) || options->size > sizeof(given))
		return HAK_INIT_OPTIONS;
	__builtin_memcpy(&given, options, options->size);
	if (!may_be_large(given.large))
		return HAK_INIT_LARGE;
	if (given.debug && !(IS_ENABLED(HAK_DEBUG_LAYER) && hak_debug_choose(given.debug, false)))
		return HAK_INIT_DEBUG;
	if (IS_ENABLED(CONFIG_HAK_WINDOW))
		window = given.window_base & ~(((uintptr_t)1 << HAK_LEAF_BITS) - 1);
	if (!pages_reach(window, given.window_base, MAX(given.window_size, 1)))
		return HAK_INIT_WINDOW;
	if (!hak_init(given.provider))
		return HAK_INIT_PROVIDER;
	if (IS_ENABLED(HAK_DEBUG_LAYER) && given.debug)
		hak_debug_choose(given.debug, true);
	pages_set_window(window);
	if (PLATFORM_CACHED_BY_MEMORY)
		choose_large(given.large);
	return HAK_INIT_DONE;
}

/* There are no samples, unless the platform links sampled.c. */
static void no_samples(void)
{
}

REPLACEABLE(hak_samples_fini, no_samples);

void hak_fini(void)
{
	this_cache_set(CACHE_NONE);
	scan_fini_begin();
	hak_samples_fini();
	cache_fini();
	class_fini();
	span_fini();
	hak_usage.bytes = hak_usage.peak = 0;
	stats_fini();
	arena_fini();
	pagemap_fini();
	meta_fini();
	pages_detach();
	scan_fini_end();
}
