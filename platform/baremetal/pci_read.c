/* SPDX-License-Identifier: MIT */
/*
 * Configuration space of PCI by the two ports that every PC has (mechanism #1): reading.
 * A handler that uses the ports, too, must not come in between.
 */
#include "machine.h"

#include <cpu.h>

uint32_t hak_host_pci_read(uint32_t function, unsigned offset, unsigned bits)
{
	unsigned long irq = hak_host_irq_save();
	uint16_t port = (uint16_t)(0xcfc + offset % 4);
	uint32_t value;

	io_write32(0xcf8, 0x80000000u | function | (offset & 0xfc));
	if (bits == 32)
		value = io_read32(port);
	else
		value = bits == 16 ? io_read16(port) : io_read8(port);
	hak_host_irq_restore(irq);
	return value;
}
