/* SPDX-License-Identifier: MIT */
#include <hakmem/host.h>

#include "frames.h"

void hak_host_supply(const void *base, struct hak_supply *supply)
{
	hak_frames_supply(base, supply);
}
