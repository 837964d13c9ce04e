/* SPDX-License-Identifier: MIT */
/*
 * The frame provider of the bare-metal platform, tested on both: a copy of its
 * own of the source, with its state in reach, over a piece of memory that plays
 * the machine's RAM.
 */
#include <hakmem/hakmem.h>
#include <platform.h>

#include "unit.h"

/* The names, because the image of these tests has the original too. */
#define hak_region_add	       test_region_add
#define hak_region_add_counted test_region_add_counted
#define hak_frames_total       test_frames_total
#define hak_frames_free	       test_frames_free
#define hak_frames_provider    test_frames_provider
#define hak_frames_base	       test_frames_base
#define hak_frames_set_host    test_frames_set_host
#define hak_frames_report      test_frames_report
#define hak_frames_supply      test_frames_supply
#define hak_frames_find	       test_frames_find
#define hak_region_remove      test_region_remove
#define hak_frames_use_parts   test_frames_use_parts
#define hak_heap_add	       test_heap_add
#define hak_pages_alloc	       test_pages_alloc
#define hak_pages_free	       test_pages_free
#define hak_host_physical      test_physical
#define hak_host_set_error     test_set_error
#define FRAMES_PREFIX	       "test_frames_"
#define HIGH_FRAME	       high_frame
#define hak_low_water	       test_low_water
#define hak_low_due	       test_low_due
static _Atomic bool hak_low_due;
#if __STDC_HOSTED__
#define HAK_MACHINE_H /* platform.h is that of Linux */
#endif

static size_t high_frame = ((size_t)4 << 30) / HAK_SUPERSLAB_SIZE;
static enum hak_error last_error;
static uintptr_t swapped; /* these two pages have each other's place for a device */

uint64_t test_physical(const void *address);
void test_set_error(enum hak_error error);

void test_set_error(enum hak_error error)
{
	last_error = error;
}

uint64_t test_physical(const void *address)
{
	uintptr_t page = (uintptr_t)address / HAK_GRANULE;

	if (swapped && page / 2 == swapped / HAK_GRANULE / 2)
		return (uintptr_t)address ^ HAK_GRANULE;
	return (uintptr_t)address;
}

/* Few enough frames that searching from address 0 is quick on Linux too. */
#undef HAK_ADDRESS_BITS
#define HAK_ADDRESS_BITS 36
#include "../../platform/baremetal/frames.c"

#include "../../platform/baremetal/dma.c"
#include "../../platform/baremetal/heap_add.c"
#include "../../platform/baremetal/parts.c"
#include "../../platform/baremetal/region_remove.c"

#if __STDC_HOSTED__
#include <sys/mman.h>
#endif

#define RAM_FRAMES 8
#define RAM_SIZE   (RAM_FRAMES * FRAME_SIZE)
#define RAM_PAGES  (RAM_SIZE / PAGE_SIZE)
#define MIB	   ((size_t)1 << 20)

static uintptr_t ram;

/*
 * On Linux, memory comes from high addresses; that above 1 GiB is free under every
 * sanitizer too. Four frames of it are below a multiple of eight.
 */
static bool get_ram(void)
{
#if __STDC_HOSTED__
	void *at = mmap((void *)(((uintptr_t)1 << 30) + 4 * FRAME_SIZE), RAM_SIZE,
			PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			-1, 0);

	ram = at == MAP_FAILED ? 0 : (uintptr_t)at;
#else
	ram = (uintptr_t)port_map(RAM_SIZE);
#endif
	return ram;
}

static void put_ram(void)
{
#if __STDC_HOSTED__
	munmap((void *)ram, RAM_SIZE);
#else
	port_unmap((void *)ram, RAM_SIZE);
#endif
}

/* As after a reset of the machine. */
static void forget(void)
{
	__builtin_memset(&frames, 0, sizeof(frames));
}

/* Returns the address, or 0 for a failure. */
static uintptr_t map(size_t size, size_t align, enum hak_want want)
{
	struct hak_mapping mapping;

	if (hak_frames_provider.map(NULL, size, align, want, &mapping))
		return 0;
	if (mapping.left != hak_frames_free() * FRAME_SIZE)
		test_fail(__FILE__, __LINE__, "it says how much there is left");
	return (uintptr_t)mapping.base;
}

static uintptr_t map_frames(size_t count, size_t align)
{
	return map(count * FRAME_SIZE, align, HAK_WANT_HEAP);
}

static uintptr_t map_page(void)
{
	return map(PAGE_SIZE, PAGE_SIZE, HAK_WANT_META);
}

static bool unmap(uintptr_t base, size_t size)
{
	return hak_frames_provider.unmap(NULL, (void *)base, size) == 0;
}

/* What hak_region_add_counted() says, and adds, must be this. */
static bool adds(uintptr_t base, size_t size, int result, size_t added)
{
	size_t bytes = 1;

	return hak_region_add_counted(base, size, &bytes) == result && bytes == added;
}

/* What hak_region_remove() says, and what it says is in the way. */
static bool removes(uintptr_t base, size_t size, int result, size_t bytes)
{
	struct hak_region_held held = { .bytes = 1, .block_bytes = 1, .block = &held };

	return hak_region_remove(base, size, &held) == result && held.bytes == bytes &&
	       !held.block_bytes && !held.block;
}

static void region_errors(void)
{
	uintptr_t limit = (uintptr_t)1 << HAK_ADDRESS_BITS;

	forget();
	CHECK(adds(ram, 0, HAK_REGION_SMALL, 0));
	CHECK(adds(ram + 1, 2 * PAGE_SIZE - 2, HAK_REGION_SMALL, 0));
	CHECK(adds(0, 2 * PAGE_SIZE - 1, HAK_REGION_SMALL, 0));
	CHECK(adds(PAGE_SIZE - 1, PAGE_SIZE, HAK_REGION_SMALL, 0));
	CHECK(adds(limit - 1, MIB, HAK_REGION_SMALL, 0));
	CHECK(adds(limit, MIB, HAK_REGION_RANGE, 0));
	CHECK(adds(limit, ~(size_t)0, HAK_REGION_RANGE, 0));
	CHECK(adds(~(uintptr_t)0 - MIB, 2 * MIB, HAK_REGION_RANGE, 0));
	CHECK(adds(~(uintptr_t)0, 1, HAK_REGION_RANGE, 0));
	CHECK(hak_frames_total() == 0 && hak_frames_free() == 0);
	CHECK(!map_frames(1, FRAME_SIZE) && !map_page());
}

/* What is above the limit is left out, also where the sum of base and size has no bits left. */
static void region_crosses_the_limit(void)
{
	static const size_t sizes[] = { 2 * FRAME_SIZE + 1, (size_t)93 << 30, ~(size_t)0 };
	uintptr_t base = ((uintptr_t)1 << HAK_ADDRESS_BITS) - 2 * FRAME_SIZE;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		forget();
		CHECK(adds(base, sizes[i], HAK_REGION_ADDED, 2 * FRAME_SIZE));
		CHECK(hak_frames_total() == 2 && map_frames(2, FRAME_SIZE) == base);
		CHECK(adds(base, sizes[i], HAK_REGION_OVERLAP, 0));
	}
}

