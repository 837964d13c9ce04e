/* SPDX-License-Identifier: MIT */
/*
 * The seal of a block, which says how long it is, and breaks when the block is written beyond its
 * end. Of a block of @capacity bytes of which @size were asked for, the bytes behind these are
 *
 *	| size bytes | mark, up to 8 bytes | zeros | seal, 8 bytes |
 *
 * The seal is the key of the block, changed by the slack, that is capacity - size. The key follows
 * from the address and a secret of the process. So a seal that is copied from another block is
 * none, and no program can make one. The mark is made of the same key. It ends where the seal
 * begins, if not before; with a slack of 8 there is only the seal.
 *
 *	a block in use	is sealed
 *	a free block	is zero, and so is not: a seal is never 0
 *
 * The first byte behind the @size is one of 16, of which text, 0 and 0xff are none: an overflow by
 * a single byte is found, unless it writes just what is there.
 *
 * Others may look at a seal meanwhile (verify.c). So it is cleared before all else of a block that
 * is freed or changes its size, and made when all else is done. (The order of loads and stores is
 * that of x86_64.)
 *
 * The key: the two halves of a product of 128 bits, as in wyhash (Wang Yi, 2019).
 */
#ifndef HAKMEM_HARDEN_SEAL_H
#define HAKMEM_HARDEN_SEAL_H

#include "base/zero.h"
#include "cache/quarantine.h"

#define SEAL_SIZE sizeof(uint64_t)

static inline uint64_t seal_key(const void *block)
{
	unsigned __int128 product =
		(unsigned __int128)((uintptr_t)block ^ hak_secret[0]) * hak_secret[1];

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A word that begins with one of 16 bytes. */
static inline uint64_t seal_begin(uint64_t word)
{
	return (word & ~(uint64_t)0xff) | 0x81 | (word & 0x1e);
}

static inline uint64_t seal_mark(uint64_t key)
{
	return seal_begin(key >> 32 | key << 32);
}

/* What a slack changes in the seal: two bytes say it, the upper ones vouch for these. */
static inline uint64_t seal_slack(uint64_t slack)
{
	return slack << 8 ^ slack * hak_secret[1] << 24;
}

static inline volatile zero_word *seal_of(const void *block, size_t capacity)
{
	return (volatile zero_word *)((char *)block + capacity - SEAL_SIZE);
}

/*
 * Seal a block, which is zero behind its @size bytes. @size is at most capacity - SEAL_SIZE. A
 * short mark is added to the word before the seal, so that only a seal is ever in its place.
 */
static inline void seal_make(void *block, size_t capacity, size_t size)
{
	uint64_t key = seal_key(block);
	size_t gap = capacity - SEAL_SIZE - size;

	if (gap >= 8)
		*(zero_word *)((char *)block + size) = seal_mark(key);
	else if (gap)
		*(zero_word *)((char *)block + capacity - 16) |= seal_mark(key) << (64 - 8 * gap);
	COMPILER_BARRIER();
	*seal_of(block, capacity) = seal_begin(key) ^ seal_slack(capacity - size);
}

#define SEAL_BROKEN SIZE_MAX

/* How many bytes were asked for? SEAL_BROKEN if the seal is none. */
static inline size_t seal_read(const void *block, size_t capacity, uint64_t key)
{
	uint64_t word = *seal_of(block, capacity) ^ seal_begin(key);
	size_t slack = word >> 8 & 0xffff;

	if (unlikely(word != seal_slack(slack) || slack - SEAL_SIZE > capacity - SEAL_SIZE))
		return SEAL_BROKEN;
	return capacity - slack;
}

/* Are the bytes behind the mark zero, of which there is one at least? */
static NOINLINE bool seal_rest_is_zero(const char *rest, const char *seal)
{
	size_t left = (size_t)(seal - rest);
	bool zero = !(*(const zero_word *)(seal - 8) >> (left < 8 ? 64 - 8 * left : 0));

	if (left > 8)
		zero &= left < 16 ? !*(const zero_word *)rest : zero_is(rest, left);
	return zero;
}

/* Are all bytes between the @size that were asked for and the seal as they were? */
static inline bool seal_is_whole(const void *block, size_t capacity, size_t size, uint64_t key)
{
	const char *end = (const char *)block + size;
	const char *seal = (const char *)block + capacity - SEAL_SIZE;
	uint64_t diff = *(const zero_word *)end ^ seal_mark(key);
	size_t gap = (size_t)(seal - end);

	if (gap < 8)
		return !(diff & (((uint64_t)1 << 8 * gap) - 1));
	return !diff && (gap == 8 || seal_rest_is_zero(end + 8, seal));
}

#endif
