/* SPDX-License-Identifier: MIT */
/*
 * The only caller of the provider. It attaches the provider, checks what the provider
 * returns, and counts. The first request for memory attaches the provider of the platform,
 * so that nothing has to be initialised before.
 *
 * Memory that is misaligned, or out of the page map's reach, is handed back to the provider,
 * and the request fails as if there was none.
 *
 *	mapped  <=  requested
 *
 * Lock: none is taken, and no caller holds one but that of the scan.
 */
#include "pages/pages.h"

#include <hakmem/host.h>

#include "base/lock.h"
#include "base/policy.h"
#include "base/sizeclass.h"

extern inline uintptr_t pages_window(void);

struct pages_counters pages_counters;
_Atomic size_t pages_left = SIZE_MAX;
uintptr_t hak_window_base;
bool pages_purgeable;

static const struct hak_provider *_Atomic attached;

static void pages_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/**
 * pages_attach() - set the provider
 * @provider: stays valid until pages_detach()
 *
 * Returns false if @provider is NULL or lacks map(), or if there is a provider already.
 */
bool pages_attach(const struct hak_provider *provider)
{
	const struct hak_provider *none = NULL;

	if (!provider || !provider->map)
		return false;
	/* release: pairs with the acquire in provider_get() */
	return atomic_compare_exchange_strong_explicit(&attached, &none, provider,
						       memory_order_release, memory_order_relaxed);
}

/* Forget the provider and the counters. For hak_fini(), which has returned all memory before. */
void pages_detach(void)
{
	atomic_store_explicit(&attached, NULL, memory_order_relaxed);
	pages_counters = (struct pages_counters){ 0 };
	pages_left = SIZE_MAX;
	pages_set_window(0);
}

static const struct hak_provider *provider_get(void)
{
	/* acquire: pairs with the release in pages_attach() */
	return atomic_load_explicit(&attached, memory_order_acquire);
}

/* Does the provider say so? */
bool pages_small_records(void)
{
	const struct hak_provider *provider = provider_get();

	return provider && provider->small_records;
}

/* The provider is called for whole pages, and with no lock held. */
static void assert_pages(const struct hak_provider *provider, const void *base, size_t size)
{
	hak_assert(provider && !lock_is_any_held());
	hak_assert(base && (uintptr_t)base % PAGE_SIZE == 0 && size && size % PAGE_SIZE == 0);
}

/* Is the memory that map() returned aligned, and inside of the page map's reach? */
static bool mapping_is_sound(const struct hak_mapping *mapping, size_t size, size_t align)
{
	uintptr_t base = (uintptr_t)mapping->base;

	return base && !(base & (align - 1)) && pages_reach(pages_window(), base, size) &&
	       (!IS_ENABLED(CONFIG_HAK_WINDOW) || base + size > base);
}

/* The provider has mapped @size bytes, and has so many @left. */
static void note_left(size_t left, size_t size)
{
	pages_left = left;
	if (PLATFORM_CACHED_BY_MEMORY && left != SIZE_MAX && left + size >= POLICY_CACHES_SPANS)
		WRITE_ONCE(hak_cached_max.now, hak_cached_max.most);
}

/**
 * pages_map() - get memory
 * @size:  in bytes, a multiple of HAK_GRANULE
 * @align: in bytes, a power of two, at least HAK_GRANULE
 * @want:  what it is for
 * @out:   is filled in: where the memory is, and its HAK_PAGES_*
 *
 * Called with no lock held but that of the scan, as all functions of this file. May be
 * called in an interrupt handler. Returns false if there is no such memory.
 */
bool pages_map(size_t size, size_t align, enum hak_want want, struct hak_mapping *out)
{
	const struct hak_provider *provider = provider_get();

	hak_assert(!lock_is_any_held() && size && size % HAK_GRANULE == 0);
	hak_assert(is_power_of_two(align) && align >= HAK_GRANULE);
	if (!provider) {
		pages_attach(platform_provider());
		provider = provider_get();
		if (!provider)
			return false;
	}
	*out = (struct hak_mapping){ .left = SIZE_MAX };
	if (provider->map(provider->ctx, size, align, want, out)) {
		pages_count(&pages_counters.failures, 1);
		if (size == SUPERSLAB_SIZE)
			pages_left = 0;
		return false;
	}
	if (!mapping_is_sound(out, size, align)) {
		pages_count(&pages_counters.failures, 1);
		if (out->base && provider->unmap)
			provider->unmap(provider->ctx, out->base, size);
		return false;
	}
	if (!PLATFORM_PURGES && !pages_purgeable)
		out->flags &= ~HAK_PAGES_PURGE;
	if (want == HAK_WANT_HEAP)
		note_left(out->left, size);
	pages_count(&pages_counters.maps, 1);
	pages_count(&pages_counters.requested, size);
	pages_count(&pages_counters.mapped, size);
	return true;
}

