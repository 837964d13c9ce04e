/* SPDX-License-Identifier: MIT */
/*
 * The slow paths of malloc and free that know samples, by the names of those that do not. One
 * object of a platform includes this, and who links that object has samples: see sampled.c.
 */
#ifndef HAKMEM_API_SAMPLED_PATHS_H
#define HAKMEM_API_SAMPLED_PATHS_H

#include "api/fastpath.h"
#include "api/sampled.h"
#include "diag/sampled.h"

#define FRAME __builtin_frame_address(0)

void *hak_malloc_slow(size_t size)
{
	return hak_sampled_malloc(size, FRAME);
}

void *hak_request_alloc(struct request *request)
{
	return hak_sampled_request(request, FRAME);
}

void hak_free_slow(void *block, const char *caller)
{
	hak_sampled_free(block, caller, FRAME);
}

enum hak_bug_code hak_mixed_inspect(const void *block, struct gap *gap)
{
	return hak_sampled_inspect(block, gap, FRAME);
}

void hak_samples_fini(void)
{
	hak_sampled_fini();
}

#undef FRAME

#endif
