/* SPDX-License-Identifier: MIT */
#include "traffic.h"

#include <hakmem/hakmem.h>

#include "../test.h"

struct block *_Atomic traffic_mail[NR_MAILS];
const char *_Atomic traffic_wrong;

void traffic_blame(const char *what)
{
	const char *none = NULL;

	atomic_compare_exchange_strong(&traffic_wrong, &none, what);
}

size_t traffic_size(uint64_t *random)
{
	uint64_t r = test_random(random);

	switch (r >> 32 & 1023) {
	case 0 ... 1:
		return 16 + r % (256u << 10);
	case 2 ... 40:
		return 16 + r % (16u << 10);
	default:
		return 16 + r % 512;
	}
}

/* The words of a block that are written: all of a small one, some of each page. */
static size_t word_after(size_t i)
{
	return i + (i < 64 ? 1 : 251);
}

static uint64_t word_of(const struct block *block, size_t i)
{
	return (block->tag + i) * 0x9e3779b97f4a7c15u;
}

struct block *traffic_alloc(size_t size, uint64_t tag)
{
	struct block *block = hak_malloc(size);
	uint64_t *word = (uint64_t *)block;

	if (!block)
		return NULL;
	block->tag = tag;
	block->size = size;
	for (size_t i = 2; i < size / sizeof(*word); i = word_after(i))
		word[i] = word_of(block, i);
	return block;
}

void traffic_free(struct block *block)
{
	const uint64_t *word = (const uint64_t *)block;

	if (!block)
		return;
	for (size_t i = 2; i < block->size / sizeof(*word); i = word_after(i))
		if (word[i] != word_of(block, i))
			traffic_blame("a block was written to by somebody else");
	block->tag = 0;
	hak_free(block);
}

void traffic_exchange(struct block *_Atomic *place, uint64_t *random)
{
	struct block *block = traffic_alloc(traffic_size(random), test_random(random));

	if (!block)
		traffic_blame("no memory");
	traffic_free(atomic_exchange(place, block));
}

void traffic_end(void)
{
	for (unsigned i = 0; i < NR_MAILS; i++)
		traffic_free(atomic_exchange(&traffic_mail[i], NULL));
}
