/* SPDX-License-Identifier: MIT */
/*
 * A block of the debug layer, and what is known of it. See record.c.
 */
#ifndef HAKMEM_DEBUG_RECORD_H
#define HAKMEM_DEBUG_RECORD_H

#include "diag/trace.h"

/* What is done to blocks, by the letters of Linux's slub_debug. */
#define LETTER_F 1u /* there is a record, which all calls compare */
#define LETTER_Z 2u /* there are red zones */
#define LETTER_P 4u /* what is new or free is poisoned */
#define LETTER_U 8u /* it is known who has allocated and freed a block */

/* By the values of Linux's <linux/poison.h>. */
#define RED		0xccu
#define POISON_NEW	0x5au
#define POISON_FREE	0x6bu
#define POISON_FREE_END 0xa5u /* the last byte */

#define ZONE_LEAST ((size_t)16)
#define ZONE_MOST  ((size_t)4096) /* of a longer zone, only what is next to the block is red */

enum record_state {
	RECORD_LIVE = 1, /* in use */
	RECORD_BUSY,	 /* a call has it: nobody else may free it or look into it */
	RECORD_WAITING,	 /* it is free, and waits (waiting.c) */
	RECORD_GONE,	 /* it is free, and belongs to the heap below */
};

/**
 * struct track - who was it, and when?
 * @stack: NULL if it is not known
 * @time:  as hak_debug_now() tells
 * @who:   the thread or CPU, as hak_debug_who() tells
 */
struct track {
	const struct stack *stack;
	uint64_t time;
	unsigned who;
};

/**
 * struct record - where a block of the heap below begins; all is guarded by the samples' lock
 * @check:    a hash of the rest and of the address
 * @size:     what was asked for, in bytes
 * @capacity: how long the block of the heap below is, or less
 * @place:    how many bytes behind its start the block begins
 * @state:    enum record_state
 * @letters:  what is done to it
 * @allocated: by whom, with LETTER_U
 * @freed:    likewise; all zero while the block is in use
 */
struct record {
	uint64_t check;
	size_t size, capacity;
	uint32_t place;
	uint16_t state, letters;
	struct track allocated, freed;
};

/* Where a block that is aligned to 16 begins, at least; and how much longer it makes a block. */
#define RECORD_PLACE ALIGN_UP(sizeof(struct record) + ZONE_LEAST, 16)
#define RECORD_EXTRA (RECORD_PLACE + ZONE_LEAST)

/* A byte that was changed. */
struct change {
	const char *byte;
	unsigned expected;
	const char *how;
};

static inline char *record_block(const struct record *record)
{
	return (char *)record + record->place;
}

/* A heap begins, or ends: all records that there are become none. */
void record_begin_epoch(void);

/* Is this a record, and not something else? */
bool record_is(const struct record *record);

/* Change it, with the lock held. */
void record_set(struct record *record, enum record_state state);

/* Fill what the letters say: the zones; bytes that are new; a block that is free. */
void record_fill_zones(const struct record *record);
void record_fill_new(const struct record *record, size_t from);
void record_fill_free(const struct record *record);

/* Is anything not as it was filled? The zones; a block that is free. */
bool record_zones_changed(const struct record *record, struct change *change);
bool record_free_changed(const struct record *record, struct change *change);

/* Without the lock: is this a record of a block in use, and are its zones changed? */
bool record_live_changed(const struct record *record, struct change *change);

/* Who calls now? @frame: see hak_host_trace(). */
void track_fill(struct track *track, const void *frame);

/* Of the platform: the number of the thread or CPU, and the time in PLATFORM_TIME. */
unsigned hak_debug_who(void);
uint64_t hak_debug_now(void);

#endif
