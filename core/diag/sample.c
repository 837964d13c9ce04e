/* SPDX-License-Identifier: MIT */
/*
 * Samples for a profile. A sample is a block whose stack is known, and it stands for a number of
 * bytes, the period: so many bytes are allocated for each sample, on average. A block that is as
 * long as the period, or longer, is always one, and stands for itself.
 *
 * Which block is one? Samples are made where a magazine is empty: then all blocks of the class
 * that the slabs count as allocated are live, but for those in magazines of others. For each class,
 *
 *	unsampled  ==  bytes of blocks that are live  -  what live samples stand for
 *
 * is kept below a random number, evenly from 0 to the period, that belongs to the number of samples
 * that are live. So the n-th sample of a heap that grows is somewhere in its n-th period of bytes,
 * anywhere with the same probability, and each byte is as likely as any other to be in a sample
 * (sampling with a random place in each stratum; its variance is less than that of intervals that
 * are drawn independently of each other). To hit the place, the refill before it is short.
 *
 * Nothing is counted at events. All is computed from what there is now, so a sample that is freed
 * at once is made up for by the next block: it lies at the same place. If that was drawn anew,
 * blocks that live long would lose their samples to short-lived ones of the same class.
 *
 * What is known so of a class as a whole is right within one period. What is known of one stack
 * has the error of random samples: 1 / sqrt(samples of it) of its bytes, at most.
 *
 * Spans of no magazine all come here, and so do not need this. Of them those are samples in which
 * the next place lies, if their bytes are put in a row.
 *
 * Where they lie. Blocks of up to SLAB_MAX are cut from slabs of their own, page by page, and are
 * used again for samples of their class. Larger ones are spans. Both have the class byte
 * CLASS_MIXED, which sends a free the slow way.
 *
 *	weight != 0  <=>  the sample is live
 *
 * Lock: that of the samples (trace.c). What decides whether a block is a sample is read and
 * written without it: it may then be one sample too early or too late.
 *
 * Failure: without memory, the block is none, and is counted. What it would have stood for counts
 * as sampled.
 */
#include "diag/sample.h"

#include "base/format.h"
#include "diag/sampled.h"
#include "diag/stats.h"
#include "pages/pagemap.h"
#include "slab/blocks.h"
#include "superslab/span.h"

_Atomic unsigned hak_sampling;

/**
 * struct sample - a block, live or not
 * @block:  where it is; of a span 0 if it is not live [samples]
 * @size:   what was asked for, in bytes [samples]
 * @weight: bytes of its class that it stands for; 0 if it is not live [samples]
 * @stack:  who has allocated it last; NULL if nobody ever did [samples]
 * @next:   on the list of those of its class that are not live [samples]
 * @class:  of the request [const]
 */
struct sample {
	void *block;
	size_t size;
	size_t weight;
	struct stack *stack;
	struct sample *next;
	unsigned class;
};

/**
 * struct sampled_class - what is known of a class; of CLASS_SPAN all that was ever allocated
 * @weight: what the live samples stand for, without those that stand for themselves [atomic]
 * @bytes:  their own lengths [atomic]
 * @before: bytes that were live before there were samples, and may still be [atomic]
 * @cached: blocks in magazines when this was last counted [atomic]
 * @freed:  samples that are not live [samples]
 */
struct sampled_class {
	_Atomic int64_t weight, bytes, before, cached;
	struct sample *freed;
};

static struct {
	_Atomic size_t period;
	_Atomic uint64_t counter;    /* of random numbers for guards */
	uint64_t seed;		     /* of places */
	struct sampled_class *class; /* NULL before the first profile */
	struct sample_pool *spans;   /* that are not in use [samples] */
	struct sample_pool *pool;    /* from which chunks are cut, or NULL [samples] */
	char *base;		     /* where it lies [samples] */
	size_t used;		     /* bytes of it [samples] */
	_Atomic size_t made, missed, pools;
} samples;

#define GOLDEN 0x9e3779b97f4a7c15

/* The function of splitmix64 (Steele, Lea and Flood, 2014): random numbers from a counter. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t sample_random(uint64_t most)
{
	return mix(atomic_fetch_add(&samples.counter, GOLDEN)) % most;
}

/* ---------------------------------------------------------------- which block is one */

/* How long a block is for the profile. */
static size_t sample_bytes(unsigned class, size_t size)
{
	return class == CLASS_SPAN ? ALIGN_UP(MAX(size, 1), PAGE_SIZE) : size_class[class].size;
}