/* Of a region that overlaps others, what is new is added. */
static void region_overlaps(void)
{
	forget();
	CHECK(adds(ram + 2 * FRAME_SIZE, 2 * FRAME_SIZE + MIB, 0, 2 * FRAME_SIZE + MIB));
	CHECK(adds(ram + 2 * FRAME_SIZE, 2 * FRAME_SIZE + MIB, HAK_REGION_OVERLAP, 0));
	CHECK(adds(ram + 3 * FRAME_SIZE, PAGE_SIZE, HAK_REGION_OVERLAP, 0));
	CHECK(adds(ram + 4 * FRAME_SIZE + MIB - PAGE_SIZE, PAGE_SIZE, HAK_REGION_OVERLAP, 0));
	CHECK(hak_frames_total() == 2 && hak_frames_free() == 2);
	/* by a page; up to what is there; over it; into the middle of a frame */
	CHECK(adds(ram + FRAME_SIZE, FRAME_SIZE + PAGE_SIZE, 0, FRAME_SIZE));
	CHECK(adds(ram + 4 * FRAME_SIZE, FRAME_SIZE + MIB, 0, 2 * MIB));
	CHECK(hak_frames_total() == 4 && hak_frames_free() == 4);
	CHECK(adds(ram, RAM_SIZE, 0, RAM_SIZE - 4 * FRAME_SIZE - MIB));
	CHECK(adds(ram, RAM_SIZE, HAK_REGION_OVERLAP, 0));
	CHECK(hak_frames_total() == RAM_FRAMES && hak_frames_free() == RAM_FRAMES);
	CHECK(map_frames(RAM_FRAMES, FRAME_SIZE) == ram);
	CHECK(adds(ram, RAM_SIZE, HAK_REGION_OVERLAP, 0));
}

/* Every second page, and then the others: each is added once. */
static void region_overlaps_in_pages(void)
{
	forget();
	for (size_t page = 0; page < PAGES_PER_FRAME; page += 2)
		CHECK(adds(ram + page * PAGE_SIZE, PAGE_SIZE, HAK_REGION_WAITS, PAGE_SIZE));
	CHECK(adds(ram + FRAME_SIZE, FRAME_SIZE, HAK_REGION_WAITS, FRAME_SIZE));
	CHECK(adds(ram + PAGE_SIZE, FRAME_SIZE + MIB, 0, MIB));
	CHECK(hak_frames_total() == 2 && hak_frames_free() == 2);
	CHECK(map_frames(2, FRAME_SIZE) == ram);
}

/* Whether blocks can be made of what there is, is said by each call. */
static void region_says_what_is_of_no_use(void)
{
	void *block;

	/* pieces of many frames, none whole */
	forget();
	for (unsigned i = 0; i < RAM_FRAMES; i++)
		CHECK(adds(ram + i * FRAME_SIZE, FRAME_SIZE - MIB / 8, HAK_REGION_WAITS,
			   FRAME_SIZE - MIB / 8));
	CHECK(hak_frames_total() == 0);
	/* a frame alone: it would be split for records */
	forget();
	CHECK(adds(ram, FRAME_SIZE, HAK_REGION_WAITS, FRAME_SIZE));
	CHECK(hak_init(&hak_frames_provider) && !hak_malloc(1000));
	hak_fini();
	CHECK(adds(ram + FRAME_SIZE, FRAME_SIZE, HAK_REGION_ADDED, FRAME_SIZE));
	CHECK(hak_init(&hak_frames_provider));
	block = hak_malloc(1000);
	CHECK(block);
	hak_free(block);
	hak_fini();
#if !__STDC_HOSTED__
	/* a frame and so many pages as make the answer another one: there is a block then */
	forget();
	for (size_t at = FRAME_SIZE;
	     hak_region_add(ram + at, 2 * FRAME_SIZE - at) == HAK_REGION_WAITS && at;)
		at -= PAGE_SIZE;
	CHECK(hak_frames_total() == 1);
	CHECK(hak_init(&hak_frames_provider));
	block = hak_malloc(1000);
	CHECK(block);
	hak_free(block);
	hak_fini();
#endif
}

/*
 * Firmware tells of memory that is not there, or that no page table maps yet. Nothing is written to
 * a region before somebody asks for memory, but a record to a frame that is not whole; and what is
 * there is used first.
 */
static void region_reaches_further_than_memory(void)
{
	uintptr_t limit = (uintptr_t)1 << HAK_ADDRESS_BITS, page;

	high_frame = ram / FRAME_SIZE;
	for (unsigned above = 0; above < 2; above++) { /* by itself; or the end of another */
		uintptr_t end = ram + RAM_SIZE, base = above ? limit / 2 : end;

		forget();
		CHECK(adds(ram + 8 * PAGE_SIZE, RAM_SIZE - 8 * PAGE_SIZE, 0,
			   RAM_SIZE - 8 * PAGE_SIZE));
		CHECK(adds(base, ~(size_t)0, 0, limit - base));
		CHECK(hak_frames_total() == RAM_FRAMES - 1 + (limit - base) / FRAME_SIZE);
		CHECK(hak_frames_free() == hak_frames_total());
		page = map_page();
		CHECK(page == ram + 9 * PAGE_SIZE);
		CHECK(map_frames(RAM_FRAMES - 1, FRAME_SIZE) == ram + FRAME_SIZE);
		CHECK(removes(base, ~(size_t)0, HAK_REGION_REMOVED, 0));
		CHECK(!hak_frames_free() && unmap(page, PAGE_SIZE));
	}
	high_frame = ((size_t)4 << 30) / FRAME_SIZE;
}

/* What is left of a region around its frames serves pages, but for the record. */
static void region_remainders(void)
{
	size_t pages = 0;

	forget();
	CHECK(hak_region_add(ram + FRAME_SIZE - 3 * PAGE_SIZE - 1,
			     FRAME_SIZE + 3 * PAGE_SIZE + 1 + 4 * PAGE_SIZE + 100) ==
	      HAK_REGION_WAITS);
	CHECK(hak_frames_total() == 1 && hak_frames_free() == 1);
	while (hak_frames_free()) {
		uintptr_t page = map_page();

		CHECK(page % PAGE_SIZE == 0);
		CHECK(page >= ram + FRAME_SIZE - 3 * PAGE_SIZE);
		CHECK(page < ram + 2 * FRAME_SIZE + 4 * PAGE_SIZE);
		pages++;
	}
	/* 2 of 3, 3 of 4, and the first of the frame that had to be split */
	CHECK(pages == 6);
}

static void regions_join(void)
{
	forget();
	CHECK(hak_region_add(ram + 3 * FRAME_SIZE - MIB, MIB + FRAME_SIZE) == 0);
	CHECK(hak_region_add(ram + FRAME_SIZE, FRAME_SIZE) == 0);
	CHECK(hak_frames_total() == 2 && !map_frames(3, FRAME_SIZE));
	CHECK(hak_region_add(ram + 2 * FRAME_SIZE, MIB) == 0);
	CHECK(hak_frames_total() == 3 && hak_frames_free() == 3);
	CHECK(map_frames(3, FRAME_SIZE) == ram + FRAME_SIZE);
}

/* A frame gets whole only when its pages have come back. */
static void regions_join_later(void)
{
	uintptr_t page;

	forget();
	CHECK(hak_region_add(ram, MIB) == HAK_REGION_WAITS);
	page = map_page();
	CHECK(page && hak_region_add(ram + MIB, MIB) == HAK_REGION_WAITS);
	CHECK(hak_frames_total() == 1 && hak_frames_free() == 0);
	CHECK(!map_frames(1, FRAME_SIZE));
	CHECK(unmap(page, PAGE_SIZE));
	CHECK(hak_frames_free() == 1 && map_frames(1, FRAME_SIZE) == ram);
}

static void runs_and_alignment(void)
{
	uintptr_t four = (ram + 4 * MIB - 1) & -(4 * MIB);

	forget();
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(!map_frames(RAM_FRAMES + 1, FRAME_SIZE));
	CHECK(map_frames(RAM_FRAMES, FRAME_SIZE) == ram && hak_frames_free() == 0);
	CHECK(unmap(ram, RAM_SIZE) && hak_frames_free() == RAM_FRAMES);
	CHECK(map_frames(2, 4 * MIB) == four);
	CHECK(unmap(four + FRAME_SIZE, FRAME_SIZE)); /* a part of it */
	CHECK(map_frames(1, 4 * MIB) == four + 4 * MIB);
	CHECK(map_frames(1, HAK_GRANULE) % FRAME_SIZE == 0);
	CHECK(!map_frames(1, (size_t)1 << 40));
	CHECK(!map_frames((size_t)1 << 40, FRAME_SIZE));
	CHECK(!map(0, FRAME_SIZE, HAK_WANT_HEAP));
	CHECK(!map(FRAME_SIZE, 3 * FRAME_SIZE, HAK_WANT_HEAP));
	CHECK(!map(~(size_t)0, FRAME_SIZE, HAK_WANT_HEAP));
}

