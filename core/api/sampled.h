/* SPDX-License-Identifier: MIT */
/*
 * The slow paths of malloc and free where there may be samples. See sampled.c.
 */
#ifndef HAKMEM_API_SAMPLED_H
#define HAKMEM_API_SAMPLED_H

#include "api/request.h"
#include "slab/gap.h"

/*
 * @frame: __builtin_frame_address(0) of hak_malloc_slow(), hak_request_alloc() or hak_free_slow(),
 * which the platform defines to call these: see hak_host_trace().
 */
void *hak_sampled_malloc(size_t size, const void *frame);
void *hak_sampled_request(struct request *request, const void *frame);
void hak_sampled_free(void *block, const char *caller, const void *frame);

enum hak_bug_code hak_sampled_inspect(const void *block, struct gap *gap, const void *frame);

/* hak_fini() calls the first, which is the second where there are samples. */
void hak_samples_fini(void);
void hak_sampled_fini(void);

#endif
