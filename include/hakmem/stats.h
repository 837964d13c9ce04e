/* SPDX-License-Identifier: MIT */
/*
 * What the allocator counts. A snapshot is written to memory of the caller. Text and JSON go
 * to a callback, piece by piece. Nothing here allocates. Each function needs at most 2 KiB of
 * stack on bare metal, and 6 KiB on Linux, besides what the callback needs: struct hak_stats has
 * 9.4 KiB, but they read row after row.
 *
 * Counters are exact while no other thread is inside the allocator. Otherwise they move while
 * they are read, one after another. What is computed from several of them (allocations, hits,
 * live blocks, utilisation) is then wrong by what happened meanwhile.
 *
 * The version rises with each change of the struct. New fields come at its end and say since
 * which version they are there. Versions 3 and 4 added rows to @classes. Version 5 has
 * nothing new, but two fields have other names: uncached_* were bypass_* before.
 */
#ifndef HAK_STATS_H
#define HAK_STATS_H

#include <stddef.h>
#include <stdint.h>

#include <hakmem/hakmem.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAK_STATS_VERSION 6u
#define HAK_STATS_CLASSES 70u

/* One size class; or the spans of no class; or the sum of all of these. */
struct hak_class_stats {
	uint64_t block_bytes;	       /* how long a block is; 0 for spans and the sum */
	uint64_t allocations;	       /* calls that returned a block */
	uint64_t frees;		       /* calls that freed a block */
	uint64_t failures;	       /* calls that returned NULL, since there was no memory */
	uint64_t magazine_hits;	       /* allocations that found a block in their magazine */
	uint64_t magazine_misses;      /* allocations that found it empty */
	uint64_t refills;	       /* batches that were fetched from slabs, ... */
	uint64_t refilled_blocks;      /* ... and the blocks in them */
	uint64_t spills;	       /* batches that went back to slabs, ... */
	uint64_t spilled_blocks;       /* ... and the blocks in them */
	uint64_t uncached_allocations; /* allocations by callers without a cache */
	uint64_t uncached_frees;       /* frees by them, and others that no magazine took */
	uint64_t live_blocks;	       /* blocks that are allocated and not freed */
	uint64_t magazine_blocks;      /* free blocks that wait in magazines */
	uint64_t live_bytes;	       /* live_blocks times block_bytes; of spans their length */
	uint64_t slabs;		       /* units of slabs in use now: 64 KiB, on bare metal 4 KiB */
};

struct hak_stats {
	uint32_t version; /* HAK_STATS_VERSION */
	uint32_t size;	  /* sizeof(struct hak_stats), as the library was compiled */

	struct hak_class_stats classes[HAK_STATS_CLASSES]; /* by size; unused rows are 0 */
	struct hak_class_stats spans;			   /* large blocks of no class */
	struct hak_class_stats total;

	uint64_t caches;       /* caches that have an owner, a thread or a CPU */
	uint64_t bitmap_slabs; /* slabs that hold the bitmaps of other slabs */
	uint64_t slabs_used;   /* all units in use, those of spans and bitmaps included */

	/* of SuperSlabs for blocks; on Linux bitmaps have others, which count as records */
	uint64_t superslabs_mapped;   /* how many were ever mapped */
	uint64_t superslabs_released; /* how many of them were given back */
	uint64_t superslabs_active;   /* how many are mapped now, the reserve included */
	uint64_t superslabs_peak;     /* the most that were mapped at once */
	uint64_t superslabs_reserve;  /* empty ones that are kept for later */
	uint64_t superslabs_emptied;  /* times that the last slab of one was freed */
	uint64_t superslabs_refused;  /* times that the provider refused to take one back */

	uint64_t utilisation_permille; /* live bytes, of all bytes of SuperSlabs in use */

	uint64_t provider_maps;	    /* calls that mapped something */
	uint64_t provider_unmaps;   /* calls that unmapped something */
	uint64_t provider_purges;   /* calls that purged something */
	uint64_t provider_failures; /* maps that failed, or returned what cannot be used */
	uint64_t requested_bytes;   /* all that was ever mapped */
	uint64_t mapped_bytes;	    /* what is mapped now, records of the allocator included */
	uint64_t purged_bytes;	    /* all that was ever purged */
	uint64_t meta_bytes;	    /* the part of mapped_bytes that is for such records */
	uint64_t resident_bytes;    /* what is backed by memory; mapped_bytes if not known */

	/* since version 2 */
	uint64_t provider_purges_refused; /* calls that were to purge something, and were refused */
	uint64_t retouched_bytes;	  /* what was purged and has been handed out again since */
	uint64_t superslabs_phantom;	  /* those in which all that is in use lies in magazines */

