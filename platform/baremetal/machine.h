/* SPDX-License-Identifier: MIT */
/*
 * What a kernel or a boot image calls on this platform besides the allocator:
 * the console, the CPU's private area, the way to stop.
 *
 * Every function of the host and of this header is alone in its file, so that
 * a kernel that defines one itself keeps the library's out of its image.
 */
#ifndef HAKMEM_MACHINE_H
#define HAKMEM_MACHINE_H

#include <stddef.h>

/* The status of a machine that panicked; those of main() are below it. */
#define HAK_EXIT_PANIC 101

/**
 * hak_cpu_init() - give this CPU, the only one, its private area
 *
 * Sets GS. To be called before anything of the allocator; a kernel that has
 * areas of its own, beginning with a struct hak_cpu, does not call it.
 */
void hak_cpu_init(void);

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
 * @ctx: is not looked at
 */
void hak_console_sink(void *ctx, const char *text, size_t length);

/**
 * hak_machine_exit() - stop the machine
 * @status: 0 for success; whom it is told depends on the machine
 *
 * The library's own halts this CPU for ever; the image for QEMU has a better
 * one (qemu/exit.c).
 */
_Noreturn void hak_machine_exit(int status);

#endif
