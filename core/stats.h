/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_CORE_STATS_H
#define HAKMEM_CORE_STATS_H

#include "base.h"

/* What a caller without a cache did. */
enum stats_bypass {
	STATS_ALLOCATION,
	STATS_FREE,
};

void stats_count_bypass(unsigned class, enum stats_bypass what);
void stats_count_failure(unsigned class);
void stats_fini(void);

#endif
