/* SPDX-License-Identifier: MIT */
/*
 * Heaps where kernels have them, one after the other: in a direct map in the upper half, over
 * the frame provider; in a range of virtual addresses, over a provider with page tables; above
 * 64 GiB. Each is filled, checked and given back.
 *
 * It is built with CONFIG_HAK_WINDOW, or with HAK_ADDRESS_BITS=40. Then there is no window but
 * 1 TiB from address 0 on, and only the last kind of heap.
 *
 * The argument "dimm" says that the machine has 256 MiB of memory at 100 GiB, which is then
 * mapped one to one, and the frame provider's.
 */
#include <frames.h>
#include <hakmem/config.h>
#include <hakmem/hakmem.h>
#include <machine.h>
#include <pvh.h>

#include "../test.h"
#include "upper.h"

#define GIB   ((uintptr_t)1 << 30)
#define FRAME HAK_SUPERSLAB_SIZE
#define REACH ((size_t)1 << HAK_ADDRESS_BITS)

#define PAGE_PRESENT 0x03 /* and writable */
#define PAGE_LARGE   0x80

static struct hak_cpu window_cpu;

/*
 * A provider with page tables: a range of virtual addresses, each frame of it anywhere in
 * memory. The range has twice as many addresses as there is memory.
 */
#define RANGE_MEMORY (32 * MIB)
#define RANGE_FRAMES (RANGE_MEMORY / FRAME)
#define RANGE_SLOTS  (2 * RANGE_FRAMES)

static struct {
	uintptr_t base;
	bool slot_used[RANGE_SLOTS];
	unsigned nr_used;
} range;

static bool frame_used[RANGE_FRAMES];
static uint64_t range_directory[512] __attribute__((aligned(4096)));
static uint64_t range_pointers[512] __attribute__((aligned(4096)));

static uint64_t *entry_of(size_t slot)
{
	return &range_directory[(range.base / FRAME + slot) % 512];
}

/* From the end, so that neighbours in the range are none in memory. */
static void back(size_t slot)
{
	size_t frame = RANGE_FRAMES - 1;

	while (frame_used[frame])
		frame--;
	frame_used[frame] = range.slot_used[slot] = true;
	range.nr_used++;
	*entry_of(slot) = UPPER_MEMORY - RANGE_MEMORY + frame * FRAME + PAGE_PRESENT + PAGE_LARGE;
}

static void unback(size_t slot)
{
	uint64_t physical = *entry_of(slot) & ~(FRAME - 1);

	frame_used[(physical - (UPPER_MEMORY - RANGE_MEMORY)) / FRAME] = false;
	range.slot_used[slot] = false;
	range.nr_used--;
	*entry_of(slot) = 0;
	__asm__ volatile("invlpg (%0)" : : "r"(range.base + slot * FRAME) : "memory");
}

static bool is_free(size_t slot, size_t count)
{
	while (count--)
		if (range.slot_used[slot + count])
			return false;
	return true;
}

static int range_map(void *ctx, size_t size, size_t align, enum hak_want want,
		     struct hak_mapping *out)
{
	size_t count = (size + FRAME - 1) / FRAME;

	(void)ctx;
	(void)want;
	if (count > RANGE_FRAMES - range.nr_used)
		return -1;
	for (size_t slot = 0; slot + count <= RANGE_SLOTS; slot++) {
		if ((range.base + slot * FRAME) % align || !is_free(slot, count))
			continue;
		for (size_t i = 0; i < count; i++)
			back(slot + i);
		*out = (struct hak_mapping){ .base = (void *)(range.base + slot * FRAME) };
		return 0;
	}
	return -1;
}

static int range_unmap(void *ctx, void *base, size_t size)
{
	size_t slot = ((uintptr_t)base - range.base) / FRAME;

	(void)ctx;
	for (size_t i = 0; i < (size + FRAME - 1) / FRAME; i++)
		unback(slot + i);
	return 0;
}

static const struct hak_provider range_provider = {
	.name = "range",
	.map = range_map,
	.unmap = range_unmap,
};

static uint64_t table(const void *page)
{
	return (uintptr_t)page - UPPER + PAGE_PRESENT;
}

/* In a GiB of the upper half, whose part of the fourth level is not used otherwise. */
static void range_open_upper(uintptr_t base)
{
	range.base = base;
	upper_pml4[base >> 39 & 511] = table(range_pointers);
	range_pointers[base >> 30 & 511] = table(range_directory);
}

/* In a GiB of the first 512. */
static void range_open_low(uintptr_t base)
{
	range.base = base;
	upper_pdpt_low[base >> 30] = table(range_directory);
}

/* A block of the test: its size and a check, and blocks before it. */
struct node {
	struct node *next;
	size_t size;
	uint64_t *last;
};

