/* SPDX-License-Identifier: MIT */
/*
 * What the statistics give to other files of the core. See stats.c.
 */
#ifndef HAKMEM_DIAG_STATS_H
#define HAKMEM_DIAG_STATS_H

#include "base/base.h"

#include <hakmem/stats.h>

/* As hak_stats_read(), without a copy: all of @out may be written, @size bytes are wanted. */
void stats_read(struct hak_stats *out, size_t size);

uint64_t stats_count_phantoms(void);
void stats_count_failure(unsigned class);
void stats_fini(void);

#endif
