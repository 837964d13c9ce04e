/* SPDX-License-Identifier: MIT */
/*
 * errno as a C library on Solo5 has it: its <errno.h> says what the numbers are, which differ.
 * ocaml-solo5's nolibc is one. malloc() and its family are those of the archive (newlib.o), but for
 * what returns such a number, and malloc_trim().
 *
 * It is for one CPU and no interrupts, so errno is just set.
 */
#include <errno.h>
#include <stddef.h>

#include <hakmem/hakmem.h>
#include <hakmem/host.h>

int posix_memalign(void **out, size_t align, size_t size);
int malloc_trim(size_t pad);

void hak_host_set_error(enum hak_error error)
{
	errno = error == HAK_EINVAL ? EINVAL : ENOMEM;
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

/* Memory does not go back to Solo5; empty slabs serve other sizes. */
int malloc_trim(size_t pad)
{
	(void)pad;
	return hak_trim(HAK_TRIM_ALL) != 0;
}
