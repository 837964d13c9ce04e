/* SPDX-License-Identifier: MIT */
/*
 * The full walk: every layer compares what it has with what it says, and with
 * the layers beneath. Bottom up, so that the first thing reported is the cause
 * rather than its consequences.
 *
 * Lock: those of the layers, one after another. Nobody else may be inside the
 * allocator.
 */
#include <hakmem/hakmem.h>

#include "cache/cache.h"
#include "slab/class.h"
#include "superslab/span.h"
#include "superslab/superslab.h"

const char *hak_check(void)
{
	const char *failed = arena_check();

	if (!failed)
		failed = class_check();
	if (!failed)
		failed = span_check();
	if (!failed)
		failed = cache_check();
	return failed;
}
