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
#include "machine.h"

#include <cpu.h>

#define COM1		   0x3f8
#define COM_DATA	   (COM1 + 0) /* with DLAB: divisor, low byte */
#define COM_INTERRUPTS	   (COM1 + 1) /* with DLAB: divisor, high byte */
#define COM_FIFO	   (COM1 + 2)
#define COM_LINE	   (COM1 + 3)
#define COM_MODEM	   (COM1 + 4)
#define COM_STATUS	   (COM1 + 5)
#define COM_LINE_8N1	   0x03
#define COM_LINE_DLAB	   0x80
#define COM_STATUS_READY   0x20
#define COM_DIVISOR_115200 1

/* How often to ask whether the port is ready: seconds, where a byte takes 0.1 ms. */
#define COM_PATIENCE 10000000u

void hak_console_init(void)
{
	io_write8(COM_INTERRUPTS, 0);
	io_write8(COM_LINE, COM_LINE_DLAB);
	io_write8(COM_DATA, COM_DIVISOR_115200);
	io_write8(COM_INTERRUPTS, 0);
	io_write8(COM_LINE, COM_LINE_8N1);
	io_write8(COM_FIFO, 0x07);  /* on, both directions empty */
	io_write8(COM_MODEM, 0x03); /* DTR and RTS: this end is ready */
}

void hak_console_write(const char *text, size_t length)
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
