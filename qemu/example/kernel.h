/* SPDX-License-Identifier: MIT */
/*
 * A unikernel in miniature, with nothing of its own to do: it shows what a
 * kernel that has a boot, a page allocator and a console already does to get
 * its heap from libhakmem.a. See main.c for the program.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* kernel.c */
void console_write(const char *text, size_t length);
_Noreturn void machine_exit(int status);

/* pages.c: pages of 4 KiB */
#define KERNEL_PAGE 4096u

void pages_add(uintptr_t base, uintptr_t end);
void *pages_take(size_t count, size_t align);
int pages_put(void *base, size_t count);
size_t pages_used(void);

/* The program. */
int main(void);

#endif
