/* SPDX-License-Identifier: MIT */
/*
 * Which CPUs there are, from ACPI: the root pointer leads to a table of tables,
 * one of which (MADT, signature "APIC") lists the local APICs.
 *
 * This file allocates nothing and cannot fail: tables that make no sense list no CPU. They
 * are in memory below 4 GiB that the memory map calls reserved.
 */
#include "boot.h"

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	/* revision 2 and later */
	uint32_t length;
	uint64_t xsdt;
} __attribute__((packed));

struct acpi_table {
	char signature[4];
	uint32_t length;
	char rest[28];
} __attribute__((packed));

struct acpi_madt {
	struct acpi_table table;
	uint32_t lapic;
	uint32_t flags;
} __attribute__((packed));

struct acpi_madt_entry {
	uint8_t type;
	uint8_t length;
	uint8_t processor;
	uint8_t apic_id;
	uint32_t flags;
} __attribute__((packed));

#define MADT_LOCAL_APIC 0
#define MADT_ENABLED	1

static bool has_signature(const void *table, const char *signature)
{
	return __builtin_memcmp(table, signature, 4) == 0;
}

/* The address in entry @i of the table of tables, which has entries of @width bytes. */
static uint64_t entry_of(const struct acpi_table *root, unsigned width, unsigned i)
{
	const char *entry = (const char *)(root + 1) + i * width;
	uint64_t address = 0;

	__builtin_memcpy(&address, entry, width);
	return address;
}

static const struct acpi_madt *find_madt(const struct acpi_rsdp *rsdp)
{
	bool wide = rsdp->revision >= 2 && rsdp->xsdt;
	unsigned width = wide ? 8 : 4;
	const struct acpi_table *root =
		(const struct acpi_table *)(uintptr_t)(wide ? rsdp->xsdt : rsdp->rsdt);

	if (!root || !has_signature(root, wide ? "XSDT" : "RSDT") || root->length < sizeof(*root))
		return NULL;
	for (unsigned i = 0; i < (root->length - sizeof(*root)) / width; i++) {
		const struct acpi_table *table =
			(const struct acpi_table *)(uintptr_t)entry_of(root, width, i);

		if (has_signature(table, "APIC"))
			return (const struct acpi_madt *)table;
	}
	return NULL;
}

unsigned acpi_cpus(uint64_t rsdp, uint32_t *ids, unsigned most)
{
	const struct acpi_rsdp *root = (const struct acpi_rsdp *)(uintptr_t)rsdp;
	const struct acpi_madt *madt;
	const char *at, *end;
	unsigned n = 0;

	if (!root || !has_signature(root, "RSD "))
		return 0;
	madt = find_madt(root);
	if (!madt)
		return 0;
	end = (const char *)madt + madt->table.length;
	for (at = (const char *)(madt + 1); at + 2 <= end;) {
		const struct acpi_madt_entry *entry = (const struct acpi_madt_entry *)at;

		if (entry->length < 2 || entry->length > end - at)
			break;
		at += entry->length;
		if (entry->type != MADT_LOCAL_APIC || !(entry->flags & MADT_ENABLED))
			continue;
		if (n < most)
			ids[n] = entry->apic_id;
		n++;
	}
	return n;
}