static void pages_split_and_return(void)
{
	uintptr_t small, large, aligned, whole;

	forget();
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	small = map_page();
	CHECK(small && hak_frames_free() == RAM_FRAMES - 1);
	large = map(MIB, PAGE_SIZE, HAK_WANT_META);
	CHECK(large && hak_frames_free() == RAM_FRAMES - 1);
	aligned = map(PAGE_SIZE, MIB, HAK_WANT_META);
	CHECK(aligned % MIB == 0 && hak_frames_free() == RAM_FRAMES - 2);
	whole = map(MIB + PAGE_SIZE, PAGE_SIZE, HAK_WANT_META);
	CHECK(whole % FRAME_SIZE == 0 && hak_frames_free() == RAM_FRAMES - 3);
	CHECK(unmap(small, PAGE_SIZE) && unmap(aligned, PAGE_SIZE));
	CHECK(unmap(large, MIB) && unmap(whole, MIB + PAGE_SIZE));
	CHECK(hak_frames_free() == RAM_FRAMES && hak_frames_total() == RAM_FRAMES);
	CHECK(map_frames(RAM_FRAMES, FRAME_SIZE) == ram);
}

/* Pages stay, as records do, and split no run of frames: they come from the end. */
static void pages_come_from_the_end(void)
{
	forget();
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	for (unsigned left = RAM_FRAMES; left; left--) {
		for (unsigned i = 1; i < PAGES_PER_FRAME; i++)
			CHECK(map_page() == ram + (left - 1) * FRAME_SIZE + i * PAGE_SIZE);
		CHECK(bits_next(frames.free, ram / FRAME_SIZE, ram / FRAME_SIZE + left - 1,
				false) == ram / FRAME_SIZE + left - 1);
	}
	CHECK(!map_page());
	/* what is free in the middle is split when nothing above it is free */
	forget();
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(map_frames(RAM_FRAMES, FRAME_SIZE) == ram);
	CHECK(unmap(ram + FRAME_SIZE, 3 * FRAME_SIZE));
	CHECK(map_page() == ram + 3 * FRAME_SIZE + PAGE_SIZE);
	CHECK(map_frames(2, FRAME_SIZE) == ram + FRAME_SIZE);
}

static void wrong_unmaps(void)
{
	uintptr_t frame, page;

	forget();
	CHECK(hak_region_add(ram, 3 * FRAME_SIZE) == 0);
	frame = map_frames(1, FRAME_SIZE);
	page = map(2 * PAGE_SIZE, PAGE_SIZE, HAK_WANT_META);
	CHECK(frame == ram && page == ram + 2 * FRAME_SIZE + PAGE_SIZE);
	CHECK(!unmap(frame, 0));
	CHECK(!unmap(frame + PAGE_SIZE, FRAME_SIZE));
	CHECK(!unmap(frame, 3 * FRAME_SIZE));		   /* the third is split */
	CHECK(!unmap(frame + FRAME_SIZE, FRAME_SIZE));	   /* free */
	CHECK(!unmap(frame + 3 * FRAME_SIZE, FRAME_SIZE)); /* not ours */
	CHECK(!unmap(page + 2 * PAGE_SIZE, PAGE_SIZE));	   /* free */
	CHECK(!unmap(page - PAGE_SIZE, PAGE_SIZE));	   /* the record */
	CHECK(!unmap(page - PAGE_SIZE, 3 * PAGE_SIZE));
	CHECK(!unmap(page + 1, PAGE_SIZE));
	CHECK(!unmap(page, 2 * FRAME_SIZE));
	CHECK(!unmap((uintptr_t)1 << 60, FRAME_SIZE));
	CHECK(!unmap(frame, ~(size_t)0));
	CHECK(unmap(page, 2 * PAGE_SIZE) && unmap(frame, FRAME_SIZE));
	CHECK(!unmap(frame, FRAME_SIZE) && hak_frames_free() == 3);
}

/* What the host was told last; it refuses if `busy`. */
static uintptr_t reported, purged;
static size_t reported_size;
static bool busy;
static uint64_t absent[NR_FRAMES / 64];

static bool fake_report(void *base, size_t size)
{
	reported = (uintptr_t)base;
	reported_size = size;
	return !busy;
}

static int fake_purge(void *base, size_t size)
{
	purged = (uintptr_t)base + size;
	return HAK_PAGES_PURGE;
}

static void free_frames_are_reported_once(void)
{
	static const struct hak_frames_host host = { fake_purge, fake_report, absent };
	uintptr_t first, last;

	forget();
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(hak_frames_provider.purge(NULL, (void *)ram, PAGE_SIZE) < 0);
	hak_frames_set_host(&host);
	first = map_frames(1, FRAME_SIZE);
	CHECK(hak_frames_provider.purge(NULL, (void *)first, PAGE_SIZE) == HAK_PAGES_PURGE);
	CHECK(purged == first + PAGE_SIZE);
	busy = true;
	CHECK(hak_frames_report(2) == 0);
	busy = false;
	CHECK(hak_frames_report(2) == 2 && reported == first + FRAME_SIZE);
	CHECK(reported_size == 2 * FRAME_SIZE);
	CHECK(hak_frames_report(RAM_FRAMES) == RAM_FRAMES - 3);
	CHECK(reported == first + 3 * FRAME_SIZE);
	CHECK(hak_frames_report(RAM_FRAMES) == 0);
	/* what was in use is news when it is free again */
	last = map_frames(RAM_FRAMES - 1, FRAME_SIZE);
	CHECK(last && hak_frames_report(RAM_FRAMES) == 0);
	CHECK(unmap(last + FRAME_SIZE, FRAME_SIZE) && unmap(first, FRAME_SIZE));
	CHECK(hak_frames_report(RAM_FRAMES) == 1 && reported == first);
	CHECK(hak_frames_report(RAM_FRAMES) == 1 && reported == last + FRAME_SIZE);
	CHECK(hak_frames_report(RAM_FRAMES) == 0);
}

/* Returns whether the host has so many of them. */
static bool found(size_t count, const uint64_t *held, uintptr_t base, size_t nr_held)
{
	size_t nr = ~(size_t)0;

	return hak_frames_find(count, held, &nr) == base / FRAME_SIZE && nr == nr_held;
}

static void frames_of_a_host_are_found(void)
{
	static uint64_t held[NR_FRAMES / 64];
	uintptr_t base;
	size_t first, nr;

	forget();
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	base = map_frames(RAM_FRAMES, FRAME_SIZE);
	first = base / FRAME_SIZE;
	/* used, the host's, used, the host's, the host's, free, free, used */
	bits_fill(held, first + 1, 1, true);
	bits_fill(held, first + 3, 2, true);
	CHECK(base && unmap(base + 5 * FRAME_SIZE, 2 * FRAME_SIZE));
	CHECK(found(1, held, base + 5 * FRAME_SIZE, 0));
	CHECK(found(2, held, base + 5 * FRAME_SIZE, 0));
	CHECK(found(3, held, base + 4 * FRAME_SIZE, 1));
	CHECK(found(4, held, base + 3 * FRAME_SIZE, 2));
	CHECK(hak_frames_find(5, held, &nr) == HAK_FRAMES_NONE);
	CHECK(hak_frames_find(~(size_t)0, held, &nr) == HAK_FRAMES_NONE);
	CHECK(map_frames(2, FRAME_SIZE) && found(1, held, base + FRAME_SIZE, 1));
	CHECK(found(2, held, base + 3 * FRAME_SIZE, 2));
	CHECK(unmap(base + 7 * FRAME_SIZE, FRAME_SIZE));
	CHECK(found(1, held, base + 7 * FRAME_SIZE, 0));
	bits_fill(held, first, RAM_FRAMES, false);
}

