/* SPDX-License-Identifier: MIT */
/*
 * A static array as the heap: see frames.h.
 */
#include "frames.h"

int hak_heap_add(const struct hak_heap *heap)
{
	hak_frames_use_parts();
	return hak_region_add((uintptr_t)heap->memory, heap->size);
}