static bool node_is_sound(const struct node *node)
{
	return *node->last == ((uintptr_t)node ^ node->size);
}

static struct node *node_new(size_t size, struct node *next)
{
	struct node *node = hak_malloc(size);

	if (!node)
		return NULL;
	node->next = next;
	node->size = size;
	node->last = (uint64_t *)((char *)node + (size & ~(size_t)7)) - 1;
	*node->last = (uintptr_t)node ^ size;
	return node;
}

/* Until memory is out, the largest first. */
static struct node *fill(uint64_t seed, size_t *bytes, bool *inside)
{
	struct node *all = NULL, *node;

	*bytes = 0;
	*inside = true;
	for (size_t most = 2 * MIB; most >= 64; most /= 2) {
		size_t size = most / 2 + test_random(&seed) % (most / 2);

		while ((node = node_new(size, all))) {
			all = node;
			*bytes += size;
			*inside &= hak_owns(node) && hak_usable_size(node) >= size;
			size = most / 2 + test_random(&seed) % (most / 2);
		}
	}
	return all;
}

/* Free every second one, or all. */
static bool free_nodes(struct node **list, bool all)
{
	bool sound = true, odd = false;

	while (*list) {
		struct node *node = *list;

		sound &= node_is_sound(node);
		odd = !odd;
		if (all || odd) {
			*list = node->next;
			hak_free(node);
		} else {
			list = &node->next;
		}
	}
	return sound;
}

/* Fill the heap twice, to at least @least bytes, and give all of it back. */
static void exercise(size_t least)
{
	size_t first, second;
	bool inside;
	struct node *some, *more;
	void *grown;

	some = fill(1, &first, &inside);
	CHECK(inside && first >= least);
	CHECK(free_nodes(&some, false));
	CHECK(!hak_check());
	more = fill(2, &second, &inside);
	CHECK(inside && second >= least / 4);
	CHECK(free_nodes(&more, true) && free_nodes(&some, true));
	grown = hak_realloc(hak_calloc(1, MIB), 5 * MIB);
	CHECK(grown && hak_usable_size(grown) >= 5 * MIB);
	hak_free(grown);
	hak_trim(HAK_TRIM_ALL);
	CHECK(!hak_check());
}

/* What is not in the window is not ours, whatever the page map has at the same place of it. */
static void strangers(uintptr_t block)
{
	CHECK(hak_owns((void *)block));
	for (unsigned bit = HAK_ADDRESS_BITS; bit < 64; bit++)
		CHECK(!hak_owns((void *)(block ^ (uintptr_t)1 << bit)));
	CHECK(!hak_owns((void *)(block + REACH)) && !hak_owns((void *)(block - REACH)));
	CHECK(!hak_owns((void *)(block % FRAME)) && !hak_owns(NULL));
	CHECK(!hak_owns((void *)UINTPTR_MAX));
}

/* Pages for devices, which know no window; and memory that goes back to the kernel. */
static void kernel_takes(uintptr_t direct, size_t memory)
{
	uintptr_t region = direct + memory - 8 * FRAME;
	struct hak_region_held held;
	char *page, *block;

	page = hak_pages_alloc(3, UPPER_MEMORY, 1 << 14, 1 << 14);
	CHECK((uintptr_t)page >= direct && (uintptr_t)page % (1 << 14) == 0);
	CHECK(hak_host_physical(page) == (uintptr_t)page - direct);
	CHECK(!hak_pages_alloc(1, MIB, 0, 0) && !hak_pages_free(page, 3));
	block = hak_malloc(memory / 2);
	CHECK(block);
	CHECK(hak_region_remove((uintptr_t)block, FRAME, &held) == HAK_REGION_HELD);
	CHECK(held.block == block && held.bytes == FRAME && held.block_bytes == FRAME);
	hak_free(block);
	CHECK(hak_region_remove(region - direct, FRAME, &held) == HAK_REGION_RANGE);
	CHECK(hak_region_remove(region, 8 * FRAME, &held) == HAK_REGION_REMOVED);
	*(volatile char *)region = 1;
	CHECK(hak_region_remove(region, FRAME, &held) == HAK_REGION_UNKNOWN);
	CHECK(hak_region_add(region, 8 * FRAME) == HAK_REGION_ADDED);
}

/* All is told but what records take, the SuperSlab in reserve included; and it is there. */
static void largest_is_there(void)
{
	size_t largest;
	void *block;

	hak_trim(HAK_TRIM_ALL);
	hak_free(hak_malloc(FRAME));
	largest = hak_largest();
	CHECK(largest >= (hak_frames_total() - 1) * FRAME);
	block = hak_malloc(largest);
	CHECK(block);
	hak_free(block);
}

