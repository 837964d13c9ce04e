/* SPDX-License-Identifier: MIT */
/*
 * How an image that QEMU runs says how it ended, and what qemu/run.sh makes of it. It is
 * all that a kernel has to do so that run.sh returns its status, with any boot and any
 * library; it needs no header but this one.
 *
 *	the image					run.sh
 *	writes STATUS + 16 to port 0xf4, STATUS 0..100	STATUS
 *	writes 101 + 16: it has panicked		101, with its last lines
 *	writes 0 to 15, and knows nothing of this	the same number: 0 is success
 *	switches the machine off (ACPI)			0
 *	resets it, or by a triple fault			126
 *	tells QEMU of a panic (pvpanic)			101
 *	does none of this in time			124
 *
 * The port is QEMU's isa-debug-exit device, which ends QEMU with 2 * VALUE + 1. QEMU ends
 * with 0 or 1 for reasons of its own. So 16 is added, and a VALUE of 0 counts as success
 * only if QEMU complains of nothing. There is room up to 111, which is what main() gets that
 * returns something else than 0 to 100.
 */
#ifndef QEMU_EXIT_H
#define QEMU_EXIT_H

#define QEMU_EXIT_PORT	 0xf4
#define QEMU_EXIT_OFFSET 16
#define QEMU_EXIT_MOST	 111 /* as a status; anything else arrives as this one */

/* On a machine without the device the write goes nowhere, and the caller goes on. */
static inline void qemu_exit(int status)
{
	unsigned value = QEMU_EXIT_OFFSET +
			 (status < 0 || status > QEMU_EXIT_MOST ? QEMU_EXIT_MOST : status);

	__asm__ volatile("outl %0, %w1" : : "a"(value), "Nd"(QEMU_EXIT_PORT) : "memory");
}

#endif
