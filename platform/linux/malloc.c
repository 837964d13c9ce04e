/* SPDX-License-Identifier: MIT */
/*
 * The names of the C library, with its semantics (malloc(3), glibc 2.36) where
 * they differ from ours. malloc and free are the fast path itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include <hakmem/hakmem.h>

#include "api/fastpath.h"

#define PAGE ((size_t)4096)

/* Two are of C23, which glibc 2.36 does not know, and cfree() it declares no more. */
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t align, size_t size);
void cfree(void *block);

HAK_API void *malloc(size_t size)
{
	return IS_ENABLED(HAK_LAYERED) ? hak_malloc(size) : malloc_fast(size);
}

HAK_API void free(void *block)
{
	if (IS_ENABLED(HAK_LAYERED))
		hak_free(block);
	else
		free_fast(block, "free");
}

HAK_API void *calloc(size_t n, size_t size)
{
	return hak_calloc(n, size);
}

HAK_API void *realloc(void *block, size_t size)
{
	return hak_realloc(block, size);
}

HAK_API void *reallocarray(void *block, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return hak_realloc(block, bytes);
}

/* An alignment that is no power of two gives EINVAL, as in glibc since 2.38. */
HAK_API void *aligned_alloc(size_t align, size_t size)
{
	return hak_aligned_alloc(align, size);
}

/* An alignment that is no power of two means the next one, as in glibc. */
HAK_API void *memalign(size_t align, size_t size)
{
	size_t power = 1;

	while (power && power < align)
		power <<= 1;
	return hak_aligned_alloc(power, size); /* 0 gives EINVAL */
}

HAK_API int posix_memalign(void **out, size_t align, size_t size)
{
	int saved = errno, error;
	void *block;

	if (!is_power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	block = hak_aligned_alloc(align, size);
	error = block ? 0 : errno;
	errno = saved;
	if (block)
		*out = block;
	return error;
}

HAK_API void *valloc(size_t size)
{
	return hak_aligned_alloc(PAGE, size);
}

HAK_API void *pvalloc(size_t size)
{
	size_t rounded = ALIGN_UP(size, PAGE);

	if (rounded < size) {
		errno = ENOMEM;
		return NULL;
	}
	return hak_aligned_alloc(PAGE, rounded ? rounded : PAGE);
}

HAK_API size_t malloc_usable_size(void *block)
{
	return hak_usable_size(block);
}

/* The padding that glibc would keep at the top of its heap has no meaning here. */
HAK_API int malloc_trim(size_t pad)
{
	(void)pad;
	return hak_trim(HAK_TRIM_ALL) > 0;
}

/* The functions of C23, and the name that free() had in SunOS. */
HAK_API void free_sized(void *block, size_t size)
{
	hak_free_sized(block, size);
}

HAK_API void free_aligned_sized(void *block, size_t align, size_t size)
{
	hak_free_aligned_sized(block, align, size);
}

HAK_API void cfree(void *block)
{
	free(block);
}

/*
 * By these names programs that wrap malloc reach glibc's own functions. With two heaps
 * one would get the blocks of the other. The static C library asks for some of these
 * names, too, and would bring its heap along.
 */
#if __has_attribute(copy) /* gcc has it, and asks for it */
#define LIBC_ALIAS(name) __attribute__((visibility("default"), alias(#name), copy(name)))
#else
#define LIBC_ALIAS(name) __attribute__((visibility("default"), alias(#name)))
#endif

LIBC_ALIAS(malloc) void *__libc_malloc(size_t size);
LIBC_ALIAS(free) void __libc_free(void *block);
LIBC_ALIAS(calloc) void *__libc_calloc(size_t n, size_t size);
LIBC_ALIAS(realloc) void *__libc_realloc(void *block, size_t size);
LIBC_ALIAS(memalign) void *__libc_memalign(size_t align, size_t size);
LIBC_ALIAS(valloc) void *__libc_valloc(size_t size);
LIBC_ALIAS(pvalloc) void *__libc_pvalloc(size_t size);
