/* SPDX-License-Identifier: MIT */
/*
 * Blocks that are spans, with a guard behind them. See large.c.
 */
#ifndef HAKMEM_HARDEN_LARGE_H
#define HAKMEM_HARDEN_LARGE_H

#include "superslab/descriptor.h"

/* The head of the large block that an address is in the first page of; NULL if it is none. */
struct slab *large_head(const void *block);

void *large_alloc(size_t align, size_t size, bool zeros);
void large_free(struct slab *head, void *block, const char *caller);

/* How long is it? Stops the program if @block is not what was handed out, or is freed. */
size_t large_size(const struct slab *head, const void *block, const char *caller);

/* Make it @size bytes long where it is, or move its pages to another one. */
bool large_resize(struct slab *head, void *block, size_t size);
size_t large_move(struct slab *head, void *block, void *to, size_t size);

bool large_flush(void);
void large_fini(void);

#endif