/* The caller is told, and clears the word. */
static bool is_low(void)
{
	return atomic_exchange(&hak_low_due, false);
}

static void low_memory_is_noted_once(void)
{
	uintptr_t frame, pages, other;

	forget();
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	frame = map_frames(RAM_FRAMES, FRAME_SIZE);
	CHECK(frame && !is_low() && unmap(frame, RAM_SIZE)); /* without a mark */
	hak_low_water(4 * FRAME_SIZE - 1);
	CHECK(!is_low());
	frame = map_frames(4, FRAME_SIZE);
	CHECK(!is_low()); /* just so many are left */
	pages = map_page();
	CHECK(pages && is_low());
	other = map_frames(2, FRAME_SIZE);
	CHECK(other && !is_low());
	CHECK(unmap(other, FRAME_SIZE) && map_frames(1, FRAME_SIZE) && !is_low());
	CHECK(unmap(other, 2 * FRAME_SIZE) && unmap(frame, 4 * FRAME_SIZE));
	CHECK(unmap(pages, PAGE_SIZE) && !is_low());
	/* by many at once; it is forgotten when the mark is reached */
	frame = map_frames(6, FRAME_SIZE);
	CHECK(frame && is_low());
	hak_low_water(FRAME_SIZE);
	CHECK(!is_low());
	hak_low_water(3 * FRAME_SIZE); /* there is less already */
	CHECK(is_low() && !is_low());
	hak_low_water(~(size_t)0);
	CHECK(is_low());
	hak_low_water(0);
	CHECK(!is_low() && map_frames(1, FRAME_SIZE) && !is_low());
}

/* A first heap of 64 KiB, to which memory comes while it is used. */
static void regions_come_later(void)
{
	void *block[3], *large;

	forget();
	CHECK(hak_init(&hak_frames_provider));
	CHECK(!hak_malloc(1000)); /* no memory at all */
	CHECK(hak_region_add(ram + FRAME_SIZE - 64 * 1024, 64 * 1024) == HAK_REGION_WAITS);
	CHECK(!hak_malloc(1000) && hak_frames_total() == 0); /* no whole frame */
	CHECK(hak_region_add(ram, FRAME_SIZE - 64 * 1024) == HAK_REGION_WAITS);
	block[0] = hak_malloc(1000);
	CHECK(!block[0]); /* a whole one, but descriptors are in it */
	CHECK(hak_region_add(ram + 3 * FRAME_SIZE, FRAME_SIZE) == 0);
	block[0] = hak_malloc(1000);
	CHECK(block[0] && !hak_malloc(FRAME_SIZE) && !hak_check());
	CHECK(hak_region_add(ram + 4 * FRAME_SIZE, 2 * FRAME_SIZE) == 0);
	CHECK(hak_region_add(ram + 4 * FRAME_SIZE, 2 * FRAME_SIZE) == HAK_REGION_OVERLAP);
	/* all of it, with its guard */
	large = hak_malloc(2 * FRAME_SIZE - PAGE_SIZE * CONFIG_HAK_HARDENED);
	block[1] = hak_malloc(1000);
	CHECK(large && block[1]);
	CHECK(hak_region_add(ram + 6 * FRAME_SIZE, MIB) == HAK_REGION_WAITS);
	block[2] = hak_malloc(10000);
	CHECK(block[2]);
	hak_free(large);
	for (unsigned i = 0; i < 3; i++)
		hak_free(block[i]);
	CHECK(!hak_check());
	hak_fini();
	CHECK(hak_frames_total() == 4 && hak_frames_free() == 4);
}

/* The machine of random_use: who has each page, and all mappings. */
#define MAX_MAPPINGS 64

static uint8_t owner[RAM_PAGES];
static struct {
	uintptr_t base;
	size_t size;
} mappings[MAX_MAPPINGS];

static bool set_owner(uintptr_t base, size_t size, uint8_t from, uint8_t to)
{
	for (size_t page = (base - ram) / PAGE_SIZE; size; page++, size -= PAGE_SIZE) {
		if (page >= RAM_PAGES || owner[page] != from)
			return false;
		owner[page] = to;
		/* would destroy a record of the provider's that should not be here */
		*(size_t *)(ram + page * PAGE_SIZE) = ~(size_t)0;
	}
	return true;
}

static bool random_map(uint64_t *state, uint8_t slot)
{
	uint64_t random = test_random(state);
	bool heap = random % 4 == 0;
	size_t unit = heap ? FRAME_SIZE : PAGE_SIZE;
	size_t size = unit * (1 + (random >> 8) % (heap ? 3 : 64));
	size_t align = unit << (random >> 16) % (heap ? 2 : 9);
	uintptr_t base = map(size, align, heap ? HAK_WANT_HEAP : HAK_WANT_META);

	if (!base)
		return true;
	mappings[slot].base = base;
	mappings[slot].size = size;
	return base % align == 0 && base >= ram && set_owner(base, size, 0, slot + 1);
}

static bool random_unmap(uint8_t slot)
{
	uintptr_t base = mappings[slot].base;
	size_t size = mappings[slot].size;

	mappings[slot].base = 0;
	return set_owner(base, size, slot + 1, 0) && unmap(base, size) && !unmap(base, size);
}

static void random_use(void)
{
	uint64_t state = 20240229;

	forget();
	CHECK(hak_region_add(ram + 9 * PAGE_SIZE, 3 * FRAME_SIZE) == 0);
	CHECK(hak_region_add(ram + 4 * FRAME_SIZE - 50 * PAGE_SIZE, 4 * FRAME_SIZE) == 0);
	for (unsigned i = 0; i < 50000; i++) {
		uint8_t slot = (uint8_t)(test_random(&state) % MAX_MAPPINGS);

		if (mappings[slot].base)
			CHECK(random_unmap(slot));
		else
			CHECK(random_map(&state, slot));
		CHECK(hak_frames_free() <= hak_frames_total());
	}
	for (uint8_t slot = 0; slot < MAX_MAPPINGS; slot++)
		CHECK(!mappings[slot].base || random_unmap(slot));
	CHECK(hak_frames_total() == 5 && hak_frames_free() == 5);
}

static void remove_errors(void)
{
	uintptr_t limit = (uintptr_t)1 << HAK_ADDRESS_BITS;

	forget();
	CHECK(removes(ram, RAM_SIZE, HAK_REGION_UNKNOWN, 0));
	CHECK(hak_region_add(ram, 3 * FRAME_SIZE) == 0);
	CHECK(removes(ram, 0, HAK_REGION_SMALL, 0));
	CHECK(removes(ram + 1, 2 * PAGE_SIZE - 2, HAK_REGION_SMALL, 0));
	CHECK(removes(0, 2 * PAGE_SIZE - 1, HAK_REGION_SMALL, 0));
	CHECK(removes(limit, MIB, HAK_REGION_RANGE, 0));
	CHECK(removes(~(uintptr_t)0, 1, HAK_REGION_RANGE, 0));
	CHECK(removes(ram, 3 * FRAME_SIZE + PAGE_SIZE, HAK_REGION_UNKNOWN, 0));
	CHECK(removes(ram - PAGE_SIZE, FRAME_SIZE, HAK_REGION_UNKNOWN, 0));
	CHECK(removes(ram, ~(size_t)0, HAK_REGION_UNKNOWN, 0));
	CHECK(hak_frames_free() == 3 && map_frames(3, FRAME_SIZE) == ram);
	CHECK(removes(ram + FRAME_SIZE, FRAME_SIZE, HAK_REGION_HELD, FRAME_SIZE));
	CHECK(unmap(ram + FRAME_SIZE, FRAME_SIZE));
	CHECK(removes(ram, 2 * FRAME_SIZE, HAK_REGION_HELD, FRAME_SIZE));
	CHECK(removes(ram + FRAME_SIZE, FRAME_SIZE + 1, HAK_REGION_REMOVED, 0));
	CHECK(removes(ram + FRAME_SIZE, FRAME_SIZE, HAK_REGION_UNKNOWN, 0));
	CHECK(hak_frames_total() == 2 && !hak_frames_free());
}

