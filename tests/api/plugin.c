/* SPDX-License-Identifier: MIT */
/*
 * A program that opens the library while it runs, as a plugin would: its
 * thread-local storage has to be small enough for that. Blocks of the two
 * allocators live side by side.
 *
 *	plugin LIBRARY [NAME]	NAME is for the name of the test
 *
 * With -DWRAPPER it is a library that is linked with the other, to be opened in
 * its place.
 */
#ifdef WRAPPER
#include <hakmem/hakmem.h>

void *wrapper(void)
{
	return hak_malloc(1);
}
#else
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *(*plugin_malloc)(size_t size);
static void (*plugin_free)(void *block);
static const char *(*plugin_check)(void);

static int use_both(void)
{
	for (unsigned i = 0; i < 10000; i++) {
		size_t size = i * 7 % 50000 + 1;
		char *mine = malloc(size), *theirs = plugin_malloc(size);

		if (!mine || !theirs)
			return 1;
		memset(mine, 1, size);
		memset(theirs, 2, size);
		if (mine[0] != 1 || mine[size - 1] != 1)
			return 1;
		free(mine);
		plugin_free(theirs);
	}
	return plugin_check() != NULL;
}

int main(int argc, char **argv)
{
	const char *name = argc > 2 ? argv[2] : "opened";
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;

	if (!library) {
		printf("FAIL plugin-%s: %s\n", name,
		       argc > 1 ? dlerror() : "usage: plugin LIBRARY");
		return 1;
	}
	*(void **)&plugin_malloc = dlsym(library, "hak_malloc");
	*(void **)&plugin_free = dlsym(library, "hak_free");
	*(void **)&plugin_check = dlsym(library, "hak_check");
	if (!plugin_malloc || !plugin_free || !plugin_check || use_both()) {
		printf("FAIL plugin-%s: the heap of a library that was opened\n", name);
		return 1;
	}
	dlclose(library);
	/* still there: its key has a destructor, and its blocks are in use */
	if (use_both()) {
		printf("FAIL plugin-%s: the heap of a library that was closed\n", name);
		return 1;
	}
	printf("ok plugin-%s\n", name);
	return 0;
}
#endif
