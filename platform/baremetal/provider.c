/* SPDX-License-Identifier: MIT */
/*
 * No provider by default: which memory is free is known only once the boot
 * code has told hak_region_add(), so an image calls hak_init() after that,
 * mostly with &hak_frames_provider.
 */
#include <hakmem/host.h>

const struct hak_provider *hak_host_provider(void)
{
	return NULL;
}
