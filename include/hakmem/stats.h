/* SPDX-License-Identifier: MIT */
/*
 * What the allocator knows of itself. A snapshot is taken into memory of the
 * caller; text and JSON go piecewise into a callback. Nothing here allocates.
 *
 * Counters are exact when no other thread is inside the allocator. Otherwise
 * they are read while they move, one after another: what is computed from
 * several of them (allocations, hits, live blocks, utilisation) is then off by what
 * happened meanwhile.
 */
#ifndef HAKMEM_STATS_H
#define HAKMEM_STATS_H

#include <stddef.h>
#include <stdint.h>

#include <hakmem/hakmem.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAK_STATS_VERSION 4u
#define HAK_STATS_CLASSES 70u

/* One size class, or the sum of all of them and of the spans. */
struct hak_class_stats {
	uint64_t block_bytes; /* size of a block; 0 in the total */
	uint64_t allocations; /* calls that returned a block */
	uint64_t frees;
	uint64_t failures;	     /* calls that returned NULL for want of memory */
	uint64_t magazine_hits;	     /* allocations from a magazine as it stood */
	uint64_t magazine_misses;    /* those that found it empty */
	uint64_t refills;	     /* batches fetched from slabs ... */
	uint64_t refilled_blocks;    /* ... and the blocks in them */
	uint64_t spills;	     /* batches given back to slabs ... */
	uint64_t spilled_blocks;     /* ... and the blocks in them */
	uint64_t uncached_allocations; /* by callers without a cache */
	uint64_t uncached_frees;	     /* likewise: frees that no magazine took */
	uint64_t live_blocks;	     /* allocated and not freed */
	uint64_t magazine_blocks;    /* waiting in magazines */
	uint64_t live_bytes;	     /* live_blocks at their class's size */
	uint64_t slabs;		     /* slabs in use now */
};

struct hak_stats {
	uint32_t version; /* HAK_STATS_VERSION */
	uint32_t size;	  /* sizeof(struct hak_stats) as the library has it */

	struct hak_class_stats classes[HAK_STATS_CLASSES]; /* by rising size; the rest is 0 */
	struct hak_class_stats spans;			   /* large blocks of no class */
	struct hak_class_stats total;

	uint64_t caches;       /* caches of threads or CPUs in use */
	uint64_t bitmap_slabs; /* slabs that hold the bitmaps of others */
	uint64_t slabs_used;   /* all slabs in use, spans and bitmaps too */

	uint64_t superslabs_mapped;   /* ever mapped */
	uint64_t superslabs_released; /* given back */
	uint64_t superslabs_active;   /* mapped now, the reserve included */
	uint64_t superslabs_peak;     /* most that were mapped at once */
	uint64_t superslabs_reserve;  /* empty ones kept for later */
	uint64_t superslabs_emptied;  /* times the last slab of one was freed */
	uint64_t superslabs_refused;  /* releases that the provider refused */

	uint64_t utilisation_permille; /* live bytes of all used SuperSlabs */

	uint64_t provider_maps;
	uint64_t provider_unmaps;
	uint64_t provider_purges;
	uint64_t provider_failures; /* maps that failed or made no sense */
	uint64_t requested_bytes;   /* ever mapped */
	uint64_t mapped_bytes;	    /* mapped now, descriptors included */
	uint64_t purged_bytes;	    /* given back by purging */
	uint64_t meta_bytes;	    /* of mapped_bytes, for descriptors */
	uint64_t resident_bytes;    /* backed by memory; mapped_bytes if unknown */

	/* since version 2 */
	uint64_t provider_purges_refused;
	uint64_t retouched_bytes;    /* purged, and handed out again since */
	uint64_t superslabs_phantom; /* those in which all that is live lies in magazines */

	/* since version 3 */
	uint64_t class_locks; /* times that the lock of a class was taken, for a batch or a look */
	uint64_t superslab_locks; /* and that of the SuperSlabs; reading statistics counts, too */
};

/**
 * hak_stats_read() - take a snapshot
 * @stats: filled in; its previous contents do not matter
 * @size:  sizeof(*stats) as the caller was compiled; no more is written
 *
 * Asks the provider for resident memory, which takes a system call for each
 * SuperSlab on Linux, unless @size ends before resident_bytes. Not from an
 * interrupt.
 */
HAK_API void hak_stats_read(struct hak_stats *stats, size_t size);

/* Takes @length bytes of text, not terminated. May not call the allocator. */
typedef void hak_sink(void *ctx, const char *text, size_t length);

/**
 * hak_stats_text() - write a snapshot for people to read
 * hak_stats_json() - write a snapshot for programs: one JSON object
 *
 * Classes that were never used are left out.
 */
HAK_API void hak_stats_text(hak_sink *sink, void *ctx);
HAK_API void hak_stats_json(hak_sink *sink, void *ctx);

/**
 * hak_dump() - write where everything is: a line for each class that has slabs,
 * and one for each SuperSlab
 *
 * Of a SuperSlab: how many of its 32 slabs are used, how many are free and have
 * memory, how many have none; how many pages of the used ones have none; and a
 * letter for each slab. Not from an interrupt.
 */
HAK_API void hak_dump(hak_sink *sink, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
