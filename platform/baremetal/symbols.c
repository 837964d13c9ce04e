/* SPDX-License-Identifier: MIT */
/*
 * What is inline in machine.h and a kernel calls, as symbols of the archive: for kernels in
 * languages that cannot include a header.
 */
#include "machine.h"

struct hak_cache *symbol_enter(void) __asm__("hak_interrupt_enter");
void symbol_leave(struct hak_cache *previous) __asm__("hak_interrupt_leave");

struct hak_cache *symbol_enter(void)
{
	return hak_interrupt_enter();
}

void symbol_leave(struct hak_cache *previous)
{
	hak_interrupt_leave(previous);
}
