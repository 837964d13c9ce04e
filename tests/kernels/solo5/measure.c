/* SPDX-License-Identifier: MIT */
/*
 * A program for the real Solo5 that measures the allocator: platform/solo5/README.md.
 */
#include <hakmem/hakmem.h>
#include <solo5.h>

#include "hakmem_solo5.h"

static void print(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	solo5_console_write(text, length);
}

static void measure_print(const char *what, unsigned long value)
{
	char digits[24], *first = digits + sizeof(digits) - 2;

	first[0] = '\n';
	first[1] = 0;
	do
		*--first = (char)('0' + value % 10);
	while (value /= 10);
	print(what);
	print(": ");
	print(first);
}

#define measure_alloc(size)	  hak_malloc(size)
#define measure_free(block, size) ((void)(size), hak_free(block))
#include "../measure.h"

#define LITTLE (32ul << 20) /* too little for what measure_all() has at once */

int solo5_app_main(const struct solo5_start_info *info)
{
	if (!hak_solo5_init(info->heap_start, info->heap_size)) {
		print("the memory is too small\n");
		return SOLO5_EXIT_FAILURE;
	}
	if (info->heap_size >= LITTLE)
		measure_all(MEASURE_BLOCKS);
	measure_empty(measure_fill("blocks of 64 bytes", ~0ul));
	if (hak_check()) {
		print("the heap is not sound\n");
		return SOLO5_EXIT_FAILURE;
	}
	return SOLO5_EXIT_SUCCESS;
}
