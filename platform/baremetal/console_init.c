/* SPDX-License-Identifier: MIT */
/*
 * The first serial port, a 16550, as console_write.c uses it. On a machine without the port
 * nothing happens.
 */
#include "platform.h"

#include <cpu.h>

#define COM1		   0x3f8
#define COM_DATA	   (COM1 + 0) /* with DLAB: divisor, low byte */
#define COM_INTERRUPTS	   (COM1 + 1) /* with DLAB: divisor, high byte */
#define COM_FIFO	   (COM1 + 2)
#define COM_LINE	   (COM1 + 3)
#define COM_MODEM	   (COM1 + 4)
#define COM_LINE_8N1	   0x03
#define COM_LINE_DLAB	   0x80
#define COM_DIVISOR_115200 1

HAK_COLD void hak_console_init(void)
{
	io_write8(COM_INTERRUPTS, 0);
	io_write8(COM_LINE, COM_LINE_DLAB);
	io_write8(COM_DATA, COM_DIVISOR_115200);
	io_write8(COM_INTERRUPTS, 0);
	io_write8(COM_LINE, COM_LINE_8N1);
	io_write8(COM_FIFO, 0x07);  /* on, both directions empty */
	io_write8(COM_MODEM, 0x03); /* DTR and RTS: this end is ready */
}
