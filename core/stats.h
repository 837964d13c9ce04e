/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_CORE_STATS_H
#define HAKMEM_CORE_STATS_H

#include "base.h"

void stats_count_failure(unsigned class);
void stats_fini(void);

#endif