/* What was removed can be added again, whatever it is of its frames. */
static void remove_and_add(void)
{
	static const size_t from[] = { 0, 1, 5, 511, 512, 600 };

	for (unsigned i = 0; i < ARRAY_SIZE(from) * 4; i++) {
		uintptr_t base = ram + from[i / 4] * PAGE_SIZE;
		size_t count = i % 4 == 0 ? 1 : (i % 4) * PAGES_PER_FRAME - (i % 2) * 7;

		forget();
		CHECK(hak_region_add(ram, RAM_SIZE) == 0);
		CHECK(removes(base, count * PAGE_SIZE, HAK_REGION_REMOVED, 0));
		CHECK(removes(base, PAGE_SIZE, HAK_REGION_UNKNOWN, 0));
		__builtin_memset((void *)base, 0xee, count * PAGE_SIZE);
		CHECK(adds(ram, RAM_SIZE, hak_frames_total() ? 0 : 1, count * PAGE_SIZE));
		CHECK(hak_frames_total() == RAM_FRAMES && hak_frames_free() == RAM_FRAMES);
		CHECK(map_frames(RAM_FRAMES, FRAME_SIZE) == ram);
	}
}

/* The record of a split goes out of the way, if it can. */
static void remove_moves_the_record(void)
{
	uintptr_t page[6];

	forget();
	CHECK(adds(ram + 8 * PAGE_SIZE, 8 * PAGE_SIZE, HAK_REGION_WAITS, 8 * PAGE_SIZE));
	CHECK((uintptr_t)split_of(ram / FRAME_SIZE) == ram + 8 * PAGE_SIZE);
	CHECK(removes(ram + 8 * PAGE_SIZE, PAGE_SIZE, HAK_REGION_REMOVED, 0));
	__builtin_memset((void *)(ram + 8 * PAGE_SIZE), 0xee, PAGE_SIZE);
	CHECK((uintptr_t)split_of(ram / FRAME_SIZE) == ram + 9 * PAGE_SIZE);
	for (unsigned i = 0; i < 6; i++) {
		page[i] = map_page();
		CHECK(page[i] == ram + (10 + i) * PAGE_SIZE);
	}
	CHECK(!map_page());
	CHECK(removes(ram + 9 * PAGE_SIZE, PAGE_SIZE, HAK_REGION_HELD, PAGE_SIZE));
	CHECK(removes(ram + 9 * PAGE_SIZE, 2 * PAGE_SIZE, HAK_REGION_HELD, 2 * PAGE_SIZE));
	CHECK(unmap(page[5], PAGE_SIZE));
	CHECK(removes(ram + 9 * PAGE_SIZE, PAGE_SIZE, HAK_REGION_REMOVED, 0));
	CHECK(!map_page());
	for (unsigned i = 0; i < 5; i++)
		CHECK(unmap(page[i], PAGE_SIZE));
	/* the rest, with its record */
	CHECK(removes(ram + 10 * PAGE_SIZE, 6 * PAGE_SIZE, HAK_REGION_REMOVED, 0));
	CHECK(!map_page() && !split_of(ram / FRAME_SIZE) && hak_frames_total() == 0);
	CHECK(removes(ram + 10 * PAGE_SIZE, PAGE_SIZE, HAK_REGION_UNKNOWN, 0));
	CHECK(adds(ram, FRAME_SIZE, HAK_REGION_WAITS, FRAME_SIZE) && hak_frames_free() == 1);
}

/* Everything that frames.c says of a frame, compared with what must be. */
static bool frame_is_as(size_t index, const bool *known, const bool *used)
{
	size_t frame = ram / FRAME_SIZE + index, nr_known = 0, nr_used = 0, nr_free = 0;
	const struct split *split = split_of(frame);
	bool bit = frames.known[frame / 64] >> frame % 64 & 1;

	for (size_t page = 0; page < PAGES_PER_FRAME; page++) {
		bool is_free = split && split->free[page / 64] >> page % 64 & 1;

		if (split && (split->known[page / 64] >> page % 64 & 1) != known[page])
			return false;
		if (split &&
		    is_free != (known[page] && !used[page] && split_page(split, page) != split))
			return false;
		nr_known += known[page];
		nr_used += used[page];
		nr_free += is_free;
	}
	if (split)
		return bit && nr_known && split->nr_known == nr_known && split->nr_free == nr_free;
	return bit ? nr_known == PAGES_PER_FRAME && !nr_used : !nr_known;
}

static bool pages_known[RAM_PAGES], pages_used[RAM_PAGES];

static bool all_is_as_it_must_be(void)
{
	size_t total = 0, whole = 0;

	for (size_t i = 0; i < RAM_FRAMES; i++) {
		size_t first = i * PAGES_PER_FRAME, known = 0;

		if (!frame_is_as(i, pages_known + first, pages_used + first))
			return false;
		for (size_t page = first; page < first + PAGES_PER_FRAME; page++)
			known += pages_known[page];
		total += known == PAGES_PER_FRAME;
		whole += known == PAGES_PER_FRAME && !split_of(ram / FRAME_SIZE + i);
	}
	return hak_frames_total() == total && hak_frames_free() == whole;
}

static bool random_remove(size_t first, size_t count)
{
	struct hak_region_held held;
	size_t used = 0, unknown = 0;
	int result;

	for (size_t page = first; page < first + count; page++) {
		unknown += !pages_known[page];
		used += pages_used[page];
	}
	result = hak_region_remove(ram + first * PAGE_SIZE, count * PAGE_SIZE, &held);
	if (unknown)
		return result == HAK_REGION_UNKNOWN;
	/* besides, the records of its first and last frame, if they cannot move */
	if (result == HAK_REGION_HELD)
		return held.bytes / PAGE_SIZE >= used && held.bytes / PAGE_SIZE <= used + 2 &&
		       held.bytes;
	__builtin_memset(pages_known + first, 0, count);
	__builtin_memset((void *)(ram + first * PAGE_SIZE), 0xee, count * PAGE_SIZE);
	return result == HAK_REGION_REMOVED && !used;
}

static void random_removes(void)
{
	uint64_t state = 7;
	size_t used = 0, removed = 0, held = 0;

	forget();
	__builtin_memset(pages_known, 0, sizeof(pages_known));
	__builtin_memset(pages_used, 0, sizeof(pages_used));
	for (unsigned i = 0; i < 3000; i++) {
		size_t first = test_random(&state) % RAM_PAGES, before = hak_frames_total();
		size_t count = (size_t)1 << test_random(&state) % 11;
		uintptr_t page;

		count = MIN(count + test_random(&state) % 3, RAM_PAGES - first);
		switch (test_random(&state) % 5) {
		case 0:
		case 1:
			CHECK(random_remove(first, count));
			removed += !pages_known[first];
			held += pages_known[first];
			break;
		case 2:
			hak_region_add(ram + first * PAGE_SIZE, count * PAGE_SIZE);
			__builtin_memset(pages_known + first, 1, count);
			break;
		case 3:
			page = map_page();
			if (page) {
				CHECK(!pages_used[(page - ram) / PAGE_SIZE]);
				pages_used[(page - ram) / PAGE_SIZE] = true;
				used++;
			}
			break;
		default:
			CHECK(unmap(ram + first * PAGE_SIZE, PAGE_SIZE) == pages_used[first]);
			pages_used[first] = false;
			for (first = 0; used > 40 && first < RAM_PAGES; first++)
				if (pages_used[first]) {
					CHECK(unmap(ram + first * PAGE_SIZE, PAGE_SIZE));
					pages_used[first] = false;
				}
			used = used > 40 ? 0 : used;
		}
		CHECK(before <= RAM_FRAMES && all_is_as_it_must_be());
	}
	CHECK(removed > 100 && held > 100);
}