/**
 * pages_unmap() - release memory
 * @base: of a mapping, or of a SuperSlab inside of one
 * @size: in bytes: of all of the mapping, or of whole SuperSlabs
 *
 * Returns false if the provider refuses: the memory stays ours, its contents are lost.
 */
bool pages_unmap(void *base, size_t size)
{
	const struct hak_provider *provider = provider_get();
	uint64_t mapped;

	assert_pages(provider, base, size);
	if (!provider->unmap || provider->unmap(provider->ctx, base, size))
		return false;
	pages_left = SIZE_MAX; /* until it is asked again */
	pages_count(&pages_counters.unmaps, 1);
	mapped = atomic_fetch_sub_explicit(&pages_counters.mapped, size, memory_order_relaxed);
	hak_assert(mapped >= size);
	return true;
}

/**
 * pages_purge() - release what backs some pages, and keep their addresses
 * @base: aligned to PAGE_SIZE
 * @size: in bytes, whole pages of one mapping
 *
 * Returns the HAK_PAGES_* that hold from now on, or a negative value if the provider refuses:
 * the contents are then what they were.
 */
int pages_purge(void *base, size_t size)
{
	const struct hak_provider *provider = provider_get();
	int flags;

	assert_pages(provider, base, size);
	if (!provider->purge)
		return -1;
	flags = provider->purge(provider->ctx, base, size);
	if (flags >= 0) {
		pages_count(&pages_counters.purges, 1);
		pages_count(&pages_counters.purged, size);
	} else {
		pages_count(&pages_counters.purges_refused, 1);
	}
	return flags;
}

/* The program will soon write to all of these pages, which are whole pages of one mapping. */
void pages_populate(void *base, size_t size)
{
	const struct hak_provider *provider = provider_get();

	assert_pages(provider, base, size);
	if (provider->populate)
		provider->populate(provider->ctx, base, size);
}

/* Can the provider move memory at all? There is a provider. */
bool pages_moves(void)
{
	return provider_get()->move;
}

/**
 * pages_move() - move the memory behind some pages to other addresses, without a copy
 * @from:  aligned to PAGE_SIZE; the contents there are lost as far as memory has moved
 * @to:    likewise; what was behind these pages goes back
 * @size:  in bytes, whole pages that lie in one SuperSlab, here and there
 * @flags: HAK_PAGES_*; those stay set that hold at @from from now on
 *
 * A provider may refuse to move a range, and still move a part of it. So a range that it
 * refuses is tried again with half the length, down to a page, and then the rest of @size.
 * Returns how many bytes have moved, from the start.
 */
size_t pages_move(void *from, void *to, size_t size, unsigned *flags)
{
	const struct hak_provider *provider = provider_get();
	size_t done = 0, part = provider->move ? size : 0;

	assert_pages(provider, from, size);
	assert_pages(provider, to, size);
	while (part) {
		int hold =
			provider->move(provider->ctx, (char *)from + done, (char *)to + done, part);

		if (hold < 0) {
			part = part / 2 & ~(PAGE_SIZE - 1);
			continue;
		}
		*flags &= (unsigned)hold;
		done += part;
		part = size - done;
	}
	pages_count(&pages_counters.moved, done);
	return done;
}

/**
 * pages_resident() - does the provider know this memory, and how much of it is backed?
 * @base:  any address that is aligned to PAGE_SIZE
 * @size:  in bytes, whole pages
 * @bytes: is set to how many of them are backed; 0 if that is not known
 *
 * For statistics and reports. Works before anything is attached: it then asks the provider
 * of the platform.
 */
enum pages_state pages_resident(const void *base, size_t size, size_t *bytes)
{
	const struct hak_provider *provider = provider_get();

	if (!provider)
		provider = platform_provider();
	*bytes = 0;
	if (!provider || !provider->resident)
		return PAGES_UNKNOWN;
	return provider->resident(provider->ctx, base, size, bytes) ? PAGES_UNMAPPED : PAGES_MAPPED;
}
