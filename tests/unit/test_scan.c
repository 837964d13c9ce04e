/* SPDX-License-Identifier: MIT */
/*
 * core/reclaim/scan.c and what it walks over: which pages of a slab, and which unused
 * slabs, are purged, when, and in how many calls; what is in blocks that stay; what is
 * handed out again; providers that refuse, and a slab that changes while its pages are
 * being purged.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <hakmem/stats.h>
#include <pages/pagemap.h>
#include <reclaim/scan.h>
#include <base/policy.h>
#include <base/sizeclass.h>
#include <slab/class.h>
#include <superslab/span.h>

#define CLASS_16   2
#define CLASS_1024 21
#define CLASS_32K  CLASS_SLAB_LAST

#define BATCH 64u

static struct hak_stats stats;

/* One slab, all of whose blocks were used once, as it should be. */
static struct {
	unsigned class;
	unsigned blocks;
	size_t size;
	uintptr_t base;
	unsigned unbacked; /* pages */
	bool live[8192];
} model;

static uint64_t seed;

static unsigned below(unsigned n)
{
	return (unsigned)(test_random(&seed) >> 33) % n;
}

static uint64_t slabs_used(void)
{
	struct arena_counters now;

	arena_read_counters(&now);
	return now.units_used;
}

static void *block(unsigned index)
{
	return (void *)(model.base + index * model.size);
}

/* ------------------------------------------------------------- by brute force */

static bool lies_in(size_t size, unsigned index, unsigned page)
{
	return index * size < (page + 1) * PAGE_SIZE && page * PAGE_SIZE < (index + 1) * size;
}

static unsigned pages_of(size_t size, unsigned index)
{
	unsigned pages = 0;

	for (unsigned page = 0; page < PAGES_PER_SLAB; page++)
		pages |= (unsigned)lies_in(size, index, page) << page;
	return pages;
}

/* Pages that some block lies in: all, or, in some classes, all but the last ones. */
static unsigned used_pages(unsigned class)
{
	return pages_of(size_class[class].size * (size_t)size_class[class].blocks, 0);
}

/* The pages that no live block lies in, and that have not gone yet. */
static unsigned purgeable_pages(void)
{
	unsigned pages = used_pages(model.class) & ~model.unbacked;

	for (unsigned i = 0; i < model.blocks; i++)
		if (model.live[i])
			pages &= ~pages_of(model.size, i);
	return pages;
}

static unsigned count_live(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < model.blocks; i++)
		n += model.live[i];
	return n;
}

/* Blocks that are free and have memory behind them. */
static unsigned count_resident(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < model.blocks; i++)
		n += !model.live[i] && !(pages_of(model.size, i) & model.unbacked);
	return n;
}

static unsigned runs(unsigned pages)
{
	return count_bits(pages & ~(pages << 1));
}

static bool check_page(unsigned class, unsigned page)
{
	unsigned first, last, i = 0, blocks = size_class[class].blocks;
	size_t size = size_class[class].size;

	class_page_blocks(class, blocks, page, &first, &last);
	while (i < blocks && !lies_in(size, i, page))
		i++;
	CHECK_OR(first == i, false);
	while (i < blocks && lies_in(size, i, page))
		i++;
	CHECK_OR(last == i - 1, false);
	/* where no block is, this class touches nothing */
	CHECK_OR((first > last) == !(used_pages(class) >> page & 1), false);
	return true;
}

static void scan_page_arithmetic(void)
{
	unsigned unused = 0;

	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; ++class) {
		for (unsigned i = 0; i < size_class[class].blocks; i++)
			CHECK(class_block_pages(class, i) == pages_of(size_class[class].size, i));
		for (unsigned page = 0; page < size_class[class].units * PAGES_PER_UNIT; page++)
			CHECK(check_page(class, page));
		CHECK(!(used_pages(class) & (used_pages(class) + 1)));
		unused += used_pages(class) != 0xffffu;
	}
	/* 12 blocks of 5120 bytes, 10 of 6144; and of the parts that are whole pages */
	CHECK(UNITS_PER_SLAB > 1 || unused == (HAK_CACHED_MAX ? 6 : 2));
}

