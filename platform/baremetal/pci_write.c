/* SPDX-License-Identifier: MIT */
/*
 * Writing to the configuration space of PCI: see pci_read.c.
 */
#include "machine.h"

#include <cpu.h>

void hak_host_pci_write(uint32_t function, unsigned offset, unsigned bits, uint32_t value)
{
	unsigned long irq = hak_host_irq_save();

	io_write32(0xcf8, 0x80000000u | function | (offset & 0xfc));
	io_write((uint16_t)(0xcfc + offset % 4), bits, value);
	hak_host_irq_restore(irq);
}