	/* since version 3 */
	uint64_t class_locks;	  /* times that the lock of a class was taken, by a scan as well */
	uint64_t superslab_locks; /* times that the lock of the arena was, by this call as well */

	/* since version 5; blocks made of free neighbours of a smaller size, before NULL */
	uint64_t gap_blocks;  /* those in use; their rows above count the neighbours */
	uint64_t gaps_made;   /* how many there ever were */
	uint64_t gaps_failed; /* times that none was found */

	/* since version 6 */
	uint64_t available_bytes; /* hak_available() */
	uint64_t largest_bytes;	  /* hak_largest() */
	uint64_t peak_bytes;	  /* hak_peak() */
};

/**
 * hak_stats_read() - take a snapshot
 * @stats: is filled in; what it contained does not matter
 * @size:  sizeof(*stats), as the caller was compiled; no more bytes are written
 *
 * Asks the provider what is resident, which takes a system call for each SuperSlab on Linux,
 * unless @size ends before resident_bytes. Not from an interrupt handler.
 */
HAK_API void hak_stats_read(struct hak_stats *stats, size_t size);

/**
 * hak_stats_row() - take a snapshot of one size class, in less memory than struct hak_stats has
 * @index: 0, 1 and so on, by size; behind the last class are the spans of no class
 * @row:   is filled in; what it contained does not matter
 * @size:  sizeof(*row), as the caller was compiled; no more bytes are written
 *
 * Returns false if there is no such row, and writes nothing. Not from an interrupt handler.
 */
HAK_API bool hak_stats_row(unsigned index, struct hak_class_stats *row, size_t size);

/* Takes @length bytes of text, which are not terminated. It must not call the allocator. */
typedef void hak_sink(void *ctx, const char *text, size_t length);

/**
 * hak_stats_text() - write a snapshot for people to read
 * hak_stats_json() - write a snapshot for programs: one JSON object, with the names above
 * @sink: gets the text
 * @ctx:  is handed to the sink
 *
 * Classes that were never used are left out. Not from an interrupt handler.
 */
HAK_API void hak_stats_text(hak_sink *sink, void *ctx);
HAK_API void hak_stats_json(hak_sink *sink, void *ctx);

/**
 * hak_top() - write a table of the classes, to be written again and again
 * @sink: gets the text
 * @ctx:  is handed to the sink
 *
 * A line for each size of blocks, and one for their sum: how many blocks are live, which part of
 * their slabs these are, how long the slabs are, how many free blocks lie in magazines, which
 * part of all allocations found one there, and how many were allocated and freed since the last
 * call; at the first call since the heap was made. One caller at a time. Not from an interrupt
 * handler. On Linux the program hakmem-top shows it of another process.
 */
HAK_API void hak_top(hak_sink *sink, void *ctx);

/**
 * hak_dump() - write where everything lies
 * @sink: gets the text
 * @ctx:  is handed to the sink
 *
 * There is a line for each class that has slabs, and one for each SuperSlab. It tells how
 * many of its units are used (32 of 64 KiB, on bare metal 512 of 4 KiB), how many are free and
 * backed by memory, how many are free and not backed, and how many pages of the used ones are
 * not backed; and it has a letter for each 64 KiB. Not from an interrupt handler.
 */
HAK_API void hak_dump(hak_sink *sink, void *ctx);

/**
 * hak_dump_json() - write where everything lies, for hakmem-map, which draws it
 * @sink: gets the text
 * @ctx:  is handed to the sink
 *
 * One JSON object: "hakmem_dump" is the version of the form, 1; "unit_bytes" and "page_bytes" are
 * lengths; "superslabs" has an object for each SuperSlab, which is a line: "base" is its address,
 * "in_magazines" how many of its blocks lie in magazines, and "cells" is what it consists of. A
 * cell is "units" units from unit "at" on, which have "pages" pages, "unbacked" of them without
 * memory. Its "kind" is
 *
 *	slab	 blocks of "block_bytes": "blocks" of them, "used" of these in use or in magazines
 *	large	 a large block of "block_bytes", or the part of it that lies in this SuperSlab
 *	rest	 a further part of it, in another SuperSlab
 *	free	 nobody has these units
 *	pool	 the objects of a pool
 *	bitmaps	 which blocks of slabs are free; as slab
 *	samples	 guarded blocks, and records of samples
 *	busy	 somebody is about to use or to free these units
 *	guard	 pages that fault, around bitmaps
 *	absent	 what a SuperSlab lacks of its 2 MiB
 *
 * The provider is asked how much of large blocks is backed. Not from an interrupt handler.
 */
HAK_API void hak_dump_json(hak_sink *sink, void *ctx);

#ifdef __cplusplus
}
#endif

#endif
