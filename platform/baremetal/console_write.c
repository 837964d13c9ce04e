/* SPDX-License-Identifier: MIT */
/*
 * Text out through the first serial port, a 16550, by polling.
 *
 * This file owns the port. There is no lock: a report must come out whatever the other
 * CPUs do, so their lines may mix. On a machine without the port all bits read as one,
 * which means "ready", so nothing ever waits for it. A port that is there and stuck loses
 * the rest of a text.
 *
 * Lines end in a newline without a carriage return: programs read what runs in QEMU, and
 * a terminal on the host adds the carriage return itself.
 */
#include "platform.h"

#include <cpu.h>

#define COM_DATA	 0x3f8
#define COM_STATUS	 0x3fd
#define COM_STATUS_READY 0x20

/* How often to ask whether the port is ready: seconds, where a byte takes 0.1 ms. */
#define COM_PATIENCE 10000000u

HAK_COLD void hak_console_write(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned tries = COM_PATIENCE;

		while (!(io_read8(COM_STATUS) & COM_STATUS_READY)) {
			if (!tries--)
				return;
			cpu_relax();
		}
		io_write8(COM_DATA, (uint8_t)text[i]);
	}
}
