/* SPDX-License-Identifier: MIT */
/*
 * SuperSlabs: 2 MiB of memory, 2 MiB-aligned, cut into 32 slabs that are
 * handed out in runs. See superslab.c.
 */
#ifndef HAKMEM_SUPERSLAB_H
#define HAKMEM_SUPERSLAB_H

#include "base.h"
#include "descriptor.h"

struct superslab_counters {
	uint64_t mapped, released, active, peak, reserve, emptied, refused;
	uint64_t slabs_used;
	uint64_t retouched; /* purged pages that were handed out again, in spans */
};

uintptr_t superslab_take(size_t slabs, unsigned spare, size_t align, bool *zero);
struct list_node *superslab_take_slabs(unsigned n);
bool superslab_resize(uintptr_t base, size_t old, size_t slabs, unsigned spare);
size_t superslab_move(uintptr_t from, uintptr_t to, size_t size);
void superslab_put(uintptr_t base, size_t slabs);
void superslab_put_slabs(struct list_node *slabs);
size_t superslab_release_reserve(void);

/**
 * struct superslab_look - what one look at a SuperSlab found to be given back
 * @superslab: whose memory may be used for another one by now, unless one of
 * @unused:    the unused slabs that are the look's for now,
 * @tails:     the slabs in which a span ends, or
 * @busy:      the slabs of blocks that are, is set
 * @pages:     by slab: the pages to purge
 * @ripening:  a later look may find more
 *
 * One at a time: looks are serialised by their caller.
 */
struct superslab_look {
	struct superslab *superslab;
	uint32_t unused;
	uint32_t tails;
	uint32_t busy;
	uint16_t pages[SLABS_PER_SUPERSLAB];
	bool ripening;
};

void superslab_look_first(void);
bool superslab_look_next(struct superslab_look *look, bool all);
int superslab_purge(const struct superslab_look *look);
void superslab_look_done(const struct superslab_look *look, int flags);
bool superslab_age_reserve(void);

void superslab_lock(void);
void superslab_unlock(void);
void superslab_lock_word(void);
void superslab_unlock_word(void);
struct superslab *superslab_first(void);
struct superslab *superslab_next(struct superslab *superslab);
void superslab_read_counters(struct superslab_counters *counters);
uint64_t superslab_resident(void);
const char *superslab_check(void);
void superslab_fini(void);

#endif
