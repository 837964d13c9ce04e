/* SPDX-License-Identifier: MIT */
/*
 * The provider where the heap is an area of virtual memory (UKVMEM): the library's frames.
 * Memory that is free goes back to Unikraft, and page faults bring other memory, which is not
 * zero, since the heap's area is mapped so.
 *
 * With several CPUs there is no purge: Unikraft does not tell the others that a page is gone.
 *
 * Lock: none. Unikraft's virtual memory has none either.
 */
#include <uk/essentials.h>
#include <uk/vmem.h>

#include <frames.h>

#include "vmem.h"

static int vmem_purge(void *ctx __unused, void *base, size_t size)
{
	struct uk_vas *space = uk_vas_get_active();

	if (!space || uk_vma_advise(space, (__vaddr_t)base, size, UK_VMA_ADV_DONTNEED, 0))
		return -1;
	return HAK_PAGES_PURGE;
}

static int vmem_map(void *ctx, size_t size, size_t align, enum hak_want want,
		    struct hak_mapping *out)
{
	int error = hak_frames_provider.map(ctx, size, align, want, out);

	out->flags = HAK_PAGES_PURGE;
	return error;
}

/* Whether it was purged or not, it can be mapped again. */
static int vmem_unmap(void *ctx, void *base, size_t size)
{
	vmem_purge(ctx, base, size);
	return hak_frames_provider.unmap(ctx, base, size);
}

const struct hak_provider hakmem_provider = {
	.name = "unikraft",
	.map = vmem_map,
	.unmap = vmem_unmap,
	.small_records = true,
	.purge = vmem_purge,
};
