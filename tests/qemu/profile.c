/* SPDX-License-Identifier: MIT */
/*
 * An image that prints a profile of its heap over the console, and what is live: for
 * check-profile.sh. It is linked with the archive.
 */
#include <frames.h>
#include <hakmem/hakmem.h>
#include <hakmem/samples.h>
#include <machine.h>

#define BLOCKS 20000

static void *kept[BLOCKS];
static volatile size_t size = 512; /* else the compiler makes functions for this size */

/* No tail call: the function would not be on the stack. */
static void *see(void *block)
{
	__asm__ volatile("" : "+r"(block) : : "memory");
	return block;
}

__attribute__((noinline)) static void *alloc_one(size_t bytes)
{
	return see(hak_malloc(bytes));
}

__attribute__((noinline)) static void *alloc_two(size_t bytes)
{
	return see(see(hak_malloc(bytes))); /* the compiler takes it for the other one else */
}

/* Three quarters of the bytes are of one function. */
int main(void)
{
	if (!hak_init(&hak_frames_provider) || !hak_profile_start(4096))
		return 1;
	for (unsigned i = 0; i < BLOCKS; i += 4) {
		kept[i] = alloc_one(size);
		kept[i + 1] = alloc_one(size);
		kept[i + 2] = alloc_two(size);
		kept[i + 3] = alloc_one(size);
		if (!kept[i + 3])
			return 2;
	}
	hak_profile_text(hak_console_sink, NULL);
	hak_leaks(hak_console_sink, NULL);
	for (unsigned i = 0; i < BLOCKS; i++)
		hak_free(kept[i]);
	hak_leaks(hak_console_sink, NULL);
	return hak_guard_start(10) ? 3 : 0; /* the library lets no page fault */
}