static int64_t unsampled(unsigned class)
{
	struct sampled_class *sc = &samples.class[class];
	int64_t live = sc->bytes - sc->weight - sc->before;

	if (class == CLASS_SPAN)
		return live;
	return live + ((int64_t)blocks_outstanding(class) - sc->cached) * size_class[class].size;
}

/*
 * The place in its period of the next sample of a class: @unsampled that makes a block one. Where
 * so many samples are live, it is always the same.
 */
static int64_t next_place(unsigned class, size_t period)
{
	uint64_t live = (uint64_t)samples.class[class].weight / period;

	return (int64_t)(mix(samples.seed + (live * NR_CLASSES + class) * GOLDEN) % period);
}

/* Count what lies in magazines now. */
static void count_cached(unsigned class)
{
	struct cache_counters sum;

	stats_read_caches(class, &sum);
	samples.class[class].cached = (int64_t)sum.blocks;
}

/* Of what was there before, some was freed: it is not to hide what came since. */
static void forget_before(struct sampled_class *sc, int64_t freed)
{
	int64_t before = sc->before;

	if (freed > 0 && before > 0)
		sc->before = before - MIN(freed, before);
}

unsigned sample_left(unsigned class, size_t size)
{
	struct sampled_class *sc = &samples.class[class];
	int64_t bytes = (int64_t)sample_bytes(class, size), place, left;
	size_t period = samples.period;

	if ((size_t)bytes >= period)
		return 0;
	place = next_place(class, period);
	left = place - unsampled(class);
	if (left < bytes && class != CLASS_SPAN) {
		count_cached(class);
		left = place - unsampled(class);
	}
	forget_before(sc, left - place - (int64_t)period); /* a sample makes it that low */
	if (left < bytes)
		return 0;
	if (class == CLASS_SPAN)
		sc->bytes += bytes;
	return (unsigned)MIN(left / bytes, (int64_t)UINT32_MAX);
}

/* A block becomes a sample, or would if there was room. Returns what it stands for. */
static size_t note_sampled(unsigned class, size_t size)
{
	struct sampled_class *sc = &samples.class[class];
	size_t bytes = sample_bytes(class, size), period = samples.period;

	if (bytes >= period)
		return bytes;
	sc->bytes += (int64_t)bytes;
	sc->weight += (int64_t)period;
	return period;
}

/* It is one no longer. */
static void forget_sampled(const struct sample *sample)
{
	struct sampled_class *sc = &samples.class[sample->class];
	size_t bytes = sample_bytes(sample->class, sample->size);

	if (sample->weight == bytes || sample->class == CLASS_SPAN)
		return;
	sc->bytes -= (int64_t)bytes;
	sc->weight -= (int64_t)sample->weight;
}

/* ------------------------------------------------------------------- where they lie */

struct sample_pool *sample_pool_of(const void *block)
{
	const struct slab *slab = address_to_slab((uintptr_t)block);

	if (!slab || (slab->class && slab->class <= CLASS_SLAB_LAST))
		return NULL;
	return (struct sample_pool *)slab->bitmap;
}

void sample_pool_enter(void *base, size_t size, struct sample_pool *pool)
{
	size_t units = DIV_ROUND_UP(size, UNIT_SIZE);

	for (size_t i = 0; i < units; i++) {
		struct slab *unit = address_to_slab((uintptr_t)base + i * UNIT_SIZE);

		unit->bitmap = (uint64_t *)pool;
		if (i) /* it had no descriptor, maybe */
			unit->class = CLASS_NONE;
	}
	pagemap_set_class((uintptr_t)base, units, CLASS_MIXED);
}

/* How many blocks are cut at once? As many as fit into a page, unless they are tiny. */
static size_t chunk_blocks(unsigned class)
{
	return MIN(MAX(PAGE_SIZE / size_class[class].size, 1), 128u);
}

/* The sample at @block, or that of the block in which it lies. NULL if there never was one. */
static struct sample *sample_at(const struct sample_pool *pool, const void *block)
{
	size_t offset = (uintptr_t)block % SLAB_SIZE;
	struct sample *first = pool->page[pool->kind == SAMPLE_SPAN ? 0 : offset / PAGE_SIZE];
	size_t index;

