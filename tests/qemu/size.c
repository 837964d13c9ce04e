/* SPDX-License-Identifier: MIT */
/*
 * An image that uses what a program uses, and no diagnostics: what the library
 * costs it is read from the link map by check-size.sh.
 */
#include <cache/magazine.h>

#include "family.h"

_Static_assert(CACHE_SIZE <= (24 + 4 * CONFIG_HAK_LARGE) << 10, "what each CPU costs");

static int use(void)
{
	int result = use_family();
	void *block = hak_malloc(100);

	hak_free_sized(block, 100);
	hak_free(hak_malloc(hak_good_size(10)));
	hak_free(hak_zalloc(10));
	while (hak_idle(8))
		;
	hak_flush();
	hak_trim(HAK_TRIM_ALL);
	return result || hak_owns(&block);
}

void kernel_main(void)
{
	hak_machine_exit(use());
}