/* What a slab has behind its last block may have memory from an owner before. */
static void scan_behind_the_last(void)
{
	void *span, *block;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	span = unit_span_alloc(SLAB_SIZE);
	CHECK(span && unit_span_alloc(SLAB_SIZE));
	hak_free(span);
	CHECK(class_alloc(class_of(5120), &block + 1, 1, ALLOC_ANY) == 1 && at(block) == at(span));
	CHECK(scan_all(true) == 14 * PAGE_SIZE); /* all but the two that it lies in */
	CHECK(scan_all(true) == 0);
	class_free(class_of(5120), &block, 1);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* ------------------------------------------------------------------- one slab */

/* A heap with one slab of a class, full. */
static bool open_slab(unsigned class, enum fake_purge purge)
{
	CHECK_OR(unit_open(8 * MIB, 0, purge), false);
	model.class = class;
	model.blocks = size_class[class].blocks;
	model.size = size_class[class].size;
	model.unbacked = 0;
	for (unsigned taken = 0; taken < model.blocks;) {
		void *batch[BATCH];
		unsigned rest = model.blocks - taken;
		unsigned got =
			class_alloc(class, batch + BATCH, rest < BATCH ? rest : BATCH, ALLOC_ANY);

		CHECK_OR(got, false);
		if (!taken)
			model.base = (uintptr_t)batch[BATCH - 1];
		for (unsigned i = 0; i < got; i++, taken++) {
			CHECK_OR(batch[BATCH - 1 - i] == block(taken), false);
			unit_fill(block(taken), model.size, taken);
			model.live[taken] = true;
		}
	}
	return true;
}

static void drop(unsigned index)
{
	void *dropped = block(index);

	if (!model.live[index])
		return;
	CHECK(unit_is_filled(dropped, model.size, index));
	model.live[index] = false;
	class_free(model.class, &dropped, 1);
}

/* Free all blocks that lie in these pages, but for one. */
static void drop_pages(unsigned pages, unsigned keep)
{
	for (unsigned i = 0; i < model.blocks; i++)
		if (i != keep && pages_of(model.size, i) & pages)
			drop(i);
}

/* What lives is unchanged, the slab knows what is gone, the heap agrees. */
static bool is_sound(void)
{
	const char *failed = hak_check();

	if (failed)
		test_print("hak_check(), class %u: %s\n", model.class, failed);
	CHECK_OR(!failed, false);
	CHECK_OR((address_to_slab(model.base)->unbacked & used_pages(model.class)) ==
			 model.unbacked,
		 false);
	CHECK_OR(address_to_slab(model.base)->free == count_resident(), false);
	for (unsigned i = 0; i < model.blocks; i++)
		CHECK_OR(!model.live[i] || unit_is_filled(block(i), model.size, i), false);
	return true;
}

/* These pages are gone since @before bytes were and @calls had been made, no others. */
static bool are_purged(unsigned pages, size_t before, unsigned long calls)
{
	CHECK_OR(unit_fake.purged - before == count_bits(pages) * PAGE_SIZE, false);
	CHECK_OR(unit_fake.calls[FAKE_PURGE] - calls == runs(pages), false);
	for (unsigned page = 0; page < PAGES_PER_SLAB; page++)
		CHECK_OR(!(pages >> page & 1) ||
				 unit_is_zero((void *)(model.base + page * PAGE_SIZE), PAGE_SIZE),
			 false);
	model.unbacked |= pages;
	return is_sound();
}

/* One scan: it purges exactly these pages. */
static bool scan_purges(unsigned pages)
{
	unsigned long calls = unit_fake.calls[FAKE_PURGE];
	size_t before = unit_fake.purged;

	hak_idle(SIZE_MAX);
	return are_purged(pages, before, calls);
}

static bool trim_purges(unsigned pages)
{
	unsigned long calls = unit_fake.calls[FAKE_PURGE];
	size_t before = unit_fake.purged;

	CHECK_OR(hak_trim(HAK_TRIM_OWN) == count_bits(pages) * PAGE_SIZE, false);
	return are_purged(pages, before, calls);
}

static uint64_t retouched(void)
{
	hak_stats_read(&stats, sizeof(stats));
	return stats.retouched_bytes;
}

/* Allocate blocks of the slab again: backed ones come first. */
static bool alloc_again(unsigned n)
{
	while (n) {
		unsigned want = n < BATCH ? n : BATCH, resident = count_resident(), touched = 0;
		uint64_t before = retouched();
		void *batch[BATCH];

		CHECK_OR(class_alloc(model.class, batch + BATCH, want, ALLOC_ANY) == want, false);
		for (unsigned i = 0; i < want; i++) {
			size_t offset = (uintptr_t)batch[BATCH - 1 - i] - model.base;
			unsigned index = (unsigned)(offset / model.size);
			unsigned pages = pages_of(model.size, index) & model.unbacked;

			CHECK_OR(index < model.blocks && offset % model.size == 0, false);
			CHECK_OR(!model.live[index], false);
			CHECK_OR(i >= resident || !pages, false);
			touched += count_bits(pages);
			model.unbacked &= ~pages;
			model.live[index] = true;
			unit_fill(block(index), model.size, index);
		}
		CHECK_OR(retouched() - before == touched * PAGE_SIZE, false);
		n -= want;
	}
	return is_sound();
}

/* Pages here and there, and some blocks; at least one block stays. */
static void drop_randomly(void)
{
	unsigned keep = below(model.blocks), pages = below(0xffffu + 1) & below(0xffffu + 1);

	while (!model.live[keep])
		keep = below(model.blocks);
	drop_pages(pages, keep);
	for (unsigned i = 0; i < model.blocks; i++)
		if (i != keep && !below(16))
			drop(i);
}

static bool check_class(unsigned class)
{
	CHECK_OR(open_slab(class, FAKE_PURGE_ZERO), false);
	for (unsigned round = 0; round < 6; round++) {
		unsigned expected;

		drop_randomly();
		CHECK_OR(!test_has_failed() && is_sound(), false);
		expected = purgeable_pages();
		if (round % 3 == 2) {
			CHECK_OR(trim_purges(expected), false);
		} else {
			CHECK_OR(scan_purges(0) && scan_purges(expected), false);
		}
		CHECK_OR(scan_purges(0) && scan_purges(0), false);
		CHECK_OR(!hak_idle(SIZE_MAX), false); /* all is done */
		CHECK_OR(alloc_again(below(model.blocks - count_live() + 1)), false);
	}
	CHECK_OR(alloc_again(model.blocks - count_live()), false);
	for (unsigned i = 0; i < model.blocks; i++)
		drop(i);
	CHECK_OR(slabs_used() == 0 && !hak_check(), false);
	return unit_close();
}

static void scan_all_classes(void)
{
	seed = 4711;
	for (unsigned class = CLASS_FIRST; class < NR_SLAB_CLASSES; ++class) {
		if (!check_class(class))
			test_print("class %u, size %u\n", class, size_class[class].size);
		CHECK(!test_has_failed());
	}
}

static void scan_whole_pages(void)
{
	CHECK(open_slab(CLASS_1024, FAKE_PURGE_ZERO));
	/* 3 to 5 are neighbours; of page 9 one block stays */
	drop_pages(0x8238, 36);
	CHECK(scan_purges(0));
	CHECK(scan_purges(0x8038));
	CHECK(unit_fake.calls[FAKE_PURGE] == 2);
	hak_stats_read(&stats, sizeof(stats));
	CHECK(stats.purged_bytes == 4 * PAGE_SIZE && stats.provider_purges == 2);
	CHECK(scan_purges(0) && !hak_idle(SIZE_MAX));
	/* three blocks of page 9 before any that has to be fetched back */
	CHECK(alloc_again(3) && model.unbacked == 0x8038 && retouched() == 0);
	CHECK(alloc_again(1) && model.unbacked == 0x8030 && retouched() == PAGE_SIZE);
	CHECK(alloc_again(3) && model.unbacked == 0x8030 && retouched() == PAGE_SIZE);
	CHECK(alloc_again(9) && model.unbacked == 0 && retouched() == 4 * PAGE_SIZE);
	CHECK(unit_close());
}

/* What was used between two scans stays. */
static void scan_used_between(void)
{
	CHECK(open_slab(CLASS_1024, FAKE_PURGE_ZERO));
	drop_pages(0x000f, 64);
	CHECK(scan_purges(0));
	CHECK(alloc_again(1)); /* block 0 */
	drop(0);
	CHECK(scan_purges(0));
	drop_pages(0x00f0, 64); /* frees alone do not keep what is free */
	CHECK(scan_purges(0x000f));
	CHECK(scan_purges(0x00f0));
	CHECK(unit_close());
}

/* What was allocated from a slab between two scans does not hide what is left. */
static void scan_allocated_between(void)
{
	CHECK(open_slab(CLASS_1024, FAKE_PURGE_ZERO));
	drop_pages(0x00ff, 64);
	CHECK(scan_purges(0));
	CHECK(alloc_again(1)); /* block 0, for good */
	CHECK(scan_purges(0));
	CHECK(scan_purges(0x00fe));
	CHECK(unit_close());
}

/* Untouched pages have nothing behind them. */
static void scan_untouched(void)
{
	void *batch[8];

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(class_alloc(CLASS_1024, batch + 8, 8, ALLOC_ANY) == 8);
	CHECK(address_to_slab((uintptr_t)batch[7])->unbacked == 0xfffc);
	class_free(CLASS_1024, batch, 7); /* all but the first */
	CHECK(hak_idle(SIZE_MAX) && unit_fake.calls[FAKE_PURGE] == 0);
	hak_idle(SIZE_MAX);
	CHECK(unit_fake.purged == PAGE_SIZE && unit_fake.calls[FAKE_PURGE] == 1);
	CHECK(hak_trim(HAK_TRIM_ALL) == 0 && retouched() == 0);
	CHECK(address_to_slab((uintptr_t)batch[7])->unbacked == 0xfffe);
	/* one was there before, the others never */
	CHECK(class_alloc(CLASS_1024, batch + 7, 7, ALLOC_ANY) == 7 && retouched() == PAGE_SIZE);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* Neighbours in two slabs, of different classes, are one call. */
static void scan_two_slabs(void)
{
	void *batch[2];

	CHECK(open_slab(CLASS_1024, FAKE_PURGE_ZERO));
	CHECK(class_alloc(CLASS_32K, batch + 2, 2, ALLOC_ANY) == 2);
	CHECK((uintptr_t)batch[1] == model.base + SLAB_SIZE);
	drop_pages(0xf000, 64);
	class_free(CLASS_32K, batch + 1, 1); /* the first half */
	CHECK(scan_purges(0));
	hak_idle(SIZE_MAX);
	CHECK(unit_fake.purged == 12 * PAGE_SIZE && unit_fake.calls[FAKE_PURGE] == 1);
	CHECK(address_to_slab(model.base)->unbacked == 0xf000 && !hak_check());
	CHECK(address_to_slab((uintptr_t)batch[0])->unbacked == 0x00ff);
	CHECK(unit_close());
}

static void scan_double_free(void)
{
	size_t detail;

	CHECK(open_slab(CLASS_1024, FAKE_PURGE_ZERO));
	drop_pages(0x00f0, 64);
	CHECK(scan_purges(0) && scan_purges(0x00f0));
	CHECK(class_inspect(CLASS_1024, block(16), &detail) == HAK_BUG_DOUBLE_FREE && !detail);
	CHECK(class_inspect(CLASS_1024, block(31), &detail) == HAK_BUG_DOUBLE_FREE);
	CHECK(class_inspect(CLASS_1024, block(15), &detail) == HAK_BUG_NONE);
	CHECK(class_inspect(CLASS_1024, block(32), &detail) == HAK_BUG_NONE);
	CHECK(class_inspect(CLASS_1024, (char *)block(16) + 8, &detail) == HAK_BUG_INTERIOR);
	CHECK(unit_close());
}

/* ------------------------------------------------------------------- refusals */

static uint64_t purges_refused(void)
{
	hak_stats_read(&stats, sizeof(stats));
	return stats.provider_purges_refused;
}

/* The pages stay as they were, and the provider is not asked again before a trim. */
static void scan_refused(void)
{
	CHECK(open_slab(CLASS_1024, FAKE_PURGE_REFUSE));
	drop_pages(0x80f0, 64); /* two calls, if the first were granted */
	hak_idle(SIZE_MAX);
	CHECK(unit_fake.calls[FAKE_PURGE] == 0 && is_sound());
	hak_idle(SIZE_MAX);
	CHECK(unit_fake.calls[FAKE_PURGE] == 1 && purges_refused() == 1 && is_sound());
	CHECK(stats.provider_purges == 0 && stats.purged_bytes == 0);
	drop_pages(0x0f00, 64);
	for (unsigned i = 0; i < 3; i++)
		hak_idle(SIZE_MAX);
	CHECK(!hak_idle(SIZE_MAX));
	CHECK(unit_fake.calls[FAKE_PURGE] == 1);
	CHECK(alloc_again(30) && retouched() == 0);
	CHECK(hak_trim(HAK_TRIM_OWN) == 0);
	CHECK(unit_fake.calls[FAKE_PURGE] == 2 && purges_refused() == 2 && is_sound());
	CHECK(hak_trim(HAK_TRIM_ALL) == 0 && purges_refused() == 3);
	hak_idle(SIZE_MAX);
	hak_idle(SIZE_MAX);
	CHECK(purges_refused() == 3 && is_sound());
	/* it has changed its mind */
	unit_fake.options.purge = FAKE_PURGE_ZERO;
	CHECK(trim_purges(purgeable_pages()) && model.unbacked);
	drop_pages(0x0003, 64);
	CHECK(scan_purges(0) && scan_purges(0x0003));
	CHECK(unit_close());
}

/* The second of two calls: what the first purged counts as there, too. */
static void scan_refused_half(void)
{
	CHECK(open_slab(CLASS_16, FAKE_PURGE_ZERO));
	drop_pages(0x80f0, 0);
	CHECK(scan_purges(0));
	fake_fail(&unit_fake, FAKE_PURGE, 2, false, FAKE_FAILS);
	hak_idle(SIZE_MAX);
	CHECK(unit_fake.purged == 4 * PAGE_SIZE && purges_refused() == 1);
	CHECK(is_sound());
	CHECK(alloc_again(1000) && retouched() == 0);
	CHECK(alloc_again(model.blocks - count_live()));
	CHECK(unit_close());
}

/* ------------------------------------------- what happens while it is purged */

static struct {
	int (*purge)(void *ctx, void *base, size_t size);
	void (*meanwhile)(void);
} hooked;

static int hooked_purge(void *ctx, void *base, size_t size)
{
	void (*meanwhile)(void) = hooked.meanwhile;

	hooked.meanwhile = NULL;
	if (meanwhile)
		meanwhile();
	return hooked.purge(ctx, base, size);
}

/* Call @meanwhile from the next purge. */
static void hook(void (*meanwhile)(void))
{
	hooked.purge = unit_fake.provider.purge;
	hooked.meanwhile = meanwhile;
	unit_fake.provider.purge = hooked_purge;
}

static void drop_all(void)
{
	for (unsigned i = 0; i < model.blocks; i++)
		drop(i);
	CHECK(slabs_used() ==
	      (UNITS_PER_SLAB == 1 && model.blocks > 128
		       ? 2u
		       : size_class[class_of(model.size)].units)); /* it is not returned yet */
}

/* It is returned when that is over, with its pages known, purged or not. */
static void scan_empty_meanwhile(void)
{
	static const unsigned classes[] = { CLASS_16, CLASS_1024, CLASS_32K };

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(classes); i++) {
		bool fails = i % 2;

		if (size_class[classes[i / 2]].blocks == 1)
			continue;
		CHECK(open_slab(classes[i / 2], FAKE_PURGE_ZERO));
		drop_pages(0x00f0, model.blocks - 1);
		CHECK(scan_purges(0));
		hook(drop_all);
		if (fails)
			fake_fail(&unit_fake, FAKE_PURGE, 1, false, FAKE_FAILS);
		hak_idle(SIZE_MAX);
		CHECK(!hooked.meanwhile && !test_has_failed());
		CHECK(slabs_used() == 0 && !hak_check());
		CHECK((unit_fake.purged == 0) == fails);
		CHECK(unit_close());
	}
}

static void drop_more(void)
{
	drop_pages(0x0f00, 64);
}

/* What is freed while other pages are being purged waits for its own two scans. */
static void scan_free_meanwhile(void)
{
	CHECK(open_slab(CLASS_1024, FAKE_PURGE_ZERO));
	drop_pages(0x000f, 64);
	CHECK(scan_purges(0));
	hook(drop_more);
	CHECK(scan_purges(0x000f));
	CHECK(scan_purges(0));
	CHECK(scan_purges(0x0f00));
	CHECK(unit_close());
}

static void *allocated_meanwhile;

static void alloc_one(void)
{
	size_t detail;

	CHECK(class_alloc(CLASS_1024, &allocated_meanwhile + 1, 1, ALLOC_ANY) == 1);
	CHECK(class_inspect(CLASS_1024, block(0), &detail) == HAK_BUG_DOUBLE_FREE);
	drop(40); /* it may be freed into */
}

static void scan_alloc_meanwhile(void)
{
	CHECK(open_slab(CLASS_1024, FAKE_PURGE_ZERO));
	drop_pages(0x000f, 64);
	CHECK(scan_purges(0));
	hook(alloc_one);
	CHECK(scan_purges(0x000f));
	CHECK((uintptr_t)allocated_meanwhile / SLAB_SIZE != model.base / SLAB_SIZE);
	class_free(CLASS_1024, &allocated_meanwhile, 1);
	CHECK(alloc_again(1) && model.live[40]);
	CHECK(unit_close());
}

static void free_one_and_alloc(void)
{
	drop(40);
	CHECK(class_alloc_partial(CLASS_1024, &allocated_meanwhile + 1, 1) == 1);
	CHECK((uintptr_t)allocated_meanwhile / SLAB_SIZE == model.base / SLAB_SIZE);
}

/* What is freed meanwhile may be allocated, and what was not ready yet goes later. */
static void scan_not_ready_meanwhile(void)
{
	CHECK(open_slab(CLASS_1024, FAKE_PURGE_ZERO));
	drop_pages(0x000f, 64);
	CHECK(scan_purges(0));
	drop_pages(0x0030, 64);
	hook(free_one_and_alloc);
	hak_idle(SIZE_MAX);
	CHECK(!hooked.meanwhile && !test_has_failed());
	CHECK(address_to_slab(model.base)->unbacked == 0x000f);
	hak_idle(SIZE_MAX);
	hak_idle(SIZE_MAX);
	/* the block in page 4 or 5 that was allocated, if it is one of these, keeps its page */
	CHECK(count_bits(address_to_slab(model.base)->unbacked & 0x0030) >= 1 && !hak_check());
	CHECK(unit_close());
}

static void *cut[5];

static void cut_off(void)
{
	__builtin_longjmp(cut, 1);
}

/* A scan ends in the middle of its next purge, as for the child of a fork() by another thread. */
static void cut_scan_off(void)
{
	hook(cut_off);
	if (!__builtin_setjmp(cut))
		hak_idle(SIZE_MAX);
	*this_held() &= ~(1u << LOCK_SCAN);
	scan_abandon();
	CHECK(!hooked.meanwhile && hak_check());
}

/* What it had claimed is free again when the next one has begun, and may be purged. */
static void scan_cut_off(void)
{
	CHECK(open_slab(CLASS_1024, FAKE_PURGE_ZERO));
	drop_pages(0x000f, 64);
	CHECK(scan_purges(0));
	cut_scan_off();
	drop_pages(0x00f0, 64);
	CHECK(!test_has_failed() && scan_purges(0));
	CHECK(trim_purges(0x00ff));
	CHECK(alloc_again(model.blocks - count_live()));
	CHECK(unit_close());
}

/* A slab that a class gets with memory in it: pages that nobody uses go. */
static void scan_unused_pages_of_new_slab(void)
{
	void *span, *small[2];

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	span = unit_span_alloc(SLAB_SIZE);
	small[1] = unit_span_alloc(SLAB_SIZE);
	CHECK(span && small[1]);
	hak_free(span); /* its slab is backed */
	CHECK(class_alloc(CLASS_1024, small + 1, 1, ALLOC_ANY) == 1 && small[0] == span);
	CHECK(!hak_idle(SIZE_MAX) || !hak_idle(SIZE_MAX));
	CHECK(address_to_slab((uintptr_t)span)->unbacked == 0xfffe && !hak_check());
	CHECK(unit_close());
}

/* ---------------------------------------------------------------- whole slabs */

/* A slab whose last block goes is returned, with what is known of its pages. */
static void scan_emptied(void)
{
	void *one;

	CHECK(open_slab(CLASS_1024, FAKE_PURGE_ZERO));
	drop_pages(0x00ff, 64);
	CHECK(scan_purges(0) && scan_purges(0x00ff));
	for (unsigned i = 0; i < model.blocks; i++)
		drop(i);
	CHECK(slabs_used() == 0 && !hak_check());
	/* it comes again, and hands out first what is there */
	CHECK(class_alloc(CLASS_1024, &one + 1, 1, ALLOC_ANY) == 1);
	CHECK(one == block(32) && retouched() == 0);
	CHECK(address_to_slab(model.base)->free == 31 &&
	      address_to_slab(model.base)->unbacked_blocks == 32);
	CHECK(!hak_check());
	class_free(CLASS_1024, &one, 1);
	CHECK(unit_close());
}

/* An unused slab of a SuperSlab that stays: as pages are. */
static void scan_unused_slabs(void)
{
	void *two[2], *block[6];

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(class_alloc(CLASS_32K, block + 6, 2, ALLOC_ANY) == 2);
	CHECK(class_alloc(CLASS_32K, block + 4, 2, ALLOC_ANY) == 2 &&
	      class_alloc(CLASS_32K, block + 2, 2, ALLOC_ANY) == 2);
	class_free(CLASS_32K, block + 2, 2);
	CHECK(slabs_used() == 2);
	CHECK(hak_idle(SIZE_MAX) && unit_fake.purged == 0);
	CHECK(class_alloc(CLASS_32K, two + 2, 2, ALLOC_ANY) == 2 &&
	      two[0] == block[2]); /* it is used */
	class_free(CLASS_32K, two, 2);
	CHECK(hak_idle(SIZE_MAX) && unit_fake.purged == 0 && !hak_check());
	hak_idle(SIZE_MAX);
	CHECK(unit_fake.purged == SLAB_SIZE && unit_fake.calls[FAKE_PURGE] == 1);
	CHECK(slabs_used() == 2 && !hak_check());
	for (unsigned i = 0; i < 4; i++)
		hak_idle(SIZE_MAX);
	CHECK(!hak_idle(SIZE_MAX) && hak_trim(HAK_TRIM_OWN) == 0);
	/* of a slab that was little used, only what was */
	CHECK(class_alloc(CLASS_1024, two + 1, 1, ALLOC_ANY) == 1);
	class_free(CLASS_1024, two, 1);
	CHECK(slabs_used() == 2);
	hak_idle(SIZE_MAX);
	hak_idle(SIZE_MAX);
	CHECK(unit_fake.purged == SLAB_SIZE + PAGE_SIZE && unit_fake.calls[FAKE_PURGE] == 2);
	CHECK(!hak_check());
	CHECK(unit_close());
}

/* So goes what a large block that became smaller gave up, page by page. */
static void scan_shrunk_span(void)
{
	char *large;

	CHECK(unit_open(8 * MIB, 0, FAKE_PURGE_ZERO));
	large = hak_malloc(1 * MIB);
	CHECK(large);
	unit_fill(large, 1 * MIB, 1);
	CHECK(at(hak_realloc(large, 300 * KIB)) == at(large));
	/* with what is behind its end in the last slab */
	CHECK(hak_idle(SIZE_MAX) && unit_fake.purged == 0);
	hak_idle(SIZE_MAX);
	CHECK(unit_fake.purged == 724 * KIB && unit_fake.calls[FAKE_PURGE] == 1);
	CHECK(unit_is_filled(large, 300 * KIB, 1));
	CHECK(!hak_idle(SIZE_MAX) && !hak_check());
	/* and comes back */
	CHECK(at(hak_realloc(large, 1 * MIB)) == at(large));
	CHECK(unit_is_filled(large, 300 * KIB, 1) && retouched() == 724 * KIB);
	unit_fill(large, 1 * MIB, 2);
	CHECK(hak_trim(HAK_TRIM_ALL) == 0);
	CHECK(unit_is_filled(large, 1 * MIB, 2));
	hak_free(large);
	CHECK(unit_close());
}

/* A span in a slab that was used before: the 7 pages behind its end are its slack. */
static char *open_slack(enum fake_purge purge)
{
	char *span;

	if (!unit_open(8 * MIB, 0, purge))
		return NULL;
	span = unit_span_alloc(SLAB_SIZE);
	CHECK_OR(span && unit_span_alloc(SLAB_SIZE), NULL); /* keeps the SuperSlab */
	unit_fill(span, SLAB_SIZE, 1);
	hak_free(span);
	CHECK_OR(at(unit_span_alloc(9 * PAGE_SIZE)) == at(span), NULL);
	unit_fill(span, 9 * PAGE_SIZE, 2);
	return span;
}

/* The slack goes, and nothing of the span; it is known as gone when the slab is used again. */
static void scan_slack(void)
{
	char *span = open_slack(FAKE_PURGE_ZERO);

	CHECK(span);
	CHECK(hak_idle(SIZE_MAX) && unit_fake.purged == 0);
	CHECK(!hak_idle(SIZE_MAX));
	CHECK(unit_fake.purged == 7 * PAGE_SIZE && unit_fake.calls[FAKE_PURGE] == 1);
	CHECK(unit_is_filled(span, 9 * PAGE_SIZE, 2) &&
	      unit_is_zero(span + 9 * PAGE_SIZE, 7 * PAGE_SIZE));
	CHECK(hak_trim(HAK_TRIM_ALL) == 0 && !hak_check());
	hak_free(span);
	/* the next one is longer by two pages, and its slack is unbacked already */
	CHECK(at(unit_span_alloc(11 * PAGE_SIZE)) == at(span) && retouched() == 2 * PAGE_SIZE);
	unit_fill(span, 11 * PAGE_SIZE, 3);
	CHECK(!hak_idle(SIZE_MAX) && !hak_idle(SIZE_MAX) && hak_trim(HAK_TRIM_ALL) == 0);
	/* it grows, and shrinks, in its slab */
	CHECK(at(hak_realloc(span, 15 * PAGE_SIZE)) == at(span) && retouched() == 6 * PAGE_SIZE);
	unit_fill(span, 15 * PAGE_SIZE, 4);
	CHECK(at(hak_realloc(span, 10 * PAGE_SIZE)) == at(span));
	CHECK(hak_trim(HAK_TRIM_OWN) == 5 * PAGE_SIZE && !hak_check());
	CHECK(unit_is_filled(span, 10 * PAGE_SIZE, 4));
	hak_free(span);
	/* what is left of it */
	CHECK(hak_trim(HAK_TRIM_OWN) == 10 * PAGE_SIZE && !hak_check());
	CHECK(unit_close());
}

/* That of a span which lives shorter than from one scan to the next stays: it is used again. */
static void scan_slack_of_short_spans(void)
{
	char *span = open_slack(FAKE_PURGE_ZERO);

	CHECK(span);
	for (unsigned i = 0; i < 4; i++) {
		CHECK(hak_idle(SIZE_MAX) && unit_fake.purged == 0);
		hak_free(span);
		CHECK(at(unit_span_alloc(9 * PAGE_SIZE)) == at(span));
	}
	/* as it does if the span changes its length */
	CHECK(hak_idle(SIZE_MAX));
	CHECK(at(hak_realloc(span, 10 * PAGE_SIZE)) == at(span));
	CHECK(hak_idle(SIZE_MAX) && unit_fake.purged == 0);
	CHECK(!hak_idle(SIZE_MAX) && unit_fake.purged == 6 * PAGE_SIZE && !hak_check());
	hak_free(span);
	CHECK(unit_close());
}

/* A provider that refuses is asked once. */
static void scan_slack_refused(void)
{
	char *span = open_slack(FAKE_PURGE_REFUSE);

	CHECK(span);
	while (hak_idle(SIZE_MAX))
		;
	CHECK(unit_fake.purged == 0 && unit_fake.calls[FAKE_PURGE] == 1);
	CHECK(unit_is_filled(span, 9 * PAGE_SIZE, 2) && !hak_check());
	hak_free(span);
	CHECK(unit_close());
}

static char *slack_span;

static void free_span(void)
{
	uint64_t before = slabs_used();

	hak_free(slack_span);
	/* no caller gets the slab while its pages go */
	CHECK(slabs_used() == before && !pagemap_class((uintptr_t)slack_span));
	CHECK(at(unit_span_alloc(SLAB_SIZE)) != at(slack_span));
}

static void scan_span_freed_meanwhile(void)
{
	for (unsigned fails = 0; fails < 2; fails++) {
		slack_span = open_slack(FAKE_PURGE_ZERO);
		CHECK(slack_span);
		hak_idle(SIZE_MAX);
		hook(free_span);
		if (fails)
			fake_fail(&unit_fake, FAKE_PURGE, 1, false, FAKE_FAILS);
		hak_idle(SIZE_MAX);
		CHECK(!hooked.meanwhile && !test_has_failed());
		CHECK(slabs_used() == 2 && !hak_check());
		CHECK(at(unit_span_alloc(SLAB_SIZE)) == at(slack_span));
		CHECK(retouched() == (fails ? 0 : 7 * PAGE_SIZE));
		CHECK(unit_close());
	}
}

static void scan_of_slack_cut_off(void)
{
	slack_span = open_slack(FAKE_PURGE_ZERO);
	CHECK(slack_span);
	hak_idle(SIZE_MAX);
	cut_scan_off();
	hak_free(slack_span);
	hak_idle(SIZE_MAX);
	CHECK(!test_has_failed() && !hak_check());
	CHECK(at(unit_span_alloc(SLAB_SIZE)) == at(slack_span));
	CHECK(unit_close());
}

static void resize_span(void)
{
	char *moved;

	CHECK(at(hak_realloc(slack_span, 8 * PAGE_SIZE + 1)) == at(slack_span));
	/* what is being purged cannot be written to: it grows elsewhere */
	moved = hak_realloc(slack_span, 10 * PAGE_SIZE);
	CHECK(moved && at(moved) != at(slack_span) && unit_is_filled(moved, 9 * PAGE_SIZE, 2));
	slack_span = moved;
}

static void scan_span_resized_meanwhile(void)
{
	slack_span = open_slack(FAKE_PURGE_ZERO);
	CHECK(slack_span);
	hak_idle(SIZE_MAX);
	hook(resize_span);
	hak_idle(SIZE_MAX);
	CHECK(!hooked.meanwhile && !test_has_failed());
	CHECK(slabs_used() == 2 && !hak_check());
	CHECK(unit_is_filled(slack_span, 9 * PAGE_SIZE, 2));
	CHECK(unit_close());
}

static void *grouped[3];

/* Three spans of ten pages in a group of two units, of which the second one was freed. */
static bool open_group(enum fake_purge purge)
{
	unsigned class = class_of(10 * PAGE_SIZE);

	CHECK_OR(unit_open(8 * MIB, 0, purge) && unit_span_alloc(SLAB_SIZE), false);
	CHECK_OR(size_class[class].units == 2 && size_class[class].blocks == 3, false);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_OR(span_alloc_batch(class, &grouped[i] + 1, 1, ALLOC_ANY) == 1, false);
		unit_fill(grouped[i], 10 * PAGE_SIZE, i);
	}
	span_free_batch(class, &grouped[1], 1);
	CHECK_OR(span_outstanding(class) == 2, false);
	return true;
}

