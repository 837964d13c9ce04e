/* SPDX-License-Identifier: MIT */
/*
 * Memory is low, and there is nothing to do about it. A kernel that calls hak_low_water() defines
 * this function itself.
 */
#include <hakmem/host.h>

void hak_host_low_water(void)
{
}
