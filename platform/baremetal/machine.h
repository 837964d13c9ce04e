/* SPDX-License-Identifier: MIT */
/*
 * What a kernel or a boot image calls on this platform besides the allocator:
 * the console, a CPU's private area, interrupts, the way to stop.
 *
 * Every function of the host and of this header is alone in its file, so that
 * a kernel that defines one itself keeps the library's out of its image.
 */
#ifndef HAKMEM_MACHINE_H
#define HAKMEM_MACHINE_H

#include <stddef.h>

#include "platform.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The status of a machine that panicked; those of main() are below it. */
#define HAK_EXIT_PANIC 101

/**
 * hak_cpu_init() - give this CPU its private area
 * @cpu: its memory, for ever; may be the beginning of something larger
 * @id:  its number, for messages
 *
 * Fills it and sets GS. Each CPU calls it before anything else of the allocator, and
 * all others call it again when one has called hak_fini(), since their caches are gone.
 * A CPU needs nothing else. A kernel that has GS point to an area of its own lets that
 * begin with a struct hak_cpu, and calls this once the area is there.
 */
void hak_cpu_init(struct hak_cpu *cpu, unsigned id);

/* Stand-ins: for a CPU that has no cache yet, and for an interrupt handler. */
extern struct hak_cache *const hak_cache_none, *const hak_cache_never;

/**
 * hak_interrupt_enter() - an interrupt handler begins that may allocate or free
 *
 * Between this and hak_interrupt_leave() all of malloc and free may be called,
 * whatever was interrupted: they leave the CPU's magazines alone and work block
 * by block. (hak_idle(), hak_trim() and hak_check() may not be called.)
 * Interrupts may be on or off, and handlers may nest.
 *
 * Handlers of non-maskable interrupts and of exceptions may not allocate, since these
 * come where others cannot.
 *
 * Returns what hak_interrupt_leave() needs, which is called on the same CPU.
 */
static inline struct hak_cache *hak_interrupt_enter(void)
{
	struct hak_cache *previous = this_cache();

	this_cache_set(hak_cache_never);
	return previous;
}

/**
 * hak_interrupt_leave() - the handler ends
 */
static inline void hak_interrupt_leave(struct hak_cache *previous)
{
	this_cache_set(previous);
}

/**
 * hak_console_init() - set up the first serial port: 115200 baud, 8n1
 */
void hak_console_init(void);

/**
 * hak_console_write() - print @length bytes, as they are
 *
 * Waits for the port. May be called in any context; lines of several CPUs
 * may mix.
 */
void hak_console_write(const char *text, size_t length);

/**
 * hak_console_sink() - the console for hak_dump(), hak_stats_text() and the like
 * @ctx: is not read
 */
void hak_console_sink(void *ctx, const char *text, size_t length);

/**
 * hak_machine_exit() - stop the machine
 * @status: 0 for success; who learns of it depends on the machine
 *
 * The library's own halts this CPU for ever; the image for QEMU has a better
 * one (qemu/exit.c).
 */
HAK_NORETURN void hak_machine_exit(int status);

#ifdef __cplusplus
}
#endif

#endif