/* Of a group, the pages of a free span go, and no others. */
static void scan_group(void)
{
	if (!HAS_GROUPS)
		return;
	CHECK(open_group(FAKE_PURGE_ZERO));
	CHECK(hak_idle(SIZE_MAX) && unit_fake.purged == 0);
	hak_idle(SIZE_MAX);
	CHECK(unit_fake.purged == 10 * PAGE_SIZE);
	CHECK(unit_is_zero(grouped[1], 10 * PAGE_SIZE));
	CHECK(unit_is_filled(grouped[0], 10 * PAGE_SIZE, 0));
	CHECK(unit_is_filled(grouped[2], 10 * PAGE_SIZE, 2));
	CHECK(hak_trim(HAK_TRIM_ALL) == 0 && retouched() == 0 && !hak_check());
	CHECK(at(hak_malloc(10 * PAGE_SIZE)) == at(grouped[1]));
	CHECK(retouched() == 10 * PAGE_SIZE && hak_trim(HAK_TRIM_ALL) == 0 && !hak_check());
	CHECK(unit_close());
}

static void use_group(void)
{
	unsigned class = class_of(10 * PAGE_SIZE);
	void *span;

	/* what is being purged is not allocated */
	CHECK(span_alloc_batch(class, &span + 1, 1, ALLOC_ANY) == 1 && at(span) != at(grouped[1]));
	unit_fill(span, 10 * PAGE_SIZE, 3);
	span_free_batch(class, &span, 1);
	CHECK(span_outstanding(class) == 2);
	span_free_batch(class, &grouped[2], 1);
}

