/* SPDX-License-Identifier: MIT */
/*
 * A program that uses malloc's family, for images whose size is measured. It prints nothing:
 * hak_format() would be linked for that.
 */
#ifndef HAKMEM_TESTS_FAMILY_H
#define HAKMEM_TESTS_FAMILY_H

#include <frames.h>

#include <hakmem/hakmem.h>

/* Returns 0 if all went well. */
static inline int use_family(void)
{
	void *block, *other;

	if (!hak_init(&hak_frames_provider))
		return 1;
	block = hak_malloc(100);
	block = hak_realloc(block, 200);
	other = hak_aligned_alloc(64, 100);
	if (!block || !other || hak_usable_size(block) < 200)
		return 2;
	hak_free(block);
	hak_free(other);
	hak_free(hak_calloc(2, 10));
	return 0;
}

#endif
