/* SPDX-License-Identifier: MIT */
#ifndef HAKMEM_DIAG_STATS_H
#define HAKMEM_DIAG_STATS_H

#include "base/base.h"

#include <hakmem/stats.h>

/* As hak_stats_read(), without a copy: all of @out may be written, @size bytes are wanted. */
void stats_read(struct hak_stats *out, size_t size);

void stats_count_failure(unsigned class);
void stats_fini(void);

#endif
