/* SPDX-License-Identifier: MIT */
/*
 * An image that uses malloc's family alone: check-size.sh reads what the library costs it.
 */
#include <frames.h>

#include <hakmem/hakmem.h>

static int use(void)
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

int main(void)
{
	return use();
}
