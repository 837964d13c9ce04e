/* SPDX-License-Identifier: MIT */
/*
 * All SuperSlabs together. See heap.c; the state is here for superslab.c and
 * look.c, which share the lock.
 */
#ifndef HAKMEM_SUPERSLAB_ARENA_H
#define HAKMEM_SUPERSLAB_ARENA_H

#include "base/base.h"
#include "superslab/descriptor.h"
#include "base/lock.h"

#define ALL_SLABS 0xffffffffu
#define NR_PEAKS  6u

struct arena_counters {
	uint64_t mapped, released, active, peak, reserve, emptied, refused;
	uint64_t slabs_used;
	uint64_t retouched; /* purged pages that were handed out again, in spans */
	uint64_t locks;	    /* times that the lock was taken */
};

extern HAK_HIDDEN struct arena {
	struct lock lock;
	struct list_node *all;
	struct list_node *empty; /* the reserve */
	uint64_t maps;		 /* mappings so far */
	size_t peak[NR_PEAKS];	/* most that were needed at once: since the last look, before ... */
	size_t needed;		/* in use at the last look, and those mapped since */
	struct superslab *next_scanned; /* the next one that is looked at */
	struct arena_counters counters;
} hak_arena;

void arena_lock(void);
void arena_unlock(void);
void arena_fork_lock(void);
void arena_fork_unlock(void);

/* Under the lock. */
HAK_COLD void arena_set_unused(struct superslab *superslab, uint32_t unused);
size_t arena_in_use(void);
void arena_note_needed(size_t superslabs);
HAK_COLD size_t arena_recent_peak(void);
HAK_COLD void arena_collect_locked(struct superslab *superslab, struct list_node ***end);
HAK_COLD struct superslab *arena_first(void);
struct superslab *arena_next(struct superslab *superslab);

uintptr_t arena_map_and_lock(size_t count, size_t align);
HAK_COLD size_t arena_release(struct list_node *chain);
size_t arena_release_reserve(void);
bool arena_age_reserve(void);

HAK_COLD void arena_read_counters(struct arena_counters *counters);
uint64_t arena_resident(void);
const char *arena_check(void);
void arena_fini(void);

#endif