static void end_group(void)
{
	unsigned class = class_of(10 * PAGE_SIZE);
	uint64_t before = slabs_used();

	span_free_batch(class, grouped, 1);
	CHECK(span_outstanding(class) == 1);
	span_free_batch(class, &grouped[2], 1);
	CHECK(span_outstanding(class) == 0);
	/* no caller gets a unit while its pages go */
	CHECK(slabs_used() == before && !pagemap_class((uintptr_t)grouped[0]));
}

static void scan_group_meanwhile(void)
{
	for (unsigned fails = 0; HAS_GROUPS && fails < 2; fails++) {
		CHECK(open_group(FAKE_PURGE_ZERO));
		hak_idle(SIZE_MAX);
		hook(use_group);
		if (fails)
			fake_fail(&unit_fake, FAKE_PURGE, 1, false, FAKE_FAILS);
		hak_idle(SIZE_MAX);
		CHECK(!hooked.meanwhile && !test_has_failed() && !hak_check());
		CHECK(unit_is_filled(grouped[0], 10 * PAGE_SIZE, 0));
		CHECK(slabs_used() == 3 && hak_trim(HAK_TRIM_ALL) > 0 && !hak_check());
		CHECK(unit_close());
		CHECK(open_group(FAKE_PURGE_ZERO));
		hak_idle(SIZE_MAX);
		hook(end_group);
		if (fails)
			fake_fail(&unit_fake, FAKE_PURGE, 1, false, FAKE_FAILS);
		hak_idle(SIZE_MAX);
		CHECK(!hooked.meanwhile && !test_has_failed());
		CHECK(slabs_used() == 1 && !hak_check());
		CHECK(unit_close());
	}
}

