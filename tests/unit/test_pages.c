/* SPDX-License-Identifier: MIT */
/*
 * core/pages/pages.c: attaching, the checks of what a provider returns, the counts.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <hakmem/host.h>
#include <pages/pages.h>

static int no_map(void *ctx, size_t size, size_t align, enum hak_want want, struct hak_mapping *out)
{
	(void)ctx;
	(void)size;
	(void)align;
	(void)want;
	(void)out;
	return -1;
}

static void pages_attaching(void)
{
	const struct hak_provider without_map = { .name = "without map" };
	const struct hak_provider one = { .name = "one", .map = no_map };
	const struct hak_provider two = { .name = "two", .map = no_map };

	CHECK(!pages_attach(NULL));
	CHECK(!pages_attach(&without_map));
	CHECK(pages_attach(&one));
	CHECK(!pages_attach(&two));
	CHECK(!pages_attach(&one));
	CHECK(!hak_init(&two));
	pages_detach();
	CHECK(hak_init(&two));
	hak_fini();
	CHECK(!hak_init(&without_map));
}

/* The host's own provider is attached by the first request, if there is one. */
static void pages_default_provider(void)
{
	struct hak_mapping mapping;
	bool mapped = pages_map(HAK_GRANULE, HAK_GRANULE, HAK_WANT_META, &mapping);

	CHECK(mapped == (platform_provider() != NULL));
	if (mapped) {
		CHECK(!pages_attach(platform_provider()));
		CHECK(pages_unmap(mapping.base, HAK_GRANULE));
	}
	CHECK(pages_counters.mapped == 0);
	pages_detach();
}

static void pages_counts(void)
{
	struct hak_mapping heap, meta;

	CHECK(unit_open(8 * MIB, FAKE_ZERO, FAKE_PURGE_ZERO));
	CHECK(pages_map(4 * MIB, 2 * MIB, HAK_WANT_HEAP, &heap));
	CHECK(heap.flags == (HAK_PAGES_ZERO | HAK_PAGES_PURGE));
	CHECK(pages_map(64 * KIB, 4 * KIB, HAK_WANT_META, &meta));
	CHECK(pages_counters.maps == 2 && pages_counters.failures == 0);
	CHECK(pages_counters.requested == 4 * MIB + 64 * KIB);
	CHECK(pages_counters.mapped == unit_balance());

	CHECK(!pages_map(16 * MIB, 2 * MIB, HAK_WANT_HEAP, &(struct hak_mapping){ 0 }));
	CHECK(pages_counters.maps == 2 && pages_counters.failures == 1);
	CHECK(pages_counters.requested == 4 * MIB + 64 * KIB);

	CHECK(pages_unmap((char *)heap.base + 2 * MIB, 2 * MIB));
	CHECK(pages_counters.unmaps == 1);
	CHECK(pages_counters.mapped == 2 * MIB + 64 * KIB);
	CHECK(pages_unmap(meta.base, 64 * KIB));
	CHECK(pages_unmap(heap.base, 2 * MIB));
	CHECK(pages_counters.unmaps == 3 && pages_counters.mapped == 0);
	CHECK(pages_counters.requested == 4 * MIB + 64 * KIB);
	CHECK(unit_close());
	CHECK(pages_counters.maps == 0 && pages_counters.requested == 0);
}

