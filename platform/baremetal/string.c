/* SPDX-License-Identifier: MIT */
/*
 * The four functions that compilers call whether or not there is a C library.
 *
 * They cannot fail, and run in any context. Copies and fills are string instructions,
 * eight bytes at a time: they are short, fast enough on every CPU, and no compiler takes
 * them for a memcpy() and makes a call to itself of it. They are weak, because a C
 * library that is linked too may bring one of them, and they are all in one object.
 */
#include <stddef.h>
#include <stdint.h>

#define WEAK __attribute__((weak))

WEAK void *memcpy(void *restrict to, const void *restrict from, size_t size);
WEAK void *memmove(void *to, const void *from, size_t size);
WEAK void *memset(void *to, int value, size_t size);
WEAK int memcmp(const void *one, const void *other, size_t size);

/* Eight bytes at any address, of any type. */
struct word {
	uint64_t value;
} __attribute__((packed, may_alias));

static void copy_up(void *to, const void *from, size_t size)
{
	size_t words = size / 8;
	size_t bytes = size % 8;

	__asm__ volatile("rep movsq\n\t"
			 "movq %3, %%rcx\n\t"
			 "rep movsb"
			 : "+&D"(to), "+&S"(from), "+&c"(words)
			 : "r"(bytes)
			 : "memory");
}

/* From the last byte down, for a destination above the source. */
static void copy_down(void *to, const void *from, size_t size)
{
	char *last_to = (char *)to + size - 1;
	const char *last_from = (const char *)from + size - 1;
	size_t words = size / 8;
	size_t bytes = size % 8;

	__asm__ volatile("std\n\t"
			 "rep movsb\n\t"
			 "subq $7, %%rdi\n\t"
			 "subq $7, %%rsi\n\t"
			 "movq %3, %%rcx\n\t"
			 "rep movsq\n\t"
			 "cld"
			 : "+&D"(last_to), "+&S"(last_from), "+&c"(bytes)
			 : "r"(words)
			 : "memory");
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	copy_up(to, from, size);
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	if ((uintptr_t)to - (uintptr_t)from >= size)
		copy_up(to, from, size);
	else
		copy_down(to, from, size);
	return to;
}

void *memset(void *to, int value, size_t size)
{
	void *at = to;
	size_t words = size / 8;
	size_t bytes = size % 8;

	__asm__ volatile("rep stosq\n\t"
			 "movq %3, %%rcx\n\t"
			 "rep stosb"
			 : "+&D"(at), "+&c"(words)
			 : "a"((unsigned char)value * 0x0101010101010101u), "r"(bytes)
			 : "memory");
	return to;
}

int memcmp(const void *one, const void *other, size_t size)
{
	const unsigned char *a = one;
	const unsigned char *b = other;

	while (size >= 8 && ((const struct word *)a)->value == ((const struct word *)b)->value) {
		a += 8;
		b += 8;
		size -= 8;
	}
	for (; size; a++, b++, size--)
		if (*a != *b)
			return *a - *b;
	return 0;
}