/* Blocks of a heap in the region are named, and when they are freed it is empty. */
static void remove_from_a_heap(void)
{
	struct hak_region_held held;
	void *small[3], *medium[4], *span;
	size_t bytes = 0;

	forget();
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(hak_init(&hak_frames_provider));
	for (unsigned i = 0; i < 3; i++)
		small[i] = hak_malloc(100);
	for (unsigned i = 0; i < 4; i++)
		medium[i] = hak_malloc(20000 - i * 5000);
	span = hak_malloc(2 * FRAME_SIZE);
	CHECK(small[2] && medium[3] && span);
	for (unsigned i = 0; i < 2; i++)
		hak_free(small[i]);
	CHECK(hak_region_remove(ram, RAM_SIZE, &held) == HAK_REGION_HELD);
	CHECK(held.bytes >= 3 * FRAME_SIZE && held.bytes < RAM_SIZE);
	for (unsigned i = 0; i < 4; i++)
		bytes += hak_usable_size(medium[i]);
	CHECK(held.block_bytes == bytes + hak_usable_size(small[2]) + hak_usable_size(span));
	CHECK(hak_usable_size(held.block));
	/* the second half of the span */
	CHECK(hak_region_remove((uintptr_t)span + FRAME_SIZE, FRAME_SIZE, &held) ==
	      HAK_REGION_HELD);
	CHECK(held.bytes == FRAME_SIZE && held.block == span && held.block_bytes == FRAME_SIZE);
	hak_free(span);
	CHECK(removes((uintptr_t)span, 2 * FRAME_SIZE, HAK_REGION_REMOVED, 0));
	__builtin_memset(span, 0xee, 2 * FRAME_SIZE);
	CHECK(hak_region_add((uintptr_t)span, 2 * FRAME_SIZE) >= 0 && !hak_check());
	/* what is left of them are records */
	hak_free(small[2]);
	for (unsigned i = 0; i < 4; i++)
		hak_free(medium[i]);
	CHECK(hak_region_remove(ram, RAM_SIZE, &held) == HAK_REGION_HELD);
	CHECK(!held.block && !held.block_bytes && held.bytes < FRAME_SIZE);
	hak_fini();
	CHECK(removes(ram, RAM_SIZE, HAK_REGION_REMOVED, 0));
	CHECK(hak_frames_total() == 0 && !map_page());
}

#if !__STDC_HOSTED__
/* A provider of a kernel that takes memory back later: records of the heap lie elsewhere. */
static int map_apart(void *ctx, size_t size, size_t align, enum hak_want want,
		     struct hak_mapping *out)
{
	if (want != HAK_WANT_META)
		return hak_frames_provider.map(ctx, size, align, want, out);
	*out = (struct hak_mapping){ .base = port_map(size), .flags = HAK_PAGES_ZERO };
	return out->base ? 0 : -1;
}

static int unmap_apart(void *ctx, void *base, size_t size)
{
	if ((uintptr_t)base - ram < RAM_SIZE)
		return hak_frames_provider.unmap(ctx, base, size);
	port_unmap(base, size);
	return 0;
}

/* Then all of a region can be removed that has no blocks in use. */
static void remove_where_records_lie_apart(void)
{
	static const struct hak_provider apart = { .map = map_apart, .unmap = unmap_apart };
	static void *blocks[RAM_SIZE / 1024];
	size_t n = 0;

	forget();
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(hak_init(&apart));
	while (n < ARRAY_SIZE(blocks) && (blocks[n] = hak_malloc(n % 4 ? 1000 : 3000)))
		n++;
	CHECK(n > RAM_SIZE / 2 / 1500 && !hak_frames_free());
	while (n--)
		hak_free(blocks[n]);
	CHECK(removes(ram, RAM_SIZE, HAK_REGION_REMOVED, 0) && !hak_check());
	__builtin_memset((void *)ram, 0xee, RAM_SIZE);
	CHECK(!hak_malloc(1000) && hak_region_add(ram, RAM_SIZE) == 0);
	blocks[0] = hak_malloc(1000);
	CHECK(blocks[0] && !hak_check());
	hak_free(blocks[0]);
	hak_fini();
	CHECK(hak_frames_free() == RAM_FRAMES);
}
#endif

static void no_memory_to_play_ram(void)
{
	CHECK(ram);
}

/* The last bit of addresses of a zone's border, in frames; and no frame is handed out yet. */
static void forget_with_high(size_t high)
{
	high_frame = high;
	swapped = 0;
	__builtin_memset(dma_frames, 0, sizeof(dma_frames));
	forget();
}

static void zones_by_default(void)
{
	high_frame = ((size_t)4 << 30) / FRAME_SIZE;
}

static uintptr_t pages(size_t count, uint64_t below, size_t align, uint64_t boundary)
{
	return (uintptr_t)hak_pages_alloc(count, below, align, boundary);
}

static bool free_pages(uintptr_t base, size_t count)
{
	return !hak_pages_free((void *)base, count);
}

/* What is low is handed out last: frames, pages, and frames that are split for pages. */
static void low_memory_comes_last(void)
{
	uintptr_t middle = ram + 4 * FRAME_SIZE, page;

	forget_with_high(middle / FRAME_SIZE);
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(map_frames(1, FRAME_SIZE) == middle);
	page = map_page();
	CHECK(page / FRAME_SIZE == ram / FRAME_SIZE + RAM_FRAMES - 1);
	CHECK(map_frames(2, FRAME_SIZE) == middle + FRAME_SIZE);
	for (size_t i = 1; i < PAGES_PER_FRAME - 1; i++)
		CHECK(map_page() / FRAME_SIZE == page / FRAME_SIZE);
	CHECK(map_page() / FRAME_SIZE == middle / FRAME_SIZE - 1);
	CHECK(map_frames(1, FRAME_SIZE) == ram);
	/* one that comes back is first again */
	CHECK(unmap(middle, FRAME_SIZE) && map_frames(1, FRAME_SIZE) == middle);
	/* a run may lie in two zones */
	forget_with_high(middle / FRAME_SIZE);
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(map_frames(6, FRAME_SIZE) == ram);
	CHECK(unmap(middle - 2 * FRAME_SIZE, 3 * FRAME_SIZE));
	CHECK(map_frames(3, FRAME_SIZE) == middle - 2 * FRAME_SIZE);
	/* and so for the lower border */
	forget_with_high(middle / FRAME_SIZE << 8);
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(map_frames(1, FRAME_SIZE) == middle);
	zones_by_default();
}

static void pages_bad_arguments(void)
{
	static const struct {
		size_t count, align;
		uint64_t boundary;
		enum hak_error error;
	} bad[] = {
		{ 0, 0, 0, HAK_EINVAL },
		{ 1, 3 * PAGE_SIZE, 0, HAK_EINVAL },
		{ 1, ~(size_t)0, 0, HAK_EINVAL },
		{ 1, 0, 3 * PAGE_SIZE, HAK_EINVAL },
		{ 3, 0, 2 * PAGE_SIZE, HAK_EINVAL },
		{ 1, 0, PAGE_SIZE / 2, HAK_EINVAL },
		{ ~(size_t)0, 0, 0, HAK_ENOMEM },
		{ ~(size_t)0 / PAGE_SIZE + 2, 0, 0, HAK_ENOMEM },
		{ ~(size_t)0, 0, (uint64_t)1 << 63, HAK_EINVAL },
		{ RAM_PAGES + 1, 0, 0, HAK_ENOMEM },
		{ 1, (size_t)1 << 63, 0, HAK_ENOMEM },
	};

	forget_with_high(HIGH_FRAME);
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		last_error = bad[i].error == HAK_EINVAL ? HAK_ENOMEM : HAK_EINVAL;
		CHECK(!pages(bad[i].count, 0, bad[i].align, bad[i].boundary));
		CHECK(last_error == bad[i].error && hak_frames_free() == RAM_FRAMES);
	}
	CHECK(!pages(1, 1, 0, 0) && !pages(1, PAGE_SIZE, 0, 0) && !pages(1, ram, 0, 0));
	CHECK(!pages(2, ram + PAGE_SIZE, 0, 0) && last_error == HAK_ENOMEM);
	CHECK(hak_frames_free() == RAM_FRAMES);
	CHECK(pages(RAM_PAGES, ram + RAM_SIZE, 0, 0) == ram && !hak_frames_free());
	CHECK(free_pages(ram, RAM_PAGES) && hak_frames_free() == RAM_FRAMES);
}

