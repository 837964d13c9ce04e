/* SPDX-License-Identifier: MIT */
/*
 * One slab of a class. A bitmap says which of its blocks are free; the blocks themselves
 * are never touched.
 *
 * A slab knows which of its pages are unbacked: no block there was used yet, or the pages were
 * purged. All blocks that lie in such a page, wholly or in part, are free. Their bits are not
 * set in the bitmap before the slabs of the class have no other free blocks. So backed memory
 * is used first, no page is purged twice, and to allocate a block is to find a bit.
 *
 *	free		 ==  bits set in the bitmap
 *	unbacked_blocks  ==  blocks in pages of `unbacked`; none of these is in the bitmap
 *
 * The two counts are without the blocks that a scan has claimed (class.c). While it has, there
 * are more bits and more such blocks.
 *
 * A free list threaded through the blocks would need no bitmap. But it would touch every
 * free block, so that its page could not go back, and it would hand the allocator's memory
 * to whatever overflows a block.
 *
 * Lock: none; the caller has that of the class, or the slab is the caller's alone.
 */
#include "slab/slab.h"

#include <cpu.h>

/* The bits in a word of the bitmap that are of blocks @first to @last. */
static uint64_t bits_of(unsigned word, unsigned first, unsigned last)
{
	uint64_t bits = ~(uint64_t)0;

	if (word == first / 64)
		bits <<= first % 64;
	if (word == last / 64)
		bits &= ~(uint64_t)0 >> (63 - last % 64);
	return bits;
}

/* Set, or clear, the bits of blocks @first to @last. Returns how many were changed. */
static unsigned change_bits(uint64_t *bitmap, unsigned first, unsigned last, bool set)
{
	unsigned changed = 0;

	hak_assert(first <= last);
	for (unsigned word = first / 64; word <= last / 64; word++) {
		uint64_t *bits = &bitmap[word];
		uint64_t mask = bits_of(word, first, last);

		mask &= set ? ~*bits : *bits;
		*bits ^= mask;
		changed += count_bits(mask);
	}
	return changed;
}

bool slab_is_free(const struct slab *slab, unsigned index)
{
	return slab->bitmap[index / 64] >> index % 64 & 1 || slab_is_unbacked(slab, index);
}

/* Which blocks of a word of the bitmap are parts of gap blocks? The slab has some. */
uint64_t slab_gap_bits(const struct slab *slab, unsigned word)
{
	const uint64_t *rest = slab_rest(slab) + word;
	bool last = word + 1 == slab_words(slab);

	return rest[0] | rest[0] >> 1 | (last ? 0 : rest[1] << 63);
}

/*
 * These pages are unbacked from now on. All blocks in them are free, and their bits are
 * cleared. Returns how many bits.
 */
unsigned slab_unback(struct slab *slab, unsigned pages)
{
	unsigned class = slab->class, first, last, n = 0;

	hak_assert(!(slab->unbacked & pages));
	slab->unbacked |= (uint16_t)pages;
	for (; pages; pages &= pages - 1) {
		class_page_blocks(class, slab->blocks, lowest_bit(pages), &first, &last);
		if (first <= last)
			n += change_bits(slab->bitmap, first, last, false);
	}
	hak_assert(n <= slab->free);
	slab->free = (uint16_t)(slab->free - n);
	slab->unbacked_blocks = (uint16_t)(slab->unbacked_blocks + n);
	return n;
}

/*
 * These pages are backed from now on. The bits of their blocks are set, but for blocks that
 * reach into other unbacked pages. Returns how many bits.
 */
unsigned slab_back(struct slab *slab, unsigned pages)
{
	unsigned class = slab->class, n = 0;

	slab->unbacked &= (uint16_t)~pages;
	slab->untouched &= (uint16_t)~pages;
	for (; pages; pages &= pages - 1) {
		unsigned first, last;

		class_page_blocks(class, slab->blocks, lowest_bit(pages), &first, &last);
		first += slab_is_unbacked(slab, first);
		if (first > last)
			continue;
		if (slab_is_unbacked(slab, last) && last-- == first)
			continue;
		if (first / 64 < slab->hint)
			slab->hint = (uint8_t)(first / 64);
		n += change_bits(slab->bitmap, first, last, true);
	}
	hak_assert(n <= slab->unbacked_blocks);
	slab->free = (uint16_t)(slab->free + n);
	slab->unbacked_blocks = (uint16_t)(slab->unbacked_blocks - n);
	return n;
}

/* The unbacked pages of the lowest unbacked block, which is the next one to be backed. */
unsigned slab_next_unbacked(const struct slab *slab)
{
	unsigned first, last;

	hak_assert(slab->unbacked_blocks);
	class_page_blocks(slab->class, slab->blocks, lowest_bit(slab->unbacked), &first, &last);
	return slab->unbacked & class_block_pages(slab->class, first);
}

/* @n blocks were allocated. */
static void note_allocated(struct slab *slab, unsigned n)
{
	hak_assert(n <= slab->free);
	slab->free = (uint16_t)(slab->free - n);
	/* pages that were idle, and are still free, are as if just freed; a full slab has none */
	slab->changed = (slab->changed || slab->idle) && slab_all_free(slab);
	slab->idle = 0;
}

