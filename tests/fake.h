/* SPDX-License-Identifier: MIT */
/*
 * A page provider for tests: it has as little as it is told to have, fails
 * when it is told to, fills what it hands out and takes back with rubbish, and
 * holds the allocator to what hakmem/provider.h promises. A broken promise
 * fails the test that runs.
 *
 * It is deterministic: heap memory is the lowest free run of its arena,
 * memory for descriptors the highest.
 */
#ifndef HAKMEM_TESTS_FAKE_H
#define HAKMEM_TESTS_FAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hakmem/provider.h>

/* What a fake provider is like; none of them: whole mappings, dirty, honest. */
#define FAKE_ZERO     2u  /* HAK_PAGES_ZERO: mapped memory reads zero */
#define FAKE_NO_UNMAP 4u  /* has no unmap() */
#define FAKE_KEEPS    8u  /* has one, which refuses everything */
#define FAKE_RESIDENT 16u /* has resident() */
#define FAKE_MOVES    32u /* has move(), after which memory is as after purge() */

enum fake_purge {
	FAKE_PURGE_NONE,   /* has no purge() */
	FAKE_PURGE_ZERO,   /* purged memory reads zero */
	FAKE_PURGE_DIRTY,  /* purged memory reads rubbish */
	FAKE_PURGE_REFUSE, /* has one, which refuses everything */
};

/**
 * struct fake_options - what fake_open() makes
 * @capacity: bytes in all, descriptors included; rounded up to HAK_GRANULE
 * @align:    of the arena; 0 for HAK_SUPERSLAB_SIZE
 * @flags:    FAKE_*
 * @purge:    what it does about purging
 * @memory:   the arena; NULL to take it from port_map(), which is usual. If
 *	      it is given, @capacity is what it has, bookkeeping included.
 */
struct fake_options {
	size_t capacity;
	size_t align;
	unsigned flags;
	enum fake_purge purge;
	void *memory;
};

/* What can be made to fail. FAKE_MAP counts the calls of both kinds. */
enum fake_op {
	FAKE_MAP,
	FAKE_MAP_HEAP,
	FAKE_MAP_META,
	FAKE_UNMAP,
	FAKE_PURGE,
	FAKE_MOVE,
	NR_FAKE_OPS,
};

/* How. All but the first are for the maps only. */
enum fake_fault {
	FAKE_FAILS,	  /* an error is returned, nothing was done */
	FAKE_MISALIGNED,  /* real memory, not aligned as asked */
	FAKE_UNREACHABLE, /* an address that no page map reaches */
	FAKE_NULL,	  /* success, and no memory */
};

struct fake_plan {
	unsigned long countdown; /* calls until it fails, this one included; 0: never */
	bool forever;
	enum fake_fault fault;
};

/**
 * struct fake - a provider and what it knows; tests read all of it
 * @provider:	 for hak_init()
 * @calls:	 of each operation, failed ones included
 * @faults:	 how many calls failed because they were told to
 * @broken:	 promises that the allocator broke
 * @outstanding: bytes mapped now: the balance
 * @outstanding_heap: those of them that are heap
 * @peak:	 the most that @outstanding was
 * @purged:	 bytes purged, ever
 * @populated:	 bytes that populate() was asked for, ever
 *
 * Below that: its own. One word per page, 0 for a free one, else the number
 * of the mapping that it belongs to, and some bits.
 */
struct fake {
	struct hak_provider provider;
	unsigned long calls[NR_FAKE_OPS];
	unsigned long faults;
	unsigned long broken;
	size_t outstanding;
	size_t outstanding_heap;
	size_t peak;
	size_t purged;
	size_t populated;

	struct fake_options options;
	struct fake_plan plan[NR_FAKE_OPS];
	char *arena;
	size_t nr_pages;
	uint32_t *page;
	uint32_t last_id;
	uintptr_t odd;	/* a mapping that does not start at a page */
	uintptr_t seam; /* no move goes across this address */
	void *port_base;
	size_t port_size;
	atomic_flag busy;
};

/* False if there is no memory for its arena. */
bool fake_open(struct fake *fake, const struct fake_options *options);

/*
 * hak_init() with it. With CONFIG_HAK_WINDOW, the arena lies in the middle of the window. So the
 * window begins at no address that is special.
 */
bool fake_init(struct fake *fake);

/* The arena goes, whatever is still mapped in it. */
void fake_close(struct fake *fake);

/* Let the @nth call of @op from now on fail (1: the next), or all from there. */
void fake_fail(struct fake *fake, enum fake_op op, unsigned long nth, bool forever,
	       enum fake_fault fault);

/* Forget all plans to fail; keep refusing what the options refuse. */
void fake_heal(struct fake *fake);

/* Is all of this mapped now? */
bool fake_is_mapped(const struct fake *fake, const void *base, size_t size);

#endif