/* Only what was allocated here can be freed here, and once. */
static void pages_bad_frees(void)
{
	uintptr_t page, rest, frame, record;

	forget_with_high(HIGH_FRAME);
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	frame = map_frames(1, FRAME_SIZE);
	rest = map_page();
	page = pages(3, 0, 0, 0);
	record = ALIGN_UP(page, FRAME_SIZE) - FRAME_SIZE;
	CHECK(frame && rest && page && page / FRAME_SIZE == rest / FRAME_SIZE);
	CHECK(free_pages(0, 5));
	CHECK(!free_pages(page, 0) && !free_pages(page + 1, 3) && !free_pages(page, 4));
	CHECK(!free_pages(page - PAGE_SIZE, 2) && !free_pages(page, ~(size_t)0));
	CHECK(!free_pages(rest, 1) && !free_pages(record, 1) &&
	      !free_pages(frame, PAGES_PER_FRAME));
	CHECK(!free_pages(frame, 1) && !free_pages(ram + RAM_SIZE, 1) && !free_pages(PAGE_SIZE, 1));
	CHECK(!free_pages(~(uintptr_t)0 - PAGE_SIZE + 1, 1) &&
	      !free_pages(NR_FRAMES * FRAME_SIZE, 1));
	last_error = HAK_ENOMEM;
	CHECK(!free_pages(page - 1, 3) && last_error == HAK_EINVAL);
	CHECK(free_pages(page, 3) && !free_pages(page, 3));
	CHECK(unmap(rest, PAGE_SIZE) && hak_frames_free() == RAM_FRAMES - 1);
	/* whole frames: not from inside, nor more than there are */
	page = pages(2 * PAGES_PER_FRAME, 0, 0, 0);
	CHECK(page && !free_pages(page + PAGE_SIZE, PAGES_PER_FRAME) && !free_pages(page, 5));
	CHECK(!free_pages(page, 2 * PAGES_PER_FRAME + 1));
	CHECK(!free_pages(page, 3 * PAGES_PER_FRAME));
	CHECK(free_pages(page, 2 * PAGES_PER_FRAME) && !free_pages(page, 2 * PAGES_PER_FRAME));
	CHECK(unmap(frame, FRAME_SIZE) && hak_frames_free() == RAM_FRAMES);
}

/* Of any length: what is behind it in its last frame can be had, and all of it comes back. */
static void pages_of_all_lengths(void)
{
	for (size_t count = 1; count <= 3 * PAGES_PER_FRAME + 1; count += count > 3 ? 85 : 1) {
		size_t rest = count % PAGES_PER_FRAME;
		size_t left = rest ? PAGES_PER_FRAME - rest - 1 : 0;
		uintptr_t base;

		forget_with_high(HIGH_FRAME);
		CHECK(hak_region_add(ram, RAM_SIZE) == 0);
		base = pages(count, 0, 0, 0);
		CHECK(base == ram);
		__builtin_memset((void *)base, 0x5a, count * PAGE_SIZE);
		CHECK(hak_frames_free() == RAM_FRAMES - DIV_ROUND_UP(count, PAGES_PER_FRAME));
		CHECK(!left || pages(left, 0, 0, 0) == base + (count + 1) * PAGE_SIZE);
		CHECK(!left || free_pages(base + (count + 1) * PAGE_SIZE, left));
		CHECK(free_pages(base, count));
		CHECK(hak_frames_free() == RAM_FRAMES && map_frames(RAM_FRAMES, FRAME_SIZE) == ram);
	}
}

/* Where they have to be. */
static void pages_where_they_must_be(void)
{
	uintptr_t base, half = ram + FRAME_SIZE / 2;

	forget_with_high(HIGH_FRAME);
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(pages(1, 0, 0, 0) == ram);
	/* next to the record, then at multiples, then not across one */
	CHECK(pages(1, 0, 0, 0) == ram + 2 * PAGE_SIZE);
	CHECK(pages(1, 0, 16 * PAGE_SIZE, 0) == ram + 16 * PAGE_SIZE);
	CHECK(pages(3, 0, 8, 16 * PAGE_SIZE) == ram + 3 * PAGE_SIZE);
	CHECK(pages(11, 0, 0, 16 * PAGE_SIZE) == ram + 17 * PAGE_SIZE);
	CHECK(pages(11, 0, 0, 16 * PAGE_SIZE) == ram + 32 * PAGE_SIZE);
	CHECK(pages(11, 0, 0, 0) == ram + 43 * PAGE_SIZE);
	CHECK(pages(PAGES_PER_FRAME / 2, 0, FRAME_SIZE / 2, 0) == half);
	/* of whole frames */
	CHECK(pages(1, 0, 2 * FRAME_SIZE, 0) == ram + 2 * FRAME_SIZE);
	CHECK(pages(PAGES_PER_FRAME + 1, 0, 0, 2 * FRAME_SIZE) == ram + 4 * FRAME_SIZE);
	CHECK(pages(PAGES_PER_FRAME + 1, 0, 0, 2 * FRAME_SIZE) == ram + 6 * FRAME_SIZE);
	CHECK(!pages(PAGES_PER_FRAME + 1, 0, 0, 0));
	CHECK(pages(PAGES_PER_FRAME, 0, 0, 0) == ram + FRAME_SIZE);
	/* below: the end counts, not the start */
	forget_with_high(HIGH_FRAME);
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(!pages(PAGES_PER_FRAME, ram + FRAME_SIZE - 1, 0, 0));
	CHECK(pages(PAGES_PER_FRAME, ram + FRAME_SIZE, 0, 0) == ram);
	CHECK(!pages(1, ram + FRAME_SIZE + PAGE_SIZE - 1, 0, 0));
	base = pages(1, ram + FRAME_SIZE + PAGE_SIZE, 0, 0);
	CHECK(base == ram + FRAME_SIZE && !pages(1, ram + FRAME_SIZE + PAGE_SIZE, 0, 0));
	CHECK(pages(1, ram + FRAME_SIZE + 3 * PAGE_SIZE, 0, 0) == base + 2 * PAGE_SIZE);
}

/* Each zone is asked for by itself, and gives pages until all of it is used. */
static void pages_by_zone(void)
{
	uintptr_t middle = ram + 4 * FRAME_SIZE, base;
	size_t n = 0;

	forget_with_high(middle / FRAME_SIZE);
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	CHECK(pages(1, 0, 0, 0) == middle && pages(1, middle, 0, 0) == ram);
	CHECK(map_page() / FRAME_SIZE == middle / FRAME_SIZE);
	while ((base = pages(1, middle, 0, 0))) {
		CHECK(base > ram && base < middle);
		n++;
	}
	CHECK(n == 4 * (PAGES_PER_FRAME - 1) - 1 && hak_frames_free() == 3);
	CHECK(map_page() / FRAME_SIZE == middle / FRAME_SIZE);
	CHECK(free_pages(ram, 1) && pages(1, middle, 0, 0) == ram);
	zones_by_default();
}