/* calloc gives zeros, whatever purged memory reads. */
static void scan_calloc(void)
{
	static const size_t sizes[] = { 24, 500, 3000, 9000, 30000, 100000, 400000 };
	static const enum fake_purge purges[] = { FAKE_PURGE_ZERO, FAKE_PURGE_DIRTY };
	void *block[ARRAY_SIZE(sizes)], *stays;

	for (unsigned i = 0; i < 8; i++) {
		unsigned flags = (i & 2 ? FAKE_ZERO : 0);

		CHECK(unit_open(8 * MIB, flags, purges[i & 1]));
		CHECK((stays = hak_malloc(70000)));
		for (unsigned round = 0; round < 4; round++) {
			for (unsigned n = 0; n < ARRAY_SIZE(sizes); n++) {
				CHECK((block[n] = hak_calloc(1, sizes[n])));
				CHECK(unit_is_zero(block[n], sizes[n]));
				unit_fill(block[n], sizes[n], n);
			}
			for (unsigned n = 0; n < ARRAY_SIZE(sizes); n++)
				hak_free(block[n]);
			for (unsigned n = 0; i & 4 && n < 3; n++)
				hak_idle(SIZE_MAX);
			if (!(i & 4))
				hak_trim(HAK_TRIM_ALL);
			CHECK(unit_fake.purged && !hak_check());
		}
		hak_free(stays);
		CHECK(unit_close());
	}
}

