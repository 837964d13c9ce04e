/* SPDX-License-Identifier: MIT */
/*
 * What samples tell, as text: the profile in the format of gperftools' heap profiler ("heap
 * profile: ... @ heapprofile"), which google-pprof and go's pprof read; and what is live, for
 * people. The numbers are what the samples stand for, so nothing is to be scaled by the reader.
 *
 * Lock: none. Counters move while they are read.
 */
#include <hakmem/samples.h>

#include "base/format.h"
#include "diag/guard.h"
#include "diag/sample.h"

#define LEAKS_MOST 50u /* stacks in the text for people */

/* acquire: pairs with the release in trace_enter() */
#define for_each_stack(stack)                                                                      \
	for (const struct stack *stack =                                                           \
		     atomic_load_explicit(&trace_stacks, memory_order_acquire);                    \
	     stack; stack = stack->older)

static uint64_t whole(uint64_t parts)
{
	return (parts + BLOCK_PARTS / 2) / BLOCK_PARTS;
}

/* Counters move while they are read. */
static NO_SANITIZE_THREAD struct stack_counts read_counts(const struct stack_counts *counts)
{
	return (struct stack_counts){ READ_ONCE(counts->blocks), READ_ONCE(counts->bytes) };
}

static void add_counts(struct stack_counts *sum, const struct stack_counts *counts)
{
	struct stack_counts more = read_counts(counts);

	sum->blocks += more.blocks;
	sum->bytes += more.bytes;
}

static void sum_up(struct stack_counts *live, struct stack_counts *all)
{
	for_each_stack(stack)
	{
		add_counts(live, &stack->live);
		add_counts(all, &stack->all);
	}
}

/* "live blocks: live bytes [ all blocks: all bytes] @" */
static void print_counts(hak_sink *sink, void *ctx, struct stack_counts live,
			 struct stack_counts all)
{
	hak_format(sink, ctx, "%lu: %lu [%lu: %lu] @", whole(live.blocks), live.bytes,
		   whole(all.blocks), all.bytes);
}

void hak_profile_text(hak_sink *sink, void *ctx)
{
	struct stack_counts live = { 0 }, all = { 0 };

	sum_up(&live, &all);
	hak_format(sink, ctx, "heap profile: ");
	print_counts(sink, ctx, live, all);
	hak_format(sink, ctx, " heapprofile\n");
	for_each_stack(stack)
	{
		all = read_counts(&stack->all);
		if (!all.blocks)
			continue; /* it has freed guarded blocks only */
		print_counts(sink, ctx, read_counts(&stack->live), all);
		for (unsigned i = 0; i < stack->n; i++)
			hak_format(sink, ctx, " %p", stack->frames[i]);
		hak_format(sink, ctx, "\n");
	}
}

/* In the order of live bytes, and else of the list: the first stack behind @last and @bytes. */
static const struct stack *next_largest(const struct stack *last, uint64_t bytes)
{
	const struct stack *found = NULL;
	bool passed = !last;
	uint64_t most = 0;

	for_each_stack(stack)
	{
		struct stack_counts live = read_counts(&stack->live);

		if (live.blocks && (live.bytes < bytes || (live.bytes == bytes && passed)) &&
		    (!found || live.bytes > most)) {
			found = stack;
			most = live.bytes;
		}
		passed |= stack == last;
	}
	return found;
}

void hak_leaks(hak_sink *sink, void *ctx)
{
	struct stack_counts live = { 0 }, all = { 0 };
	const struct stack *stack = NULL;

	sum_up(&live, &all);
	hak_format(sink, ctx, "%lu bytes in %lu blocks are live\n", live.bytes, whole(live.blocks));
	live.bytes = UINT64_MAX;
	for (unsigned i = 0; i < LEAKS_MOST; i++) {
		stack = next_largest(stack, live.bytes);
		if (!stack)
			return;
		live = read_counts(&stack->live);
		hak_format(sink, ctx, "%lu bytes in %lu blocks, allocated by:\n", live.bytes,
			   whole(live.blocks));
		trace_print(sink, ctx, (void *const *)stack->frames, stack->n);
	}
	hak_format(sink, ctx, "more stacks are left out\n");
}

void hak_samples_read(struct hak_samples *out, size_t size)
{
	struct hak_samples all;

	sample_read(&all);
	guard_read(&all);
	__builtin_memcpy(out, &all, MIN(size, sizeof(all)));
}
