/* SPDX-License-Identifier: MIT */
/*
 * Where memory is for a device, if all of it is mapped one to one. A kernel that has the
 * image or the heap elsewhere (in the upper half, or in a direct map) defines this function
 * itself.
 */
#include "machine.h"

uint64_t hak_host_physical(const void *address)
{
	return (uintptr_t)address;
}
