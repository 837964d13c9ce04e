/* SPDX-License-Identifier: MIT */
/*
 * An image that uses what a program uses, and no diagnostics: what the library
 * costs it is read from the link map by check-size.sh.
 */
#include <frames.h>

#include <hakmem/hakmem.h>
#include <cache/magazine.h>

_Static_assert(CACHE_SIZE <= (24 + 4 * CONFIG_HAK_LARGE) << 10, "what each CPU costs");

/* Not printed with hak_format(): that would be linked for it. */
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
	hak_free_sized(block, 200);
	hak_free(other);
	hak_free(hak_calloc(2, hak_good_size(10)));
	hak_free(hak_zalloc(10));
	while (hak_idle(8))
		;
	hak_flush();
	hak_trim(HAK_TRIM_ALL);
	return hak_owns(other);
}

int main(void)
{
	return use();
}