/* Memory that cannot be used is a failure, and goes back. */
static void pages_unsound_memory(void)
{
	static const enum fake_fault faults[] = { FAKE_FAILS, FAKE_MISALIGNED, FAKE_UNREACHABLE,
						  FAKE_NULL };
	struct hak_mapping mapping;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_NONE));
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
		fake_fail(&unit_fake, FAKE_MAP, 1, false, faults[i]);
		CHECK(!pages_map(2 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
		fake_fail(&unit_fake, FAKE_MAP, 1, false, faults[i]);
		CHECK(!pages_map(8 * KIB, 4 * KIB, HAK_WANT_META, &mapping));
		CHECK(unit_balance() == 0);
		CHECK(pages_counters.failures == 2 * (i + 1));
	}
	CHECK(unit_fake.faults == 2 * ARRAY_SIZE(faults));
	CHECK(pages_counters.maps == 0 && pages_counters.unmaps == 0);
	CHECK(pages_counters.requested == 0 && pages_counters.mapped == 0);
	CHECK(pages_map(2 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	CHECK(mapping.flags == 0);
	CHECK(pages_unmap(mapping.base, 2 * MIB));
	CHECK(unit_close());
}

#define REACH ((uintptr_t)1 << HAK_ADDRESS_BITS)

static int map_at_end(void *ctx, size_t size, size_t align, enum hak_want want,
		      struct hak_mapping *out)
{
	(void)align;
	(void)want;
	out->base = (void *)(pages_window() + REACH - size + *(size_t *)ctx);
	out->flags = 0;
	return 0;
}

/* The last page that the page map reaches is good, the one behind it not. */
static void pages_end_of_addresses(void)
{
	size_t beyond = 0;
	const struct hak_provider provider = { .name = "end", .ctx = &beyond, .map = map_at_end };
	struct hak_mapping mapping;

	CHECK(pages_attach(&provider));
	CHECK(pages_map(4 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	beyond = 2 * MIB;
	CHECK(!pages_map(4 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	beyond = 4 * MIB;
	CHECK(!pages_map(4 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	CHECK(pages_counters.failures == 2);
	pages_detach();
}

/* What hak_init_with() says of a window. */
static int window(uintptr_t base, size_t size)
{
	size_t beyond = 0;
	const struct hak_provider provider = { .name = "end", .ctx = &beyond, .map = map_at_end };
	const struct hak_options options = {
		.size = sizeof(options),
		.provider = &provider,
		.window_base = base,
		.window_size = size,
	};
	struct hak_mapping mapping = { 0 };
	int result = hak_init_with(&options);

	if (result != HAK_INIT_DONE)
		return result;
	if (!pages_map(2 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping) ||
	    (uintptr_t)mapping.base != pages_window() + REACH - 2 * MIB)
		result = 1;
	pages_detach();
	return result;
}

/* A library that was built for windows accepts all that it reaches; any other only the lowest. */
static void pages_windows(void)
{
	int far = IS_ENABLED(CONFIG_HAK_WINDOW) ? HAK_INIT_DONE : HAK_INIT_WINDOW;
	uintptr_t leaf = (uintptr_t)1 << HAK_LEAF_BITS;

	CHECK(window(0, 0) == HAK_INIT_DONE);
	CHECK(window(0, REACH) == HAK_INIT_DONE);
	CHECK(window(0, REACH + 1) == HAK_INIT_WINDOW);
	CHECK(window(0, SIZE_MAX) == HAK_INIT_WINDOW);
	CHECK(window(leaf - 1, REACH - leaf + 1) == HAK_INIT_DONE);
	CHECK(window(leaf - 1, REACH - leaf + 2) == HAK_INIT_WINDOW);
	CHECK(window(leaf, REACH) == far);
	CHECK(window(leaf, REACH + 1) == HAK_INIT_WINDOW);
	CHECK(window(REACH - 1, 1) == HAK_INIT_DONE);
	CHECK(window(REACH, 0) == far && window(REACH, REACH) == far);
	CHECK(window(0xffff800000000000, 0) == far);
	CHECK(window(0xffff800000000000, REACH) == far);
	CHECK(window(UINTPTR_MAX, 1) == far);
}

/* Where a window ends at the end of all addresses, the last page is no good: its end is 0. */
static void pages_end_of_all(void)
{
	struct hak_options options = {
		.size = sizeof(options),
		.window_base = (uintptr_t)0 - REACH,
	};
	size_t beyond = 0;
	const struct hak_provider provider = { .name = "end", .ctx = &beyond, .map = map_at_end };
	struct hak_mapping mapping;

	options.provider = &provider;
	if (hak_init_with(&options) != HAK_INIT_DONE)
		return; /* built without windows, where pages_windows() has seen it */
	CHECK(!pages_map(2 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	beyond = (size_t)0 - 2 * MIB;
	CHECK(pages_map(2 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	pages_detach();
}

/* Options of an older program have defaults, those of a newer one are refused. */
static void pages_options(void)
{
	const struct hak_provider provider = { .name = "none", .map = no_map };
	struct {
		struct hak_options known;
		size_t next;
	} options = { .known = { .provider = &provider, .window_base = 1 } };

	for (size_t size = 0; size < sizeof(size_t); size++) {
		options.known.size = size;
		CHECK(hak_init_with(&options.known) == HAK_INIT_OPTIONS);
	}
	options.known.size = sizeof(options);
	CHECK(hak_init_with(&options.known) == HAK_INIT_OPTIONS);
	options.known.size = offsetof(struct hak_options, window_base);
	options.known.window_base = UINTPTR_MAX; /* not looked at */
	options.known.window_size = SIZE_MAX;
	CHECK(hak_init_with(&options.known) == HAK_INIT_DONE);
	CHECK(hak_init_with(&options.known) == HAK_INIT_PROVIDER);
	pages_detach();
	options.known.size = sizeof(options.known);
	CHECK(hak_init_with(&options.known) == HAK_INIT_WINDOW);
	CHECK(pages_attach(&provider)); /* it was not attached by that */
	pages_detach();
	options.known = (struct hak_options){
		.size = sizeof(struct hak_options),
		.provider = &provider,
		.debug = "?",
	};
	CHECK(hak_init_with(&options.known) == HAK_INIT_DEBUG);
	options.known.debug = "-"; /* what other builds cannot do is not promised either */
	CHECK(hak_init_with(&options.known) ==
	      (IS_ENABLED(HAK_DEBUG_LAYER) ? HAK_INIT_DONE : HAK_INIT_DEBUG));
	if (IS_ENABLED(HAK_DEBUG_LAYER))
		pages_detach();
}

/* What a provider has left, which maps two SuperSlabs. */
static int map_and_tell(void *ctx, size_t size, size_t align, enum hak_want want,
			struct hak_mapping *out)
{
	(void)size;
	(void)align;
	(void)want;
	out->base = (void *)(pages_window() + 2 * MIB);
	out->left = *(size_t *)ctx;
	return 0;
}

/*
 * Have large blocks magazines, with an option, when the heap is made; and when the provider has
 * had these two amounts left? As bits from the highest on; or what hak_init_with() says. Where they
 * have, their lengths are those of classes.
 */
static int large(size_t option, size_t left, size_t left_then)
{
	size_t now = left;
	const struct hak_provider provider = { .name = "left", .ctx = &now, .map = map_and_tell };
	const struct hak_options options = {
		.size = sizeof(options),
		.provider = &provider,
		.large = option,
	};
	int result = hak_init_with(&options);
	struct hak_mapping mapping;

	if (result != HAK_INIT_DONE)
		return result;
	result = hak_good_size(73729) == 81920;
	for (unsigned i = 0; i < 2; i++, now = left_then) {
		CHECK_OR(pages_map(4 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping), -100);
		result = result << 1 | (hak_good_size(73729) == 81920);
	}
	pages_detach();
	return result;
}

/* Magazines for large blocks: asked for, or where the provider says that it has 32 MiB. */
static void pages_large(void)
{
	const size_t much = 28 * MIB, little = much - PAGE_SIZE;
	int always = HAK_CACHED_MAX ? 7 : HAK_INIT_LARGE;

	CHECK(large(HAK_LARGE_ALWAYS, 0, 0) == always);
	CHECK(large(HAK_LARGE_NEVER + 1, 0, 0) == HAK_INIT_LARGE);
	if (!PLATFORM_CACHED_BY_MEMORY) {
		CHECK(large(HAK_LARGE_BY_MEMORY, much, much) == (HAK_CACHED_MAX ? 7 : 0));
		CHECK(large(HAK_LARGE_NEVER, 0, 0) == (HAK_CACHED_MAX ? HAK_INIT_LARGE : 0));
		return;
	}
	CHECK(large(HAK_LARGE_NEVER, much, much) == 0);
	CHECK(large(HAK_LARGE_BY_MEMORY, little, little) == 0);
	CHECK(large(HAK_LARGE_BY_MEMORY, SIZE_MAX, SIZE_MAX) == 0); /* nobody knows */
	CHECK(large(HAK_LARGE_BY_MEMORY, much, little) == 3);
	CHECK(large(HAK_LARGE_BY_MEMORY, little, much) == 1);
}

static void pages_refused_unmap(void)
{
	struct hak_mapping mapping;

	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(pages_map(2 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	fake_fail(&unit_fake, FAKE_UNMAP, 1, false, FAKE_FAILS);
	CHECK(!pages_unmap(mapping.base, 2 * MIB));
	CHECK(pages_counters.unmaps == 0 && pages_counters.mapped == 2 * MIB);
	CHECK(pages_unmap(mapping.base, 2 * MIB));
	CHECK(pages_counters.unmaps == 1 && pages_counters.mapped == 0);
	CHECK(unit_close());

	CHECK(unit_open(4 * MIB, FAKE_NO_UNMAP, FAKE_PURGE_NONE));
	CHECK(pages_map(2 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	CHECK(!pages_unmap(mapping.base, 2 * MIB));
	CHECK(pages_counters.mapped == 2 * MIB);
	CHECK(unit_close());
}

static void pages_purging(void)
{
	struct hak_mapping mapping;

	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(pages_map(2 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	CHECK(pages_purge(mapping.base, MIB) == (int)(HAK_PAGES_ZERO | HAK_PAGES_PURGE));
	CHECK(unit_is_zero(mapping.base, MIB) && !unit_is_zero((char *)mapping.base + MIB, MIB));
	CHECK(pages_counters.purges == 1 && pages_counters.purged == MIB);
	CHECK(pages_counters.mapped == 2 * MIB);
	fake_fail(&unit_fake, FAKE_PURGE, 1, false, FAKE_FAILS);
	CHECK(pages_purge(mapping.base, MIB) < 0);
	CHECK(pages_counters.purges == 1 && pages_counters.purged == MIB);
	CHECK(pages_unmap(mapping.base, 2 * MIB));
	CHECK(unit_close());

	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(pages_map(2 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	CHECK(pages_purge(mapping.base, MIB) < 0);
	CHECK(pages_counters.purges == 0);
	CHECK(pages_unmap(mapping.base, 2 * MIB));
	CHECK(unit_close());
}

static void pages_residence(void)
{
	struct hak_mapping mapping;
	size_t bytes = 1;

	pages_detach();
	/* no memory was asked for yet: the host's own provider knows, if there is one */
	CHECK((pages_resident(NULL, HAK_GRANULE, &bytes) == PAGES_UNKNOWN) ==
	      (platform_provider() == NULL));
	CHECK(bytes == 0);
	CHECK(unit_open(4 * MIB, FAKE_RESIDENT, FAKE_PURGE_ZERO));
	CHECK(pages_map(2 * MIB, 2 * MIB, HAK_WANT_HEAP, &mapping));
	CHECK(pages_resident(mapping.base, 2 * MIB, &bytes) == PAGES_MAPPED && bytes == 2 * MIB);
	CHECK(pages_purge(mapping.base, MIB) >= 0);
	CHECK(pages_resident(mapping.base, 2 * MIB, &bytes) == PAGES_MAPPED && bytes == MIB);
	CHECK(pages_resident((char *)mapping.base + 2 * MIB, MIB, &bytes) == PAGES_UNMAPPED);
	CHECK(pages_unmap(mapping.base, 2 * MIB));
	CHECK(pages_resident(mapping.base, 2 * MIB, &bytes) == PAGES_UNMAPPED);
	CHECK(unit_close());

	CHECK(unit_open(4 * MIB, 0, FAKE_PURGE_NONE));
	CHECK(pages_resident(unit_fake.arena, 2 * MIB, &bytes) == PAGES_UNKNOWN && bytes == 0);
	CHECK(unit_close());
}

void unit_pages(void)
{
	TEST_RUN(pages_attaching);
	TEST_RUN(pages_default_provider);
	TEST_RUN(pages_counts);
	TEST_RUN(pages_unsound_memory);
	TEST_RUN(pages_end_of_addresses);
	TEST_RUN(pages_windows);
	TEST_RUN(pages_end_of_all);
	TEST_RUN(pages_options);
	UNLESS_HARDENED(pages_large);
	TEST_RUN(pages_refused_unmap);
	TEST_RUN(pages_purging);
	TEST_RUN(pages_residence);
}
