/* SPDX-License-Identifier: MIT */
/*
 * Are bytes zero, and make them so: for the hardened build, where all free memory is zero.
 */
#ifndef HAKMEM_BASE_ZERO_H
#define HAKMEM_BASE_ZERO_H

#include <cpu.h>

#include "base/base.h"

/* What the processor handles at once, wherever it lies; two words where it has no vectors. */
typedef uint64_t zero_vector __attribute__((vector_size(16), may_alias, aligned(1)));
typedef uint64_t zero_word __attribute__((may_alias, aligned(1)));

/* Are @size bytes zero, at least 16, or 8? The last vector may overlap the one before. */
static inline bool zero_is(const void *start, size_t size)
{
	const char *at = start, *last = at + size - 16;
	zero_vector sum, more = { 0 };

	if (HAK_MIN_ALIGN < 16 && unlikely(size < 16))
		return !*(const zero_word *)start;
	sum = *(const zero_vector *)last;
	for (; last - at >= 64; at += 64) {
		const zero_vector *v = (const zero_vector *)at;

		sum |= v[0] | v[1];
		more |= v[2] | v[3];
	}
	for (; at < last; at += 16)
		sum |= *(const zero_vector *)at;
	sum |= more;
	return !(sum[0] | sum[1]);
}

/* The first byte that is not zero, or the end. */
static inline size_t zero_length(const void *start, size_t size)
{
	size_t length = 0;

	while (length < size && !((const char *)start)[length])
		length++;
	return length;
}

#define ZERO_FEW 512u

/*
 * Clear @size bytes of several pages, at multiples of 16. Pages that are zero are not written: most
 * of them were never touched, and have no memory yet.
 */
static inline void zero_pages(void *start, size_t size)
{
	char *at = start;

	for (size_t part; size; at += part, size -= part) {
		part = MIN(size, PAGE_SIZE - (uintptr_t)at % PAGE_SIZE);
		if (!zero_is(at, part))
			cpu_clear(at, part);
	}
}

/* Clear @size bytes, a multiple of 8. Of a few, one instruction for all would take longer. */
static inline void zero_fill(void *start, size_t size)
{
	const zero_vector zero = { 0 };
	char *at = start, *last = at + size - 16;

	if (unlikely(size > ZERO_FEW)) {
		if (size > PAGE_SIZE)
			zero_pages(start, size);
		else
			cpu_clear(start, size);
		return;
	}
	if (HAK_MIN_ALIGN < 16 && unlikely(size < 16)) {
		*(zero_word *)start = 0;
		return;
	}
	for (; at < last; at += 16) {
		*(zero_vector *)at = zero;
		COMPILER_BARRIER(); /* or it would be memset() again */
	}
	*(zero_vector *)last = zero;
}

#endif