	if (!first || pool->kind == SAMPLE_SPAN)
		return first;
	index = ((size_t)((const char *)block - (char *)first->block)) /
		size_class[first->class].size;
	return index < chunk_blocks(first->class) ? first + index : NULL;
}

/* Cut blocks for samples of a class, which are as aligned as those of its slabs. */
static bool cut_chunk(unsigned class)
{
	size_t size = size_class[class].size, n = chunk_blocks(class);
	size_t start = ALIGN_UP(samples.used, MAX(PAGE_SIZE, size & -size));
	struct sample *first;

	if (!samples.pool || start + n * size > SLAB_SIZE)
		return false;
	first = records_cut(n * sizeof(*first));
	if (!first)
		return false;
	for (size_t i = 0; i < n; i++)
		first[i] = (struct sample){ .block = samples.base + start + i * size,
					    .class = class,
					    .next = i + 1 < n ? &first[i + 1] : NULL };
	samples.used = ALIGN_UP(start + n * size, PAGE_SIZE);
	for (size_t page = start / PAGE_SIZE; page < samples.used / PAGE_SIZE; page++)
		samples.pool->page[page] = first;
	samples.class[class].freed = first;
	return true;
}

/* Is the pool too small for a chunk of this class? Then it is records that are missing. */
static bool needs_pool(unsigned class)
{
	size_t size = size_class[class].size;

	return !samples.pool ||
	       ALIGN_UP(samples.used, MAX(PAGE_SIZE, size & -size)) + size > SLAB_SIZE;
}

/* The slab at @base is the one from which chunks are cut. False if a record is missing. */
static bool pool_open(void *base)
{
	struct sample_pool *pool;

	samples_lock();
	pool = records_cut(sizeof(*pool));
	if (pool) {
		*pool = (struct sample_pool){ .kind = SAMPLE_BLOCKS };
		sample_pool_enter(base, SLAB_SIZE, pool);
		samples.pool = pool;
		samples.base = base;
		samples.used = 0;
		samples.pools++;
	}
	samples_unlock();
	return pool;
}

/* Get another slab to cut chunks from. */
static bool pool_more(void)
{
	bool backed;
	void *base = span_alloc(SLAB_SIZE, SLAB_SIZE, ALLOC_ANY, &backed);

	if (!base)
		return false;
	while (!pool_open(base)) {
		if (!records_more(samples.period == 1)) {
			span_free(base);
			return false;
		}
	}
	return true;
}

/* A record for a span. */
static struct sample *cut_span(void)
{
	struct sample_pool *pool = samples.spans;
	struct sample *sample;

	if (pool) {
		samples.spans = pool->next;
		return pool->page[0];
	}
	pool = records_cut(sizeof(*pool) + sizeof(*sample));
	if (!pool)
		return NULL;
	sample = (struct sample *)(pool + 1);
	*pool = (struct sample_pool){ .kind = SAMPLE_SPAN, .page = { sample } };
	*sample = (struct sample){ .class = CLASS_SPAN };
	return sample;
}

/* Add what a sample stands for, or subtract it. */
static void stack_add(struct stack_counts *counts, const struct sample *sample, int sign)
{
	size_t length = sample_bytes(sample->class, sample->size), weight = sample->weight;
	bool itself = weight == length;

	counts->blocks += (uint64_t)sign * (itself ? BLOCK_PARTS : weight * BLOCK_PARTS / length);
	counts->bytes += (uint64_t)sign * (itself ? sample->size : weight * sample->size / length);
}

/* With the lock held: a sample that is not live, and its stack; NULL if something is missing. */
static struct sample *record_alloc(unsigned class, bool span, const struct trace *trace)
{
	struct sampled_class *sc = &samples.class[class];
	struct stack *stack = trace_enter(trace);
	struct sample *sample;

	if (!stack)
		return NULL;
	if (span)
		sample = cut_span();
	else if (sc->freed || cut_chunk(class))
		sample = sc->freed;
	else
		return NULL;
	if (!span)
		sc->freed = sample->next;
	if (sample)
		sample->stack = stack;
	return sample;
}

/* The same, and returns with the lock held. Gets what is missing, if there is memory for it. */
static struct sample *record_get(unsigned class, bool span, const struct trace *trace)
{
	struct sample *sample;
	bool pool, more = true;

	for (;;) {
		samples_lock();
		sample = record_alloc(class, span, trace);
		pool = !sample && !span && needs_pool(class);
		if (sample || !more)
			return sample;
		samples_unlock();
		more = pool ? pool_more() : records_more(samples.period == 1);
	}
}

