/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_PAGES_PAGES_H
#define HAKMEM_PAGES_PAGES_H

#include "base/base.h"

/* Relaxed counters; provider calls are far apart. */
struct pages_counters {
	_Atomic uint64_t maps, unmaps, purges, purges_refused, failures;
	_Atomic uint64_t requested, mapped, purged, moved;
};

extern HAK_HIDDEN struct pages_counters pages_counters;

bool pages_attach(const struct hak_provider *provider);
void pages_detach(void);

HAK_COLD bool pages_map(size_t size, size_t align, enum hak_want want, struct hak_mapping *out);
HAK_COLD bool pages_unmap(void *base, size_t size);

/* The HAK_PAGES_* that hold now, or a negative value: contents unchanged. */
HAK_COLD int pages_purge(void *base, size_t size);

/* Can memory be moved at all? */
bool pages_moves(void);

/*
 * Move the memory at @from to @to, from the start as far as the provider does.
 * Returns bytes; of @flags those HAK_PAGES_* stay that hold there now.
 */
size_t pages_move(void *from, void *to, size_t size, unsigned *flags);

/* Does the provider know this memory? Sets @bytes to what is backed. */
enum pages_state {
	PAGES_UNKNOWN, /* the provider cannot tell */
	PAGES_UNMAPPED,
	PAGES_MAPPED,
};
enum pages_state pages_resident(const void *base, size_t size, size_t *bytes);

#endif
