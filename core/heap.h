/* SPDX-License-Identifier: MIT */
/*
 * All SuperSlabs together. See heap.c; the state is here for superslab.c and
 * look.c, which share the lock.
 */
#ifndef HAKMEM_HEAP_H
#define HAKMEM_HEAP_H

#include "base.h"
#include "descriptor.h"
#include "lock.h"

#define ALL_SLABS 0xffffffffu
#define NR_PEAKS  6u

struct heap_counters {
	uint64_t mapped, released, active, peak, reserve, emptied, refused;
	uint64_t slabs_used;
	uint64_t retouched; /* purged pages that were handed out again, in spans */
	uint64_t locks;	    /* times that the lock was taken */
};

extern HAK_HIDDEN struct heap {
	struct lock lock;
	struct list_node *all;
	struct list_node *empty; /* the reserve */
	uint64_t maps;		 /* mappings so far */
	size_t peak[NR_PEAKS];	/* most that were needed at once: since the last look, before ... */
	size_t needed;		/* in use at the last look, and those mapped since */
	struct superslab *look; /* the next one that is looked at */
	struct heap_counters counters;
} hak_heap;

void heap_lock(void);
void heap_unlock(void);
void heap_fork_lock(void);
void heap_fork_unlock(void);

/* Under the lock. */
HAK_COLD void heap_set_unused(struct superslab *superslab, uint32_t unused);
size_t heap_in_use(void);
void heap_note_needed(size_t superslabs);
HAK_COLD size_t heap_lately(void);
HAK_COLD void heap_collect_locked(struct superslab *superslab, struct list_node ***tail);
HAK_COLD struct superslab *heap_first(void);
struct superslab *heap_next(struct superslab *superslab);

uintptr_t heap_map_and_lock(size_t count, size_t align);
HAK_COLD size_t heap_release(struct list_node *chain);
size_t heap_release_reserve(void);
bool heap_age_reserve(void);

HAK_COLD void heap_read_counters(struct heap_counters *counters);
uint64_t heap_resident(void);
const char *heap_check(void);
void heap_fini(void);

#endif