/* While a program takes as many slabs as are unused, and these are few, they stay. Then they go. */
static void scan_busy(void)
{
	void *spans[100];

	if (!PLATFORM_SCANS)
		return;
	CHECK(unit_open(32 * MIB, 0, FAKE_PURGE_ZERO));
	for (unsigned i = 0; i < 100; i++)
		CHECK((spans[i] = unit_span_alloc(2 * SLAB_SIZE)));
	for (unsigned i = 0; i < 100; i += 8)
		hak_free(spans[i]);
	for (unsigned scan = 0; scan < 6; scan++) {
		for (unsigned i = 0; i < 20; i++) /* all in one place */
			hak_free(unit_span_alloc(2 * SLAB_SIZE));
		CHECK(hak_idle(SIZE_MAX) && unit_fake.purged == 0);
	}
	while (hak_idle(SIZE_MAX))
		;
	CHECK(unit_fake.purged == 13 * 2 * SLAB_SIZE && !hak_check());
	CHECK(unit_close());
}

/* ---------------------------------------------------------------------- pieces */

/* A scan is as many pieces as there are SuperSlabs, and one that finds the end. */
static void scan_pieces(void)
{
	void *large[5];

	CHECK(unit_open(16 * MIB, 0, FAKE_PURGE_ZERO));
	CHECK(!hak_idle(1));
	for (unsigned i = 0; i < 5; i++) {
		CHECK((large[i] = hak_malloc(2 * MIB)));
		CHECK(hak_realloc(large[i], 1 * MIB) == large[i]);
	}
	for (unsigned i = 0; i < 5; i++)
		CHECK(scan_step(1, 1) == SCAN_MORE && unit_fake.purged == 0);
	CHECK(scan_step(1, 1) == SCAN_AGAIN);
	for (unsigned i = 0; i < 5; i++) {
		CHECK(unit_fake.purged == i * MIB);
		CHECK(hak_idle(0)); /* is 1 */
	}
	CHECK(unit_fake.purged == 5 * MIB);
	while (hak_idle(2))
		;
	CHECK(!hak_idle(SIZE_MAX) && unit_fake.calls[FAKE_PURGE] == 5);
	/* a trim in the middle of a scan ends it */
	CHECK(scan_step(3, 1) == SCAN_MORE);
	CHECK(hak_trim(HAK_TRIM_OWN) == 0);
	CHECK(scan_step(5, 1) == SCAN_MORE && scan_step(1, 1) == SCAN_DONE);
	/* and so does the end of what was next */
	CHECK(scan_step(2, 1) == SCAN_MORE);
	for (unsigned i = 0; i < 5; i++)
		hak_free(large[i]);
	while (hak_idle(1))
		;
	CHECK(unit_fake.outstanding_heap == 0 && !hak_check());
	CHECK(unit_close());
}

