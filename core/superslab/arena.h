/* SPDX-License-Identifier: MIT */
/*
 * The arena: all SuperSlabs together. See arena.c. The files of this folder share its lock.
 */
#ifndef HAKMEM_SUPERSLAB_ARENA_H
#define HAKMEM_SUPERSLAB_ARENA_H

#include "base/lock.h"
#include "base/policy.h"
#include "superslab/descriptor.h"

/* SuperSlabs for metadata are not counted, but for the units that are used of them. */
struct arena_counters {
	uint64_t mapped, active, peak, reserve, emptied, refused;
	uint64_t released; /* in what arena_read_counters() returns */
	uint64_t units_used;
	uint64_t units_absent; /* of these: what parts lack */
	uint64_t retouched;    /* pages of spans that were purged and handed out again */
	uint64_t locks;	       /* times that the lock was taken */
};

/**
 * struct arena - all SuperSlabs
 * @lock:     guards everything here, and what descriptor.h and runs.h say
 * @all:      all SuperSlabs, the newest first [arena]
 * @empty:    those of which every unit is unused: the reserve, and those for metadata [arena]
 * @maps:     the number of mappings, ever; the last one has it as its map_id [arena]
 * @least:    how many empty SuperSlabs the reserve had at least [arena]
 * @taken:    how many units were allocated [arena]
 * @unused:   how many unused units, backed ones, the last scan saw [arena]
 * @is_busy:  what this scan finds idle may stay: see policy_is_busy() [arena]
 * @next_scanned: the SuperSlab that claim_next() is to claim; NULL at the end [arena]
 * @next_window: and which of its windows [arena]
 * @counters: for statistics [arena]
 */
extern HAK_HIDDEN struct arena {
	struct lock lock;
	struct list_node *all;
	struct list_node *empty;
	uint64_t maps;
	struct two_intervals least, taken;
	size_t unused;
	bool is_busy;
	struct superslab *next_scanned;
	unsigned next_window;
	struct arena_counters counters;
} hak_arena;

/* What part.c does once hak_parts_enable() was called, until then NULL. */
extern HAK_HIDDEN struct arena_parts {
	bool (*add)(void);
	void (*unmap)(const struct superslab *superslab);
} arena_parts;

/* Only where the platform scans at intervals is it known how much is used in one. */
static inline bool arena_is_busy(void)
{
	return PLATFORM_SCANS && hak_arena.is_busy;
}

/* Does a class that grows get all of a new SuperSlab? Racy: others change how much is in use. */
static inline NO_SANITIZE_THREAD bool arena_is_large(void)
{
	return READ_ONCE(hak_arena.counters.units_used) >= POLICY_WHOLE_LEAST * UNITS_PER_SUPERSLAB;
}

HAK_COLD void arena_lock(void);
HAK_COLD void arena_unlock(void);
bool arena_for_each_lock(bool (*visit)(struct lock *lock));

/* With the lock held. */
HAK_COLD void arena_use(struct superslab *superslab, struct window *window, unit_mask part,
			unsigned n);
HAK_COLD void arena_unuse(struct superslab *superslab, struct window *window, unit_mask part,
			  unsigned n);
HAK_COLD void arena_enter_used(struct superslab *superslab);
HAK_COLD size_t arena_in_use(void);
HAK_COLD void arena_collect(struct superslab *superslab, struct list_node **chain);
HAK_COLD struct superslab *arena_first(void);
HAK_COLD struct superslab *arena_next(struct superslab *superslab);

/* Without it. */
HAK_COLD void arena_enter_and_lock(struct list_node *chain);
HAK_COLD size_t arena_release(struct list_node *chain);
struct superslab *arena_withdraw_reserve(void);
void arena_return_reserve(struct superslab *superslab);
HAK_COLD size_t arena_release_reserve(void);
HAK_COLD void arena_age(void);
HAK_COLD bool arena_keeps_blocks(void);
HAK_COLD bool arena_is_scarce(void);

HAK_COLD bool arena_describes_at(const void *address);
HAK_COLD void arena_read_counters(struct arena_counters *counters);
void arena_fini(void);

#endif
