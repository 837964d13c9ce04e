/* SPDX-License-Identifier: MIT */
/*
 * malloc and its family for images, with newlib or without a C library.
 *
 * newlib's own functions (printf, strdup, ...) do not call malloc() but
 * _malloc_r() and the like, with a struct _reent first that says where errno
 * is. With all six of those defined nothing of newlib's heap is linked; with
 * malloc() alone an image would have two heaps. So they are all in this one
 * file: an image that needs one gets all. An image that calls none of them itself
 * needs `-u _malloc_r` on the linker's command line, before newlib, so that newlib's own
 * is not found first.
 *
 * Each is weak, so a kernel may define any of them itself, and gets the others from here.
 *
 * Errors set errno (error.c). The struct _reent is not read, because __errno() finds the
 * same one. This file is built without newlib's headers.
 */
#include <hakmem/hakmem.h>

#include <stddef.h>

#define NEWLIB_ENOMEM 12
#define NEWLIB_EINVAL 22

struct _reent;

#define WEAK __attribute__((weak))

WEAK void *malloc(size_t size);
WEAK void free(void *block);
WEAK void *calloc(size_t n, size_t size);
WEAK void *realloc(void *block, size_t size);
WEAK void *aligned_alloc(size_t align, size_t size);
WEAK void *memalign(size_t align, size_t size);
WEAK int posix_memalign(void **out, size_t align, size_t size);
WEAK size_t malloc_usable_size(void *block);

WEAK void *_malloc_r(struct _reent *reent, size_t size);
WEAK void _free_r(struct _reent *reent, void *block);
WEAK void *_calloc_r(struct _reent *reent, size_t n, size_t size);
WEAK void *_realloc_r(struct _reent *reent, void *block, size_t size);
WEAK void *_memalign_r(struct _reent *reent, size_t align, size_t size);
WEAK size_t _malloc_usable_size_r(struct _reent *reent, void *block);

void *malloc(size_t size)
{
	return hak_malloc(size);
}

void free(void *block)
{
	hak_free(block);
}

void *calloc(size_t n, size_t size)
{
	return hak_calloc(n, size);
}

void *realloc(void *block, size_t size)
{
	return hak_realloc(block, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	return hak_aligned_alloc(align, size);
}

void *memalign(size_t align, size_t size)
{
	return hak_aligned_alloc(align, size);
}

/* Returns the error, besides setting errno; *@out is changed on success only. */
int posix_memalign(void **out, size_t align, size_t size)
{
	void *block;

	if (align % sizeof(void *) || !align || (align & (align - 1)))
		return NEWLIB_EINVAL;
	block = hak_aligned_alloc(align, size);
	if (!block)
		return NEWLIB_ENOMEM;
	*out = block;
	return 0;
}

size_t malloc_usable_size(void *block)
{
	return hak_usable_size(block);
}

void *_malloc_r(struct _reent *reent, size_t size)
{
	(void)reent;
	return hak_malloc(size);
}

void _free_r(struct _reent *reent, void *block)
{
	(void)reent;
	hak_free(block);
}

void *_calloc_r(struct _reent *reent, size_t n, size_t size)
{
	(void)reent;
	return hak_calloc(n, size);
}

void *_realloc_r(struct _reent *reent, void *block, size_t size)
{
	(void)reent;
	return hak_realloc(block, size);
}

void *_memalign_r(struct _reent *reent, size_t align, size_t size)
{
	(void)reent;
	return hak_aligned_alloc(align, size);
}

size_t _malloc_usable_size_r(struct _reent *reent, void *block)
{
	(void)reent;
	return hak_usable_size(block);
}
