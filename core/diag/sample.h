/* SPDX-License-Identifier: MIT */
/*
 * Samples for a profile: which blocks become samples, where they lie, and what is known of them.
 * See sample.c.
 */
#ifndef HAKMEM_DIAG_SAMPLE_H
#define HAKMEM_DIAG_SAMPLE_H

#include <hakmem/samples.h>

#include "base/sizeclass.h"
#include "diag/trace.h"
#include "pages/bug.h"

/* Which samples are made now, as bits. Linux asks in its slow path; 0 while all is off. */
#define SAMPLING_PROFILE 1u
#define SAMPLING_GUARD	 2u
extern HAK_HIDDEN _Atomic unsigned hak_sampling;

enum sample_pool_kind {
	SAMPLE_BLOCKS, /* a slab, in chunks of blocks of one class */
	SAMPLE_SPAN,   /* a span, which is one sample */
	SAMPLE_GUARD,  /* the pages of guard.c */
};

struct sample;

/**
 * struct sample_pool - what the field @bitmap of struct slab leads to, where there are samples
 * @kind: of what kind they are [const]
 * @page: by page the first sample of its chunk; of a span the only one [samples]
 * @next: on the list of those of spans that are not in use [samples]
 */
struct sample_pool {
	enum sample_pool_kind kind;
	struct sample *page[PAGES_PER_SLAB];
	struct sample_pool *next;
};

/* The pool that @block lies in, whose class byte is CLASS_MIXED; NULL: it may be a gap block. */
struct sample_pool *sample_pool_of(const void *block);

/* Let the units of @size bytes at @base, or the first of a span, lead to a pool. */
void sample_pool_enter(void *base, size_t size, struct sample_pool *pool);

/* How many blocks of a class may still be allocated before the next sample? 0: this one is it. */
unsigned sample_left(unsigned class, size_t size);

void *sample_alloc(unsigned class, size_t size, size_t align, const struct trace *trace);
void sample_free(struct sample_pool *pool, void *block);
enum hak_bug_code sample_inspect(const struct sample_pool *pool, const void *block, size_t *size,
				 size_t *detail);

/* A number that is as good as random, below @most, which is not 0. */
uint64_t sample_random(uint64_t most);

void sample_read(struct hak_samples *samples);
void sample_fini(void);

#endif
