/* SPDX-License-Identifier: MIT */
/*
 * Under a limit of address space, which argv[1] seeds: a block of hak_largest() bytes is there,
 * whatever the heap is like. Without one, nobody knows, and SIZE_MAX says so.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <hakmem/hakmem.h>

#define MOST  100000u
#define STEPS 300u

static void *block[MOST];
static unsigned n;
static uint64_t state;

static uint64_t below(uint64_t most)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 20) % most;
}

static void grow(size_t most)
{
	void *new;

	for (unsigned i = 0; i < 2000 && n < MOST && (new = hak_malloc(below(most))); i++)
		block[n++] = new;
}

static void shrink(void)
{
	for (unsigned i = n; i-- > 0;)
		if (below(3)) {
			hak_free(block[i]);
			block[i] = block[--n];
		}
}

int main(int argc, char **argv)
{
	static const size_t most[] = { 500, 20000, 300000 };
	struct rlimit limit;

	if (hak_largest() != SIZE_MAX || hak_available() != SIZE_MAX)
		return 2;
	state = (uint64_t)atoi(argv[argc - 1]) * 0x9e3779b97f4a7c15u;
	limit.rlim_cur = limit.rlim_max = (100 + below(300)) << 20;
	if (setrlimit(RLIMIT_AS, &limit) || hak_largest() > limit.rlim_cur)
		return 3;
	for (unsigned i = 0; i < STEPS; i++) {
		size_t largest;
		void *found;

		if (below(4))
			grow(most[below(3)]);
		else
			shrink();
		largest = hak_largest();
		found = hak_malloc(largest);
		if ((largest && !found)) {
			fprintf(stderr, "step %u: %zu bytes are not there\n", i, largest);
			return 1;
		}
		hak_free(found);
	}
	return hak_check() != NULL;
}