/* Allocate up to @n blocks, the lowest first, and store them in end[-1], end[-2] ... */
unsigned slab_alloc(struct slab *slab, void **end, unsigned n)
{
	size_t size = size_class[slab->class].size;
	uintptr_t base = slab_base(slab);
	unsigned word = slab->hint, done = 0;

	n = MIN(n, slab->free);
	while (done < n) {
		uint64_t bits = slab->bitmap[word];

		/* all blocks of a word at once, as in new slabs, and where all were freed */
		if (HAK_MAGAZINE_MAX > 2 * 64 && bits == ~(uint64_t)0 && n - done >= 64) {
			uintptr_t block = base + word * 64 * size;

			for (unsigned i = 0; i < 64; i++, block += size)
				end[-(ptrdiff_t)++done] = (void *)block;
			bits = 0;
		}
		for (; bits && done < n; bits &= bits - 1)
			end[-(ptrdiff_t)++done] =
				(void *)(base + (word * 64 + lowest_bit(bits)) * size);
		slab->bitmap[word] = bits;
		if (!bits)
			word++;
	}
	hak_assert(done == n);
	slab->hint = (uint8_t)word;
	note_allocated(slab, done);
	return done;
}

/* Allocate the @n free blocks from block @first on as one gap block. */
void slab_alloc_gap(struct slab *slab, unsigned first, unsigned n)
{
	unsigned last = first + n - 1, taken = change_bits(slab->bitmap, first, last, false);

	hak_assert(n > 1 && taken == n);
	taken = change_bits(slab_rest(slab), first + 1, last, true);
	hak_assert(taken == n - 1);
	slab->gaps++;
	note_allocated(slab, n);
}

/* Free the @n blocks of a gap block from block @first on, or an ordinary block: @n is 1. */
void slab_free_gap(struct slab *slab, unsigned first, unsigned n)
{
	unsigned last = first + n - 1, freed = change_bits(slab->bitmap, first, last, true);

	hak_assert(freed == n);
	if (n > 1) {
		freed = change_bits(slab_rest(slab), first + 1, last, false);
		hak_assert(freed == n - 1 && slab->gaps);
		slab->gaps--;
	}
	slab->free = (uint16_t)(slab->free + n);
	slab->changed = true;
	slab->hint = (uint8_t)MIN(slab->hint, first / 64);
	hak_assert(slab_all_free(slab) <= slab->blocks);
}

/*
 * The slab is one of @class from now on, and all of its @blocks blocks are free. @bitmap: has
 * room for slab_bitmaps() words.
 */
void slab_init(struct slab *slab, unsigned class, unsigned blocks, uint64_t *bitmap)
{
	unsigned words = bitmap_words(blocks), rest = blocks % 64;
	unsigned more = slab_bitmaps(class, blocks, slab_units(slab)) - words;
	bool all = !slab->unbacked; /* set all bits at once: mostly few pages are backed, or all */

	hak_assert(!(slab->untouched & ~slab->unbacked));
	cpu_fill(bitmap, all ? ~(uint64_t)0 : 0, words);
	cpu_fill(bitmap + words, 0, more);
	if (rest && all)
		bitmap[words - 1] = ((uint64_t)1 << rest) - 1;
	slab->bitmap = bitmap;
	slab->class = (uint8_t) class;
	slab->blocks = (uint16_t)blocks;
	slab->free = all ? slab->blocks : 0;
	slab->unbacked_blocks = all ? 0 : slab->blocks;
	slab->hint = 0;
	slab->idle = 0;
	slab->gaps = 0;
	slab->changed = slab->unbacked != slab_pages(slab);
	if (!all)
		slab_back(slab, slab_pages(slab) & ~slab->unbacked);
	hak_assert(slab_all_free(slab) == blocks);
}

/*
 * Why can the block of @class not be freed that lies @offset bytes into the slab? HAK_BUG_NONE
 * if it can. Sets @detail to how far into a block the offset is.
 */
enum hak_bug_code slab_inspect(const struct slab *slab, unsigned class, size_t offset,
			       size_t *detail)
{
	unsigned index;
	bool start, is_gap;

	*detail = 0;
	index = class_block_index(class, offset, &start);
	if (slab->class != class || index >= slab->blocks)
		return HAK_BUG_UNUSED;
	*detail = offset - index * (size_t)size_class[class].size;
	if (!start)
		return HAK_BUG_INTERIOR;
	/* what is part of a gap block was free when that was made */
	is_gap = slab_is_mixed(slab) && slab_gap_bits(slab, index / 64) >> index % 64 & 1;
	return is_gap || slab_is_free(slab, index) ? HAK_BUG_DOUBLE_FREE : HAK_BUG_NONE;
}

/* Are all blocks of a page free? Only those at its edges can lie in other pages, too. */
static bool page_is_free(const struct slab *slab, unsigned page)
{
	unsigned first, last;

	class_page_blocks(slab->class, slab->blocks, page, &first, &last);
	if (first > last)
		return true; /* no block lies in this page */
	if (!slab_is_free(slab, first) || !slab_is_free(slab, last))
		return false;
	first++; /* the blocks between the first and the last */
	for (unsigned word = first / 64; first < last && word <= (last - 1) / 64; word++)
		if (~slab->bitmap[word] & bits_of(word, first, last - 1))
			return false;
	return true;
}

/* The pages that are backed and free. */
unsigned slab_free_pages(const struct slab *slab)
{
	unsigned pages = 0;

	for (unsigned page = 0; page < slab_units(slab) * PAGES_PER_UNIT; page++)
		if (!(slab->unbacked >> page & 1) && page_is_free(slab, page))
			pages |= 1u << page;
	return pages;
}
