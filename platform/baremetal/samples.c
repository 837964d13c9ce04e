/* SPDX-License-Identifier: MIT */
/*
 * Samples on bare metal. Who starts a profile, or guards, links this file, and with it the slow
 * paths of malloc and free that know samples. All other images keep those that do not.
 */
#include "platform.h"

#include <hakmem/samples.h>

#include "api/sampled_paths.h"

bool hak_profile_start(size_t bytes)
{
	return hak_sampled_profile(bytes);
}

bool hak_guard_start(size_t one_in)
{
	return hak_sampled_guard(one_in);
}
