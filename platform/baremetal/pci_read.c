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
	uint32_t value;

	io_write32(0xcf8, 0x80000000u | function | (offset & 0xfc));
	value = io_read((uint16_t)(0xcfc + offset % 4), bits);
	hak_host_irq_restore(irq);
	return value;
}
