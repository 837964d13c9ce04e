/* SPDX-License-Identifier: MIT */
/*
 * The statistics row by row, for those who have no room for all of them. See stats.c.
 *
 * Lock: those of the layers, one after another.
 */
#include <hakmem/stats.h>

#include "base/sizeclass.h"
#include "diag/stats.h"

static bool read_row(unsigned class, struct hak_class_stats *row, size_t size)
{
	struct hak_class_stats whole;

	stats_read_class(class, &whole);
	__builtin_memcpy(row, &whole, MIN(size, sizeof(whole)));
	return true;
}

bool hak_stats_row(unsigned index, struct hak_class_stats *row, size_t size)
{
	for_each_class(class)
	{
		if (!index--)
			return read_row(class, row, size);
	}
	return index ? false : read_row(CLASS_SPAN, row, size);
}
