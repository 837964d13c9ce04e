/* SPDX-License-Identifier: MIT */
/*
 * Pairs of malloc and free, or of hak_malloc and hak_free, for check.sh to
 * count the instructions of.
 *
 *	pairs malloc|hak_malloc SIZE PAIRS
 */
#include <stdlib.h>
#include <string.h>

#include <hakmem/hakmem.h>

static void c_pairs(size_t size, unsigned long n)
{
	while (n--) {
		void *block = malloc(size);

		__asm__ volatile("" : "+r"(block) : : "memory");
		free(block);
	}
}

static void hak_pairs(size_t size, unsigned long n)
{
	while (n--) {
		void *block = hak_malloc(size);

		__asm__ volatile("" : "+r"(block) : : "memory");
		hak_free(block);
	}
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	if (strcmp(argv[1], "malloc") == 0)
		c_pairs(strtoul(argv[2], NULL, 0), strtoul(argv[3], NULL, 0));
	else
		hak_pairs(strtoul(argv[2], NULL, 0), strtoul(argv[3], NULL, 0));
	return 0;
}
