/* SPDX-License-Identifier: MIT */
/*
 * Who has called, by the chain of frame pointers. A caller that was compiled without them is
 * missing, and where one has used the register for something else the chain ends. No word is read
 * but in the STACK_MOST bytes above the stack pointer.
 */
#include <hakmem/host.h>

#include <stdint.h>

#define STACK_MOST ((uintptr_t)16 << 10)

/* A function begins so, if it is compiled with frame pointers. */
struct frame {
	const struct frame *caller;
	void *returns_to;
};

unsigned hak_host_trace(const void *start, void **frames, unsigned most)
{
	const struct frame *frame = start, *caller;
	uintptr_t end = (uintptr_t)frame + STACK_MOST;
	unsigned n = 0;

	while (n < most && frame->returns_to) {
		frames[n++] = frame->returns_to;
		caller = frame->caller;
		if (caller <= frame || (uintptr_t)caller > end - sizeof(*caller) ||
		    (uintptr_t)caller % sizeof(void *))
			break;
		frame = caller;
	}
	return n;
}
