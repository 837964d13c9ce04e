/* SPDX-License-Identifier: MIT */
/*
 * What is too long to be inline.
 *
 * Lock: none.
 */
#include "base/base.h"

/*
 * Without -mpopcnt, __builtin_popcountll() would call a library of the compiler. This sums up
 * neighbours in parallel (Warren, "Hacker's Delight", 5-1).
 */
unsigned count_bits(uint64_t x)
{
	x -= (x >> 1) & 0x5555555555555555u;
	x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return (unsigned)(x * 0x0101010101010101u >> 56);
}
