/* SPDX-License-Identifier: MIT */
/*
 * The stacks that samples were allocated and freed with, each of which is kept once, and memory
 * for all that is known of samples. This memory comes in slices, and is cut from front to back. It
 * stays until hak_fini(): a sample that is freed leaves its record to the next one.
 *
 * Lock: that of the samples, of rank LOCK_META. sample.c and guard.c use it, too. Stacks are read
 * without it: a stack is complete when it is entered, but for its counters.
 *
 * Failure: when HAK_SAMPLE_RECORDS slices are full, or there is no memory, records_more() says so,
 * and there are no more samples.
 */
#include "diag/trace.h"

#include "base/format.h"
#include "diag/sampled.h"
#include "pages/meta.h"

#define SLICE ((size_t)16 << 10) /* bytes; as much as any record has, or more */

struct stack *_Atomic trace_stacks;

static struct {
	struct lock lock;
	char *next, *end;      /* what is left of the newest slice [samples] */
	unsigned slices;       /* how many there are [samples] */
	struct stack **chains; /* HAK_SAMPLE_BUCKETS of them; NULL at first [samples] */
} traces;

void samples_lock(void)
{
	lock_lock(&traces.lock, LOCK_META);
}

void samples_unlock(void)
{
	lock_unlock(&traces.lock, LOCK_META);
}

bool samples_for_each_lock(bool (*visit)(struct lock *lock))
{
	return visit(&traces.lock);
}

void *records_cut(size_t size)
{
	void *record = traces.next;

	size = ALIGN_UP(size, sizeof(uint64_t));
	hak_assert(size <= SLICE);
	if ((size_t)(traces.end - traces.next) < size)
		return NULL;
	traces.next += size;
	return record;
}

/* One more slice. @all: however many there are. False if there is none. */
bool records_more(bool all)
{
	char *slice = NULL;

	if (all || READ_ONCE(traces.slices) < HAK_SAMPLE_RECORDS)
		slice = meta_alloc(META_SAMPLES, SLICE);
	if (!slice)
		return false;
	samples_lock();
	traces.next = slice;
	traces.end = slice + SLICE;
	traces.slices++;
	samples_unlock();
	return true;
}

size_t records_bytes(void)
{
	return READ_ONCE(traces.slices) * SLICE;
}

/* The hash of Fowler, Noll and Vo (FNV-1a), by words. */
static unsigned chain_of(const struct trace *trace)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (unsigned i = 0; i < trace->n; i++)
		hash = (hash ^ (uintptr_t)trace->frames[i]) * 0x100000001b3;
	return (unsigned)(hash >> 32) % HAK_SAMPLE_BUCKETS;
}

static bool is_stack(const struct stack *stack, const struct trace *trace)
{
	return stack->n == trace->n &&
	       !__builtin_memcmp(stack->frames, trace->frames, trace->n * sizeof(*trace->frames));
}

/* The stack of a trace, which is entered if it is new. */
struct stack *trace_enter(const struct trace *trace)
{
	struct stack **chain, *stack;

	if (!traces.chains)
		traces.chains = records_cut(HAK_SAMPLE_BUCKETS * sizeof(*chain));
	if (!traces.chains)
		return NULL;
	chain = &traces.chains[chain_of(trace)];
	stack = *chain;
	while (stack && !is_stack(stack, trace))
		stack = stack->next;
	if (stack)
		return stack;
	stack = records_cut(sizeof(*stack) + trace->n * sizeof(*trace->frames));
	if (!stack)
		return NULL;
	stack->n = trace->n;
	__builtin_memcpy(stack->frames, trace->frames, trace->n * sizeof(*trace->frames));
	stack->next = *chain;
	stack->older = trace_stacks;
	*chain = stack;
	/* release: who walks the stacks without the lock sees all of this one */
	atomic_store_explicit(&trace_stacks, stack, memory_order_release);
	return stack;
}

struct stack *trace_keep(const struct trace *trace, bool all)
{
	struct stack *stack;

	do {
		samples_lock();
		stack = trace_enter(trace);
		samples_unlock();
	} while (!stack && records_more(all));
	return stack;
}

void trace_print(hak_sink *sink, void *ctx, void *const *frames, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct hak_line line = { 0 };

		hak_format(hak_line_append, &line, "    %p", frames[i]);
		hak_sampled_name(&line, frames[i]);
		hak_format(sink, ctx, "%s\n", line.text);
	}
	if (!n)
		hak_format(sink, ctx, "    unknown\n");
}

/* The records go with meta_fini(). */
void trace_fini(void)
{
	__builtin_memset(&traces, 0, sizeof(traces));
	trace_stacks = NULL;
}
