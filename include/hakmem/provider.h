/* SPDX-License-Identifier: MIT */
/*
 * The page provider: all that stands between the allocator and the memory of the machine. A
 * provider is one struct of function pointers, of which only @map is required. This header
 * needs no other one of the library.
 *
 * The allocator promises: sizes and alignments are multiples of HAK_GRANULE. Memory of the
 * heap is asked for in multiples of HAK_SUPERSLAB_SIZE, at that alignment or a larger power of
 * two. During a call, no lock of the allocator is held that malloc or free may wait for.
 *
 * The provider promises: any number of threads or CPUs may be inside of it at once. Where
 * interrupt handlers allocate, they may be, too, whatever they have interrupted; so a lock of
 * the provider is held with interrupts off. It never calls the allocator. If there is no
 * memory, it returns an error and does not stop the machine. A mapping overlaps no other that
 * is still mapped. It ends below 2^48 on Linux. On bare metal it lies in the window of
 * hak_init_with(), by default below 2^36. A mapping that does not is refused and unmapped, and
 * counts as a failure of the provider in the statistics.
 */
#ifndef HAK_PROVIDER_H
#define HAK_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes. */
#define HAK_GRANULE	   ((size_t)4096)
#define HAK_SUPERSLAB_SIZE ((size_t)2 << 20)

/* What nobody touches at both ends of a mapping for records, on Linux. */
#define HAK_GUARD ((size_t)64 << 10)

/*
 * What a mapping is for. On Linux, neither the first HAK_GUARD bytes of one for records nor the
 * last are ever touched, so that an overflow of a block cannot reach records. map() may leave
 * them without memory or access. They are a part of the mapping, and go with it. Bitmaps are
 * records, too, and ask for a SuperSlab. On bare metal these lie in the heap, and there are no
 * guards: address space is memory there.
 *
 * On bare metal, what is mapped for records stays mapped until hak_fini(), but for descriptors:
 * these go back when a scan or hak_trim() finds that nobody needs them. So a provider takes what
 * stays from a place where that splits no long run of free memory, from the end for instance, and
 * keeps descriptors apart from it. (They are 1.7 % of the heap, all other records 0.03 %.)
 */
enum hak_want {
	HAK_WANT_HEAP,	     /* blocks: SuperSlabs, each of 2 MiB and aligned to 2 MiB */
	HAK_WANT_META,	     /* records of the allocator: any multiple of HAK_GRANULE */
	HAK_WANT_DESCRIPTOR, /* the same, but it goes back before hak_fini() */
};

/* What is true of some memory, as map(), purge() and move() report it. */
#define HAK_PAGES_ZERO	1u /* the memory reads zero until it is written */
#define HAK_PAGES_PURGE 2u /* purge() may be called on it */

/* What map() has mapped. */
struct hak_mapping {
	void *base;
	unsigned flags; /* HAK_PAGES_* */
	size_t left;	/* so many more bytes there are for blocks; as it is if nobody knows */
};

/**
 * struct hak_provider - a source of pages
 * @name:  for messages and statistics
 * @ctx:   is handed to every operation
 *
 * @map: map @size bytes in one piece, aligned to @align. Returns 0 and fills in @out; or
 *	another value, and nothing is mapped.
 *
 * @unmap: take back what one map() has returned, or whole SuperSlabs of it. Returns 0; or
 *	another value for a refusal: the memory then stays the allocator's, and its contents
 *	are undefined. May be NULL: memory is then never given back, and empty SuperSlabs are
 *	kept for later.
 *
 * @purge: drop the memory behind some pages of a mapping, and keep the addresses. Returns the
 *	HAK_PAGES_* that hold there from now on; or a negative value for a refusal: the
 *	contents are then what they were. May be NULL. On bare metal it is only called for
 *	blocks and unused memory after hak_purge_enable().
 *
 * @move: let the memory behind the @size bytes at @from be behind those at @to from now on,
 *	without copying it. Both ranges are whole pages of one SuperSlab each, maybe of the
 *	same. Returns the HAK_PAGES_* that hold at @from from now on, where the contents are
 *	gone as after purge(); or a negative value for a refusal: nothing has changed then,
 *	and the allocator asks for parts, down to a page. May be NULL. On bare metal it is
 *	only called with CONFIG_HAK_MOVE.
 *
 * @populate: the program will soon write to all of these pages of a mapping: get the memory
 *	behind them now, which costs less than a page fault for each. A whole SuperSlab may
 *	get a huge page, if purge() of a part of it frees memory then. A hint: the contents
 *	stay, and whether it fails is not asked. May be NULL. Not called on bare metal.
 *
 * @small_records: map() of records takes no more than their pages from the machine, and unmap()
 *	takes these back. Descriptors of SuperSlabs (33 KiB on bare metal) are then mapped one by
 *	one as HAK_WANT_DESCRIPTOR, and unmapped when they are free. False, as for a provider of
 *	frames of 2 MiB: they lie among other records, and stay.
 *
 * @resident: how many of the @size bytes at @base are backed by memory? Returns 0 and sets
 *	@bytes; or another value if a part of the range is not mapped. Any address that is
 *	aligned to a page may be asked for. For statistics and reports only. May be NULL.
 */
struct hak_provider {
	const char *name;
	void *ctx;
	int (*map)(void *ctx, size_t size, size_t align, enum hak_want want,
		   struct hak_mapping *out);
	int (*unmap)(void *ctx, void *base, size_t size);
	int (*purge)(void *ctx, void *base, size_t size);
	int (*move)(void *ctx, void *from, void *to, size_t size);
	void (*populate)(void *ctx, void *base, size_t size);
	int (*resident)(void *ctx, const void *base, size_t size, size_t *bytes);
	bool small_records;
};

/**
 * hak_purge_enable() - let scans purge pages
 *
 * For bare metal, where a provider that can purge is rare, and the code for it is only linked for
 * who calls this: before memory is mapped, so before hak_init(). hak_balloon_start() does. On
 * Linux scans purge anyway, and the shared library does not have it. Any context; it stays so,
 * also after hak_fini().
 */
void hak_purge_enable(void);

/**
 * struct hak_parts - a source of parts of 2 MiB
 * @ctx:   is handed to both operations
 *
 * @map: lend some pages of one HAK_SUPERSLAB_SIZE at a multiple of that. The allocator has room
 *	for @records bytes of records, and maps more for the record of these pages before it
 *	uses them: 64 bytes for each page, and those in between. Sets @base to the
 *	address, and @pages to HAK_SUPERSLAB_SIZE / HAK_GRANULE bits in words of 64, one for each
 *	page that is lent. They stay as they are until unmap(), and the pages are the
 *	allocator's. Returns 0; or another value if there are none. No two have the same @base,
 *	and none is in a mapping of the provider.
 *
 * @unmap: take back what map() has lent of the HAK_SUPERSLAB_SIZE at @base.
 */
struct hak_parts {
	void *ctx;
	int (*map)(void *ctx, size_t records, void **base, const uint64_t **pages);
	void (*unmap)(void *ctx, void *base);
};

/**
 * hak_parts_enable() - let blocks lie where there are no 2 MiB in one piece
 * @parts: stays for ever
 *
 * For bare metal. Before 2 MiB are mapped, the pages that @parts lends serve blocks. What is lent
 * goes back by hak_fini(). The code for it is only linked for who calls this, before hak_init().
 * hak_frames_use_parts() does, for the provider of the library. Any context; it stays so, also
 * after hak_fini().
 */
void hak_parts_enable(const struct hak_parts *parts);

#ifdef __cplusplus
}
#endif

#endif
