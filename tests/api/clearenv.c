/* SPDX-License-Identifier: MIT */
/*
 * A program that clears its environment before the library's constructors: it
 * stays cleared.
 *
 *	clearenv WHICH
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool had_path;

__attribute__((constructor(102))) static void constructor(void)
{
	had_path = getenv("PATH");
	clearenv();
}

int main(int argc, char **argv)
{
	void *block = malloc(100);
	bool good = had_path && !getenv("PATH") && block;

	free(block);
	printf("%s %s-stays-cleared\n", good ? "ok" : "FAIL", argc > 1 ? argv[1] : "clearenv");
	return !good;
}
