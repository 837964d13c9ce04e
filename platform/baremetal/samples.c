/* SPDX-License-Identifier: MIT */
/*
 * Samples on bare metal. Who starts a profile, or guards, links this file, and with it the slow
 * paths of malloc and free that know samples. All other images keep those that do not.
 */
#include "platform.h"

#include <hakmem/samples.h>

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

bool hak_profile_start(size_t bytes)
{
	return hak_sampled_profile(bytes);
}

bool hak_guard_start(size_t one_in)
{
	return hak_sampled_guard(one_in);
}
