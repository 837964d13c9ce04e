/* SPDX-License-Identifier: MIT */
/*
 * Memory is out: the balloon is asked for what the host has of it. The reference is weak, so that
 * an image without a balloon does not link one. One that calls hak_balloon_start() has it. A
 * kernel that has more to free defines this function itself.
 */
#include "balloon.h"
#include "platform.h"

extern __typeof__(hak_balloon_deflate) hak_balloon_deflate __attribute__((weak));

HAK_COLD bool hak_host_pressure(size_t bytes)
{
	return hak_balloon_deflate ? hak_balloon_deflate(bytes) : false;
}
