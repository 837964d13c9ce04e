/* SPDX-License-Identifier: MIT */
/* A program of somebody who has installed the library; C and C++. */
#include <hakmem/hakmem.h>
#include <hakmem/provider.h>
#include <hakmem/stats.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void count(void *ctx, const char *text, size_t length)
{
	(void)text;
	*(size_t *)ctx += length;
}

int main(void)
{
	char *block = (char *)malloc(100);
	struct hak_stats stats;
	size_t length = 0;

	if (!block || !hak_owns(block) || hak_usable_size(block) < 100)
		return 1;
	memset(block, 1, 100);
	hak_stats_read(&stats, sizeof(stats));
	hak_stats_json(count, &length);
	if (stats.version != HAK_STATS_VERSION || !stats.total.live_blocks || !length)
		return 2;
	if (strcmp(hak_version(), HAK_VERSION) || HAK_VERSION_NUMBER < 100)
		return 3;
	hak_free(block);
	puts("used");
	return 0;
}
