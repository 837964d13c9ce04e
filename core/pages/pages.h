/* SPDX-License-Identifier: MIT */
/*
 * Pages from the provider, and back to it. See pages.c, which says what the arguments are.
 */
#ifndef HAKMEM_PAGES_PAGES_H
#define HAKMEM_PAGES_PAGES_H

#include "base/base.h"

/**
 * struct pages_counters - what is counted of calls of the provider, relaxed
 * @maps:           mappings that were made [atomic]
 * @unmaps:         unmaps that were not refused [atomic]
 * @purges:         purges that were not refused [atomic]
 * @purges_refused: purges that were refused [atomic]
 * @failures:       maps that failed, or returned what cannot be used [atomic]
 * @requested:      bytes of all mappings, ever [atomic]
 * @mapped:         bytes that are mapped now [atomic]
 * @purged:         bytes that were purged, ever [atomic]
 * @moved:          bytes that were moved, ever [atomic]
 */
struct pages_counters {
	_Atomic uint64_t maps, unmaps, purges, purges_refused, failures;
	_Atomic uint64_t requested, mapped, purged, moved;
};

extern HAK_HIDDEN struct pages_counters pages_counters;

/*
 * How many bytes for blocks did the provider have when it was asked last? SIZE_MAX if it did not
 * tell, or has got some back since. Racy.
 */
extern HAK_HIDDEN _Atomic size_t pages_left;

/*
 * The lowest address that a mapping may have: with CONFIG_HAK_WINDOW it is written when the heap
 * is made, and constant from then on. The page map begins there, so it is a multiple of
 * 2^HAK_LEAF_BITS.
 */
extern HAK_HIDDEN uintptr_t hak_window_base;

HAK_COLD bool pages_small_records(void);

inline uintptr_t pages_window(void)
{
	return IS_ENABLED(CONFIG_HAK_WINDOW) ? hak_window_base : 0;
}

static inline void pages_set_window(uintptr_t base)
{
	if (IS_ENABLED(CONFIG_HAK_WINDOW))
		hak_window_base = base;
}

/* Does all of this lie in a window that begins at @window? */
static inline bool pages_reach(uintptr_t window, uintptr_t base, size_t size)
{
	uintptr_t reach = (uintptr_t)1 << HAK_ADDRESS_BITS;

	return size <= reach && base - window <= reach - size;
}

/* Is the code linked that purges pages of SuperSlabs? Not used with PLATFORM_PURGES. */
extern HAK_HIDDEN bool pages_purgeable;

bool pages_attach(const struct hak_provider *provider);
void pages_detach(void);

HAK_COLD bool pages_map(size_t size, size_t align, enum hak_want want, struct hak_mapping *out);
HAK_COLD bool pages_unmap(void *base, size_t size);
HAK_COLD int pages_purge(void *base, size_t size);
void pages_populate(void *base, size_t size);

bool pages_moves(void);
size_t pages_move(void *from, void *to, size_t size, unsigned *flags);

/* What the provider knows of some memory. */
enum pages_state {
	PAGES_UNKNOWN, /* it cannot tell */
	PAGES_UNMAPPED,
	PAGES_MAPPED,
};
HAK_COLD enum pages_state pages_resident(const void *base, size_t size, size_t *bytes);

#endif