static void note_missed(void)
{
	static const char text[] = "hakmem: there is no more room for samples\n";

	if (!samples.missed++)
		hak_sampled_print(NULL, text, sizeof(text) - 1);
}

/**
 * sample_alloc() - allocate a block that is a sample
 * @class: of the request
 * @trace: who asks for it
 *
 * Returns NULL if there is no room; the caller then gets another block.
 */
void *sample_alloc(unsigned class, size_t size, size_t align, const struct trace *trace)
{
	size_t weight = note_sampled(class, size);
	bool span = class > CLASS_SLAB_LAST, backed;
	void *block = span ? span_alloc(size, align, ALLOC_ANY, &backed) : NULL;
	struct sample *sample;

	if (span && !block)
		return NULL; /* nor will there be memory for one that is none */
	sample = record_get(class, span, trace);
	if (!sample) {
		samples_unlock();
		if (span)
			span_free(block);
		note_missed();
		return NULL;
	}
	if (span) {
		sample->block = block;
		sample->class = class;
	}
	block = sample->block;
	sample->size = size;
	sample->weight = weight;
	stack_add(&sample->stack->live, sample, 1);
	stack_add(&sample->stack->all, sample, 1);
	samples_unlock();
	samples.made++;
	if (span)
		sample_pool_enter(block, 1, (struct sample_pool *)sample - 1);
	return block;
}

/* A live sample of this pool is freed. */
void sample_free(struct sample_pool *pool, void *block)
{
	struct sample *sample = sample_at(pool, block);
	bool live;

	samples_lock();
	live = sample->weight;
	if (live) {
		stack_add(&sample->stack->live, sample, -1);
		forget_sampled(sample);
		sample->weight = 0;
	}
	if (live && pool->kind == SAMPLE_BLOCKS) {
		sample->next = samples.class[sample->class].freed;
		samples.class[sample->class].freed = sample;
	}
	samples_unlock();
	if (!live)
		bug_note(HAK_BUG_DOUBLE_FREE, block, sample->size, 0);
	if (!live || pool->kind == SAMPLE_BLOCKS)
		return;
	address_to_slab((uintptr_t)block)->bitmap = NULL;
	pagemap_set_class((uintptr_t)block, 1, CLASS_SPAN);
	span_free(block);
	samples_lock();
	pool->next = samples.spans;
	samples.spans = pool;
	samples_unlock();
}

enum hak_bug_code sample_inspect(const struct sample_pool *pool, const void *block, size_t *size,
				 size_t *detail)
{
	const struct sample *sample = sample_at(pool, block);

	if (!sample || !sample->stack)
		return HAK_BUG_UNUSED;
	*size = pool->kind == SAMPLE_SPAN ? span_size(sample->block)
					  : size_class[sample->class].size;
	*detail = (size_t)((const char *)block - (char *)sample->block);
	if (*detail)
		return HAK_BUG_INTERIOR;
	return sample->weight ? HAK_BUG_NONE : HAK_BUG_DOUBLE_FREE;
}

/* Memory for what is known of the classes. */
static bool classes_open(void)
{
	do {
		samples_lock();
		if (!samples.class)
			samples.class = records_cut((CLASS_SPAN + 1) * sizeof(*samples.class));
		samples_unlock();
	} while (!samples.class && records_more(false));
	return samples.class;
}

/* hak_profile_start() */
bool hak_sampled_profile(size_t bytes)
{
	size_t off = 0;

	if (!bytes || !classes_open() ||
	    !atomic_compare_exchange_strong(&samples.period, &off, bytes))
		return false;
	samples.seed = mix((uintptr_t)&off); /* addresses of stacks are random on Linux */
	for_each_class(class)
	{
		count_cached(class);
		samples.class[class].before += unsampled(class);
	}
	hak_sampling |= SAMPLING_PROFILE;
	return true;
}

void hak_profile_stop(void)
{
	hak_sampling &= ~SAMPLING_PROFILE;
	samples.period = 0;
}

void sample_read(struct hak_samples *out)
{
	out->profiled = samples.made;
	out->profile_missed = samples.missed;
	out->record_bytes = records_bytes();
	out->block_bytes = samples.pools * SLAB_SIZE;
}

void sample_fini(void)
{
	__builtin_memset(&samples, 0, sizeof(samples));
	hak_sampling = 0;
}