void unit_scan(void)
{
	TEST_RUN(scan_page_arithmetic);
	TEST_RUN(scan_behind_the_last);
	TEST_RUN(scan_all_classes);
	TEST_RUN(scan_whole_pages);
	TEST_RUN(scan_used_between);
	TEST_RUN(scan_allocated_between);
	TEST_RUN(scan_untouched);
	TEST_RUN_SLABS(scan_two_slabs);
	TEST_RUN(scan_double_free);
	TEST_RUN(scan_refused);
	TEST_RUN(scan_refused_half);
	TEST_RUN(scan_empty_meanwhile);
	TEST_RUN(scan_free_meanwhile);
	TEST_RUN(scan_alloc_meanwhile);
	TEST_RUN(scan_not_ready_meanwhile);
	TEST_RUN(scan_cut_off);
	TEST_RUN(scan_unused_pages_of_new_slab);
	TEST_RUN(scan_emptied);
	TEST_RUN_SLABS(scan_unused_slabs);
	TEST_RUN_SLABS(scan_shrunk_span);
	TEST_RUN_SLABS(scan_slack);
	TEST_RUN_SLABS(scan_slack_of_short_spans);
	TEST_RUN(scan_slack_refused);
	TEST_RUN(scan_group);
	TEST_RUN(scan_group_meanwhile);
	TEST_RUN_SLABS(scan_span_freed_meanwhile);
	TEST_RUN_SLABS(scan_of_slack_cut_off);
	TEST_RUN_SLABS(scan_span_resized_meanwhile);
	TEST_RUN(scan_calloc);
	TEST_RUN_SLABS(scan_busy);
	TEST_RUN_SLABS(scan_pieces);
}
