/* SPDX-License-Identifier: MIT */
/*
 * core/diag/check.c: does hak_check() see damage, and name it? Each test makes a heap
 * in which the damage is possible, does it, asks, repairs it, and asks again.
 */
#include "unit.h"

#include <hakmem/hakmem.h>
#include <cache/cache.h>
#include <cache/magazine.h>
#include <pages/pagemap.h>
#include <superslab/runs.h>
#include <base/sizeclass.h>
#include <slab/class.h>
#include <superslab/span.h>

#define CLASS_512 17
#define CLASS_1K  21

static uintptr_t slab_at(size_t n)
{
	return (uintptr_t)unit_fake.arena + n * SLAB_SIZE;
}

static struct superslab *superslab_at(size_t n)
{
	return pagemap_superslab(slab_at(n));
}

static struct slab *slab_of(const void *block)
{
	return address_to_slab((uintptr_t)block);
}

static bool open_heap(void)
{
	return unit_open(16 * MIB, 0, FAKE_PURGE_NONE);
}

/* The arrays of lists are not ours to see, but their nodes point into them. */
static struct list_node **list_heads(struct list_node *only, unsigned index)
{
	return only->link - index;
}

#define FINDS(expected) CHECK(unit_same(hak_check(), expected))
#define FINDS_NOTHING() CHECK(unit_same(hak_check(), NULL))

static void check_superslab_words(void)
{
	struct superslab *superslab;

	CHECK(open_heap() && unit_span_alloc(4 * SLAB_SIZE));
	FINDS_NOTHING();
	superslab = superslab_at(0);

	superslab->window->unbacked |= 1;
	FINDS("SuperSlab: unbacked units that are in use");
	superslab->window->unbacked &= ~1u;
	superslab->window->claimed |= 16;
	FINDS("SuperSlab: units that a scan did not free");
	superslab->window->claimed &= ~16u;
	superslab->window->idle |= 2;
	FINDS("SuperSlab: idle units without anything to purge");
	superslab->window->idle &= ~2u;

	pagemap_set_superslab(superslab->base, NULL);
	FINDS("page map: entry of a SuperSlab");
	pagemap_set_superslab(superslab->base, superslab);

	pagemap_set_class(slab_at(31), 1, CLASS_1K);
	FINDS("page map: class of an unused unit");
	pagemap_set_class(slab_at(31), 1, CLASS_NONE);

	FINDS_NOTHING();
	CHECK(unit_close());
}

/* A SuperSlab that is not counted. */
static void check_superslab_counts(void)
{
	CHECK(open_heap() && unit_span_alloc(SLAB_SIZE));
	hak_arena.counters.active++;
	FINDS("SuperSlab counters: active or reserve");
	hak_arena.counters.active--;
	hak_arena.counters.units_used++;
	FINDS("SuperSlab counters: units used");
	hak_arena.counters.units_used--;
	FINDS_NOTHING();
	CHECK(unit_close());
}

static void check_runs(void)
{
	struct slab *first, *second, *third;
	bool backed;

	/* 12 slabs of each are left, and 10 of a third */
	CHECK(open_heap());
	CHECK(span_alloc(20 * SLAB_SIZE, SUPERSLAB_SIZE, ALLOC_ANY, &backed));
	CHECK(span_alloc(20 * SLAB_SIZE, SUPERSLAB_SIZE, ALLOC_ANY, &backed));
	CHECK(span_alloc(22 * SLAB_SIZE, SUPERSLAB_SIZE, ALLOC_ANY, &backed));
	first = address_to_slab(slab_at(20));
	second = address_to_slab(slab_at(52));
	third = address_to_slab(slab_at(86));
	CHECK(first->run == 12 && second->run == 12 && third->run == 10);

	list_del(&first->node);
	FINDS("runs: one missing or too many");
	list_add(&hak_runs.list[12], &first->node);
	FINDS_NOTHING();

	list_del(&first->node);
	list_add(&hak_runs.list[10], &first->node);
	FINDS("runs: one on the wrong list");
	list_del(&first->node);
	list_add(&hak_runs.list[12], &first->node);
	FINDS_NOTHING();

	list_del(&third->node);
	FINDS("runs: the mask of lists");
	list_add(&hak_runs.list[10], &third->node);
	FINDS_NOTHING();

	address_to_slab(slab_at(31))->run--;
	FINDS("runs: the length of one");
	address_to_slab(slab_at(31))->run++;
	FINDS_NOTHING();

	/* shorter than it is, and longer */
	superslab_at(0)->window->unused |= (unit_mask)1 << 19;
	FINDS("page map: class of an unused unit");
	superslab_at(0)->window->unused &= ~((unit_mask)1 << 19);
	superslab_at(0)->window->unused &= ~((unit_mask)1 << 25);
	superslab_at(0)->window->unbacked &= ~((unit_mask)1 << 25);
	FINDS("SuperSlab: unused units and the count of them");
	superslab_at(0)->unused--;
	FINDS("runs: the length of one");
	superslab_at(0)->unused++;
	superslab_at(0)->window->unused |= (unit_mask)1 << 25;
	superslab_at(0)->window->unbacked |= (unit_mask)1 << 25;
	FINDS_NOTHING();
	CHECK(unit_close());
}

