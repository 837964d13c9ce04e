/* SPDX-License-Identifier: MIT */
/*
 * The reference of the model: an array of the blocks in use, and a treap over
 * it by address, in which two neighbours tell exactly whether a block overlaps
 * another, wherever in the address space the provider's memory is.
 *
 * Contents: eight bytes at a multiple of eight are a function of the block's
 * seed and of where they are. Blocks up to 256 bytes are filled and verified
 * entirely, of larger ones the ends, the middle, and words at random, so that
 * a block of 4 MiB costs no more than a few page faults.
 */
#include "shadow.h"

#include "../test.h"

#define FILLED_ENTIRELY 256u
#define SAMPLES		12u

/* Block 0 is none. */
static struct shadow_block blocks[SHADOW_BLOCKS + 1];
static uint32_t live[SHADOW_BLOCKS], unused[SHADOW_BLOCKS];
static unsigned nr_live;
static size_t bytes;
static uint32_t root;
static uint64_t random_state;

void shadow_reset(uint64_t seed)
{
	random_state = seed * 2 + 1;
	nr_live = 0;
	bytes = 0;
	root = 0;
	for (uint32_t i = 0; i < SHADOW_BLOCKS; i++)
		unused[i] = SHADOW_BLOCKS - i;
}

unsigned shadow_count(void)
{
	return nr_live;
}

size_t shadow_bytes(void)
{
	return bytes;
}

unsigned shadow_live(unsigned n)
{
	return live[n];
}

struct shadow_block *shadow_block(unsigned number)
{
	return &blocks[number];
}

/* Does [@start, @end) touch a block? All on the way down are candidates. */
static bool overlaps(uintptr_t start, uintptr_t end)
{
	uint32_t at = root;

	while (at) {
		const struct shadow_block *block = &blocks[at];

		if (end <= block->start)
			at = block->left;
		else if (start >= block->start + block->usable)
			at = block->right;
		else
			return true;
	}
	return false;
}

unsigned shadow_find(uintptr_t address)
{
	uint32_t at = root;

	while (at) {
		const struct shadow_block *block = &blocks[at];

		if (address < block->start)
			at = block->left;
		else if (address >= block->start + block->usable)
			at = block->right;
		else
			return at;
	}
	return 0;
}

/* Cut the tree @at in two: what lies below @start, and the rest. */
static void split(uint32_t at, uintptr_t start, uint32_t *below, uint32_t *above)
{
	while (at) {
		if (blocks[at].start < start) {
			*below = at;
			below = &blocks[at].right;
			at = *below;
		} else {
			*above = at;
			above = &blocks[at].left;
			at = *above;
		}
	}
	*below = 0;
	*above = 0;
}

static void insert_block(uint32_t number)
{
	struct shadow_block *block = &blocks[number];
	uint32_t *link = &root;

	while (*link && blocks[*link].priority > block->priority)
		link = block->start < blocks[*link].start ? &blocks[*link].left
							  : &blocks[*link].right;
	split(*link, block->start, &block->left, &block->right);
	*link = number;
}

static void delete_block(uint32_t number)
{
	uint32_t *link = &root, below = blocks[number].left, above = blocks[number].right;

	while (*link != number)
		link = blocks[number].start < blocks[*link].start ? &blocks[*link].left
								  : &blocks[*link].right;
	while (below && above) {
		if (blocks[below].priority > blocks[above].priority) {
			*link = below;
			link = &blocks[below].right;
			below = *link;
		} else {
			*link = above;
			link = &blocks[above].left;
			above = *link;
		}
	}
	*link = below ? below : above;
}

static uint64_t word_at(const struct shadow_block *block, size_t index)
{
	return (block->seed ^ index) * 0x9e3779b97f4a7c15u;
}

/* The index of the @n-th word that is filled; false if there are no more. */
static bool next_word(const struct shadow_block *block, unsigned n, size_t *index)
{
	size_t words = (block->size + 7) / 8;
	uint64_t random;

	if (block->size <= FILLED_ENTIRELY) {
		*index = n;
		return n < words;
	}
	random = (block->seed + n) * 0xd1342543de82ef95u;
	*index = n == 0 ? 0 : n == 1 ? words - 1 : n == 2 ? words / 2 : (random >> 24) % words;
	return n < SAMPLES;
}

static size_t part_of_word(size_t index, size_t limit)
{
	return limit - index * 8 < 8 ? limit - index * 8 : 8;
}

static void fill(struct shadow_block *block)
{
	size_t index;

	block->seed = test_random(&random_state);
	for (unsigned n = 0; next_word(block, n, &index); n++) {
		uint64_t word = word_at(block, index);

		__builtin_memcpy((char *)block->start + index * 8, &word,
				 part_of_word(index, block->size));
	}
}

bool shadow_is_intact(unsigned number, size_t limit)
{
	const struct shadow_block *block = &blocks[number];
	size_t index;

	if (limit > block->size)
		limit = block->size;
	for (unsigned n = 0; next_word(block, n, &index); n++) {
		uint64_t word = word_at(block, index);

		if (index * 8 < limit && __builtin_memcmp((char *)block->start + index * 8, &word,
							  part_of_word(index, limit)) != 0)
			return false;
	}
	return true;
}

void shadow_refill(unsigned number, size_t size)
{
	blocks[number].size = size;
	fill(&blocks[number]);
}

unsigned shadow_add(void *start, size_t usable, size_t size)
{
	struct shadow_block *block;
	uint32_t number;

	if (nr_live == SHADOW_BLOCKS || overlaps((uintptr_t)start, (uintptr_t)start + usable))
		return 0;
	number = unused[nr_live];
	block = &blocks[number];
	block->start = (uintptr_t)start;
	block->usable = usable;
	block->size = size;
	block->align = 1;
	block->priority = (uint32_t)test_random(&random_state);
	block->place = nr_live;
	live[nr_live++] = number;
	bytes += usable;
	insert_block(number);
	fill(block);
	return number;
}

void shadow_remove(unsigned number)
{
	struct shadow_block *block = &blocks[number];

	delete_block(number);
	bytes -= block->usable;
	nr_live--;
	live[block->place] = live[nr_live];
	blocks[live[nr_live]].place = block->place;
	unused[nr_live] = number;
}
