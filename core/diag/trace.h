/* SPDX-License-Identifier: MIT */
/*
 * Stacks of callers, and memory for what is known of samples. See trace.c.
 */
#ifndef HAKMEM_DIAG_TRACE_H
#define HAKMEM_DIAG_TRACE_H

#include <hakmem/stats.h>

#include "base/lock.h"

#define TRACE_MOST 32u /* frames of a stack that are kept */

/* A stack as hak_host_trace() tells it, on the stack of who asks. */
struct trace {
	unsigned n;
	void *frames[TRACE_MOST];
};

#define BLOCK_PARTS 256u /* one sample stands for a fraction of a block, if blocks are large */

/**
 * struct stack_counts - for what the samples of a stack stand
 * @blocks: in parts of BLOCK_PARTS [samples]
 * @bytes:  that were asked for with them [samples]
 */
struct stack_counts {
	uint64_t blocks, bytes;
};

/**
 * struct stack - a stack that samples were allocated or freed with
 * @next:   in its chain [samples]
 * @older:  the one that was entered before it [const]
 * @live:   what is live of it [samples]
 * @all:    what ever was allocated [samples]
 * @n:      how many frames [const]
 * @frames: return addresses, the innermost first [const]
 */
struct stack {
	struct stack *next, *older;
	struct stack_counts live, all;
	unsigned n;
	void *frames[];
};

/* The newest one. Stacks are never removed, so they can be walked without the lock. */
extern HAK_HIDDEN struct stack *_Atomic trace_stacks;

void samples_lock(void);
void samples_unlock(void);
bool samples_for_each_lock(bool (*visit)(struct lock *lock));

/* With the lock held: NULL if records_more() is to be called first. */
void *records_cut(size_t size);
struct stack *trace_enter(const struct trace *trace);

/* Without it. @all: however many slices there are. */
bool records_more(bool all);
struct stack *trace_keep(const struct trace *trace, bool all);
size_t records_bytes(void);
void trace_print(hak_sink *sink, void *ctx, void *const *frames, size_t n);
void trace_fini(void);

#endif