/* Memory where the direct map has it: nothing else of the kernel is between these. */
static void window_direct_map(void)
{
	uintptr_t direct = upper_direct_map(), end = (uintptr_t)upper_end - UPPER;
	const struct hak_options options = {
		.size = sizeof(options),
		.provider = &hak_frames_provider,
		.window_base = direct,
		.window_size = UPPER_MEMORY,
	};
	size_t memory = UPPER_MEMORY - RANGE_MEMORY;
	void *block;

	/* before the window is known, that is nowhere */
	CHECK(hak_region_add(direct + end, memory - end) == HAK_REGION_RANGE);
	CHECK(hak_init_with(&options) == HAK_INIT_DONE);
	CHECK(hak_region_add(end, memory - end) == HAK_REGION_RANGE);
	CHECK(hak_region_add(direct + end, memory - end) == HAK_REGION_ADDED);
	CHECK(hak_region_add(direct + end, memory - end) == HAK_REGION_OVERLAP);
	CHECK(hak_frames_total() == hak_frames_free());
	block = hak_malloc(100);
	CHECK((uintptr_t)block >= direct && (uintptr_t)block < direct + memory);
	strangers((uintptr_t)block);
	hak_free(block);
	exercise(memory * 3 / 4);
	largest_is_there();
	kernel_takes(direct, memory);
	hak_trim(HAK_TRIM_ALL);
	CHECK(hak_frames_total() - hak_frames_free() <= 1);
	hak_fini();
	CHECK(hak_frames_total() == hak_frames_free());
}

/* A heap over the provider of a range. */
static void window_range(uintptr_t base, size_t size)
{
	const struct hak_options options = {
		.size = sizeof(options),
		.provider = &range_provider,
		.window_base = base,
		.window_size = size,
	};
	void *block;

	CHECK(hak_init_with(&options) == HAK_INIT_DONE);
	block = hak_malloc(100);
	CHECK((uintptr_t)block >= range.base && (uintptr_t)block < range.base + GIB);
	strangers((uintptr_t)block);
	hak_free(block);
	exercise(RANGE_MEMORY * 3 / 4);
	hak_fini();
	CHECK(range.nr_used == 0);
}

static void window_virtual_range(void)
{
	range_open_upper(0xffffc00000000000);
	window_range(range.base, GIB);
}

#define DIMM	  (100 * GIB)
#define DIMM_SIZE (256 * MIB)

static void window_dimm(void)
{
	const struct hak_options options = {
		.size = sizeof(options),
		.provider = &hak_frames_provider,
		.window_base = CONFIG_HAK_WINDOW ? DIMM : 0,
	};
	volatile uint64_t *last = (uint64_t *)(DIMM + DIMM_SIZE - 8);

	upper_pdpt_low[DIMM / GIB] = table(range_directory);
	for (size_t i = 0; i < DIMM_SIZE / FRAME; i++)
		range_directory[i] = DIMM + i * FRAME + PAGE_PRESENT + PAGE_LARGE;
	*last = 0x600df00d;
	CHECK(*last == 0x600df00d);
	CHECK(hak_init_with(&options) == HAK_INIT_DONE);
	CHECK(hak_region_add(DIMM, DIMM_SIZE) == HAK_REGION_ADDED);
	CHECK(hak_frames_total() >= DIMM_SIZE / FRAME - 1);
	exercise(DIMM_SIZE * 3 / 4);
	hak_fini();
	CHECK(hak_frames_total() == hak_frames_free());
}

/* The window begins at an address that is a multiple of nothing large. */
static void window_above_64_gib(void)
{
	range_open_low(100 * GIB + 37 * FRAME);
	window_range(CONFIG_HAK_WINDOW ? range.base : 0, GIB);
}

/* The last GiB of a window of 64 GiB; of one of 1 TiB, the last that upper.S has tables for. */
static void window_last_gib(void)
{
	range_open_low(CONFIG_HAK_WINDOW ? 363 * GIB : 511 * GIB);
	window_range(CONFIG_HAK_WINDOW ? 300 * GIB : 0, 64 * GIB);
}

_Noreturn void upper_main(const struct pvh_start_info *info)
{
	const char *argument = (const char *)info->command_line;

	hak_console_init();
	hak_cpu_init(&window_cpu, 0);
	if (argument && test_is_same(argument, "dimm")) {
		TEST_RUN(window_dimm);
		hak_machine_exit(test_finish());
	}
	if (CONFIG_HAK_WINDOW) {
		TEST_RUN(window_direct_map);
		TEST_RUN(window_virtual_range);
	}
	TEST_RUN(window_above_64_gib);
	TEST_RUN(window_last_gib);
	hak_machine_exit(test_finish());
}
