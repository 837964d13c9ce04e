/* SPDX-License-Identifier: MIT */
/*
 * How many bytes are in blocks, and the most that ever were. See usage.c.
 */
#ifndef HAKMEM_BASE_USAGE_H
#define HAKMEM_BASE_USAGE_H

#include "base/base.h"

extern HAK_HIDDEN struct usage {
	_Atomic uint64_t bytes, peak;
} hak_usage;

/* To subtract, add a negative number: sums wrap. */
HAK_COLD void usage_add(size_t bytes);

#endif
