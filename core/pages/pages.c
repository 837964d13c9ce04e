/* SPDX-License-Identifier: MIT */
/*
 * The only caller of the provider. Attaches it (the first request for memory
 * attaches the host's own, so that nothing has to be initialised before),
 * checks what it returns, and counts.
 *
 * A provider that returns memory that is misaligned or out of the page map's
 * reach is treated like one that has none: the request fails, the memory goes
 * back.
 *
 * Lock: none. No lock is held by any caller either.
 */
#include "pages/pages.h"

#include <hakmem/host.h>

#include "base/lock.h"

struct pages_counters pages_counters;

static const struct hak_provider *_Atomic attached;

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

bool pages_attach(const struct hak_provider *provider)
{
	const struct hak_provider *none = NULL;

	if (!provider || !provider->map)
		return false;
	/* release: pairs with the acquire in provider_get() */
	return atomic_compare_exchange_strong_explicit(&attached, &none, provider,
						       memory_order_release, memory_order_relaxed);
}

/* After all memory has gone back. */
void pages_detach(void)
{
	atomic_store_explicit(&attached, NULL, memory_order_relaxed);
	pages_counters = (struct pages_counters){ 0 };
}

static const struct hak_provider *provider_get(void)
{
	/* acquire: pairs with the release in pages_attach() */
	return atomic_load_explicit(&attached, memory_order_acquire);
}

static bool mapping_is_sound(const struct hak_mapping *mapping, size_t size, size_t align)
{
	uintptr_t base = (uintptr_t)mapping->base;

	return base && !(base & (align - 1)) && size <= ((uintptr_t)1 << HAK_ADDRESS_BITS) &&
	       base <= ((uintptr_t)1 << HAK_ADDRESS_BITS) - size;
}

bool pages_map(size_t size, size_t align, enum hak_want want, struct hak_mapping *out)
{
	const struct hak_provider *provider = provider_get();

	hak_assert(!lock_is_any_held());
	if (!provider) {
		pages_attach(platform_provider());
		provider = provider_get();
		if (!provider)
			return false;
	}
	*out = (struct hak_mapping){ 0 };
	if (provider->map(provider->ctx, size, align, want, out)) {
		count(&pages_counters.failures, 1);
		return false;
	}
	if (!mapping_is_sound(out, size, align)) {
		count(&pages_counters.failures, 1);
		if (out->base && provider->unmap)
			provider->unmap(provider->ctx, out->base, size);
		return false;
	}
	count(&pages_counters.maps, 1);
	count(&pages_counters.requested, size);
	count(&pages_counters.mapped, size);
	return true;
}

bool pages_unmap(void *base, size_t size)
{
	const struct hak_provider *provider = provider_get();

	hak_assert(!lock_is_any_held());
	if (!provider->unmap || provider->unmap(provider->ctx, base, size))
		return false;
	count(&pages_counters.unmaps, 1);
	atomic_fetch_sub_explicit(&pages_counters.mapped, size, memory_order_relaxed);
	return true;
}

int pages_purge(void *base, size_t size)
{
	const struct hak_provider *provider = provider_get();
	int flags;

	hak_assert(!lock_is_any_held());
	if (!provider->purge)
		return -1;
	flags = provider->purge(provider->ctx, base, size);
	if (flags >= 0) {
		count(&pages_counters.purges, 1);
		count(&pages_counters.purged, size);
	} else {
		count(&pages_counters.purges_refused, 1);
	}
	return flags;
}

bool pages_moves(void)
{
	return provider_get()->move;
}

/* What is refused as a whole may still go in parts: halves, halves of these, and so on. */
size_t pages_move(void *from, void *to, size_t size, unsigned *flags)
{
	const struct hak_provider *provider = provider_get();
	size_t done = 0, part = provider->move ? size : 0;

	hak_assert(!lock_is_any_held());
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
	count(&pages_counters.moved, done);
	return done;
}

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
