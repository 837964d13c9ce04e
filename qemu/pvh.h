/* SPDX-License-Identifier: MIT */
/*
 * What a PVH loader tells the image it starts: the part of Xen's boot ABI
 * (public/arch-x86/hvm/start_info.h) that is used here.
 */
#ifndef HAKMEM_PVH_H
#define HAKMEM_PVH_H

#include <stdint.h>

#define PVH_MAGIC      0x336ec578
#define PVH_MEMORY_RAM 1

/* Addresses are physical; 0 where there is nothing. */
struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modules;
	uint64_t command_line; /* terminated by a zero byte */
	uint64_t rsdp;
	/* version 1 and later */
	uint64_t memory_map;
	uint32_t nr_memory_map;
	uint32_t reserved;
};

struct pvh_memory {
	uint64_t base;
	uint64_t size;
	uint32_t type; /* PVH_MEMORY_RAM, or something to keep away from */
	uint32_t reserved;
};

#endif
