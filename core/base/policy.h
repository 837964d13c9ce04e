/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_BASE_POLICY_H
#define HAKMEM_BASE_POLICY_H

#include "base/base.h"

/*
 * What becomes of a SuperSlab that has just become empty. Whatever the mode,
 * hak_idle() and hak_trim() give back what they find.
 */
enum release_mode {
	RELEASE_AT_ONCE, /* nobody comes by later: only one is kept */
	RELEASE_LATER,	 /* somebody does: what was needed lately is kept */
	RELEASE_NEVER,
};

void policy_set_mode(enum release_mode mode);

/* Empty SuperSlabs that are kept however much was needed lately: 512 MiB. */
#define RELEASE_RESERVE_MOST 256u

size_t policy_reserve(size_t in_use, size_t peak);
bool policy_keeps(size_t reserve, size_t in_use, size_t peak);
HAK_COLD bool policy_keeps_blocks(size_t in_use);

#endif
