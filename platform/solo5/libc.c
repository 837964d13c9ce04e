/* SPDX-License-Identifier: MIT */
/*
 * malloc and its family, for a C library on Solo5 that has none, and errno as that library
 * has it: its <errno.h> says what the numbers are, which differ. ocaml-solo5's nolibc is one.
 *
 * It is for one CPU and no interrupts, so errno is just set.
 */
#include <errno.h>
#include <stddef.h>

#include <hakmem/hakmem.h>
#include <hakmem/host.h>

void *malloc(size_t size);
void free(void *block);
void *calloc(size_t n, size_t size);
void *realloc(void *block, size_t size);
void *aligned_alloc(size_t align, size_t size);
void *memalign(size_t align, size_t size);
int posix_memalign(void **out, size_t align, size_t size);
size_t malloc_usable_size(void *block);
int malloc_trim(size_t pad);

void hak_host_set_error(enum hak_error error)
{
	errno = error == HAK_EINVAL ? EINVAL : ENOMEM;
}

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

/* Returns the error; *@out is changed on success only. */
int posix_memalign(void **out, size_t align, size_t size)
{
	void *block;

	if (!align || align % sizeof(void *) || (align & (align - 1)))
		return EINVAL;
	block = hak_aligned_alloc(align, size);
	if (!block)
		return ENOMEM;
	*out = block;
	return 0;
}

size_t malloc_usable_size(void *block)
{
	return hak_usable_size(block);
}

/* Memory does not go back to Solo5; empty slabs serve other sizes. */
int malloc_trim(size_t pad)
{
	(void)pad;
	return hak_trim(HAK_TRIM_ALL) != 0;
}
