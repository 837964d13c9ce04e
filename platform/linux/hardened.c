/* SPDX-License-Identifier: MIT */
/*
 * The secret of the hardened build (core/cache/quarantine.h): random bytes of the kernel, in a page
 * of its own, which nobody can write to once it is made. Only that build links this file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/quarantine.h"

#define WORDS (4096 / sizeof(uint64_t))

uint64_t hak_secret[WORDS] __attribute__((aligned(4096)));

/* If two threads come here at once, each word has the value of who is first. */
void hak_secret_make(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	uint64_t words[2] = { 0 }, none;
	int saved = errno;

	if (syscall(SYS_getrandom, words, sizeof(words), GRND_NONBLOCK) != sizeof(words) && random)
		memcpy(words, random, sizeof(words)); /* 16 bytes, of the same kind */
	for (unsigned i = 0; i < 2; i++) {
		none = 0;
		if (hak_secret[i])
			continue; /* it may be read-only */
		__atomic_compare_exchange_n(&hak_secret[i], &none, words[i] | 1, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	syscall(SYS_mprotect, hak_secret, sizeof(hak_secret), (long)PROT_READ);
	errno = saved;
}

/* Before there can be a second thread. Other constructors may have been earlier. */
__attribute__((constructor)) static void make_early(void)
{
	hak_secret_make();
}