/* A run for the CPU is none for a device if its pages lie elsewhere. */
static void pages_in_a_row_for_a_device(void)
{
	forget_with_high(HIGH_FRAME);
	CHECK(hak_region_add(ram, RAM_SIZE) == 0);
	swapped = ram + FRAME_SIZE + 6 * PAGE_SIZE;
	CHECK(pages(2 * PAGES_PER_FRAME, 0, 0, 0) == ram + 2 * FRAME_SIZE);
	CHECK(pages(PAGES_PER_FRAME, 0, 0, 0) == ram);
	CHECK(pages(4, 0, 0, 0) == ram + FRAME_SIZE);
	CHECK(pages(1, 0, 0, 0) == ram + FRAME_SIZE + 5 * PAGE_SIZE);
	CHECK(pages(2, 0, 0, 0) == ram + FRAME_SIZE + 8 * PAGE_SIZE);
	/* the physical address counts: that of page 7 is below that of page 6 */
	CHECK(pages(1, ram + FRAME_SIZE + 7 * PAGE_SIZE, 0, 0) == swapped + PAGE_SIZE);
	CHECK(!pages(1, ram + FRAME_SIZE + 7 * PAGE_SIZE, 0, 0));
	swapped = 0;
}

/* Fill the heap with blocks of one size, check it and empty it. Returns their bytes. */
static size_t payload_of(size_t size)
{
	void *chain = NULL, *next, **block;
	size_t n = 0;

	for (; (block = hak_malloc(size)); n++) {
		*block = chain;
		chain = block;
	}
	if (hak_check())
		test_fail(__FILE__, __LINE__, hak_check());
	for (; chain; chain = next) {
		next = *(void **)chain;
		hak_free(chain);
	}
	return n * size;
}

/* With the records of Linux, of which a leaf of the page map takes 64 KiB, no heap is small. */
#define SMALL_HEAPS (HAS_PARTS && !__STDC_HOSTED__)

/* Everything that was added is the heap: how many per cent of it do blocks of 64 bytes get? */
static size_t share_of(size_t added)
{
	size_t payload;

	if (!hak_init(&hak_frames_provider))
		return 0;
	payload = payload_of(64);
	test_print("%zu KiB: %zu.%zu %%\n", added >> 10, payload * 100 / added,
		   payload * 1000 / added % 10);
	hak_fini();
	return payload * 100 / added;
}

/* A static array, wherever it begins. One that lies in two frames needs two records. */
static void heap_in_an_array(void)
{
	static const struct {
		size_t size, least; /* in KiB, per cent */
	} rows[] = { { 64, 40 }, { 256, 70 }, { 1024, 88 } };

	for (unsigned i = 0; SMALL_HEAPS && i < ARRAY_SIZE(rows); i++)
		for (size_t at = PAGE_SIZE; at < 2 * FRAME_SIZE; at += 67 * PAGE_SIZE) {
			struct hak_heap heap = { (void *)(ram + at), rows[i].size << 10 };
			bool crosses = at / FRAME_SIZE != (at + heap.size - 1) / FRAME_SIZE;

			forget();
			CHECK(hak_heap_add(&heap) == HAK_REGION_ADDED);
			CHECK(share_of(heap.size) + (crosses ? 8 : 0) >= rows[i].least);
		}
}

/* More memory comes while the array is in use. */
static void heap_grows(void)
{
	struct hak_heap heap = { (void *)(ram + MIB), 64 << 10 };
	size_t before, after;

	if (!SMALL_HEAPS)
		return;
	forget();
	CHECK(hak_heap_add(&heap) == HAK_REGION_ADDED);
	CHECK(hak_init(&hak_frames_provider));
	before = payload_of(100);
	CHECK(before > 16 << 10 && !hak_malloc(1 << 20));
	CHECK(hak_region_add(ram + FRAME_SIZE, MIB) == HAK_REGION_ADDED);
	after = payload_of(100);
	CHECK(after > before + MIB * 8 / 10);
	CHECK(hak_region_add(ram + 2 * FRAME_SIZE, 3 * FRAME_SIZE) == HAK_REGION_ADDED);
	CHECK(payload_of(100) > after + 2 * FRAME_SIZE && !hak_check());
	hak_fini();
}

/* Pieces of memory as firmware has them: none has a whole frame. */
static void heap_of_pieces(void)
{
	size_t size = FRAME_SIZE - 100 * 1024, added = 0;

	for (unsigned offset = 0; SMALL_HEAPS && offset < 4; offset++) {
		forget();
		hak_frames_use_parts();
		for (added = 0; added + size < RAM_SIZE; added += FRAME_SIZE)
			CHECK(hak_region_add(ram + added + offset * MIB / 3, size) ==
			      HAK_REGION_ADDED);
		CHECK(share_of(added / FRAME_SIZE * size) >= 95);
	}
}

/* Any pages of the memory are there: all of these serve, and all of them go back. */
static void heap_of_random_pieces(void)
{
	uint64_t random = 1;

	for (unsigned round = 0; SMALL_HEAPS && round < 20; round++) {
		size_t known = 0, free = 0;

		forget();
		hak_frames_use_parts();
		for (size_t at = PAGE_SIZE; at < RAM_SIZE; at += PAGE_SIZE) {
			size_t size = (test_random(&random) >> 40) % RAM_PAGES / 4 * PAGE_SIZE;

			size = MIN(size, RAM_SIZE - at);
			if (size)
				hak_region_add(ram + at, size);
			at += size + (test_random(&random) >> 40) % 64 * PAGE_SIZE;
		}
		for (size_t i = 0; i < RAM_FRAMES; i++) {
			struct split *split = split_of(address_of((void *)ram) / FRAME_SIZE + i);

			known += split ? split->nr_known : 0;
			free += split ? split->nr_free : 0;
		}
		known += frames.nr_free * PAGES_PER_FRAME;
		CHECK(share_of(known * PAGE_SIZE) >= 90);
		for (size_t i = 0; i < RAM_FRAMES; i++) {
			struct split *split = split_of(address_of((void *)ram) / FRAME_SIZE + i);

			free -= split ? split->nr_free : 0;
			CHECK(!split || !is_lent(split));
		}
		CHECK(!free);
	}
}

void unit_frames(void)
{
	if (!get_ram()) {
		TEST_RUN(no_memory_to_play_ram);
		return;
	}
	TEST_RUN(region_errors);
	TEST_RUN(region_crosses_the_limit);
	TEST_RUN(region_overlaps);
	TEST_RUN(region_overlaps_in_pages);
	TEST_RUN(region_says_what_is_of_no_use);
	TEST_RUN(region_reaches_further_than_memory);
	TEST_RUN(region_remainders);
	TEST_RUN(regions_join);
	TEST_RUN(regions_join_later);
	TEST_RUN(runs_and_alignment);
	TEST_RUN(pages_split_and_return);
	TEST_RUN(pages_come_from_the_end);
	TEST_RUN(wrong_unmaps);
	TEST_RUN(free_frames_are_reported_once);
	TEST_RUN(frames_of_a_host_are_found);
	TEST_RUN(low_memory_is_noted_once);
	TEST_RUN(regions_come_later);
	TEST_RUN(random_use);
	TEST_RUN(low_memory_comes_last);
	TEST_RUN(pages_bad_arguments);
	TEST_RUN(pages_bad_frees);
	TEST_RUN(pages_of_all_lengths);
	TEST_RUN(pages_where_they_must_be);
	TEST_RUN(pages_by_zone);
	TEST_RUN(pages_in_a_row_for_a_device);
	TEST_RUN(remove_errors);
	TEST_RUN(remove_and_add);
	TEST_RUN(remove_moves_the_record);
	TEST_RUN(random_removes);
	UNLESS_HARDENED(remove_from_a_heap);
#if !__STDC_HOSTED__
	TEST_RUN(remove_where_records_lie_apart);
#endif
	UNLESS_HARDENED(heap_in_an_array);
	TEST_RUN(heap_grows);
	UNLESS_HARDENED(heap_of_pieces);
	UNLESS_HARDENED(heap_of_random_pieces);
	forget(); /* nothing is lent any more */
	put_ram();
}
