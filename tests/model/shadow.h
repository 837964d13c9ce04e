/* SPDX-License-Identifier: MIT */
/*
 * What the model knows of the heap: the blocks in use, where they lie and what
 * is in them. See shadow.c.
 */
#ifndef HAKMEM_TESTS_SHADOW_H
#define HAKMEM_TESTS_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHADOW_BLOCKS 16384u

/**
 * struct shadow_block - a block in use, by the number that it has here
 * @start, @usable: what of the address space is its own
 * @size:   bytes that were asked for, and that are filled
 * @align:  what else was asked for, 1 at first; the owner's to set
 * @seed:   what they are filled with
 * @left, @right, @priority: its place in the tree of all blocks; 0 is none
 * @place:  its index in the list of live blocks
 */
struct shadow_block {
	uintptr_t start;
	size_t usable;
	size_t size;
	size_t align;
	uint64_t seed;
	uint32_t left, right, priority;
	uint32_t place;
};

/* Forget everything. @seed: for the contents of blocks. */
void shadow_reset(uint64_t seed);

unsigned shadow_count(void);
size_t shadow_bytes(void); /* usable ones */

/* The number of a live block, @n below shadow_count(). */
unsigned shadow_live(unsigned n);
struct shadow_block *shadow_block(unsigned number);

/*
 * Enter a block and fill it; 0 if it overlaps another or there are too many,
 * else its number.
 */
unsigned shadow_add(void *start, size_t usable, size_t size);
void shadow_remove(unsigned number);

/* Are the first @limit bytes, as far as they were filled, what they should be? */
bool shadow_is_intact(unsigned number, size_t limit);

/* Fill it anew: it is @size bytes long now. */
void shadow_refill(unsigned number, size_t size);

/* The number of the block that @address lies in, or 0. */
unsigned shadow_find(uintptr_t address);

#endif
