/* SPDX-License-Identifier: MIT */
/*
 * The slow paths of malloc and free, where some blocks are samples: of a profile (diag/sample.c),
 * or guarded (diag/guard.c). The functions of malloc.c and gap.c that these stand in for have
 * names that another object may define. On Linux they are always these, and cost one branch while
 * nobody asks for samples. On bare metal they are a member of the archive that only images link
 * which start a profile, or guards.
 *
 * Lock: none.
 */
#include "api/sampled.h"

#include <hakmem/host.h>

#include "api/fastpath.h"
#include "cache/cache.h"
#include "cache/magazine.h"
#include "cache/slots.h"
#include "diag/guard.h"
#include "diag/sample.h"
#include "reclaim/scan.h"
#include "slab/gap.h"

static void fill_trace(struct trace *trace, const void *frame)
{
	trace->n = hak_host_trace(frame, trace->frames, TRACE_MOST);
}

static NOINLINE void *alloc_guarded(const struct request *request, const void *frame)
{
	struct trace trace;

	if (request->size > PAGE_SIZE || request->align > PAGE_SIZE || !guard_has_page())
		return NULL;
	fill_trace(&trace, frame);
	return guard_alloc(request->size, request->align, &trace);
}

static NOINLINE void *alloc_profiled(const struct request *request, const void *frame)
{
	struct trace trace;

	fill_trace(&trace, frame);
	return sample_alloc(request->class, request->size, request->align, &trace);
}

/* Fetch few blocks, so that the magazine is empty when the next sample is due. */
static void *alloc_few(unsigned class, unsigned n)
{
	struct platform_irq irq = cache_irq_save();
	struct hak_cache *cache = this_cache();
	void *block = NULL;

	if (cache->cold)
		block = magazine_pop_few(cache, class, n);
	cache_irq_restore(irq);
	return block;
}

/* How many blocks has the last refill brought, with the one that was popped? */
static unsigned refilled(unsigned class)
{
	struct hak_cache *cache = this_cache();

	if (!cache->cold || class >= CLASS_SPAN || !size_class[class].capacity)
		return 1;
	return 1 + slots_held(cache, class);
}

static NOINLINE void *alloc_sampling(struct request *request, const void *frame, unsigned sampling)
{
	unsigned class = request->class, left;
	void *block = NULL;

	if (sampling & SAMPLING_GUARD && guard_is_due())
		block = alloc_guarded(request, frame);
	if (!block && sampling & SAMPLING_PROFILE) {
		left = sample_left(class, request->size);
		if (!left)
			block = alloc_profiled(request, frame);
		else if (class <= CLASS_SLAB_LAST && left < size_class[class].batch)
			block = alloc_few(class, left);
	}
	if (block)
		scan_note(HAK_REAP_MALLOC);
	else
		block = request_alloc(request);
	if (sampling & SAMPLING_GUARD)
		guard_count(refilled(class));
	return block;
}

void *hak_sampled_request(struct request *request, const void *frame)
{
	unsigned sampling = atomic_load_explicit(&hak_sampling, memory_order_relaxed);

	if (likely(!sampling) || (request->size | request->align) > SIZE_MAX / 2)
		return request_alloc(request);
	return alloc_sampling(request, frame, sampling);
}

void *hak_sampled_malloc(size_t size, const void *frame)
{
	struct request request = { .class = class_of(size), .size = size, .align = 1 };

	return hak_sampled_request(&request, frame);
}

/* What is wrong with freeing @block, of a slab that has samples or gap blocks? */
enum hak_bug_code hak_sampled_inspect(const void *block, struct gap *gap, const void *frame)
{
	struct sample_pool *pool = sample_pool_of(block);
	enum hak_bug_code bug;
	struct trace trace;

	if (!pool)
		return gap_inspect(block, gap);
	*gap = (struct gap){ .n = 1 };
	if (pool->kind != SAMPLE_GUARD)
		return sample_inspect(pool, block, &gap->size, &gap->detail);
	bug = guard_inspect(block, &gap->size, &gap->detail);
	if (bug) {
		fill_trace(&trace, frame);
		guard_print_misuse(block, &trace);
	}
	return bug;
}

/* Free a sample. The pointer may be wrong. */
static NOINLINE void free_sample(struct sample_pool *pool, void *block, const char *caller,
				 const void *frame)
{
	struct trace trace;
	struct gap gap;
	enum hak_bug_code bug = hak_sampled_inspect(block, &gap, frame);

	if (bug)
		hak_bug(bug, caller, block, gap.size, gap.detail);
	if (pool->kind == SAMPLE_GUARD) {
		fill_trace(&trace, frame);
		guard_free(block, &trace);
	} else {
		sample_free(pool, block);
	}
	bug_report_noted();
	scan_note(HAK_REAP_FREE);
}

void hak_sampled_free(void *block, const char *caller, const void *frame)
{
	struct sample_pool *pool = NULL;

	if (pagemap_class((uintptr_t)block) == CLASS_MIXED)
		pool = sample_pool_of(block);
	if (unlikely(pool))
		free_sample(pool, block, caller, frame);
	else
		free_slow(block, caller);
}

void hak_sampled_fini(void)
{
	guard_fini();
	sample_fini();
	trace_fini();
}
