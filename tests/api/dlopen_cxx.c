/* SPDX-License-Identifier: MIT */
/*
 * A program in C, without the library of C++, that opens one in C++: dlopened.cc.
 *
 *	late LIBRARY
 */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	int (*run)(void);

	if (!library) {
		printf("FAIL late: %s\n", argc > 1 ? dlerror() : "usage: late LIBRARY");
		return 1;
	}
	*(void **)&run = dlsym(library, "run");
	return run ? run() : 1;
}