static void check_superslab_list(void)
{
	struct superslab *superslab;
	struct list_node **link;

	CHECK(open_heap() && unit_span_alloc(32 * SLAB_SIZE) && unit_span_alloc(32 * SLAB_SIZE));
	superslab = superslab_at(0);
	link = superslab->all.link;
	list_del(&superslab->all);
	FINDS("SuperSlab counters: active or reserve");
	CHECK(arena_first() == superslab_at(32));
	list_add(link, &superslab->all);
	FINDS_NOTHING();
	hak_arena.counters.units_used++;
	FINDS("SuperSlab counters: units used");
	hak_arena.counters.units_used--;
	FINDS_NOTHING();
	CHECK(unit_close());
}

static void check_bitmap(void)
{
	struct slab *slab;
	char *block;

	CHECK(open_heap());
	block = hak_malloc(1000);
	CHECK(block);
	slab = slab_of(block);
	CHECK(slab->free == 60 && slab->bitmap[0] == ~(uint64_t)0 << 4);

	slab->bitmap[0] &= slab->bitmap[0] - 1; /* a block that is lost */
	FINDS("slab: bits in the bitmap and the count of free blocks");
	slab->bitmap[0] |= (uint64_t)1 << 4;
	slab->free++; /* a block too many */
	FINDS("slab: bits in the bitmap and the count of free blocks");
	slab->free--;

	/* consistent in itself, but not with what was taken */
	slab->bitmap[0] &= slab->bitmap[0] - 1;
	slab->free--;
	FINDS("class: blocks allocated less blocks freed");
	slab->bitmap[0] |= (uint64_t)1 << 4;
	slab->free++;

	slab->hint = 1;
	FINDS("slab: a free block below the hint");
	slab->hint = 0;

	slab->bitmap[0] = ~(uint64_t)0;
	slab->free = 64;
	FINDS("slab: empty and not returned");
	slab->bitmap[0] = ~(uint64_t)0 << 4;
	slab->free = 60;
	FINDS_NOTHING();
	CHECK(unit_close());
}

/* The same for a bitmap that is a block of a slab itself. */
static void check_outer_bitmap(void)
{
	struct slab *slab, *bitmaps;

	CHECK(open_heap());
	slab = slab_of(hak_malloc(16));
	CHECK(slab->free == 4092 && slab->bitmap != slab->inline_bits);
	slab->bitmap[63] ^= 1;
	FINDS("slab: bits in the bitmap and the count of free blocks");
	slab->bitmap[63] ^= 1;
	bitmaps = slab_of(slab->bitmap);
	CHECK(bitmaps->class == CLASS_BITMAP_512 && bitmaps->free == 127);
	bitmaps->inline_bits[0] ^= 1;
	FINDS("slab: bits in the bitmap and the count of free blocks");
	bitmaps->inline_bits[0] ^= 1;
	FINDS_NOTHING();
	CHECK(unit_close());
}

static void check_slab_lists(void)
{
	struct list_node **heads;
	struct slab *slab;
	unsigned bucket;

	CHECK(open_heap());
	slab = slab_of(hak_malloc(1000));
	bucket = slab->bucket;
	CHECK(bucket == 3);
	heads = list_heads(&slab->node, bucket);

	list_del(&slab->node);
	FINDS("slab: on a list without free blocks, or not with them");
	list_add(&heads[bucket], &slab->node);

	slab->bucket = 0;
	FINDS("slab: on the wrong list");
	slab->bucket = (uint8_t)bucket;
	FINDS_NOTHING();

	heads[bucket] = NULL; /* the list has lost it, it does not know */
	FINDS("class: slabs missing on its lists, or too many");
	heads[bucket] = &slab->node;
	FINDS_NOTHING();
	CHECK(unit_close());
}

