/* SPDX-License-Identifier: MIT */
/*
 * The secret of the hardened build (core/cache/quarantine.h): random numbers of the CPU, if it has
 * them, and how long it has run. A kernel that knows better defines hak_secret_make() itself.
 */
#include "platform.h"

#include <cpu.h>

#include "cache/quarantine.h"

uint64_t hak_secret[2];

#define RANDOM_TRIES 10 /* as Intel has it: after so many the CPU is broken */

/* Finalizer of splitmix64 (Steele, Lea and Flood, 2014): all bits of the sum matter. */
static uint64_t mix_bits(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t random_word(void)
{
	uint64_t random = 0;

	for (unsigned i = 0; i < RANDOM_TRIES && cpu_has_random(); i++)
		if (cpu_random(&random))
			break;
	return mix_bits(random + cpu_read_tsc()) | 1;
}

/* If two CPUs come here at once, each word has the value of who is first. */
__attribute__((weak)) void hak_secret_make(void)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t none = 0;

		__atomic_compare_exchange_n(&hak_secret[i], &none, random_word(), false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}
