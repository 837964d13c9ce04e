/* SPDX-License-Identifier: MIT */
/*
 * How much stack a function needs: it is called on a stack of its own, which is filled with a
 * pattern before.
 */
#ifndef HAKMEM_TESTS_STACK_USE_H
#define HAKMEM_TESTS_STACK_USE_H

#include <stddef.h>

#define STACK_PATTERN 0xa5

/* Call @function on the stack. Returns how many bytes of it were written to. */
static inline size_t stack_use(unsigned char *stack, size_t size, void (*function)(void))
{
	unsigned char *top = stack + size;
	size_t untouched = 0;

	__builtin_memset(stack, STACK_PATTERN, size);
	__asm__ volatile("movq %%rsp, %%rbx\n\t"
			 "movq %0, %%rsp\n\t"
			 "callq *%1\n\t"
			 "movq %%rbx, %%rsp"
			 : "+D"(top), "+S"(function)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
			   "r14", "r15", "memory", "cc");
	while (untouched < size && stack[untouched] == STACK_PATTERN)
		untouched++;
	return size - untouched;
}

#endif