static void check_slab_classes(void)
{
	struct slab *slab;
	char *block = NULL;

	CHECK(open_heap());
	/* until a slab is full, so that it is on no list */
	for (unsigned i = 0; i < 128; i++)
		block = hak_malloc(500);
	slab = slab_of(block);
	CHECK(slab->class == CLASS_512 && slab->free == 0);

	pagemap_set_class(slab_base(slab), 1, CLASS_1K);
	FINDS("page map: class of a slab");
	pagemap_set_class(slab_base(slab), 1, CLASS_512);

	/* a class of the same geometry: only the numbers are wrong */
	slab->class = CLASS_BITMAP_512;
	pagemap_set_class(slab_base(slab), 1, CLASS_BITMAP_512);
	FINDS("class: number of units");
	slab->class = CLASS_512;
	pagemap_set_class(slab_base(slab), 1, CLASS_512);
	FINDS_NOTHING();

	if (superslab_has_pages(superslab_at(0))) { /* else an unused unit has no descriptor */
		superslab_at(0)->slab[31].class = CLASS_1K;
		FINDS("slab: has a class and is unused");
		superslab_at(0)->slab[31].class = CLASS_NONE;
	}
	FINDS_NOTHING();
	CHECK(unit_close());
}

static void check_finds_spans(void)
{
	char *block;
	struct slab *head;

	CHECK(open_heap());
	block = unit_span_alloc(5 * SLAB_SIZE);
	CHECK(block);
	head = slab_of(block);

	head->span_pages = 4 * PAGES_PER_SLAB;
	FINDS("span counters: pages or units");
	head->span_pages = 6 * PAGES_PER_SLAB;
	FINDS("page map: class of the rest of a span");
	head->span_pages = 5 * PAGES_PER_SLAB - 1;
	FINDS("span counters: pages or units");
	head->span_pages = 5 * PAGES_PER_SLAB;

	pagemap_set_class((uintptr_t)block, 1, CLASS_1K);
	FINDS("page map: class of a span");
	pagemap_set_class((uintptr_t)block, 1, CLASS_SPAN_REST);
	FINDS("span counters: live");
	pagemap_set_class((uintptr_t)block, 1, CLASS_SPAN);
	pagemap_set_class((uintptr_t)block + 4 * SLAB_SIZE, 1, CLASS_SPAN);
	FINDS("page map: class of the rest of a span");
	pagemap_set_class((uintptr_t)block + 4 * SLAB_SIZE, 1, CLASS_SPAN_REST);

	head->class = CLASS_NONE;
	FINDS("span counters: live");
	head->class = CLASS_SPAN;
	FINDS_NOTHING();
	CHECK(unit_close());
}

static void check_magazines(void)
{
	struct hak_cache *cache;
	struct magazine *magazine;
	void **top, *block, *lost;

	CHECK(open_heap());
	block = hak_malloc(1000);
	CHECK(block);
	cache = this_cache();
	magazine = &cache->magazine[CLASS_1K];
	top = &cache->slot[magazine->top];
	lost = *top;
	CHECK(lost && !top[-3]);

	*top = (char *)lost + 8; /* no block starts there */
	FINDS("magazine: a block that is not one, or is free in its slab");
	*top = unit_fake.arena + 8 * MIB; /* not of the heap */
	FINDS("magazine: a block that is not one, or is free in its slab");
	*top = (char *)block + 10 * 1024; /* free */
	FINDS("magazine: a block that is not one, or is free in its slab");
	*top = lost;

	top[-3] = block;
	FINDS("magazine: a block below the first");
	top[-3] = NULL;

	magazine->limit = (uint16_t)(magazine->top - 1);
	FINDS("magazine: its top or limit");
	magazine->limit = (uint16_t)(magazine->top + size_class[CLASS_1K].capacity);
	FINDS("magazine: its top or limit");
	magazine->limit = (uint16_t)(magazine->top + 13);
	FINDS_NOTHING();
	CHECK(unit_close());
}

void unit_check(void)
{
	TEST_RUN(check_superslab_words);
	TEST_RUN(check_superslab_counts);
	TEST_RUN_SLABS(check_runs);
	TEST_RUN(check_superslab_list);
	TEST_RUN(check_bitmap);
	TEST_RUN_SLABS(check_outer_bitmap);
	TEST_RUN(check_slab_lists);
	TEST_RUN(check_slab_classes);
	TEST_RUN(check_finds_spans);
	TEST_RUN(check_magazines);
}
