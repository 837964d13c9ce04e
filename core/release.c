/* SPDX-License-Identifier: MIT */
/*
 * When memory goes back, and which: the policy in one place. The layers ask;
 * what they then do to memory is theirs.
 *
 * Pure functions of their arguments, without a lock.
 */
#include "release.h"

bool release_keeps(size_t reserve)
{
	return reserve < RELEASE_RESERVE;
}
